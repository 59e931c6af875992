"""Notices that a switch is silent although its connection is open.

TCP keeps a connection open for minutes, or for ever, after the other side has frozen, or a firewall
has forgotten the connection. Orders sent meanwhile go nowhere. So a switch that has sent nothing
for a while is asked something cheap. A switch that is busy is not asked: what it sends is proof
enough.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

HEARTBEAT_S: Final = 2.0
"""After so much silence, the switch is asked for a sign of life."""


async def ask_when_quiet(
    heard_s: Callable[[], float], every_s: float, ask: Callable[[], Awaitable[object]]
) -> None:
    """Ask for a sign of life whenever the switch has been silent, until cancelled.

    Args:
        heard_s: when the switch has last sent something.
        every_s: how much silence to allow.
        ask: asks, and closes the connection if nothing comes.
    """
    while True:
        due_s = heard_s() + every_s
        if due_s > trio.current_time():
            await trio.sleep_until(due_s)
            continue
        await ask()
        # an answer counts as something heard; a closed connection ends this task
        await trio.sleep_until(max(heard_s() + every_s, trio.current_time() + 0.1))
