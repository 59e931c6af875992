"""What a channel says of itself (`uuid_dump LEG json`), read as a `LegSnapshot`.

Most of what a dump says of a partner is history. `signal_bond` is written when a join is ordered,
`bridge_uuid` and `Other-Leg-Unique-ID` are never taken off: all three may name the dead. Measured
on 1.10.12 (48,966 dumps in 50 walks, no contradiction):

* `bridge_to` is there exactly while the leg is bridged, with one exception (1 in 40): if a bridge
  was told and its first leg was sent to the park before it was up, that leg keeps it. A parked leg
  is in no bridge, whatever it says. A pair is one only if both say so.
* `Channel-State` is the state that runs, `Channel-State-Number` the one that is ordered. Where they
  differ, the leg is on its way.
* A leg stands in our park in one of four ways: in CS_PARK (by `park_after_bridge`), in the
  application `park` by our `uuid_transfer … inline`, by our `originate … &park()`, or by its
  failsafe, which parks it first. A sound plays within it as the application `playback`, which is
  still named when it has ended.
* A leg in CS_EXECUTE that is not parked is about something of somebody else's. But a leg that has
  just left a dialplan's bridge still names `bridge`: if it is to park after it, it is on its way to
  our park (which forgets `park_after_bridge`, so that no leg carries it out of there).
* A leg in CS_RESET or CS_SOFT_EXECUTE without a bridge is being joined, or was left over from a
  join whose first leg died: nothing but its partner's life tells these two apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import attrs

from hookflash.backends.freeswitch.inbound import MAY_TRANSFER_VARIABLE, is_outside, may_transfer
from hookflash.backends.freeswitch.procedures import role_on
from hookflash.events import Direction, LegId, LegSnapshot

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
"""The states that a bridged leg may be in, where the one that runs is the one that is ordered."""

_IN_THE_PARK: Final = frozenset({"park", "playback"})
"""What a leg in our park executes."""

_ON_ITS_WAY: Final = frozenset(
    {"", "execute_extension", "intercept", "sched_transfer", "uuid_bridge"}
)
"""What a leg executes, or did last, that is being joined or is sent off by its failsafe."""

_OUR_FAILSAFES: Final = frozenset({"", "execute_extension"})
"""What is to be executed after the bridge of a leg that our failsafe has parked: we may have taken
it off since. An operator's own would be another."""


@attrs.frozen(kw_only=True)
class Reading:
    """How the channels of one switch are read."""

    account_variable: str
    outside_contexts: Collection[str]
    outside_profiles: Collection[str]

    def read(self, leg: LegId, dump: Mapping[str, Any]) -> LegSnapshot | None:
        """Read a dump; None if the leg has ended.

        Its `peer` is what the leg says of itself: see `pairs_of`.
        """
        # a variable may be a list, too: none that is looked at here
        said = {name: value for name, value in dump.items() if isinstance(value, str)}
        if said.get("Answer-State") == "hangup":
            return None
        inbound = said.get("Call-Direction") == "inbound"
        direction = Direction.INBOUND if inbound else Direction.OUTBOUND
        number = "Caller-Caller-ID-Number" if inbound else _called_by(said)
        role = role_on(leg, said.get("variable_hookflash_role", ""))
        answered = said.get("Answer-State") == "answered"
        parked = _is_parked(said)
        return LegSnapshot(
            leg=leg,
            number=said.get(number, ""),
            direction=direction,
            account=said.get(f"variable_{self.account_variable}", ""),
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
        )


def _called_by(said: Mapping[str, str]) -> str:
    """The header that says by which number a leg was called.

    Whatever a leg is sent to becomes its destination (`park`; nothing, after an `intercept`). A SIP
    leg keeps whom it called (measured on 1.10.12).
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
    application = said.get("variable_current_application")
    if application == "playback" and said.get("variable_bridge_to"):
        return False  # the sound plays in a dialplan's bridge
    return application in _IN_THE_PARK and _executes_ours(said)


def _executes_ours(said: Mapping[str, str]) -> bool:
    """Whether it is by an order of ours that a leg executes what it executes."""
    source = said.get("variable_transfer_source", "")
    if not source:  # by our `originate … &park()`
        return said.get("Call-Direction") == "outbound"
    if "uuid_br:" in source:  # by the failsafe that ended the bridge
        return said.get("variable_exec_after_bridge_app", "") in _OUR_FAILSAFES
    return "bl_xfer:park/" in source and source.endswith("/inline")


def _is_elsewhere(said: Mapping[str, str]) -> bool:
    """Whether the leg alone is about something that is not ours."""
    if said.get("variable_bridge_to") or _state(said) != _EXECUTES:
        return False
    application = said.get("variable_current_application", "")
    if application == "bridge" and said.get("variable_park_after_bridge") == "true":
        return False
    return application not in _ON_ITS_WAY


def _hears(said: Mapping[str, str]) -> str | None:
    """The sound that plays.

    One that has ended, and one that is missing, is named as the application's data, too. What
    plays has a loop (measured on 1.10.12: file, tone and missing file).
    """
    if said.get("variable_current_application") != "playback":
        return None
    if "variable_current_loop" not in said:
        return None
    return said.get("variable_current_application_data") or None


def pairs_of(seen: Iterable[LegSnapshot]) -> tuple[LegSnapshot, ...]:
    """Believe a pair only if both are alive, and name each other."""
    legs = {leg.leg: leg for leg in seen}
    return tuple(
        leg if leg.peer is None or _names(legs.get(leg.peer), leg.leg) else _alone(leg)
        for leg in legs.values()
    )


def _names(leg: LegSnapshot | None, partner: LegId) -> bool:
    return leg is not None and leg.peer == partner


def _alone(leg: LegSnapshot) -> LegSnapshot:
    return attrs.evolve(leg, peer=None)
