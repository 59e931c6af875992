"""Builds a simulated switch of either character."""

from __future__ import annotations

from typing import Final

from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.simulator.asterisk.pbx import DIRECT as ASTERISK_DIRECT
from hookflash.backends.simulator.asterisk.pbx import AsteriskPbx
from hookflash.backends.simulator.character import Character, SimulatedPbx
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.freeswitch import FreeSwitchPbx
from hookflash.backends.simulator.surroundings import Surroundings

TENANTS: Final = {
    "direct": Dialling(template="user/{number}@{account}"),
    "dialplan": Dialling(template="loopback/{number}/{context}", context="{account}"),
}
"""How targets are called where each account has a context of its own."""

_AS_ASTERISK: Final = {
    DIRECT.template: ASTERISK_DIRECT,
    TENANTS["direct"].template: AsteriskDialling(template="PJSIP/{number}@{account}"),
}


def build_pbx(character: Character, around: Surroundings, dialling: Dialling) -> SimulatedPbx:
    """Build a simulated switch without calls.

    Args:
        character: the switch to imitate.
        around: the world around it.
        dialling: how targets are called: directly, or through the dialplan.
    """
    if character is Character.ASTERISK:
        if dialling == TENANTS["dialplan"]:
            return AsteriskPbx(around, AsteriskDialling(context=dialling.context))
        return AsteriskPbx(around, _AS_ASTERISK.get(dialling.template, AsteriskDialling()))
    return FreeSwitchPbx(around, dialling)
