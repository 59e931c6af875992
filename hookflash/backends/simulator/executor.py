"""The commands of the simulated switch: the procedures of a real FreeSWITCH, executed.

Nothing is said here that is not said to a real switch: a command becomes a `Procedure` by the same
code, and its operations are the simulated switch's own primitives. If one is refused, the command
comes back as `CommandFailed`; with two exceptions, since a leg's end is a truth rather than a
failure: a `HangUp` of a leg that is not there is told by its `LegHungUp`, and so is a `Dial` that
comes to nothing (the switch reports that by itself).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from hookflash.backends.freeswitch.primitives import (
    BreakSounds,
    Bridge,
    Broadcast,
    Display,
    Fact,
    Kill,
    Originate,
    Primitive,
    Procedure,
    SendToPark,
    SetVariable,
    SetVariables,
    Unschedule,
)
from hookflash.backends.freeswitch.procedures import Caller, Dialling, Procedures
from hookflash.backends.simulator.sounds import FILE_S, sound_length_s
from hookflash.backends.simulator.switch import Sense, Switch
from hookflash.commands import HangUp, Release, SwitchCommand
from hookflash.errors import InputError
from hookflash.events import CallEvent, CommandFailed, LegHungUp, LegId, LegsReleased

DIRECT: Final = Dialling(template="user/{number}")
"""Targets are one leg each. `Dialling()` calls them through the dialplan: three legs each."""

GONE: Final = "INVALID_CALL_REFERENCE"
"""Q.850 cause 81: the switch knows of no such call."""


class Executor:
    """Carries out commands on one simulated switch."""

    def __init__(
        self,
        switch: Switch,
        report: Callable[[CallEvent], None],
        *,
        dialling: Dialling = DIRECT,
        file_s: float = FILE_S,
    ) -> None:
        """Stand between.

        Args:
            switch: where the operations are executed.
            report: is told what the switch itself does not say.
            dialling: how targets are called.
            file_s: how long a recorded sound plays.
        """
        self._switch = switch
        self._report = report
        self._procedures = Procedures(caller_of=self._caller_of, dialling=dialling)
        self._file_s = file_s

    def _caller_of(self, leg: LegId) -> Caller:
        channel = self._switch.find(leg)
        if channel is None:
            return Caller()
        return Caller(account=channel.account, number=channel.number)

    def perform(self, command: SwitchCommand) -> None:
        """Carry out a command. Whatever comes of it is reported."""
        try:
            procedure = self._procedures.of(command)
        except InputError as refused:
            self._report(CommandFailed(command=command, reason=str(refused)))
            return
        refusal = self._run(procedure)
        if refusal is not None:
            self._refused(command, refusal)
        elif isinstance(command, Release):
            self._report(LegsReleased(first=command.first, second=command.second))

    def _refused(self, command: SwitchCommand, reason: str) -> None:
        if isinstance(command, HangUp):
            self._report(LegHungUp(leg=command.leg, cause=GONE))
        else:
            self._report(CommandFailed(command=command, reason=reason))

    def _run(self, procedure: Procedure) -> str | None:
        """Execute the operations; the first refusal that counts, if there is one."""
        for step in procedure.before:
            self.execute(step)
        steps = procedure.steps
        if any(all(map(self._is_so, facts)) for facts in procedure.unless):
            steps = steps[: -procedure.spared]
        replies = [self.execute(step) for step in steps]
        return _first_refusal(replies[procedure.optional :])

    def _is_so(self, fact: Fact) -> bool:
        return fact.shown_by(self._switch.getvar(fact.leg, fact.variable))

    def execute(self, step: Primitive) -> str:  # noqa: C901, PLR0911 - a table
        """Execute one operation; the switch's reply."""
        switch = self._switch
        match step:
            case SetVariables(leg, variables):
                return switch.setvar_multi(leg, dict(variables))
            case SetVariable(leg, name, value):
                return switch.setvar_multi(leg, {name: value})
            case SendToPark(leg):
                return switch.park_one(leg)
            case Bridge(first, second):
                return switch.bridge(first, second)
            case Originate():
                return self._originate(step)
            case Broadcast(leg, sound, sense):
                lasts_s = sound_length_s(sound, file_s=self._file_s)
                return switch.broadcast(leg, sound, sense=Sense(sense), lasts_s=lasts_s)
            case BreakSounds(leg):
                return switch.break_all(leg)
            case Kill(leg, cause):
                return switch.kill(leg, cause)
            case Unschedule(group):
                return f"+OK Deleted: {switch.sched_del(group)}"
            case Display(leg, name, number, after_s):
                # what is to be shown later is what is shown now
                return "+OK" if after_s else switch.display(leg, name, number)
            case _:
                assert_never(step)

    def _originate(self, step: Originate) -> str:
        variables = dict(step.variables)
        return self._switch.originate(
            step.leg,
            step.number,
            variables,
            account=variables.get("hookflash_account", ""),
            takes=step.takes,
            dial_string=step.dial_string,
        )


def _first_refusal(replies: Sequence[str]) -> str | None:
    return next((reply for reply in replies if reply.startswith("-ERR")), None)
