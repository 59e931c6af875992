"""Many transfers at once on a real Asterisk, each by a script of its own.

What every script says must come of it: the outcome, who talks with whom, and at the end nobody is
left on either side. Each transferor has a number of its own, and that is what its partners' phones
see calling: by it they are told apart. A target's phone rings until it is told what to do.
"""

from __future__ import annotations

import statistics
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import attrs
import trio
import trio.testing
from crowd_scripts import SCRIPTS, Report, Script
from live_asterisk import DIRECT, settings_for

from hookflash.backends.asterisk.client import open_asterisk
from hookflash.backends.asterisk.manager import Manager, ManagerRefused, Message, open_manager
from hookflash.backends.asterisk.procedures import Dialling
from hookflash.engine.engine import Engine, Result, TransferHandle, open_engine
from hookflash.engine.record import Record
from hookflash.errors import RequestRefused
from hookflash.events import Direction, LegAnswered, LegId, LegsJoined
from hookflash.fsm.transfer import State
from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import channels

RINGING_S = 1.0
"""How long a target's phone rings after the last has begun to."""
TALK_S = 0.5
GONE_AFTER_STEPS = 16
GONE_AFTER_STEP_S = 0.001
"""A target that is gone at once leaves before, while, or after it is joined: that takes 4 ms."""
START_WITHIN_S = 2.0
"""Over how long the requests are spread."""
CALLS_PER_S = 25.0
LIMIT_S = 240.0
"""How long a crowd may take. Longer than any transfer goes on trying."""
FIRST_NUMBER = 1201


@attrs.define
class Trio:
    """The three of one transfer: their phones, and the legs of the first two on the switch."""

    number: str
    script: Script
    alice: str
    target: str = ""
    """The target's phone."""
    legs: tuple[LegId, LegId] = ("", "")
    transfer: str = ""
    talks: bool = False
    """Whether transferor and target have talked."""
    over: bool = False
    answered_s: float = 0.0
    joined_s: float = 0.0
    result: Result | None = None


@attrs.define
class Crowd:
    """People by the hundred, and the engine that transfers them."""

    engine: Engine
    telephones: Manager
    by_number: dict[str, Trio] = attrs.field(factory=dict[str, Trio])
    by_transfer: dict[str, Trio] = attrs.field(factory=dict[str, Trio])
    in_flight: int = 0
    ringing: int = 0
    _news: trio.Event = attrs.field(factory=trio.Event)

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        while not is_so():
            await self._news.wait()

    def hear_phones(self, message: Message) -> None:
        """Learn which phone rings for whom."""
        if message.event != "Newchannel" or message.get("exten") != "2601":
            return
        three = self.by_number.get(message.get("calleridnum"))
        if three is not None:
            three.target = message.get("uniqueid")
            self.ringing += 1
            self._tell()

    async def hear_engine(self, records: AsyncIterable[Record]) -> None:
        """Learn where each transfer stands."""
        async for record in records:
            three = self.by_transfer.get(record.transfer or "")
            if three is not None:
                three.over = three.over or record.outcome is not None
                if isinstance(record.event, LegAnswered):
                    three.answered_s = record.at_s
                elif isinstance(record.event, LegsJoined) and record.after is State.CONSULTING:
                    three.talks = True
                    three.joined_s = record.at_s
                self.in_flight = max(self.in_flight, len(self.engine.switchboard.running))
            self._tell()

    # ------------------------------------------------------------------ the phones

    async def send(self, phone: str, number: str) -> None:
        """Let a phone do what the phone of a number does: 2602 is busy, 1000 answers."""
        with suppress(ManagerRefused):
            await self.telephones.demand(
                "Redirect", Channel=phone, Context="phones", Exten=number, Priority="1"
            )

    async def hang_up(self, phone: str) -> None:
        with suppress(ManagerRefused):
            await self.telephones.demand("Hangup", Channel=phone, Cause="16")

    # ------------------------------------------------------------------ the scripts

    async def call(self, three: Trio) -> None:
        """Alice calls Bob, he answers, and the engine knows that they talk."""
        await self.telephones.demand(
            "Originate",
            Channel="PJSIP/1002@switch",
            ChannelId=three.alice,
            Application="Wait",
            Data="86400",
            CallerID=f"<{three.number}>",
            Timeout=86_400_000,
            Async="true",
        )
        await self.until(lambda: self._legs_of(three) is not None)
        three.legs = self._legs_of(three) or three.legs

    def _legs_of(self, three: Trio) -> tuple[LegId, LegId] | None:
        for line in self.engine.lines():
            if line.number == three.number and line.peer and line.direction is Direction.INBOUND:
                return line.leg, line.peer
        return None

    async def play(self, three: Trio) -> None:
        """Transfer, let everybody do what the script says, and see what comes of it."""
        three.transfer = uuid.uuid4().hex
        self.by_transfer[three.transfer] = three
        handle = await self.engine.transfer(three.legs[0], "2601", transfer=three.transfer)
        await self.until(lambda: self.ringing == len(self.by_number) or three.over)
        await trio.sleep(RINGING_S)
        if not three.over:
            with suppress(RequestRefused):  # the verdict says what it came to instead
                await self._act(three, handle)
        three.result = await handle.outcome()

    async def _act(self, three: Trio, handle: TransferHandle) -> None:
        match three.script.name:
            case "partial":
                await self.hang_up(three.alice)
                await trio.sleep(TALK_S)
                await self.send(three.target, "1000")
            case "busy":
                await self.send(three.target, "2602")
            case "takeback":
                await handle.take_back()
            case "target answers and is gone":
                await self.send(three.target, "1000")
                await trio.sleep(int(three.number) % GONE_AFTER_STEPS * GONE_AFTER_STEP_S)
                await self.hang_up(three.target)
            case _:
                await self.send(three.target, "1000")
                await self.until(lambda: three.talks or three.over)
                await trio.sleep(TALK_S)
                await self._end_consultation(three, handle)

    async def _end_consultation(self, three: Trio, handle: TransferHandle) -> None:
        match three.script.name:
            case "complete":
                await self.hang_up(three.alice)
            case "target drops":
                await self.hang_up(three.target)
            case _:
                await handle.take_back()

    # ------------------------------------------------------------------- the verdict

    def wrong(self, three: Trio) -> str | None:
        """What did not end as the script says."""
        if three.result is None:
            return f"{three.script.name}: no outcome"
        if three.result.outcome is not three.script.outcome:
            return f"{three.script.name}: {three.result.outcome.value} ({three.result.cause})"
        first, second = three.legs
        target = f"{three.transfer}-target"
        one, other = (second, target) if "target" in three.script.talk else (first, second)
        line = self.engine.switchboard.line(one)
        if line is None or line.peer != other:
            return f"{three.script.name}: {three.script.talk} do not talk"
        return None


@asynccontextmanager
async def open_crowd(pair: Pair, dialling: Dialling) -> AsyncGenerator[Crowd]:
    """An engine on the switch, and the phones."""
    crowd: Crowd | None = None

    def hear(message: Message) -> None:
        if crowd is not None:
            crowd.hear_phones(message)

    login = attrs.evolve(pair.telephones.login, events="call")
    async with (
        open_asterisk(settings_for(pair, dialling)) as switch,
        open_manager(login, hear) as telephones,
        open_engine(switch) as engine,
        trio.open_nursery() as nursery,
    ):
        crowd = Crowd(engine, telephones)
        nursery.start_soon(crowd.hear_engine, engine.follow())
        await trio.testing.wait_all_tasks_blocked()
        yield crowd
        nursery.cancel_scope.cancel()


async def run_crowd(pair: Pair, size: int, dialling: Dialling = DIRECT) -> Report:
    """Transfer so many calls at once, by all scripts in turn, and see what becomes of them."""
    async with open_crowd(pair, dialling) as crowd:
        people = [
            Trio(str(FIRST_NUMBER + n), SCRIPTS[n % len(SCRIPTS)], f"alice-{uuid.uuid4().hex}")
            for n in range(size)
        ]
        crowd.by_number = {three.number: three for three in people}
        with trio.fail_after(LIMIT_S):
            await _each(people, crowd.call, over_s=size / CALLS_PER_S)
        began_s = trio.current_time()
        with trio.move_on_after(LIMIT_S):
            await _each(people, crowd.play, over_s=START_WITHIN_S)
        took_s = trio.current_time() - began_s
        wrong = tuple(filter(None, map(crowd.wrong, people)))
        left = await _everybody_hangs_up(pair, crowd, people)
        return Report(
            ended=size,
            wrong=wrong,
            in_flight=crowd.in_flight,
            took_s=took_s,
            to_join_ms=_quantiles(people),
            left=left,
        )


async def _each(
    people: Sequence[Trio], do: Callable[[Trio], Awaitable[None]], *, over_s: float
) -> None:
    async with trio.open_nursery() as nursery:
        for three in people:
            nursery.start_soon(do, three)
            await trio.sleep(over_s / len(people))


async def _everybody_hangs_up(pair: Pair, crowd: Crowd, people: Sequence[Trio]) -> tuple[int, int]:
    """One of each pair hangs up. Nobody may be left then, though nobody sweeps."""
    for three in people:
        await crowd.hang_up(three.target if "target" in three.script.talk else three.alice)
    left = (0, 0)
    async with open_manager(pair.switch.login) as switch:
        with trio.move_on_after(10):
            while True:
                left = (len(await channels(switch)), len(await channels(crowd.telephones)))
                if left == (0, 0):
                    break
                await trio.sleep(0.1)
    return left


def _quantiles(people: Sequence[Trio]) -> tuple[float, float]:
    waits = [1000 * (one.joined_s - one.answered_s) for one in people if one.talks]
    if len(waits) < len(("some", "few")):
        return (0.0, 0.0)
    cuts = statistics.quantiles(waits, n=100)
    return cuts[49], cuts[98]
