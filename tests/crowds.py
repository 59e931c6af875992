"""Many transfers at once on a real switch, each by a script of its own.

What every script says must come of it: the outcome, who talks with whom, and at the end nobody is
left on either side. Each transferor has a number of its own, and that is what its partners' phones
see calling: by it they are told apart. A target's phone rings until it is sent an order.

How people are reached at their phones differs from switch to switch: `asterisk_crowd`, and
`crowd` for FreeSWITCH.
"""

from __future__ import annotations

import statistics
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import ClassVar

import attrs
import trio

from hookflash.engine.engine import Engine
from hookflash.engine.handles import Result, TransferHandle
from hookflash.engine.record import Record
from hookflash.errors import RequestRefused
from hookflash.events import Direction, LegAnswered, LegId, LegsJoined
from hookflash.fsm.transfer import Outcome, State

TALK_S = 1.0
GONE_AFTER_STEPS = 16
START_WITHIN_S = 2.0
"""Over how long the requests are spread."""
CALLS_PER_S = 20.0
LIMIT_S = 240.0
"""How long a crowd may take. Longer than any transfer goes on trying."""


@attrs.frozen
class Script:
    """What the people of one transfer do, and what must come of it."""

    name: str
    outcome: Outcome
    talk: str
    """Who talks at the end."""

    @property
    def target_stays(self) -> bool:
        """Whether the target is one of those who talk at the end."""
        return "target" in self.talk


COMPLETE = Script("complete", Outcome.TRANSFERRED, "transferee and target")
PARTIAL = Script("partial", Outcome.TRANSFERRED, "transferee and target")
BUSY = Script("busy", Outcome.RECONNECTED, "transferor and transferee")
TAKEBACK = Script("takeback", Outcome.TAKEN_BACK, "transferor and transferee")
CONSULT_TAKEBACK = Script(
    "takeback in the consultation", Outcome.TAKEN_BACK, "transferor and transferee"
)
TARGET_DROPS = Script("target drops", Outcome.RECONNECTED, "transferor and transferee")
BRIDGE_RACE = Script("target answers and is gone", Outcome.RECONNECTED, "transferor and transferee")
SCRIPTS = (COMPLETE, PARTIAL, BUSY, TAKEBACK, CONSULT_TAKEBACK, TARGET_DROPS, BRIDGE_RACE)


@attrs.frozen(kw_only=True)
class Report:
    """What became of a crowd."""

    ended: int
    wrong: tuple[str, ...]
    in_flight: int
    """How many transfers were in flight at once."""
    took_s: float
    to_join_ms: tuple[float, float]
    """From the news of the target's answer to that of the join, p50 and p99."""
    left: tuple[int, int]
    """Channels on the switch and on the phones, after everybody has hung up."""


@attrs.define
class Trio:
    """The three of one transfer: their phones, and the legs of the first two on the switch."""

    number: str
    script: Script
    alice: str = attrs.field(factory=lambda: f"alice-{uuid.uuid4().hex}")
    """The transferor's phone."""
    transferee: str = ""
    """The transferee's phone, where somebody must answer it."""
    target: str = ""
    """The target's phone, once it rings."""
    legs: tuple[LegId, LegId] = ("", "")
    transfer: str = ""
    state: State = State.IDLE
    talks: bool = False
    """Whether transferor and target have talked."""
    over: bool = False
    answered_s: float = 0.0
    joined_s: float = 0.0
    result: Result | None = None


class Crowd(ABC):
    """People by the hundred, and the engine that transfers them."""

    first_number: ClassVar[int]
    """The first transferor's; the others have the next."""
    target_number: ClassVar[str]
    ringing_s: ClassVar[float]
    """How long a target's phone goes on ringing after `is_ringing`."""
    gone_after_step_s: ClassVar[float]
    """A target that is gone at once leaves before, while, or after it is joined: each after so
    many of these steps, and all of them together take about as long as the join."""

    gone_within_s: ClassVar[float]
    """How long after the last hang-up everybody is gone."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.by_number: dict[str, Trio] = {}
        self.by_transfer: dict[str, Trio] = {}
        self.in_flight = 0
        self._news = trio.Event()

    # ------------------------------------------------------------------ the phones

    @abstractmethod
    async def dial(self, three: Trio) -> None:
        """Let Alice's phone call Bob's, and Bob answer."""

    @abstractmethod
    async def answer(self, phone: str) -> None: ...

    @abstractmethod
    async def refuse(self, phone: str) -> None:
        """Be busy."""

    @abstractmethod
    async def hang_up(self, phone: str) -> None: ...

    @abstractmethod
    def is_ringing(self, three: Trio) -> bool:
        """Whether a target's phone rings, and so does whichever it waits for."""

    @abstractmethod
    async def left(self) -> tuple[int, int]:
        """Count the channels on the switch, and on the phones."""

    # ------------------------------------------------------------------ the news

    def tell(self) -> None:
        """Something has happened: all who wait look whether it is what they wait for."""
        self._news.set()
        self._news = trio.Event()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        while not is_so():
            await self._news.wait()

    async def hear_engine(self, records: AsyncIterable[Record]) -> None:
        """Learn where each transfer stands."""
        async for record in records:
            three = self.by_transfer.get(record.transfer or "")
            if three is not None:
                self._note(three, record)
            self.tell()

    def _note(self, three: Trio, record: Record) -> None:
        three.state = record.after or three.state
        three.over = three.over or record.outcome is not None
        if isinstance(record.event, LegAnswered):
            three.answered_s = record.at_s
        elif isinstance(record.event, LegsJoined) and record.after is State.CONSULTING:
            three.talks = True
            three.joined_s = record.at_s
        self.in_flight = max(self.in_flight, len(self.engine.switchboard.running))

    # ------------------------------------------------------------------ the scripts

    async def call(self, three: Trio) -> None:
        """Alice calls Bob, he answers, and the engine knows that they talk."""
        self.by_number[three.number] = three
        await self.dial(three)
        await self.until(lambda: self._legs_of(three) is not None)
        three.legs = self._legs_of(three) or three.legs

    def _legs_of(self, three: Trio) -> tuple[LegId, LegId] | None:
        for leg in self.engine.legs():
            if leg.number == three.number and leg.peer and leg.direction is Direction.INBOUND:
                return leg.id, leg.peer
        return None

    async def ask(self, three: Trio) -> TransferHandle:
        """Ask for the transfer."""
        three.transfer = uuid.uuid4().hex
        self.by_transfer[three.transfer] = three
        return await self.engine.transfer(
            three.legs[0], self.target_number, transfer=three.transfer
        )

    async def play(self, three: Trio) -> None:
        """Transfer, let everybody do what the script says, and see what comes of it."""
        handle = await self.ask(three)
        await self.until(lambda: self.is_ringing(three) or three.over)
        await trio.sleep(self.ringing_s)
        if not three.over:
            with suppress(RequestRefused):  # the verdict says what it came to instead
                await self._act(three, handle)
        three.result = await handle.outcome()

    async def _act(self, three: Trio, handle: TransferHandle) -> None:
        script = three.script
        if script is PARTIAL:
            await self.hang_up(three.alice)
            await trio.sleep(TALK_S)
            await self.answer(three.target)
        elif script is BUSY:
            await self.refuse(three.target)
        elif script is TAKEBACK:
            await handle.take_back()
        elif script is BRIDGE_RACE:
            await self.answer(three.target)
            await trio.sleep(int(three.number) % GONE_AFTER_STEPS * self.gone_after_step_s)
            await self.hang_up(three.target)
        else:
            await self._consult(three, handle)

    async def _consult(self, three: Trio, handle: TransferHandle) -> None:
        await self.answer(three.target)
        await self.until(lambda: three.talks or three.over)
        await trio.sleep(TALK_S)
        if three.script is COMPLETE:
            await self.hang_up(three.alice)
        elif three.script is TARGET_DROPS:
            await self.hang_up(three.target)
        else:
            await handle.take_back()

    # ------------------------------------------------------------------ the verdict

    async def run(self, size: int) -> Report:
        """Transfer so many calls at once, by all scripts in turn, and see what becomes of them."""
        people = [Trio(str(self.first_number + n), SCRIPTS[n % len(SCRIPTS)]) for n in range(size)]
        with trio.fail_after(LIMIT_S):
            await _each(people, self.call, over_s=size / CALLS_PER_S)
        began_s = trio.current_time()
        with trio.move_on_after(LIMIT_S):
            await _each(people, self.play, over_s=START_WITHIN_S)
        return Report(
            ended=size,
            took_s=trio.current_time() - began_s,
            wrong=tuple(filter(None, map(self._wrong, people))),
            in_flight=self.in_flight,
            to_join_ms=_quantiles(people),
            left=await self._everybody_hangs_up(people),
        )

    def _wrong(self, three: Trio) -> str | None:
        """What did not end as the script says."""
        script = three.script
        if three.result is None:
            return f"{script.name}: no outcome, in {three.state.value}"
        if three.result.outcome is not script.outcome:
            return f"{script.name}: {three.result.outcome.value} ({three.result.cause})"
        transferor, transferee = three.legs
        target = f"{three.transfer}-target"
        one, other = (transferee, target) if script.target_stays else (transferor, transferee)
        leg, partner = map(self.engine.switchboard.leg, (one, other))
        if leg is None or partner is None or leg.peer != partner.id:
            return f"{script.name}: {script.talk} do not talk"
        return None

    async def _everybody_hangs_up(self, people: Sequence[Trio]) -> tuple[int, int]:
        """One of each pair hangs up. Nobody may be left then, though nobody sweeps."""
        for three in people:
            await self.hang_up(three.target if three.script.target_stays else three.alice)
        left = await self.left()
        with trio.move_on_after(self.gone_within_s):
            while any(left):
                await trio.sleep(0.1)
                left = await self.left()
        return left


async def _each(
    people: Sequence[Trio], do: Callable[[Trio], Awaitable[None]], *, over_s: float
) -> None:
    async with trio.open_nursery() as nursery:
        for three in people:
            nursery.start_soon(do, three)
            await trio.sleep(over_s / len(people))


def _quantiles(people: Sequence[Trio]) -> tuple[float, float]:
    waits = [1000 * (one.joined_s - one.answered_s) for one in people if one.talks]
    if len(waits) < 2:
        return (0.0, 0.0)
    cuts = statistics.quantiles(waits, n=100)
    return cuts[49], cuts[98]
