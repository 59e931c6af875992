"""Builds a simulated switch of either character."""

from __future__ import annotations

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.simulator.asterisk.pbx import DIRECT as ASTERISK_DIRECT
from hookflash.backends.simulator.asterisk.pbx import AsteriskPbx
from hookflash.backends.simulator.character import Character, SimulatedPbx
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.freeswitch import FreeSwitchPbx
from hookflash.backends.simulator.surroundings import Surroundings


def build_pbx(character: Character, around: Surroundings, dialling: Dialling) -> SimulatedPbx:
    """Build a simulated switch without calls.

    Args:
        character: the switch to imitate.
        around: the world around it.
        dialling: how targets are called: directly, or through the dialplan.
    """
    if character is Character.ASTERISK:
        direct = dialling == DIRECT
        return AsteriskPbx(around, ASTERISK_DIRECT if direct else AsteriskDialling())
    return FreeSwitchPbx(around, dialling)
