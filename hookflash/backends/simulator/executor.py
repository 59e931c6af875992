"""Executes commands on the simulated FreeSWITCH, by the procedures of a real one.

The simulated switch gets exactly the orders of a real one: the same code translates a command into
a `Procedure`, whose operations are the simulated switch's own primitives. If one is refused, the
command comes back as `CommandFailed`, with two exceptions: a `HangUp` of a leg that does not exist
is answered by its `LegHungUp`, and so is a `Dial` that fails (the switch reports that itself).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from hookflash import events as e
from hookflash.backends.freeswitch import primitives as p
from hookflash.backends.freeswitch.procedures import CallerId, Dialling, Procedures
from hookflash.backends.freeswitch.returning import ASKED, with_return
from hookflash.backends.freeswitch.text import (
    display_group,
    return_group,
    ringing_group,
    variables_group,
)
from hookflash.backends.simulator.sounds import FILE_S, sound_length_s
from hookflash.backends.simulator.switch import Sense, Switch
from hookflash.commands import HangUp, Look, Release, SwitchCommand
from hookflash.errors import InputError

DIRECT: Final = Dialling(template="user/{number}")
"""Targets are one leg each. `Dialling()` calls them through the dialplan: three legs each."""

GONE: Final = "INVALID_CALL_REFERENCE"
"""Q.850 cause 81: no such call."""


class Executor:
    """Executes commands on one simulated switch."""

    def __init__(
        self,
        switch: Switch,
        report: Callable[[e.CallEvent], None],
        look: Callable[[Look], e.LegsSeen],
        *,
        dialling: Dialling = DIRECT,
        file_s: float = FILE_S,
    ) -> None:
        """Set up.

        Args:
            switch: executes the operations.
            report: receives the facts that the switch itself does not report.
            look: answers where legs are.
            dialling: how targets are called.
            file_s: how long a recorded sound plays.
        """
        self._switch = switch
        self._report = report
        self._look = look
        self._procedures = Procedures(caller_of=self._caller_of, dialling=dialling)
        self._file_s = file_s
        self._too_early: deque[tuple[frozenset[e.LegId], Callable[[], None]]] = deque()
        """Commands that wait until a bridge is up, and the legs that they concern."""
        self._operations: dict[type, Callable[[Any], str]] = {
            p.SetVariables: self._set,
            p.SetVariable: lambda step: switch.setvar_multi(step.leg, {step.name: step.value}),
            p.SendToPark: lambda step: switch.park_one(step.leg),
            p.SendTo: self._send_to,
            p.ThreeWay: lambda step: switch.take_part(step.leg, step.of),
            p.Bridge: lambda step: switch.bridge(step.first, step.second),
            p.Originate: self._originate,
            p.Broadcast: self._broadcast,
            p.BreakSounds: lambda step: switch.break_all(step.leg),
            p.Kill: self._kill,
            p.Unschedule: lambda step: f"+OK Deleted: {switch.sched_del(step.group)}",
            p.Display: self._display,
            p.DropKeys: lambda step: switch.drop_keys(step.leg, step.drop, step.after_s),
            p.SendKeys: lambda step: switch.send_keys(step.leg, step.digits),
        }

    def _caller_of(self, leg: e.LegId) -> CallerId:
        channel = self._switch.find(leg)
        if channel is None:
            return CallerId()
        return CallerId(number=channel.number)

    def perform(self, command: SwitchCommand) -> None:
        """Execute a command. Its effects are reported."""
        if isinstance(command, Look):
            self._report(self._look(command))
            return
        try:
            procedure = self._procedures.of(command)
        except InputError as refused:
            self._report(e.CommandFailed(command=command, reason=str(refused)))
            return
        is_behind = any(not procedure.legs.isdisjoint(legs) for legs, _ in self._too_early)
        if is_behind or any(map(self._is_fresh, procedure.settled)):
            carry_out = partial(self._carry_out, command, procedure)
            self._too_early.append((procedure.legs, carry_out))
            self._switch.later(p.SETTLES_S, self._carry_out_first)
        else:
            self._carry_out(command, procedure)

    def _carry_out_first(self) -> None:
        """Execute the commands that came too early, in order."""
        _, carry_out = self._too_early.popleft()
        carry_out()

    def _carry_out(self, command: SwitchCommand, procedure: p.Procedure) -> None:
        try:
            refusal = self._run(procedure)
        except InputError as refused:
            refusal = str(refused)
        if refusal is not None:
            self._refused(command, refusal)
        elif isinstance(command, Release):
            self._report(e.LegsReleased(first=command.first, second=command.second))

    def _is_fresh(self, leg: e.LegId) -> bool:
        channel = self._switch.find(leg)
        return channel is not None and channel.is_fresh

    def _refused(self, command: SwitchCommand, reason: str) -> None:
        if isinstance(command, HangUp):
            self._report(e.LegHungUp(leg=command.leg, cause=GONE))
        else:
            self._report(e.CommandFailed(command=command, reason=reason))

    def _run(self, procedure: p.Procedure) -> str | None:
        """Execute the operations; return the first refusal that counts, if any."""
        keeps = [keep for leg in procedure.remember if (keep := self._kept(leg)) is not None]
        for leg in procedure.restore:
            said = [self._switch.getvar(leg, name) for name in p.ASKED_AFTER]
            if not said[0].startswith("-"):
                for step in p.restored(leg, said):
                    self.execute(step)
        for step in procedure.before:
            self.execute(step)
        steps = p.with_kept(procedure.steps, keeps)
        if any(all(map(self._is_so, facts)) for facts in procedure.unless):
            steps = steps[: -procedure.spared]
        elif procedure.returns is not None:
            leg = procedure.returns.leg
            said = [self._switch.getvar(leg, name) for name in ASKED]
            if said[0].startswith("-"):
                return said[0]
            steps = with_return(steps, procedure.returns, said, keeps)
        replies = [self.execute(step) for step in steps]
        for reply in replies[procedure.optional :]:
            if reply.startswith("-ERR"):
                return reply
        return None

    def _kept(self, leg: e.LegId) -> p.SetVariables | None:
        said = [self._switch.getvar(leg, name) for name in p.ASKED_BEFORE]
        return None if said[0].startswith("-") else p.kept(leg, said)

    def _is_so(self, fact: p.VariableCheck) -> bool:
        return fact.shown_by(self._switch.getvar(fact.leg, fact.variable))

    def execute(self, step: p.Primitive) -> str:
        """Execute one operation; return the switch's reply."""
        return self._operations[type(step)](step)

    def _set(self, step: p.SetVariables) -> str:
        variables = dict(step.variables)
        if step.after_s:
            return self._switch.setvar_later(
                variables_group(step.leg), step.leg, variables, step.after_s
            )
        return self._switch.setvar_multi(step.leg, variables)

    def _broadcast(self, step: p.Broadcast) -> str:
        lasts_s = sound_length_s(step.sound, file_s=self._file_s)
        return self._switch.broadcast(
            step.leg, step.sound, sense=Sense(step.sense), lasts_s=lasts_s
        )

    def _kill(self, step: p.Kill) -> str:
        if step.after_s:
            group = ringing_group(step.leg)
            return self._switch.kill_later(group, step.leg, step.cause, step.after_s)
        return self._switch.kill(step.leg, step.cause)

    def _display(self, step: p.Display) -> str:
        if step.after_s:
            return self._switch.display_later(
                display_group(step.leg), step.leg, step.name, step.number, step.after_s
            )
        return self._switch.display(step.leg, step.name, step.number)

    def _send_to(self, step: p.SendTo) -> str:
        number = None if step.to is None else step.to.number
        variables = dict(step.variables)
        return self._switch.send_to(
            step.leg, number, variables, group=return_group(step.leg), after_s=step.after_s
        )

    def _originate(self, step: p.Originate) -> str:
        variables = dict(step.variables)
        return self._switch.originate(
            step.leg,
            step.number,
            variables,
            account=variables.get("hookflash_account", ""),
            dial_string=step.dial_string,
        )
