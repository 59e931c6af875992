"""A crowd (see `crowds`) at the telephones of a real FreeSWITCH.

The phones are silent, so that the machine has its hands free for the transfers: they all ring until
they are sent an order, and stand parked when they have answered. Nobody sends a tone, and nothing
is transcoded.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
import trio.testing
from crowds import LIMIT_S, Crowd, Report, Trio
from live import HOST, PHONES, SWITCH, Socket

from hookflash.backends.freeswitch.client import FreeSwitchBackend, open_freeswitch
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.events import Direction, LegCreated, LegId, LegParked
from hookflash.fsm.policy import Policy
from hookflash.sounds import SILENCE

DIRECT = Dialling(template=f"sofia/internal/{{number}}@{HOST}:5090")
"""Straight to the phones: a loopback leg would be two more, and transcode."""

SILENT = Policy(music=SILENCE, ringback=SILENCE, recall_attempts=0)
"""Sounds that cost the switch nothing."""


class FreeSwitchCrowd(Crowd):
    """Their phones are legs of the second switch, and obey its event socket."""

    first_number = 30_000
    target_number = "2660"
    ringing_s = 3.0  # long enough for all transfers to be in flight together
    gone_after_step_s = 0.01  # a join takes 80 ms
    gone_within_s = LIMIT_S

    def __init__(
        self, engine: Engine, phones: FreeSwitchBackend, switch: Socket, ask: Socket
    ) -> None:
        super().__init__(engine)
        self._phones = phones
        self._switch = switch
        self._ask = ask
        self._asking = trio.StrictFIFOLock()

    async def _api(self, command: str) -> str:
        async with self._asking:
            return await self._ask.api(command)

    async def hear_phones(self) -> None:
        """Learn which phone rings for whom: first the transferee's, then the target's."""
        calling: dict[LegId, Trio] = {}
        async for event in self._phones.events():
            if isinstance(event, LegCreated) and event.direction is Direction.INBOUND:
                three = self.by_number.get(event.number)
                if three is not None:
                    calling[event.leg] = three
            elif isinstance(event, LegParked) and event.leg in calling:
                three = calling.pop(event.leg)  # from now on it can be answered
                if three.transferee:
                    three.target = event.leg
                else:
                    three.transferee = event.leg
                self.tell()

    def is_ringing(self, three: Trio) -> bool:
        return bool(three.target)

    async def dial(self, three: Trio) -> None:
        variables = f"origination_caller_id_number={three.number},origination_uuid={three.alice}"
        await self._api(f"bgapi originate {{{variables}}}sofia/internal/2650@{HOST}:5060 &park()")
        await self.until(lambda: bool(three.transferee))
        await self.answer(three.transferee)

    async def answer(self, phone: str) -> None:
        await self._api(f"uuid_answer {phone}")

    async def refuse(self, phone: str) -> None:
        await self._api(f"uuid_kill {phone} USER_BUSY")

    async def hang_up(self, phone: str) -> None:
        await self._api(f"uuid_kill {phone}")

    async def left(self) -> tuple[int, int]:
        async with self._asking:
            return len(await self._switch.channels()), len(await self._ask.channels())


def _settings(address: str, dialling: Dialling = DIRECT) -> FreeSwitch:
    host, _, port = address.partition(":")
    return FreeSwitch(host=host, port=int(port), dialling=dialling)


@asynccontextmanager
async def open_crowd(dialling: Dialling = DIRECT) -> AsyncGenerator[FreeSwitchCrowd]:
    """An engine on the switch, and silent phones. Whoever is left at the end is hung up."""
    async with (
        open_freeswitch(_settings(SWITCH, dialling)) as backend,
        open_freeswitch(_settings(PHONES)) as phones,
        open_engine(backend, account=Account(policy=SILENT)) as engine,
        trio.open_nursery() as nursery,
    ):
        switch, ask = await Socket.open(SWITCH), await Socket.open(PHONES)
        async with switch.stream, ask.stream:
            crowd = FreeSwitchCrowd(engine, phones, switch, ask)
            nursery.start_soon(crowd.hear_phones)
            nursery.start_soon(crowd.hear_engine, engine.follow())
            await trio.testing.wait_all_tasks_blocked()
            yield crowd
            for socket in (switch, ask):
                await socket.api("hupall")
            nursery.cancel_scope.cancel()


async def run_crowd(size: int, dialling: Dialling = DIRECT) -> Report:
    """Transfer so many calls at once, and see what becomes of them."""
    async with open_crowd(dialling) as crowd:
        return await crowd.run(size)
