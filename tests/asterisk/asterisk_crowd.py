"""A crowd (see `crowds`) at the telephones of a real Asterisk."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import attrs
import trio
import trio.testing
from crowds import Crowd, Report, Trio
from live_asterisk import DIRECT, settings_for

from hookflash.backends.asterisk.client import open_asterisk
from hookflash.backends.asterisk.manager import Manager, ManagerRefused, Message, open_manager
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.fsm.policy import Policy
from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import channels

ANSWERS = "1000"
"""The number whose phone answers: a phone that is sent there does so."""
IS_BUSY = "2602"


class AsteriskCrowd(Crowd):
    """Their phones obey the manager interface of the telephones."""

    first_number = 1201
    target_number = "2601"
    ringing_s = 1.0
    gone_after_step_s = 0.001  # a join takes 4 ms
    gone_within_s = 10.0

    def __init__(self, engine: Engine, switch: Manager, telephones: Manager) -> None:
        super().__init__(engine)
        self._switch = switch
        self._telephones = telephones
        self._ringing = 0

    def hear_phones(self, message: Message) -> None:
        """Learn which phone rings for whom."""
        if message.event != "Newchannel" or message.get("exten") != self.target_number:
            return
        three = self.by_number.get(message.get("calleridnum"))
        if three is not None:
            three.target = message.get("uniqueid")
            self._ringing += 1
            self.tell()

    def is_ringing(self, three: Trio) -> bool:
        """All wait for the last."""
        return self._ringing == len(self.by_number)

    async def dial(self, three: Trio) -> None:
        await self._telephones.demand(
            "Originate",
            Channel="PJSIP/1002@switch",
            ChannelId=three.alice,
            Application="Wait",
            Data="86400",
            CallerID=f"<{three.number}>",
            Timeout=86_400_000,
            Async="true",
        )

    async def answer(self, phone: str) -> None:
        await self._send(phone, ANSWERS)

    async def refuse(self, phone: str) -> None:
        await self._send(phone, IS_BUSY)

    async def _send(self, phone: str, number: str) -> None:
        """Let a phone do what the phone of a number does."""
        with suppress(ManagerRefused):
            await self._telephones.demand(
                "Redirect", Channel=phone, Context="phones", Exten=number, Priority="1"
            )

    async def hang_up(self, phone: str) -> None:
        with suppress(ManagerRefused):
            await self._telephones.demand("Hangup", Channel=phone, Cause="16")

    async def left(self) -> tuple[int, int]:
        return len(await channels(self._switch)), len(await channels(self._telephones))


@asynccontextmanager
async def open_crowd(pair: Pair, dialling: AsteriskDialling) -> AsyncGenerator[Crowd]:
    """An engine on the switch, and the phones."""
    crowd: AsteriskCrowd | None = None

    def hear(message: Message) -> None:
        if crowd is not None:
            crowd.hear_phones(message)

    login = attrs.evolve(pair.telephones.login, events="call")
    async with (
        open_asterisk(settings_for(pair, dialling)) as backend,
        open_manager(pair.switch.login) as switch,
        open_manager(login, hear) as telephones,
        open_engine(backend, account=Account(policy=Policy(recall_attempts=0))) as engine,
        trio.open_nursery() as nursery,
    ):
        crowd = AsteriskCrowd(engine, switch, telephones)
        nursery.start_soon(crowd.hear_engine, engine.follow())
        await trio.testing.wait_all_tasks_blocked()
        yield crowd
        nursery.cancel_scope.cancel()


async def run_crowd(pair: Pair, size: int, dialling: AsteriskDialling = DIRECT) -> Report:
    """Transfer so many calls at once, and see what becomes of them."""
    async with open_crowd(pair, dialling) as crowd:
        return await crowd.run(size)
