"""The simulated Asterisk's channels, as ARI lists them."""

from __future__ import annotations

from hookflash.backends.asterisk.dialplan import DEFAULT_CONTEXT
from hookflash.backends.asterisk.primitives import (
    DEFAULT_OWNER_VARIABLE,
    KIND,
    PICK_UP,
    ROLE,
    SOUND,
    TRANSFER,
)
from hookflash.backends.asterisk.procedures import role_on
from hookflash.backends.simulator.asterisk.channel import App, AsteriskChannel
from hookflash.events import LegSnapshot
from hookflash.sounds import Conversation, HeardSound, heard_sound


def _hears(part: AsteriskChannel | None, noted: str) -> HeardSound | None:
    if part is not None:
        return Conversation(part.id)
    return heard_sound(noted) if noted else None


def snapshot(channel: AsteriskChannel, *, outside: bool) -> LegSnapshot:
    """A channel, as ARI lists it."""
    alone = channel.bridge is None
    parked = (
        alone and channel.answered and channel.app is App.STASIS and channel.place.exten == "park"
    )
    part = channel.part_of
    parked = parked or (part is not None and channel.answered)
    noted = channel.variables.get(SOUND, "").partition(" ")[2]
    role = role_on(channel.id, channel.variables.get(ROLE, ""))
    peer = channel.peer
    is_far = channel.half is not None and not channel.is_near
    return LegSnapshot(
        leg=channel.id,
        number=channel.number,
        direction=channel.direction,
        account=channel.account,
        owner_id=channel.variables.get(DEFAULT_OWNER_VARIABLE, ""),
        outside=outside,
        answered=channel.answered,
        parked=parked,
        elsewhere=(
            alone
            and channel.answered
            and not parked
            and channel.app is not App.CALLED
            and channel.place.context != DEFAULT_CONTEXT
        ),
        peer=None if peer is None else peer.id,
        hears=_hears(part, noted if parked else ""),
        transfer=channel.variables.get(TRANSFER, "") if role else "",
        role=role,
        kind=channel.variables.get(KIND, ""),
        other_half=channel.half.id if is_far and channel.half is not None else "",
        called_for=channel.called_for,
        pick_up=channel.variables.get(PICK_UP, "") if parked else "",
    )
