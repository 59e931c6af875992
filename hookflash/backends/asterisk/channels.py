"""Reads ARI's lists of channels and bridges as `LegSnapshot`s.

A channel shows its position in the dialplan, and a bridge its channels; what a leg hears can't be
queried. So each sound that we play is noted on its leg first (`HOOKFLASH_SOUND`), and the dialplan
removes the note when the leg is parked again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import attrs
from msgspec.structs import replace

from hookflash.backends.asterisk import primitives as p
from hookflash.backends.asterisk.ari_messages import AriBridge, AriChannel
from hookflash.backends.asterisk.inbound import AsteriskReading, is_leg, local_half, pick_up_of
from hookflash.backends.asterisk.procedures import role_on
from hookflash.events import Direction, LegId, LegSnapshot
from hookflash.sounds import Conversation, HeardSound, heard_sound

_A_PAIR: Final = 2


@attrs.frozen(kw_only=True)
class Seen:
    """The listed channels and bridges."""

    channels: tuple[AriChannel, ...]
    bridges: tuple[AriBridge, ...]

    def without(self, is_gone: Callable[[LegId], bool]) -> Seen:
        """The same without channels that have ended."""
        return Seen(
            channels=tuple(one for one in self.channels if not is_gone(one.id)),
            bridges=tuple(
                replace(one, channels=[leg for leg in one.channels if not is_gone(leg)])
                for one in self.bridges
            ),
        )


@attrs.frozen(kw_only=True)
class KnownLeg:
    """What is known about a leg from its events, and can't be queried."""

    direction: Direction
    outside: bool
    number: str = ""
    """Its number. For a leg that we call, ARI shows the caller's at first."""


def read_seen(
    seen: Seen,
    *,
    reading: AsteriskReading,
    context: str,
    known: Mapping[LegId, KnownLeg],
    outside: Collection[LegId],
) -> tuple[LegSnapshot, ...]:
    """Read the lists.

    Args:
        seen: the channels and bridges.
        reading: reads the channels of this switch.
        context: the context of our dialplan.
        known: what the events have reported about legs.
        outside: channels on an outside line that events have not reported as such.
    """
    living = {channel.id: channel for channel in seen.channels if is_leg(channel)}
    peers = _peers(seen.bridges, living)
    in_bridges = {member for bridge in seen.bridges for member in bridge.channels}
    halves = _other_halves(living.values())
    callers = _callers(living.values(), halves, peers)
    names = {channel.name: channel.id for channel in living.values()}
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
            names=names,
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
    names: Mapping[str, LegId],
) -> LegSnapshot:
    created = reading.created(channel, known.direction, outside=known.outside)
    role = role_on(channel.id, channel.channelvars.get(p.ROLE, ""))
    answered = channel.state == "Up"
    part = of_conversation(channel, context, names) if alone and answered else ""
    parked = bool(part) or (alone and answered and is_parked(channel, context))
    return LegSnapshot(
        leg=channel.id,
        number=known.number or created.number,
        direction=created.direction,
        account=created.account,
        owner_id=created.owner_id,
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
        hears=Conversation(part) if part else noted_sound(channel)[1] if parked else None,
        transfer=channel.channelvars.get(p.TRANSFER, "") if role else "",
        role=role,
        kind=channel.channelvars.get(p.KIND, ""),
        name=created.name,
        withheld=created.withheld,
        other_half=other_half,
        called_for=called_for,
        pick_up=pick_up_of(channel) if parked else "",
    )


def is_parked(channel: AriChannel, context: str) -> bool:
    """Whether a leg is in our `Stasis` application."""
    place = channel.dialplan
    return (
        place.context == context
        and place.exten == "park"  # else it was sent elsewhere, and is leaving
        and place.app_name == "Stasis"
    )


def of_conversation(channel: AriChannel, context: str, names: Mapping[str, LegId]) -> LegId:
    """The leg in whose conversation this one takes part; empty: none, or one that has ended."""
    place = channel.dialplan
    is_there = place.context == context and place.exten == "part" and place.app_name == "ChanSpy"
    return names.get(place.app_data.rpartition(",")[0], "") if is_there else ""


def was_called(channel: AriChannel) -> bool:
    """Whether a leg was called, and has not been moved since."""
    return channel.dialplan.app_name.startswith("AppDial")


def waits_for_a_controller(channel: AriChannel, context: str) -> bool:
    """Whether a leg that is in no bridge waits in our dialplan for a controller.

    A leg that another has joined is at the same position in the dialplan.
    """
    place = channel.dialplan
    return place.context == context and place.exten == "park" and place.app_name != "Stasis"


def noted_sound(channel: AriChannel) -> tuple[str, HeardSound | None]:
    """The note on a leg: the id of the playback, and the sound."""
    playback, _, text = channel.channelvars.get(p.SOUND, "").partition(" ")
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
    """The near half for each far half of a call through the dialplan."""
    pairs: dict[str, dict[str, LegId]] = {}
    for channel in channels:
        common, half = local_half(channel.name)
        if common:
            pairs.setdefault(common, {})[half] = channel.id
    return {pair["2"]: pair["1"] for pair in pairs.values() if pair.keys() == {"1", "2"}}


def _callers(
    channels: Iterable[AriChannel], halves: Mapping[LegId, LegId], peers: Mapping[LegId, LegId]
) -> dict[LegId, LegId]:
    """The far half for each leg that a far half has called, ringing or talking."""
    linked = {
        channel.channelvars[p.LINKED]: channel.id
        for channel in channels
        if channel.id in halves and channel.channelvars.get(p.LINKED)
    }
    callers = {leg: peer for leg, peer in peers.items() if peer in halves}
    for channel in channels:
        far = linked.get(channel.channelvars.get(p.LINKED, ""))
        rings = channel.state != "Up" and was_called(channel)
        if far is not None and rings and channel.id not in (far, halves[far]):
            callers.setdefault(channel.id, far)
    return callers


def _guess(channel: AriChannel, outside: Collection[LegId]) -> KnownLeg:
    """Infer the direction of a leg that is older than the connection.

    Asterisk names the application `AppDial` or `AppDial2` for a called leg until it is sent
    elsewhere; if we do that, the direction is noted on the leg. The dialled extension of a leg
    that called in stays.
    """
    noted = channel.channelvars.get(p.BEGAN, "")
    _, half = local_half(channel.name)
    called = noted == Direction.OUTBOUND or (
        not noted
        and (
            half == "1"
            or (not half and channel.channelvars.get(p.DIALLED) == "")
            or was_called(channel)
            or channel.channelvars.get(p.ROLE, "").endswith(f":{channel.id}")  # marked when called
        )
    )
    direction = Direction.OUTBOUND if called else Direction.INBOUND
    return KnownLeg(direction=direction, outside=channel.id in outside)
