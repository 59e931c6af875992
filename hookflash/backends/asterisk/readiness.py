"""Whether an Asterisk has all that we need, and how to give it what it lacks."""

from __future__ import annotations

from typing import Final

from hookflash.backends.asterisk.dialplan import NEWEST
from hookflash.backends.asterisk.line import Line
from hookflash.backends.asterisk.requests import is_ok, module_request
from hookflash.backends.base import Rejected

HIDES_DIGITS: Final = "bridge_native_rtp.so"
"""The module with which two phones that talk send their digits past us."""

NEEDED: Final = (
    "app_channelredirect.so",
    "app_stack.so",
    "app_stasis.so",
    "func_callerid.so",
    "func_channel.so",
    "func_dialplan.so",
    "func_global.so",
    "func_logic.so",
    "func_pjsip_endpoint.so",
    "func_timeout.so",
    "res_musiconhold.so",
    "res_stasis_playback.so",
)
"""The modules that the dialplan and the requests need, besides those without which ARI is not."""


async def check_switch(line: Line, host: str, context: str) -> None:
    """See whether the switch has the modules and the dialplan that we need.

    Raises:
        Rejected: it has not. The message names what is missing, and the fix.
    """
    missing = [name for name in NEEDED if not await _runs(line, name)]
    if missing:
        lines = ", ".join(f"`load = {name}`" for name in missing)
        raise Rejected(f"{host} lacks modules: write {lines} into modules.conf, and restart it")
    if await _runs(line, HIDES_DIGITS):
        raise Rejected(
            f"{host} has the module {HIDES_DIGITS} loaded, which hides the digits of phones that"
            f" talk: write `noload = {HIDES_DIGITS}` into modules.conf, and restart it"
        )
    if await line.value(f"DIALPLAN_EXISTS({context},park,1)") != "1":
        raise Rejected(
            f"the dialplan of {host} has no context [{context}]:"
            " include what `hookflash asterisk dialplan` prints, and reload it"
        )
    if await line.value(f"DIALPLAN_EXISTS({context},park,{NEWEST})") != "1":
        raise Rejected(
            f"the context [{context}] in the dialplan of {host} is that of an older hookflash:"
            " replace it by what `hookflash asterisk dialplan` prints, and reload it"
        )


async def _runs(line: Line, module: str) -> bool:
    told = await line.ari.ask(module_request(module))
    return is_ok(told) and '"status":"Running"' in told.message_body
