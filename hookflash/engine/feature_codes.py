"""Feature codes on the legs of one engine: keys come in, requests go out.

The collector of each leg is a pure value (`hookflash.dialling.digits`). This module adds what
involves several legs: whose codes apply (the leg's own, its partner's, or its transfer's), the
digit timers, and the keys that are withheld from the far end. A complete code is returned as a
request; nothing is begun here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from hookflash import commands as c
from hookflash import events as e
from hookflash.dialling.digits import (
    UNARMED,
    CodeTable,
    Matched,
    Module,
    Press,
    digit_timeout,
    press,
)
from hookflash.dialling.metaflows import ListenOn, Metaflows
from hookflash.engine.in_flight import InFlight
from hookflash.engine.legs import Leg, Legs, codes_of_target
from hookflash.fsm.transfer import State

_CONTROLS: Final[Mapping[Module, type[e.ControlRequest]]] = {
    Module.RESUME: e.TakebackRequested,
    Module.SWAP: e.SwapRequested,
    Module.THREE_WAY: e.ThreeWayRequested,
    Module.COMPLETE: e.CompleteRequested,
    Module.ACCEPT: e.AcceptRequested,
    Module.DECLINE: e.DeclineRequested,
}
"""What is asked of a transfer in flight."""

KEYS_WITHHELD_S = 30.0
"""After this time the switch itself passes keys on again, in case the controller dies in the middle
of a code. No code takes longer to dial."""


@attrs.frozen(kw_only=True)
class KeyOutcome:
    """The effect of a key, or of a pause between keys."""

    why: str
    commands: tuple[c.Command, ...] = ()
    request: e.Request | None = None
    """The request, if a code is complete."""


class FeatureCodes:
    """The feature codes that are being dialled on the legs of one engine."""

    def __init__(self, legs: Legs, running: InFlight, new_id: Callable[[], str]) -> None:
        self._legs = legs
        self._running = running
        self._new_id = new_id
        self._timers: dict[str, e.LegId] = {}
        self._timers_set = 0

    def __len__(self) -> int:
        return len(self._timers)

    def has_timer(self, timer: str) -> bool:
        """Whether a timer is a digit timer."""
        return timer in self._timers

    def press(self, event: e.DigitPressed) -> KeyOutcome:
        """Handle a key."""
        leg = self._legs.get(event.leg)
        if leg is None:
            return KeyOutcome(why="a digit on an unknown leg")
        if event.serial and event.serial == leg.last_serial:
            return KeyOutcome(why="the same key press, reported twice")
        leg.last_serial = event.serial
        if leg.withheld_from is not None:
            leg.missed += event.digit
        codes = self._codes_for(leg)
        if codes is None:
            return KeyOutcome(why="nobody listens to this leg's digits")
        return self._collected(leg, press(codes, leg.collector, event.digit))

    def pause(self, event: e.TimerFired) -> KeyOutcome:
        """Handle a digit timeout."""
        leg = self._legs[self._timers.pop(event.timer)]
        leg.digit_timer = None
        codes = self._codes_for(leg)
        pressed = Press(collector=UNARMED) if codes is None else digit_timeout(codes, leg.collector)
        return self._collected(leg, pressed)

    def forget(self, leg: Leg) -> tuple[c.Command, ...]:
        """Forget a leg that has ended: stop its timer, and pass keys to the far end again."""
        return (*self._retime(leg, None), *self._pass_on(leg))

    def _codes_for(self, leg: Leg) -> CodeTable | None:
        """The codes that apply to a leg now; `None`: its keys are for the far end."""
        running = self._running.of(leg.id)
        if running is not None:
            transfer = running.transfer
            if transfer.target.leg == leg.id and transfer.state is State.ACCEPTING:
                if not transfer.policy.target_accepts:
                    return None
                return codes_of_target(transfer.policy)
            if transfer.transferor.leg != leg.id:
                return None
            return running.number if running.transfer.lacks_number else running.codes
        metaflows = self._listened(leg)
        return None if metaflows is None or not leg.answered else metaflows.table

    def _listened(self, leg: Leg) -> Metaflows | None:
        """The feature codes of a leg outside transfers: its own account's, or its partner's."""
        own = leg.choices.metaflows
        if own.listen_on is not ListenOn.PEER:
            return own
        peer = self._legs.partner_of(leg)
        theirs = peer.choices.metaflows if peer else None
        return theirs if theirs is not None and theirs.listen_on is not ListenOn.SELF else None

    def _collected(self, leg: Leg, pressed: Press) -> KeyOutcome:
        leg.collector = pressed.collector
        pause = pressed.pause
        timers = self._retime(leg, None if pause is None else leg.choices.metaflows.pause_s(pause))
        commands = timers + self._withhold(leg, pressed)
        outcome = pressed.outcome
        if outcome is None:
            why = "A feature code is being dialled." if leg.collector.armed else "No feature code."
            return KeyOutcome(why=why, commands=commands)
        asking = self._asking(leg)
        if not isinstance(outcome, Matched):
            kind = "number" if asking else "feature code of this leg"
            why = f"{outcome.digits} is no {kind}."
            wrong = e.NumberRejected(transfer=asking, why="not a number") if asking else None
            return KeyOutcome(why=why, commands=commands, request=wrong)
        why = f"{outcome.digits} was dialled: {outcome.action.module.value}."
        return KeyOutcome(why=why, commands=commands, request=self._request(leg, outcome))

    def _asking(self, leg: Leg) -> str:
        """The transfer whose number this leg is asked for; empty if there is none."""
        running = self._running.of(leg.id)
        asked = running is not None and running.transfer.lacks_number
        return running.transfer.id if running is not None and asked else ""

    def _request(self, leg: Leg, matched: Matched) -> e.Request:
        action = matched.action
        asking = self._asking(leg)
        if asking and matched.number:
            return e.NumberGiven(transfer=asking, target=matched.number)
        match action.module:
            case (
                Module.RESUME
                | Module.SWAP
                | Module.THREE_WAY
                | Module.COMPLETE
                | Module.ACCEPT
                | Module.DECLINE
            ):
                running = self._running.of(leg.id)
                return _CONTROLS[action.module](transfer=running.transfer.id if running else "")
            case Module.HANGUP:
                return e.HangUpRequested(leg=leg.id)
            case Module.TRANSFER | Module.HOLD | Module.PARK:
                transfers, parks = (action.module is one for one in (Module.TRANSFER, Module.PARK))
                slot = matched.target if parks else None
                options = action.options
                return e.TransferRequested(
                    leg=leg.id,
                    transfer=self._new_id(),
                    target=(matched.target or "") if transfers else "",
                    kind=action.kind,
                    options=attrs.evolve(options, slot=slot) if slot else options,
                )

    def _withhold(self, leg: Leg, pressed: Press) -> tuple[c.Command, ...]:
        """Withhold the keys of a code from the far end, except the first.

        Keys that turn out not to be a code are passed on late.
        """
        if leg.collector.armed:
            if leg.withheld_from is not None or leg.peer is None:
                return ()
            if not leg.choices.policy.hides_codes or self._running.of(leg.id) is not None:
                return ()
            leg.withheld_from = leg.peer
            return (c.WithholdKeys(leg=leg.peer, limit_s=KEYS_WITHHELD_S),)
        if isinstance(pressed.outcome, Matched):  # only keys before the code are passed on
            leg.missed = leg.missed.removesuffix("#")[: -len(pressed.outcome.digits)]
        return self._pass_on(leg)

    def _pass_on(self, leg: Leg) -> tuple[c.Command, ...]:
        """Pass keys to the far end again, with those that it has missed."""
        peer, leg.withheld_from = leg.withheld_from, None
        missed, leg.missed = leg.missed, ""
        if peer is None or peer not in self._legs:
            return ()
        return (c.PassKeys(leg=peer, digits=missed),)

    def _retime(self, leg: Leg, after_s: float | None) -> tuple[c.Command, ...]:
        commands: list[c.Command] = []
        if leg.digit_timer is not None:
            commands.append(c.CancelTimer(timer=leg.digit_timer))
            del self._timers[leg.digit_timer]
            leg.digit_timer = None
        if after_s is not None:
            self._timers_set += 1
            leg.digit_timer = f"digits~{self._timers_set}"
            self._timers[leg.digit_timer] = leg.id
            commands.append(c.SetTimer(timer=leg.digit_timer, after_s=after_s))
        return tuple(commands)
