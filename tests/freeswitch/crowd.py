"""Many transfers at once on the real switch, each by a script of its own.

The phones are silent, so that the machine has its hands free for the transfers: they all ring until
they are told what to do, and stand parked when they have answered. Nobody sends a tone, and nothing
is transcoded. What every script says must come of it: the outcome, who talks with whom, and at the
end nobody is left on either side.

Each transferor has a number of its own, and that is what its partners' phones see calling: by it
they are told apart, first the transferee's, then the target's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import attrs
import trio
import trio.testing
from crowd_scripts import SCRIPTS, Report, Script
from live import HOST, PHONES, SWITCH, Socket

from hookflash.backends.freeswitch.client import FreeSwitch, FreeSwitchBackend, open_freeswitch
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.engine.engine import Engine, Result, TransferHandle, open_engine
from hookflash.engine.lines import Account
from hookflash.engine.record import Record
from hookflash.errors import RequestRefused
from hookflash.events import Direction, LegAnswered, LegCreated, LegId, LegParked, LegsJoined
from hookflash.fsm.transfer import Policy, State
from hookflash.sounds import SILENCE

DIRECT = Dialling(template=f"sofia/internal/{{number}}@{HOST}:5090")
"""Straight to the phones: a loopback leg would be two more, and transcode."""

SILENT = Policy(music=SILENCE, ringback=SILENCE)
"""Sounds that cost the switch nothing."""

RINGING_S = 3.0
"""How long a target's phone rings: long enough for all transfers to be in flight together."""
TALK_S = 1.0
GONE_AFTER_STEPS = 16
GONE_AFTER_STEP_S = 0.01
"""A target that is gone at once leaves before, while, or after it is joined: that takes 80 ms."""
START_WITHIN_S = 2.0
"""Over how long the requests are spread."""
CALLS_PER_S = 20.0
LIMIT_S = 240.0
"""How long a crowd may take. Longer than the longest patience of a transfer."""


@attrs.define
class Trio:
    """The three of one transfer: their phones, and the legs of the first two on the switch."""

    number: str
    script: Script
    alice: LegId
    phones: list[LegId] = attrs.field(factory=list[LegId])
    """The transferee's, then the target's."""
    legs: tuple[LegId, LegId] = ("", "")
    transfer: str = ""
    state: State = State.IDLE
    talks: bool = False
    """Whether transferor and target have talked."""
    over: bool = False
    answered_s: float = 0.0
    joined_s: float = 0.0
    result: Result | None = None


class Crowd:
    """People by the hundred, and the engine that transfers them."""

    def __init__(self, engine: Engine, phones: FreeSwitchBackend, ask: Socket) -> None:
        self.engine = engine
        self.phones = phones
        self._ask = ask
        self.name = f"crowd{time.time_ns() // 1_000_000}"
        """So that no leg is taken for one of an earlier crowd."""
        self._asking = trio.StrictFIFOLock()
        self.by_number: dict[str, Trio] = {}
        self.by_transfer: dict[str, Trio] = {}
        self._news = trio.Event()
        self.in_flight = 0

    async def api(self, command: str) -> str:
        """Let the phones do something."""
        async with self._asking:
            return await self._ask.api(command)

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        while not is_so():
            await self._news.wait()

    async def hear_phones(self) -> None:
        """Learn which phone rings for whom."""
        calling: dict[LegId, Trio] = {}
        async for event in self.phones.events():
            if isinstance(event, LegCreated) and event.direction is Direction.INBOUND:
                three = self.by_number.get(event.number)
                if three is not None:
                    calling[event.leg] = three
            elif isinstance(event, LegParked) and event.leg in calling:
                calling.pop(event.leg).phones.append(event.leg)  # from now on it can be answered
                self._tell()

    async def hear_engine(self, records: AsyncIterable[Record]) -> None:
        """Learn where each transfer stands."""
        async for record in records:
            three = self.by_transfer.get(record.transfer or "")
            if three is None:
                self._tell()
                continue
            three.state = record.after or three.state
            three.over = three.over or record.outcome is not None
            if isinstance(record.event, LegAnswered):
                three.answered_s = record.at_s
            elif isinstance(record.event, LegsJoined) and record.after is State.CONSULTING:
                three.talks = True
                three.joined_s = record.at_s
            self.in_flight = max(self.in_flight, len(self.engine.switchboard.running))
            self._tell()

    # ------------------------------------------------------------------ the scripts

    async def call(self, three: Trio) -> None:
        """Alice calls Bob, he answers, and the engine knows that they talk."""
        variables = f"origination_caller_id_number={three.number},origination_uuid={three.alice}"
        await self.api(f"bgapi originate {{{variables}}}sofia/internal/2650@{HOST}:5060 &park()")
        await self.until(lambda: bool(three.phones))
        await self.api(f"uuid_answer {three.phones[0]}")
        await self.until(lambda: self._legs_of(three) is not None)
        three.legs = self._legs_of(three) or three.legs

    def _legs_of(self, three: Trio) -> tuple[LegId, LegId] | None:
        for line in self.engine.lines():
            if line.number == three.number and line.peer and line.direction is Direction.INBOUND:
                return line.leg, line.peer
        return None

    async def play(self, three: Trio) -> None:
        """Transfer, let everybody do what the script says, and see what comes of it."""
        three.transfer = f"{self.name}-{three.number}"
        self.by_transfer[three.transfer] = three
        handle = await self.engine.transfer(three.legs[0], "2660", transfer=three.transfer)
        await self.until(lambda: len(three.phones) > 1 or three.over)
        await trio.sleep(RINGING_S)
        if not three.over:
            with suppress(RequestRefused):  # the verdict says what it came to instead
                await self._act(three, handle)
        three.result = await handle.outcome()

    async def _act(self, three: Trio, handle: TransferHandle) -> None:
        target = three.phones[1]
        match three.script.name:
            case "partial":
                await self.api(f"uuid_kill {three.alice}")
                await trio.sleep(TALK_S)
                await self.api(f"uuid_answer {target}")
            case "busy":
                await self.api(f"uuid_kill {target} USER_BUSY")
            case "takeback":
                await handle.take_back()
            case "target answers and is gone":
                await self.api(f"uuid_answer {target}")
                await trio.sleep(int(three.number) % GONE_AFTER_STEPS * GONE_AFTER_STEP_S)
                await self.api(f"uuid_kill {target}")
            case _:
                await self.api(f"uuid_answer {target}")
                await self.until(lambda: three.talks or three.over)
                await trio.sleep(TALK_S)
                await self._end_consultation(three, handle, target)

    async def _end_consultation(self, three: Trio, handle: TransferHandle, target: LegId) -> None:
        match three.script.name:
            case "complete":
                await self.api(f"uuid_kill {three.alice}")
            case "target drops":
                await self.api(f"uuid_kill {target}")
            case _:
                await handle.take_back()

    # ------------------------------------------------------------------- the verdict

    def wrong(self, three: Trio) -> str | None:
        """What did not end as the script says."""
        if three.result is None:
            return f"{three.script.name}: no outcome, in {three.state.value}"
        if three.result.outcome is not three.script.outcome:
            return f"{three.script.name}: {three.result.outcome.value} ({three.result.cause})"
        first, second = three.legs
        target = self.engine.switchboard.line(f"{three.transfer}-target")
        one, other = (
            (self.engine.switchboard.line(second), target)
            if three.script.talk == "transferee and target"
            else (self.engine.switchboard.line(first), self.engine.switchboard.line(second))
        )
        if one is None or other is None or one.peer != other.leg:
            return f"{three.script.name}: {three.script.talk} do not talk"
        return None


def _settings(address: str, dialling: Dialling = DIRECT) -> FreeSwitch:
    host, _, port = address.partition(":")
    return FreeSwitch(host=host, port=int(port), dialling=dialling)


@asynccontextmanager
async def open_crowd(dialling: Dialling = DIRECT) -> AsyncGenerator[Crowd]:
    """An engine on the switch, and silent phones."""
    async with (
        open_freeswitch(_settings(SWITCH, dialling)) as switch,
        open_freeswitch(_settings(PHONES)) as phones,
        open_engine(switch, account=Account(policy=SILENT)) as engine,
        trio.open_nursery() as nursery,
    ):
        ask = await Socket.open(PHONES)
        async with ask.stream:
            crowd = Crowd(engine, phones, ask)
            nursery.start_soon(crowd.hear_phones)
            nursery.start_soon(crowd.hear_engine, engine.follow())
            await trio.testing.wait_all_tasks_blocked()
            yield crowd
            nursery.cancel_scope.cancel()


async def run_crowd(size: int, dialling: Dialling = DIRECT) -> Report:
    """Transfer so many calls at once, by all scripts in turn, and see what becomes of them."""
    async with open_crowd(dialling) as crowd:
        people = [
            Trio(str(30_000 + n), SCRIPTS[n % len(SCRIPTS)], f"{crowd.name}-alice-{n}")
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
        left = await _everybody_hangs_up(crowd, people)
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


async def _everybody_hangs_up(crowd: Crowd, people: Sequence[Trio]) -> tuple[int, int]:
    """One of each pair hangs up. Nobody may be left then, though nobody sweeps."""
    for three in people:
        leaver = three.phones[0] if three.script.talk == "transferee and target" else three.alice
        await crowd.api(f"uuid_kill {leaver}")
    switch, phones = await Socket.open(SWITCH), await Socket.open(PHONES)
    left = (0, 0)
    with trio.move_on_after(LIMIT_S):
        while True:
            left = (len(await switch.channels()), len(await phones.channels()))
            if left == (0, 0):
                break
            await trio.sleep(0.2)
    for socket in (switch, phones):
        await socket.api("hupall")
        await socket.stream.aclose()
    return left


def _quantiles(people: Sequence[Trio]) -> tuple[float, float]:
    waits = [1000 * (one.joined_s - one.answered_s) for one in people if one.talks]
    if len(waits) < 2:
        return (0.0, 0.0)
    cuts = statistics.quantiles(waits, n=100)
    return cuts[49], cuts[98]
