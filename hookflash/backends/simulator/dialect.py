"""How our commands are said to a switch: what a FreeSWITCH backend would send, in that order.

Each command is a short sequence of the switch's primitives, none of which waits for what comes of
the one before. If one is refused, the command comes back as `CommandFailed`; with two exceptions,
since a leg's end is a truth rather than a failure: a `HangUp` of a leg that is not there is told
by its `LegHungUp`, and so is a `Dial` that comes to nothing (the switch reports that by itself).

What a sequence does beyond the obvious:

* A sound that plays, or waits to, is broken off before the next one: behind an endless one it
  would never begin. `break_all` does no harm where nothing plays.
* A join sets the variables of both legs before it bridges them, for the switch reads them when the
  bridge ends, and that may be at once. With a rescue, the second leg doesn't park: it is armed.
* What disarms a leg comes before the join, in the same command.
* Of an order that is repeated only the variables are set, if the switch is about it already.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final, cast

from hookflash.backends.simulator.switch import Sense, Switch
from hookflash.commands import (
    Afterwards,
    Arm,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    Park,
    PlayRingback,
    PlayTone,
    Release,
    Split,
    SwitchCommand,
)
from hookflash.events import CallEvent, CommandFailed, LegHungUp, LegId, LegsReleased

_TONE: Final = re.compile(r"%\((?P<on_ms>\d+),(?P<off_ms>\d+)[^)]*\)")
_LOOPS: Final = re.compile(r"loops=(?P<loops>-?\d+)")

_FILE_S: Final = 2.0
"""How long a recorded sound plays, for want of its file."""

GONE: Final = "INVALID_CALL_REFERENCE"
"""Q.850 cause 81: the switch knows of no such call."""

RESCUE_AFTER_S: Final = 1
"""How long an armed target that has answered waits for its controller: whole seconds."""

_TERMINATORS: Final = {"playback_terminators": "none"}
_PARKS: Final = {
    "park_after_bridge": "true",
    "hangup_after_bridge": "false",
    "uuid_bridge_park_on_cancel": "true",
    "exec_after_bridge_app": "",
    "exec_after_bridge_arg": "",
}
_ENDS: Final = {**_PARKS, "park_after_bridge": "false", "hangup_after_bridge": "true"}
_DISARMED: Final = {
    "exec_after_bridge_app": "",
    "exec_after_bridge_arg": "",
    "execute_on_answer": "",
}
_RELEASED: Final = {**_DISARMED, "park_after_bridge": "false", "hangup_after_bridge": "true"}
_TAKEN: Final = "hookflash_join"
_DIALLED: Final = {
    "ignore_early_media": "true",
    "park_after_bridge": "true",
    "hangup_after_bridge": "false",
}


class Dialect:
    """Says our commands to one switch."""

    def __init__(self, switch: Switch, report: Callable[[CallEvent], None]) -> None:
        """Stand between.

        Args:
            switch: where the commands go.
            report: is told what the switch itself does not say.
        """
        self._switch = switch
        self._report = report
        # Looked up by type: a chain of comparisons would cost more than most commands do.
        self._sayings: dict[type[SwitchCommand], Callable[..., str]] = {
            Split: self._split,
            Park: self._park,
            HoldWithMusic: self._hold_with_music,
            PlayRingback: self._play_ringback,
            PlayTone: self._play_tone,
            Dial: self._dial,
            Join: self._join,
            Arm: self._arm,
            Release: self._release,
            Introduce: self._introduce,
            HangUp: self._hang_up,
            Forget: self._forget,
        }

    def perform(self, command: SwitchCommand) -> None:
        """Say a command. Whatever comes of it is reported."""
        say = cast("Callable[[SwitchCommand], str]", self._sayings[type(command)])
        reply = say(command)
        if reply.startswith("-ERR"):
            self._report(CommandFailed(command=command, reason=reply))

    def _split(self, command: Split) -> str:
        parted = command.repeated and self._switch.partner(command.first) is None
        replies = [
            self._switch.setvar_multi(
                leg, {**_TERMINATORS, **_marks(command.transfer, role, command.kind)}
            )
            for leg, role in ((command.first, "transferor"), (command.second, "transferee"))
        ]
        if not parted:  # else the order before this one is carried out, or about to be
            replies.append(self._switch.park_both(command.first))
        return _first_refusal(replies)

    def _park(self, command: Park) -> str:
        return self._switch.park_both(command.leg)

    def _hold_with_music(self, command: HoldWithMusic) -> str:
        self._switch.break_all(command.leg)
        return self._switch.broadcast(command.leg, command.music, sense=Sense.MUSIC)

    def _play_ringback(self, command: PlayRingback) -> str:
        self._switch.break_all(command.leg)
        return self._switch.broadcast(command.leg, command.ringback, sense=Sense.RINGBACK)

    def _play_tone(self, command: PlayTone) -> str:
        self._switch.break_all(command.leg)
        lasts_s = tone_length_s(command.tone)
        return self._switch.broadcast(command.leg, command.tone, sense=Sense.TONE, lasts_s=lasts_s)

    def _dial(self, command: Dial) -> str:
        asking = self._switch.find(command.on_behalf_of)
        limit_s = max(1, math.ceil(command.ring_timeout_s))  # FreeSWITCH counts whole seconds
        marks = _marks(command.transfer, "target" if command.transfer else "", "")
        variables = {**_DIALLED, **marks, "originate_timeout": str(limit_s)}
        if command.rescue is not None:
            variables["execute_on_answer"] = f"intercept {command.rescue}"
            variables |= _ENDS
        return self._switch.originate(
            command.leg,
            command.target,
            variables,
            account="" if asking is None else asking.account,
        )

    def _join(self, command: Join) -> str:
        for leg in command.disarm:
            self._switch.setvar_multi(leg, _DISARMED)  # it may be gone: just as well
            self._switch.sched_del(leg)
        caught = bool(command.disarm) and self._is_with(command.first, command.second)
        first = _PARKS if command.afterwards is Afterwards.PARK else _ENDS
        if command.rescue is not None:
            first = _armed(first, command.rescue)
        taken = caught or (command.repeated and self._is_taken(command))
        first = {**first, _TAKEN: f"{command.transfer}.{command.attempt}"}
        second = first
        reply = self._switch.setvar_multi(command.first, first)
        if not reply.startswith("-ERR"):
            reply = self._switch.setvar_multi(command.second, second)
        if not reply.startswith("-ERR") and not taken:
            reply = self._switch.bridge(command.first, command.second)
        return reply

    def _is_taken(self, command: Join) -> bool:
        """Whether the switch has taken the attempt before this one, and is still about it."""
        before = f"{command.transfer}.{command.attempt - 1}"
        return self._switch.getvar(command.first, _TAKEN) == before and self._is_with(
            command.first, command.second
        )

    def _is_with(self, leg: LegId, other: LegId) -> bool:
        """Whether the two talk, or the switch is joining them, by the failsafe, say."""
        return self._switch.partner(leg) == other

    def _arm(self, command: Arm) -> str:
        return self._switch.setvar_multi(command.leg, _answering_with(command.rescue))

    def _release(self, command: Release) -> str:
        legs = (command.first, command.second)
        reply = _first_refusal([self._switch.setvar_multi(leg, _RELEASED) for leg in legs])
        if not reply.startswith("-ERR"):
            self._report(LegsReleased(first=command.first, second=command.second))
        return reply

    def _introduce(self, command: Introduce) -> str:
        for leg, number in (
            (command.first, command.second_number),
            (command.second, command.first_number),
        ):
            self._switch.display(leg, number, number)  # it may be gone: just as well
        return "+OK"

    def _forget(self, command: Forget) -> str:
        for leg in command.legs:
            self._switch.setvar_multi(leg, _marks("", "", ""))  # it may be gone: just as well
        return "+OK"

    def _hang_up(self, command: HangUp) -> str:
        if self._switch.kill(command.leg, command.cause).startswith("-ERR"):
            self._report(LegHungUp(leg=command.leg, cause=GONE))
        return "+OK"


def _first_refusal(replies: Sequence[str]) -> str:
    return next((reply for reply in replies if reply.startswith("-ERR")), "+OK")


def tone_length_s(tone: str) -> float | None:
    """How long a tone stream plays: its bursts and pauses, as often as it says; None: for ever.

    Measured for one of 300 ms and a pause of 100 ms: 402 ms.
    """
    parts = [int(m["on_ms"]) + int(m["off_ms"]) for m in _TONE.finditer(tone)]
    loops = _LOOPS.search(tone)
    times = int(loops["loops"]) if loops else 1
    if times < 0:
        return None
    return sum(parts) / 1000 * times if parts else _FILE_S


def _marks(transfer: str, role: str, kind: str) -> dict[str, str]:
    """By what a restarted controller finds a transfer again. Empty ones take the mark off."""
    return {"hookflash_transfer": transfer, "hookflash_role": role, "hookflash_kind": kind}


def _answering_with(rescue: LegId) -> dict[str, str]:
    """Add the failsafe: a while after its answer, the leg takes `rescue` by itself.

    Not at once: a leg that intercepts while its `&park()` begins may kill whom it takes (measured:
    1 of 6 tries with a loopback leg). By then a living controller has long joined the two, and
    taken this back.

    Without the last two the target would be parked, and forgotten, when the rescued one leaves.
    """
    return {
        "execute_on_answer": f"sched_transfer +{RESCUE_AFTER_S} intercept:{rescue} inline",
        "park_after_bridge": "false",
        "hangup_after_bridge": "true",
    }


def _armed(variables: dict[str, str], rescue: LegId) -> dict[str, str]:
    """Add the failsafe: when its bridge ends, the leg takes `rescue` by itself.

    On both legs: whichever hangs up, the other takes the rescued one. The first leg of a bridge
    does so only if it neither parks nor ends afterwards (measured on 1.10.12).
    """
    return {
        **variables,
        "park_after_bridge": "false",
        "hangup_after_bridge": "false",
        "exec_after_bridge_app": "intercept",
        "exec_after_bridge_arg": rescue,
    }
