"""Reads a channel dump (`uuid_dump LEG json`) as a `LegSnapshot`.

Most of what a dump says about a partner is history. `signal_bond` is written when a join is
ordered, and `bridge_uuid` and `Other-Leg-Unique-ID` are never removed: all three may name legs that
have ended. Measured on 1.10.12 (48,966 dumps in 50 walks, no contradiction):

* `bridge_to` is set exactly while the leg is bridged, with one exception (1 in 40): if a bridge was
  reported and its first leg was sent to the park before the bridge was up, that leg keeps it. A
  parked leg is in no bridge, even if it names one. A pair counts only if both legs say so.
* `Channel-State` is the current state, `Channel-State-Number` the ordered one. If they differ, the
  leg is moving.
* A leg is in our park in one of four ways: in CS_PARK (by `park_after_bridge`), in the application
  `park` by our `uuid_transfer … inline`, by our `originate … &park()`, or by its failsafe, which
  parks it first. A sound plays there as the application `playback`, which is still named after its
  end.
* A leg that takes part in the conversation of another (`three_way`) counts as parked, and hears
  that: it can be joined and parked from there like from the park.
* A leg in CS_EXECUTE that is not parked executes something of another program's. But a leg that has
  just left a dialplan's bridge still names `bridge`: if it is to park afterwards, it is on its way
  to our park (which clears `park_after_bridge`, so that no leg keeps it).
* A leg in CS_RESET or CS_SOFT_EXECUTE without a bridge is being joined, or was left over from a
  join whose first leg died. Only its partner's state distinguishes the two cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import attrs

from hookflash.backends.freeswitch.inbound import MAY_TRANSFER_VARIABLE, is_outside, may_transfer
from hookflash.backends.freeswitch.primitives import PICK_UP
from hookflash.backends.freeswitch.procedures import role_on
from hookflash.backends.freeswitch.sounds import sound_at
from hookflash.events import Direction, LegId, LegSnapshot
from hookflash.sounds import Conversation, HeardSound

_EXECUTES: Final = ("CS_EXECUTE", "4")
_PARKS: Final = ("CS_PARK", "6")
_STEADY: Final = frozenset(
    {
        _EXECUTES,
        ("CS_SOFT_EXECUTE", "3"),
        ("CS_EXCHANGE_MEDIA", "5"),
        ("CS_HIBERNATE", "8"),
        ("CS_CONSUME_MEDIA", "7"),
    }
)
"""The states of a bridged leg, if the current state is the ordered one."""

_IN_THE_PARK: Final = frozenset({"park", "playback"})
"""The applications that a leg in our park executes."""

_ON_ITS_WAY: Final = frozenset(
    {"", "execute_extension", "intercept", "sched_transfer", "uuid_bridge"}
)
"""The current or last application of a leg that is being joined or is moved by its failsafe."""

_OUR_FAILSAFES: Final = frozenset({"", "execute_extension"})
"""The values of `exec_after_bridge_app` on a leg that our failsafe has parked: empty if we have
removed it since. An operator's own value would differ."""


@attrs.frozen(kw_only=True)
class Reading:
    """Reads the channels of one switch."""

    account_variable: str
    owner_variable: str
    outside_contexts: Collection[str]
    outside_profiles: Collection[str]

    def read(self, leg: LegId, dump: Mapping[str, Any]) -> LegSnapshot | None:
        """Read a dump; None if the leg has ended.

        Its `peer` is what the leg itself reports: see `pairs_of`.
        """
        # a variable may be a list too, but none that is used here
        said = {name: value for name, value in dump.items() if isinstance(value, str)}
        if said.get("Answer-State") == "hangup":
            return None
        inbound = said.get("Call-Direction") == "inbound"
        direction = Direction.INBOUND if inbound else Direction.OUTBOUND
        number = "Caller-Caller-ID-Number" if inbound else _called_by(said)
        role = role_on(leg, said.get("variable_hookflash_role", ""))
        answered = said.get("Answer-State") == "answered"
        pick_up = said.get(f"variable_{PICK_UP}", "")
        parked = _is_parked(said) or (bool(pick_up) and _is_in_dialplans_park(said))
        return LegSnapshot(
            leg=leg,
            number=said.get(number, ""),
            direction=direction,
            account=said.get(f"variable_{self.account_variable}", ""),
            owner_id=said.get(f"variable_{self.owner_variable}", ""),
            outside=is_outside(
                direction,
                said.get("Caller-Context", ""),
                said.get("variable_sip_gateway_name", ""),
                said.get("variable_sofia_profile_name", ""),
                outside_contexts=self.outside_contexts,
                outside_profiles=self.outside_profiles,
            ),
            may_transfer=may_transfer(said.get(f"variable_{MAY_TRANSFER_VARIABLE}")),
            answered=answered,
            parked=parked,
            elsewhere=answered and not parked and _is_elsewhere(said),
            peer=None if parked else _bridged_with(said),
            hears=_hears(said) if parked else None,
            transfer=said.get("variable_hookflash_transfer", "") if role else "",
            role=role,
            kind=said.get("variable_hookflash_kind", ""),
            name=said.get("Caller-Caller-ID-Name", "") if inbound else "",
            withheld=inbound and said.get("Caller-Privacy-Hide-Number") == "true",
            other_half=said.get("variable_other_loopback_leg_uuid", ""),
            called_for=said.get("variable_originating_leg_uuid", ""),
            pick_up=pick_up if parked else "",
        )


def _called_by(said: Mapping[str, str]) -> str:
    """The header that holds the number by which a leg was called.

    The destination changes whenever a leg is sent somewhere (`park`; empty after an `intercept`). A
    SIP leg keeps the called number (measured on 1.10.12).
    """
    was_sent = bool(said.get("variable_transfer_source"))
    if was_sent and said.get("variable_sip_to_user"):
        return "variable_sip_to_user"
    return "Caller-Destination-Number"


def _state(said: Mapping[str, str]) -> tuple[str, str]:
    return (said.get("Channel-State", ""), said.get("Channel-State-Number", ""))


def _bridged_with(said: Mapping[str, str]) -> LegId | None:
    partner = said.get("variable_bridge_to", "")
    return partner if partner and _state(said) in _STEADY else None


def _is_parked(said: Mapping[str, str]) -> bool:
    if _state(said) == _PARKS:
        return True
    if _state(said) != _EXECUTES:
        return False
    if _takes_part(said) is not None:
        return True
    application = said.get("variable_current_application")
    if application == "playback" and said.get("variable_bridge_to"):
        return False  # the sound plays in a dialplan's bridge
    return application in _IN_THE_PARK and _executes_ours(said)


def _is_in_dialplans_park(said: Mapping[str, str]) -> bool:
    return _state(said) == _EXECUTES and said.get("variable_current_application") == "park"


def _executes_ours(said: Mapping[str, str]) -> bool:
    """Whether a leg executes its application because of our order."""
    source = said.get("variable_transfer_source", "")
    if not source:  # by our `originate … &park()`
        return said.get("Call-Direction") == "outbound"
    if "uuid_br:" in source:  # by the failsafe that ended the bridge
        return said.get("variable_exec_after_bridge_app", "") in _OUR_FAILSAFES
    parks = "bl_xfer:park/" in source or ("bl_xfer:three_way:" in source and ",park/" in source)
    return parks and source.endswith("/inline")


def _is_elsewhere(said: Mapping[str, str]) -> bool:
    """Whether the leg, without a partner, executes something that is not ours."""
    if said.get("variable_bridge_to") or _state(said) != _EXECUTES:
        return False
    application = said.get("variable_current_application", "")
    if application == "bridge" and said.get("variable_park_after_bridge") == "true":
        return False
    return application not in _ON_ITS_WAY


def _takes_part(said: Mapping[str, str]) -> LegId | None:
    """The leg in whose conversation this one takes part because of our order."""
    of = said.get("variable_current_application_data", "")
    source = said.get("variable_transfer_source", "")
    ours = f"bl_xfer:three_way:{of},park/" in source and source.endswith("/inline")
    is_there = said.get("variable_current_application") == "three_way"
    return of if of and ours and is_there and _state(said) == _EXECUTES else None


def _hears(said: Mapping[str, str]) -> HeardSound | None:
    """The sound that is playing.

    A sound that has ended, or is missing, is still named as the application's data. A sound that
    is playing has a loop (measured on 1.10.12: file, tone and missing file).
    """
    if (of := _takes_part(said)) is not None:
        return Conversation(of)
    if said.get("variable_current_application") != "playback":
        return None
    if "variable_current_loop" not in said:
        return None
    path = said.get("variable_current_application_data")
    return sound_at(path) if path else None


def pairs_of(seen: Iterable[LegSnapshot]) -> tuple[LegSnapshot, ...]:
    """Accept a pair only if both legs live and name each other."""
    legs = {leg.leg: leg for leg in seen}
    return tuple(
        leg if leg.peer is None or _names(legs.get(leg.peer), leg.leg) else _alone(leg)
        for leg in legs.values()
    )


def _names(leg: LegSnapshot | None, partner: LegId) -> bool:
    return leg is not None and leg.peer == partner


def _alone(leg: LegSnapshot) -> LegSnapshot:
    return attrs.evolve(leg, peer=None)
