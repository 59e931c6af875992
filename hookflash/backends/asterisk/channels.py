"""What lives, as ARI lists it, read as `LegSnapshot`s.

A channel says where it is in the dialplan, and a bridge who is in it; what a leg hears can't be
asked. So each sound that we play is noted on its leg first (`HOOKFLASH_SOUND`), and the dialplan
takes the note off when the leg is parked anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import attrs
from msgspec.structs import replace

from hookflash.backends.asterisk.ari_messages import AriBridge, AriChannel
from hookflash.backends.asterisk.inbound import AsteriskReading, is_party, local_half
from hookflash.backends.asterisk.primitives import (
    BEGAN,
    DIALLED,
    KIND,
    LINKED,
    ROLE,
    SOUND,
    TRANSFER,
)
from hookflash.backends.asterisk.procedures import role_on
from hookflash.events import Direction, LegId, LegSnapshot
from hookflash.sounds import HeardSound, heard_sound

_A_PAIR: Final = 2


@attrs.frozen(kw_only=True)
class Seen:
    """What was listed."""

    channels: tuple[AriChannel, ...]
    bridges: tuple[AriBridge, ...]

    def without(self, is_gone: Callable[[LegId], bool]) -> Seen:
        """The same, less those who are gone."""
        return Seen(
            channels=tuple(one for one in self.channels if not is_gone(one.id)),
            bridges=tuple(
                replace(one, channels=[leg for leg in one.channels if not is_gone(leg)])
                for one in self.bridges
            ),
        )


@attrs.frozen(kw_only=True)
class KnownLeg:
    """What is known of a leg from the events of its life, and can't be asked."""

    direction: Direction
    outside: bool
    number: str = ""
    """Of one that we have called, ARI tells at first the caller's."""


def read_seen(
    seen: Seen,
    *,
    reading: AsteriskReading,
    context: str,
    known: Mapping[LegId, KnownLeg],
    outside: Collection[LegId],
) -> tuple[LegSnapshot, ...]:
    """Read what was listed.

    Args:
        seen: the channels and bridges.
        reading: how the channels of this switch are read.
        context: the context of our dialplan.
        known: what the events have said of legs.
        outside: the channels that are on an outside line, as far as events have not said so.
    """
    living = {channel.id: channel for channel in seen.channels if is_party(channel.name)}
    peers = _peers(seen.bridges, living)
    in_bridges = {member for bridge in seen.bridges for member in bridge.channels}
    halves = _other_halves(living.values())
    callers = _callers(living.values(), halves, peers)
    return tuple(
        _snapshot(
            channel,
            reading=reading,
            known=known.get(channel.id) or _guess(channel, outside),
            other_half=halves.get(channel.id, ""),
            called_for=callers.get(channel.id, ""),
            peer=peers.get(channel.id),
            alone=channel.id not in in_bridges,
            context=context,
        )
        for channel in living.values()
    )


def _snapshot(
    channel: AriChannel,
    *,
    reading: AsteriskReading,
    known: KnownLeg,
    other_half: LegId,
    called_for: LegId,
    peer: LegId | None,
    alone: bool,
    context: str,
) -> LegSnapshot:
    created = reading.created(channel, known.direction, outside=known.outside)
    role = role_on(channel.id, channel.channelvars.get(ROLE, ""))
    answered = channel.state == "Up"
    parked = alone and answered and is_parked(channel, context)
    return LegSnapshot(
        leg=channel.id,
        number=known.number or created.number,
        direction=created.direction,
        account=created.account,
        outside=created.outside,
        may_transfer=created.may_transfer,
        answered=answered,
        parked=parked,
        elsewhere=(
            alone
            and answered
            and not parked
            and not was_called(channel)  # it has just answered, and is about to be parked or joined
            and channel.dialplan.context != context
        ),
        peer=peer,
        hears=noted_sound(channel)[1] if parked else None,
        transfer=channel.channelvars.get(TRANSFER, "") if role else "",
        role=role,
        kind=channel.channelvars.get(KIND, ""),
        name=created.name,
        withheld=created.withheld,
        other_half=other_half,
        called_for=called_for,
    )


def is_parked(channel: AriChannel, context: str) -> bool:
    """Whether a leg is in `Stasis`, in our keeping."""
    place = channel.dialplan
    return (
        place.context == context
        and place.exten == "park"  # else it was sent elsewhere, and goes at once
        and place.app_name == "Stasis"
    )


def was_called(channel: AriChannel) -> bool:
    """Whether a leg was called, and has not been anywhere else since."""
    return channel.dialplan.app_name.startswith("AppDial")


def waits_for_a_controller(channel: AriChannel, context: str) -> bool:
    """Whether a leg that is in no bridge is in our keeping, and has found no controller.

    One that another has joined itself with is at this place of the dialplan, too.
    """
    place = channel.dialplan
    return place.context == context and place.exten == "park" and place.app_name != "Stasis"


def noted_sound(channel: AriChannel) -> tuple[str, HeardSound | None]:
    """What is noted on a leg: the id of what plays, and the sound."""
    playback, _, text = channel.channelvars.get(SOUND, "").partition(" ")
    return playback, heard_sound(text) if text else None


def _peers(bridges: Iterable[AriBridge], living: Mapping[LegId, AriChannel]) -> dict[LegId, LegId]:
    peers: dict[LegId, LegId] = {}
    for bridge in bridges:
        members = [member for member in bridge.channels if member in living]
        if len(members) == _A_PAIR:
            first, second = members
            peers |= {first: second, second: first}
    return peers


def _other_halves(channels: Iterable[AriChannel]) -> dict[LegId, LegId]:
    """Of each far half of a call through the dialplan, the near one."""
    pairs: dict[str, dict[str, LegId]] = {}
    for channel in channels:
        common, half = local_half(channel.name)
        if common:
            pairs.setdefault(common, {})[half] = channel.id
    return {pair["2"]: pair["1"] for pair in pairs.values() if pair.keys() == {"1", "2"}}


def _callers(
    channels: Iterable[AriChannel], halves: Mapping[LegId, LegId], peers: Mapping[LegId, LegId]
) -> dict[LegId, LegId]:
    """Of each leg that a far half has called, the far half: they talk, or the leg still rings."""
    linked = {
        channel.channelvars[LINKED]: channel.id
        for channel in channels
        if channel.id in halves and channel.channelvars.get(LINKED)
    }
    callers = {leg: peer for leg, peer in peers.items() if peer in halves}
    for channel in channels:
        far = linked.get(channel.channelvars.get(LINKED, ""))
        rings = channel.state != "Up" and was_called(channel)
        if far is not None and rings and channel.id not in (far, halves[far]):
            callers.setdefault(channel.id, far)
    return callers


def _guess(channel: AriChannel, outside: Collection[LegId]) -> KnownLeg:
    """Of a leg that is older than we are, no event tells who began it.

    The application that Asterisk names for a leg that was called is `AppDial` or `AppDial2`, until
    it is sent elsewhere: by us, and then it is noted on it. What it has dialled that called us
    stays.
    """
    noted = channel.channelvars.get(BEGAN, "")
    _, half = local_half(channel.name)
    called = noted == Direction.OUTBOUND or (
        not noted
        and (
            half == "1"
            or (not half and channel.channelvars.get(DIALLED) == "")
            or was_called(channel)
            or role_on(channel.id, channel.channelvars.get(ROLE, "")) == "target"
        )
    )
    direction = Direction.OUTBOUND if called else Direction.INBOUND
    return KnownLeg(direction=direction, outside=channel.id in outside)
