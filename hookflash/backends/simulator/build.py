"""A simulated switch of the character that is wanted."""

from __future__ import annotations

import random
from collections.abc import Callable, Container

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.simulator.asterisk.pbx import DIRECT as ASTERISK_DIRECT
from hookflash.backends.simulator.asterisk.pbx import AsteriskPbx
from hookflash.backends.simulator.channel import Hears, Thunk
from hookflash.backends.simulator.character import Character, SimulatedPbx
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.freeswitch import FreeSwitchPbx
from hookflash.commands import Look
from hookflash.events import CallEvent, LegId, LegsSeen
from hookflash.sounds import HeardSound


def build_pbx(
    character: Character,
    after: Callable[[float, Thunk], None],
    report: Callable[[CallEvent], None],
    *,
    now: Callable[[], float],
    tell: Callable[[CallEvent], None],
    look: Callable[[Look], LegsSeen],
    ring_phone: Callable[[LegId, str], bool],
    has_phone: Callable[[str], bool],
    listen: Callable[[LegId, Hears], None],
    dice: random.Random,
    missing: Container[HeardSound],
    dialling: Dialling,
    file_s: float,
) -> SimulatedPbx:
    """Build a simulated switch without calls.

    Args:
        character: whose habits it has.
        after: has a thunk called after so many seconds.
        report: is told every fact in the moment in which it becomes one.
        now: the time, in seconds.
        tell: is told what the switch itself does not say.
        look: answers where legs are.
        ring_phone: is told that the switch calls a number, and by which leg.
        has_phone: whether a number has a phone.
        listen: is told whenever what a leg's party hears has changed.
        dice: draws the times and orders that vary on a real switch.
        missing: sounds of which there is no file.
        dialling: how targets are called: directly, or through the dialplan.
        file_s: how long a recorded sound plays.
    """
    if character is Character.ASTERISK:
        return AsteriskPbx(
            after,
            report,
            now=now,
            tell=tell,
            look=look,
            ring_phone=ring_phone,
            has_phone=has_phone,
            listen=listen,
            dice=dice,
            missing=missing,
            dialling=ASTERISK_DIRECT if dialling == DIRECT else AsteriskDialling(),
            file_s=file_s,
        )
    return FreeSwitchPbx(
        after,
        report,
        tell=tell,
        look=look,
        ring_phone=ring_phone,
        listen=listen,
        dice=dice,
        missing=missing,
        dialling=dialling,
        file_s=file_s,
    )
