"""Checks whether an Asterisk has all that is needed, and says how to fix what is missing."""

from __future__ import annotations

from typing import Final

from hookflash.backends.asterisk.connection import AsteriskConnection
from hookflash.backends.asterisk.dialplan import NEWEST
from hookflash.backends.asterisk.primitives import WHY, GetvarCheck, Redirect, Setvar
from hookflash.backends.asterisk.requests import (
    fact_action,
    is_ok,
    module_request,
    redirect_action,
    set_actions,
)
from hookflash.backends.base import Rejected

HIDES_DIGITS: Final = "bridge_native_rtp.so"
"""The module that hides the digits of two talking phones from us."""

NEEDED: Final = (
    "app_channelredirect.so",
    "app_chanspy.so",
    "app_stack.so",
    "app_stasis.so",
    "func_callerid.so",
    "func_channel.so",
    "func_dialplan.so",
    "func_global.so",
    "func_logic.so",
    "func_pjsip_endpoint.so",
    "func_strings.so",
    "func_timeout.so",
    "res_musiconhold.so",
    "res_stasis_playback.so",
    "res_stasis_snoop.so",
)
"""The modules that the dialplan and the requests need, besides those of ARI itself."""


NOBODY: Final = "hookflash-nobody"
"""A channel that does not exist: orders for it have no effect."""

_DENIED: Final = "Permission denied"
"""AMI's answer to an action that the user's `write` does not allow (measured on 22.10.1). The
answer to an allowed action is `Channel does not exist` or `No such channel`."""


async def check_switch(connection: AsteriskConnection, host: str, context: str) -> None:
    """Check the switch's modules, its dialplan and our permissions.

    Raises:
        Rejected: something is missing. The message names it, and the fix.
    """
    missing = [name for name in NEEDED if not await _runs(connection, name)]
    if missing:
        lines = ", ".join(f"`load = {name}`" for name in missing)
        raise Rejected(f"{host} lacks modules: write {lines} into modules.conf, and restart it")
    if await _runs(connection, HIDES_DIGITS):
        raise Rejected(
            f"{host} has the module {HIDES_DIGITS} loaded, which hides the digits of phones that"
            f" talk: write `noload = {HIDES_DIGITS}` into modules.conf, and restart it"
        )
    await _check_rights(connection, host, context)
    if await connection.value(f"DIALPLAN_EXISTS({context},park,1)") != "1":
        raise Rejected(
            f"the dialplan of {host} has no context [{context}]:"
            " include what `hookflash asterisk dialplan` prints, and reload it"
        )
    if await connection.value(f"DIALPLAN_EXISTS({context},park,{NEWEST})") != "1":
        raise Rejected(
            f"the context [{context}] in the dialplan of {host} is that of an older hookflash:"
            " replace it by what `hookflash asterisk dialplan` prints, and reload it"
        )


async def _check_rights(connection: AsteriskConnection, host: str, context: str) -> None:
    """Check whether our AMI user may move legs, before there are calls.

    Raises:
        Rejected: a permission is missing.
    """
    orders = (
        redirect_action(Redirect(NOBODY, "park"), context),
        *set_actions(Setvar(NOBODY, ((WHY, ""),))),
        fact_action(GetvarCheck(leg=NOBODY, variable=WHY, value="")),
    )
    denied = [order.name for order in orders if await connection.act([order]) == _DENIED]
    if denied:
        raise Rejected(
            f"the manager user of hookflash on {host} may not use {', '.join(denied)}: in"
            " manager.conf, give it `write = call`, then `manager reload`"
        )


async def _runs(connection: AsteriskConnection, module: str) -> bool:
    reply = await connection.ari.ask(module_request(module))
    return is_ok(reply) and '"status":"Running"' in reply.message_body
