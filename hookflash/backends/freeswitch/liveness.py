"""Demands signs of life from a FreeSWITCH.

The switch executes the commands of one connection one after the other, in a thread of that
connection, and sends no events meanwhile. So silence while an answer is outstanding may only mean
that a command takes long. Then a new connection shows whether the switch lives: it greets within
milliseconds, whatever the other connections wait for (measured on 1.10.12), and not at all if the
process is frozen, although the kernel still accepts the connection.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Final

import trio

from hookflash.backends.base import Rejected
from hookflash.backends.endpoints import connect
from hookflash.backends.freeswitch.connection import EventSocketConnection, EventSocketLost
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.heartbeat import ask_when_quiet

CHEAPEST: Final = "api echo hookflash"
"""It needs no lock of the switch, and its answer takes 0.1 ms."""


async def watch_over(connection: EventSocketConnection, settings: FreeSwitch) -> None:
    """Close a connection whose switch gives no sign of life. Until cancelled."""
    await ask_when_quiet(
        lambda: connection.heard_s, settings.heartbeat_s, partial(_demand, connection, settings)
    )


async def _demand(connection: EventSocketConnection, settings: FreeSwitch) -> None:
    heard_s, half_s = connection.heard_s, settings.silence_limit_s / 2
    with trio.move_on_after(half_s), suppress(EventSocketLost):
        await _answers(connection)
    if connection.heard_s > heard_s or connection.dead is not None:
        return
    greets = await _greets(settings, half_s)
    silent_s = trio.current_time() - heard_s
    if connection.heard_s > heard_s or (greets and silent_s < settings.reply_timeout_s):
        return
    connection.die(f"no sign of life for {silent_s:.0f} s")


async def _answers(connection: EventSocketConnection) -> None:
    """Wait for an answer, unless others are outstanding: it would come after them."""
    if connection.awaits_answers:
        await trio.sleep_forever()
    (answer,) = await connection.send((CHEAPEST,))
    await answer.frame()


async def _greets(settings: FreeSwitch, limit_s: float) -> bool:
    """Whether the switch answers on a new connection."""
    try:
        with trio.move_on_after(limit_s):
            async with await connect(settings.host, settings.port, settings.tls) as stream:
                return bool(await stream.receive_some(1))
    except Rejected:  # its certificate has expired, but it lives
        return True
    except (OSError, trio.BrokenResourceError):
        pass
    return False
