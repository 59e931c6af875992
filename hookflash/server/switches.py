"""The backends of the configured switches."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import trio

from hookflash.backends.asterisk.client import AsteriskBackend
from hookflash.backends.base import Backend, SwitchBackend
from hookflash.backends.freeswitch.client import FreeSwitchBackend
from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.lab_phones import lab_phone
from hookflash.backends.simulator.world import World
from hookflash.server.config import AsteriskKeys, FreeSwitchKeys, Simulator, SwitchKeys
from hookflash.server.read_config import asterisk_settings, freeswitch_settings

LAB_NUMBERS: Final = (*range(1000, 1100), *range(2600, 2700))
"""The numbers of a simulated switch's phones."""


async def open_switch(
    stack: AsyncExitStack,
    nursery: trio.Nursery,
    name: str,
    keys: SwitchKeys,
    beside: Path | None,
) -> Backend:
    """Open the connection to a switch.

    Args:
        stack: closes a simulated switch.
        nursery: runs the connection.
        name: the switch's name in the configuration.
        keys: its table in the configuration.
        beside: the configuration's folder.
    """
    if isinstance(keys, Simulator):
        backend = await stack.enter_async_context(open_simulator(world=simulated_world(keys.seed)))
        nursery.start_soon(_place_calls, backend, keys)
        return backend
    switch = _switch_backend(keys, name, beside)
    nursery.start_soon(switch.run)
    return switch


def _switch_backend(
    keys: FreeSwitchKeys | AsteriskKeys, name: str, beside: Path | None
) -> SwitchBackend:
    if isinstance(keys, AsteriskKeys):
        return AsteriskBackend(asterisk_settings(keys, name, beside=beside))
    return FreeSwitchBackend(freeswitch_settings(keys, name, beside=beside))


def simulated_world(seed: int) -> World:
    """A world with the phones of the lab (see `hookflash emulate`)."""
    world = World(seed=seed)
    world.switch.name_leg = lambda: str(uuid.uuid4())
    for number in map(str, LAB_NUMBERS):
        behaviour = lab_phone(number)
        if behaviour is not None:
            world.add_phone(number, behaviour)
    return world


async def _place_calls(backend: SimulatedBackend, keys: Simulator) -> None:
    for caller, callee in keys.calls:
        await backend.call(caller, callee, account=keys.account)
