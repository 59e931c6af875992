"""What FreeSWITCH reports about a channel: states, caller profile, other leg, variables.

An `EmulatedLeg` is a simulated channel as events report it. It holds what the simulator has no use
for and every event repeats: names, times, `CS_` states. Its methods record what happens to it;
`headers` returns all of it, in FreeSWITCH's order. The variables that a program has set are in the
simulator (`SimulatedChannel.variables`); those that the switch itself keeps are here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from hookflash.backends.simulator.switch import SimulatedChannel
from hookflash.emulator.events import Header
from hookflash.emulator.leg_record import LegRecord
from hookflash.emulator.variables import (
    answered_variables,
    closing_variables,
    inbound_variables,
    left_variables,
    media_variables,
    outbound_variables,
    record_variables,
    remote_variables,
)

STATE_NUMBERS: Final = {
    "CS_NONE": 0,
    "CS_INIT": 1,
    "CS_ROUTING": 2,
    "CS_SOFT_EXECUTE": 3,
    "CS_EXECUTE": 4,
    "CS_EXCHANGE_MEDIA": 5,
    "CS_PARK": 6,
    "CS_CONSUME_MEDIA": 7,
    "CS_HIBERNATE": 8,
    "CS_RESET": 9,
    "CS_HANGUP": 10,
    "CS_REPORTING": 11,
    "CS_DESTROY": 12,
}
CALL_STATE_NUMBERS: Final = {
    "DOWN": 0,
    "RINGING": 2,
    "EARLY": 3,
    "ACTIVE": 4,
    "HELD": 5,
    "HANGUP": 7,
    "UNHELD": 8,
}
_ROUTING: Final = 2
_HIBERNATE: Final = 8
_HANGUP: Final = 10
_DESTROY: Final = 12
_COMING: Final = {"CHANNEL_CREATE": _ROUTING, "CHANNEL_DESTROY": _DESTROY}
"""Events whose `Channel-State-Number` is always that of the next state."""

_NOBODY: Final = "0000000000"
"""The caller's number of a call that the switch itself places."""

_NAMELESS: Final = "Outbound Call"


def _ignore_state(_leg: EmulatedLeg) -> None:
    return


def _ignore_call_state(_leg: EmulatedLeg, _before: str) -> None:
    return


@attrs.define(eq=False, kw_only=True)
class EmulatedLeg(LegRecord):
    """One channel, as events report it."""

    channel: SimulatedChannel
    context: str = "default"
    """The dialplan context in which it came in."""
    originator: EmulatedLeg | None = None
    """The leg for which it was called, if any."""
    known_as: tuple[str, str] | None = None
    """The name and number that its partner sees, if its own profile shows others."""
    callee_name: str = ""
    callee_number: str = ""
    dialplan: str = ""
    transfer_source: str = ""
    profile_index: int = 1

    on_state: Callable[[EmulatedLeg], None] = attrs.field(default=_ignore_state)
    """Called when it enters a state."""
    on_call_state: Callable[[EmulatedLeg, str], None] = attrs.field(default=_ignore_call_state)
    """Called when its call state has changed, with the previous one."""
    state: str = "CS_INIT"
    coming: int = 0
    """The number of the state that it was ordered to enter, until it has entered it."""
    elsewhere: str = ""
    """The destination to which it was sent, until it arrives."""
    application: tuple[str, str] = ("", "")
    """Its current or last application, as `show channels` reports it."""
    call_state: str = "DOWN"
    answer_state: str = "ringing"
    logical_direction: str = attrs.field(init=False)
    hit_dialplan: bool = attrs.field(init=False)
    has_media: bool = False
    other: EmulatedLeg | None = None
    is_originator_of_other: bool = False
    in_park: bool = False
    """Whether its CHANNEL_PARK was published, and no CHANNEL_UNPARK since."""
    plays: str = ""
    """The sound whose PLAYBACK_START was published, without a PLAYBACK_STOP since."""
    played_from_us: int = 0
    runs: dict[str, tuple[str, str]] = attrs.field(factory=dict[str, tuple[str, str]])
    """The running applications, each with the id that its events carry, and its argument."""

    def __attrs_post_init__(self) -> None:
        self.profile_us = self.created_us
        self.hit_dialplan = self.inbound
        self.logical_direction = self._direction
        self.original_name = self.caller_name
        self.original_number = self.caller_number
        self.other = self.originator
        self.call_uuid = self.id if self.originator is None else self.originator.id
        if self.inbound:
            self.dialplan = "XML"
            self.variables = inbound_variables(self)
        else:
            self.dialplan = "" if self.originator is None else "XML"
            self.callee_name = _NAMELESS
            self.callee_number = self.destination
            self.variables = outbound_variables(self, self.originator)

    # ---- what happens to it

    def enters(self, *states: str) -> None:
        """Enter one state after the other."""
        for state in states:
            self.coming = 0
            self.state = state
            self.on_state(self)

    def goes(self, call_state: str) -> None:
        """Change the call state."""
        before, self.call_state = self.call_state, call_state
        if before != call_state:
            self.on_call_state(self, before)

    def routed(self) -> None:
        """Enter the dialplan."""
        self._enters_calling("CS_ROUTING", "RINGING")
        self.enters("CS_EXECUTE")

    def _enters_calling(self, state: str, call_state: str) -> None:
        """Enter a state, but report the call's state first, as a caller's leg does."""
        self.state = state
        self.goes(call_state)
        self.enters(state)

    def called(self) -> None:
        """Its phone is being called."""
        self.enters("CS_ROUTING", "CS_CONSUME_MEDIA")

    def reached(self) -> None:
        """The called phone has responded: its own, or that of its other leg."""
        if self.callee_name in {"", _NAMELESS}:
            self.callee_name = self.callee_number = self.destination
            if not self.inbound:
                self.variables |= remote_variables(self)

    def gets_media(self) -> None:
        """From now on there is sound in both directions."""
        if not self.has_media:
            self.has_media = True
            self.variables |= media_variables(self)

    def gets_answered(self, now_us: int) -> None:
        """It answers."""
        self.answer_state = "answered"
        self.answered_us = now_us
        if self.inbound:
            self.variables |= answered_variables(self)

    def joins(self, other: EmulatedLeg, *, first: bool, now_us: int, source_id: str) -> None:
        """It is on its way to another leg, by `uuid_bridge` or `intercept`."""
        self.other = other
        self.is_originator_of_other = first
        self.coming = _HIBERNATE
        self.elsewhere = ""
        self.logical_direction = "inbound"
        self._new_profile(f"{now_us // 1_000_000}:{source_id}:uuid_br:{other.id}", now_us)
        bond = {"bridge_channel": other.name, "bridge_uuid": other.id, "signal_bond": other.id}
        self.variables |= bond | {
            "original_destination_number": self.destination,
            "original_caller_id_name": self.caller_name,
            "original_caller_id_number": self.caller_number,
        }
        if first:
            self.variables["uuid_bridge"] = other.id
        else:
            self.hit_dialplan = False
            self.known_as = (self.caller_name, self.caller_number)
            self.caller_name, self.caller_number = other.caller_name, other.caller_number

    def goes_elsewhere(self, where: str, *, now_us: int, source_id: str) -> None:
        """It is transferred away from its partner."""
        if self.other is not None and self.other.other is self:
            self.other.variables.pop("signal_bond", None)
        self.other = None
        self.coming = _ROUTING
        self.elsewhere, _, rest = where.partition("/")
        self.dialplan = rest.rpartition("/")[2]
        self.variables.pop("signal_bond", None)
        forwards = self.variables.get("max_forwards")
        if isinstance(forwards, str):
            self.variables["max_forwards"] = str(int(forwards) - 1)
        self._new_profile(f"{now_us // 1_000_000}:{source_id}:bl_xfer:{where}", now_us)

    def _new_profile(self, source: str, now_us: int) -> None:
        self.profile_index += 1
        self.profile_us = now_us
        self.bridged_us = 0
        self.transfer_source = source
        history = self.variables.get("transfer_history")
        if history is None:
            self.variables["transfer_history"] = source
        else:
            earlier = (history,) if isinstance(history, str) else history
            self.variables["transfer_history"] = (*earlier, source)
        self.variables["transfer_source"] = source

    def is_joined(self, other: EmulatedLeg, *, first: bool, ordered: bool, now_us: int) -> None:
        """It is in a bridge, ordered by a program or by a dialplan."""
        self.other = other
        self.is_originator_of_other = first
        self.bridged_us = now_us
        if ordered:
            # from one such bridge to the next, a leg does not hibernate
            states = ("CS_HIBERNATE", "CS_RESET", "CS_SOFT_EXECUTE")
            self.enters(*(states[1:] if self.state == states[-1] else states))
        self.coming = 0
        self.hit_dialplan = self.hit_dialplan or first
        self.call_uuid = self.id if first else other.id
        self.variables.pop("uuid_bridge", None)
        self.variables |= {
            "bridge_channel": other.name,
            "bridge_uuid": other.id,
            "signal_bond": other.id,
            "last_bridge_to": other.id,
            "last_sent_callee_id_name": other.caller_name,
            "last_sent_callee_id_number": other.caller_number,
            "call_uuid": self.call_uuid,
        }

    def leaves_bridge(self, leaver: EmulatedLeg | None) -> None:
        """Its bridge is over, with or without a hang-up of one of the two."""
        if self.cause:
            self.variables.pop("bridge_to", None)
        else:
            self.bridged_us = 0
        if leaver is not None:
            self.variables |= left_variables(leaver)

    def is_parked(self, *, by_bridge: bool) -> None:
        """It is parked, by its own variables after a bridge, or by an order."""
        self.variables.pop("uuid_bridge", None)
        if by_bridge:
            self.enters("CS_PARK")
        else:
            self.is_in_dialplan()

    def is_in_dialplan(self) -> None:
        """It runs applications."""
        if self.elsewhere and self.dialplan.lower() != "inline":
            self.destination = self.elsewhere
        self.elsewhere = ""
        if self.coming == _ROUTING and self.inbound:
            self._enters_calling("CS_ROUTING", "RINGING")
            self._enters_calling("CS_EXECUTE", "ACTIVE")
        elif self.coming == _ROUTING:
            self.enters("CS_ROUTING", "CS_EXECUTE")
        elif self.state != "CS_EXECUTE":
            self.enters("CS_EXECUTE")
        self.hit_dialplan = True
        self.call_uuid = self.id
        self.variables["call_uuid"] = self.id
        if not self.inbound and "channel_cid_flipped" not in self.variables:
            self._flip()

    def _flip(self) -> None:
        """From the switch's side, the party at the end of an outbound leg is now the caller."""
        self.variables |= {
            "pre_transfer_caller_id_name": self.caller_name,
            "pre_transfer_caller_id_number": self.caller_number,
            "channel_cid_flipped": "yes",
        }
        self.caller_name, self.callee_name = self.callee_name, self.caller_name
        self.caller_number, self.callee_number = self.callee_number, self.caller_number

    def hangs_up(self, cause: str, *, by_switch: bool) -> None:
        """It ends, by the switch or by its party."""
        self.cause = cause
        self.coming = _HANGUP
        self.answer_state = "hangup"
        self.ended_by_switch = by_switch
        peer = self.channel.peer
        if peer is not None:
            role = "originator" if self.channel.is_first else "originatee"
            self.variables |= {"bridge_to": peer.id, "last_bridge_role": role}
        self.variables |= closing_variables(self)

    def reports(self, now_us: int) -> None:
        """It has ended: write the call's record."""
        self.hangup_us = now_us
        self.enters("CS_HANGUP")
        self.goes("HANGUP")
        self.enters("CS_REPORTING")
        self.variables.pop("bridge_to", None)
        self.variables |= record_variables(self)

    # ---- what events report of it

    def headers(self, event: str = "") -> list[Header]:
        """Everything but the variables."""
        number = _COMING.get(event) or self.coming or STATE_NUMBERS[self.state]
        return [
            ("Channel-State", self.state),
            ("Channel-Call-State", self.call_state),
            ("Channel-State-Number", str(number)),
            ("Channel-Name", self.name),
            ("Unique-ID", self.id),
            ("Call-Direction", self._direction),
            ("Presence-Call-Direction", self._direction),
            ("Channel-HIT-Dialplan", "true" if self.hit_dialplan else "false"),
            ("Channel-Call-UUID", self.call_uuid),
            ("Answer-State", self.answer_state),
            *([("Hangup-Cause", self.cause)] if self.cause else []),
            *(_CODECS if self.has_media else ()),
            *self.profile("Caller"),
            *(self._others() if self.other is not None else ()),
        ]

    @property
    def _direction(self) -> str:
        return "inbound" if self.inbound else "outbound"

    def _others(self) -> list[Header]:
        if self.other is None:
            return []
        kind = "originatee" if self.is_originator_of_other else "originator"
        return [("Other-Type", kind), *self.other.profile("Other-Leg")]

    def profile(self, prefix: str) -> list[Header]:
        """The caller profile; that of the other leg has the same format."""
        own = prefix == "Caller"
        caller_name, caller_number = self.caller_name, self.caller_number
        if not own and self.known_as is not None:
            caller_name, caller_number = self.known_as
        placed = self.inbound or self.originator is not None
        reached = "sip_call_id" in self.variables
        parts: list[tuple[str, str] | None] = [
            ("Direction", self._direction),
            ("Logical-Direction", self.logical_direction),
            ("Username", self.original_number) if placed else None,
            ("Dialplan", self.dialplan) if self.dialplan else None,
            ("Caller-ID-Name", caller_name) if caller_name else None,
            ("Caller-ID-Number", caller_number),
            ("Orig-Caller-ID-Name", self.original_name) if self.original_name else None,
            ("Orig-Caller-ID-Number", self.original_number),
            ("Callee-ID-Name", self.callee_name) if self.callee_name else None,
            ("Callee-ID-Number", self.callee_number) if self.callee_number else None,
            ("Network-Addr", "127.0.0.1") if placed or reached else None,
            ("ANI", self.original_number),
            ("RDNIS", self.destination) if own and self.elsewhere else None,
            ("Destination-Number", (own and self.elsewhere) or self.destination),
            ("Unique-ID", self.id),
            ("Source", "mod_sofia" if placed else "src/switch_ivr_originate.c"),
            ("Transfer-Source", self.transfer_source) if own and self.transfer_source else None,
            ("Context", self.context),
            ("Channel-Name", self.name),
            ("Profile-Index", str(self.profile_index)) if own else None,
            ("Profile-Created-Time", str(self.profile_us)),
            ("Channel-Created-Time", str(self.created_us)),
            ("Channel-Answered-Time", str(self.answered_us)),
            ("Channel-Progress-Time", str(self.progress_us)),
            ("Channel-Progress-Media-Time", str(self.media_us)),
            ("Channel-Hangup-Time", str(self.hangup_us)),
            ("Channel-Transfer-Time", "0"),
            ("Channel-Resurrect-Time", "0"),
            ("Channel-Bridged-Time", str(self.bridged_us)),
            ("Channel-Last-Hold", "0"),
            ("Channel-Hold-Accum", "0"),
            ("Screen-Bit", "true"),
            ("Privacy-Hide-Name", "false"),
            ("Privacy-Hide-Number", "false"),
        ]
        return [(f"{prefix}-{one[0]}", one[1]) for one in parts if one is not None]

    def variable(self, name: str) -> str | None:
        """Look a variable up; None if it is not set."""
        value = self._bonds().get(name, "") if name in _BONDS else None
        if value is None:
            value = self.channel.variables.get(name) or self.variables.get(name)
        elif not value:
            return None
        if isinstance(value, tuple):
            return "ARRAY::" + "|:".join(value)
        return value or self._of_profile(name)

    def _of_profile(self, name: str) -> str | None:
        """A field of the caller profile, which is read like a variable."""
        fields = {
            "context": self.context,
            "destination_number": self.elsewhere or self.destination,
            "dialplan": self.dialplan,
        }
        return fields.get(name) or None

    def variable_headers(self) -> list[Header]:
        """The variables, the switch's first."""
        own = self.channel.variables
        bonds = self._bonds()
        kept = {
            k: bonds.pop(k, "") if k in _BONDS else v
            for k, v in self.variables.items()
            if k not in own
        }
        return [
            *((f"variable_{k}", v) for k, v in kept.items() if v),
            *((f"variable_{k}", v) for k, v in bonds.items() if v),
            *((f"variable_{k}", v) for k, v in own.items()),
        ]

    def _bonds(self) -> dict[str, str]:
        """The variables that name its bridge partner; they outlive the bridge."""
        channel = self.channel
        return {"signal_bond": channel.bond, "bridge_uuid": channel.bridge_uuid}


_BONDS: Final = frozenset({"signal_bond", "bridge_uuid"})

_CODECS: Final[tuple[Header, ...]] = (
    ("Channel-Read-Codec-Name", "PCMU"),
    ("Channel-Read-Codec-Rate", "8000"),
    ("Channel-Read-Codec-Bit-Rate", "64000"),
    ("Channel-Write-Codec-Name", "PCMU"),
    ("Channel-Write-Codec-Rate", "8000"),
    ("Channel-Write-Codec-Bit-Rate", "64000"),
)


def caller_of(variables: dict[str, str], originator: EmulatedLeg | None) -> tuple[str, str]:
    """Return the name and number that an outgoing call shows."""
    name = "" if originator is None else originator.caller_name
    number = _NOBODY if originator is None else originator.caller_number
    return (
        variables.get("origination_caller_id_name", name),
        variables.get("origination_caller_id_number", number),
    )
