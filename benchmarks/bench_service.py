"""What the service costs: HTTP, followers by WebSocket, the journal, and ten thousand in flight.

The service runs in a process of its own, as in life, on loopback; its switch is a stand-in that
does at once what it is told, so that nothing but the service is measured.

* **HTTP**: one hundred clients that ask for a call, over and over, for some seconds; beside it the
  work for `/healthz`, which is the framework alone. The load comes from `wrk` where it is
  installed (`apt install wrk`), and else from a plain asyncio client, which costs the machine more;
  the table names which.
* **WebSocket fan-out**: people call each other and hang up; each of 1, 100 or 1,000 subscribers is
  told each of those events, and counts them. From the first call until the last subscriber has the
  last event.
* **Journal**: steps that are given to it as fast as it takes them, until the last is safe; and one
  at a time, from the giving until it is safe, which is what a request waits for.
* **What the journal costs a step**: the switchboard's work for whole transfers, alone, and with the
  journal's tap; CPU time of the engine's thread. The writing is another thread's.
* **Memory**: ten thousand transfers whose targets ring, in a service with its journal: what the
  process has more of than before.

Beside what a clock says stands the CPU time of the service's process, which is the same on a busy
machine.

    python benchmarks/bench_service.py
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs
import trio
import trio.lowlevel
from bench_core import Figure, report, until_it_rings

from hookflash.backends.base import Capabilities, LegSnapshot
from hookflash.commands import (
    Dial,
    HoldWithMusic,
    PlayRingback,
    Split,
    SwitchCommand,
)
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.events import (
    CallEvent,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsSeparated,
    SoundStarted,
    SwitchFound,
)
from hookflash.fsm.transfer import State
from hookflash.journal import registry
from hookflash.journal.database import Sync
from hookflash.journal.journal import Journal, JournalSettings, open_journal
from hookflash.server.config import AccountKeys, Config, Limits, Listen, PolicyKeys
from hookflash.server.doors.keeper import open_keeper
from hookflash.server.service import Service, open_service

CLIENTS: Final = 100
LOAD_S: Final = 6
HTTP_PER_S: Final = 300.0
HTTP_P99_MS: Final = 800.0
HTTP_CPU_MS: Final = 2.0
HTTP_RATIO: Final = 3.0
"""How many times more a call costs than an answer of the framework's."""

SUBSCRIBERS: Final = (1, 100, 1_000)
DELIVERIES: Final = 200_000
"""Events told, over all subscribers: enough for some seconds."""
MOST_EVENTS: Final = 12_000
FANOUT_PER_S: Final = {1: 2_000.0, 100: 50_000.0, 1_000: 25_000.0}
FANOUT_CPU_US: Final = {1: 300.0, 100: 15.0, 1_000: 15.0}
"""An event's own way, from the switch to the journal, is shared by all of its subscribers."""

STEPS: Final = 20_000
STEPS_PER_S: Final = {Sync.FULL: 8_000.0, Sync.NORMAL: 8_000.0}
SAFE_MS: Final = {Sync.FULL: 10.0, Sync.NORMAL: 5.0}
TAP_RATIO: Final = 2.0

IN_FLIGHT: Final = 10_000
WAVE: Final = 100
"""Transfers that are begun at once."""
KILOBYTES_EACH: Final = 8.0

HOUR_S: Final = 3_600.0
"""Longer than any part takes: nothing comes of time alone."""


# --------------------------------------------------------------------- a quick switch


class QuickSwitch:
    """A backend that does at once what it is told; the targets' phones ring for ever."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[CallEvent](math.inf)
        self.happens(SwitchFound())
        self._calls = 0

    def happens(self, *events: CallEvent) -> None:
        """Let something happen."""
        for event in events:
            self._send.send_nowait(event)

    def call(self) -> tuple[LegId, LegId]:
        """Two people talk: four events."""
        self._calls += 1
        one, other = f"a-{self._calls}", f"b-{self._calls}"
        self.happens(
            LegCreated(leg=one, number=f"1{self._calls:06}"),
            LegCreated(leg=other, number=f"2{self._calls:06}"),
            LegAnswered(leg=other),
            LegsJoined(first=one, second=other),
        )
        return one, other

    def events(self) -> AsyncIterator[CallEvent]:
        """What happens."""
        return self._receive

    async def perform(self, command: SwitchCommand) -> None:
        """Do it, and say so."""
        await trio.lowlevel.checkpoint()
        match command:
            case Split(first=first, second=second):
                self.happens(LegsSeparated(first=first, second=second))
                self.happens(LegParked(leg=first), LegParked(leg=second))
            case Dial(leg=leg, target=target):
                self.happens(LegCreated(leg=leg, number=target), LegProgressed(leg=leg))
            case HoldWithMusic(leg=leg, music=sound) | PlayRingback(leg=leg, ringback=sound):
                self.happens(SoundStarted(leg=leg, sound=sound))
            case _:
                pass

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        """Nothing lives that was not told."""
        await trio.lowlevel.checkpoint()
        return ()


# ------------------------------------------------------------- the service's own process


def config() -> Config:
    """A service that limits nothing: a limit is not what is measured."""
    return Config(
        listen=Listen(http="127.0.0.1:0", websocket="127.0.0.1:0"),
        limits=Limits(
            requests_per_second=1_000_000,
            websocket_buffer=1_000_000,
            websocket_connections=2 * max(SUBSCRIBERS),
            heartbeat_s=HOUR_S,
        ),
        defaults=AccountKeys(policy=PolicyKeys(ring_timeout_s=HOUR_S)),  # pyright: ignore[reportCallIssue] - made from Policy
    )


async def be_the_service(folder: Path) -> None:
    """Serve, and do what the parent asks, a line each, until there are no more lines."""
    switch = QuickSwitch()
    async with (
        open_service(config(), beside=folder, backends={"quick": switch}) as service,
        open_keeper(service, beside=folder) as keeper,
    ):
        addresses = keeper.addresses
        make = partial(registry.make_key, account="default", label="", now=time.time())
        key, _ = await service.journal.change(make)
        token = service.token_for(key)
        call, _ = switch.call()
        while service.group.engines["quick"].switchboard.leg(call) is None:
            await trio.lowlevel.checkpoint()
        say(http=addresses.http, websocket=addresses.websocket, token=token, call=call)
        while asked := (await trio.to_thread.run_sync(sys.stdin.readline)).split():
            await _ANSWERED_BY[asked[0]](service, switch, int(asked[1]))


def say(**what: Any) -> None:
    """Tell the parent."""
    print(json.dumps(what), flush=True)


async def make_calls(_service: Service, switch: QuickSwitch, events: int) -> None:
    """Have people call and hang up, until there were so many events, in a steady stream."""
    assert events % 6 == 0
    for _ in range(events // 6):
        one, other = switch.call()
        switch.happens(
            LegHungUp(leg=one, cause="NORMAL_CLEARING"),
            LegHungUp(leg=other, cause="NORMAL_CLEARING"),
        )
        await trio.lowlevel.checkpoint()


async def fly(service: Service, switch: QuickSwitch, transfers: int) -> None:
    """Have so many transfers in flight, and say what they take."""
    engine = service.group.engines["quick"]

    board = engine.switchboard

    async def begin_a_wave() -> None:
        legs = [switch.call()[0] for _ in range(WAVE)]
        await until(lambda: all((line := board.leg(leg)) and line.peer for leg in legs))
        begun = [await engine.transfer(leg, "2601") for leg in legs]
        await until(
            lambda: all((now := one.transfer) and now.state is State.DIALING for one in begun)
        )
        await until(lambda: service.journal.waiting < WAVE)  # what is measured is not a queue

    await begin_a_wave()  # whatever is made only once
    before = await resident_bytes(service)
    for _ in range(transfers // WAVE):
        await begin_a_wave()
    after = await resident_bytes(service)
    running = [transfer for _, transfer in service.group.transfers()]
    assert len(running) == transfers + WAVE
    assert {transfer.state for transfer in running} == {State.DIALING}
    say(before=before, after=after)


async def until(so: Callable[[], object]) -> None:
    """Wait until something is so, and leave the machine to others meanwhile."""
    while not so():  # noqa: ASYNC110 - an onlooker is not told
        await trio.sleep(0.001)


async def resident_bytes(service: Service) -> int:
    """What the process has in memory, once all that is to be written is."""
    await until(lambda: service.journal.waiting == 0)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])  # noqa: ASYNC240 - no disk
    return pages * os.sysconf("SC_PAGE_SIZE")


async def count_cpu(_service: Service, _switch: QuickSwitch, _: int) -> None:
    """Say how much CPU time the service has taken so far."""
    await trio.lowlevel.checkpoint()
    say(cpu_s=time.process_time())


_ANSWERED_BY: Final = {"calls": make_calls, "fly": fly, "cpu": count_cpu}


@contextmanager
def child(*arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run this file as another process."""
    with subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def hear(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a child says next."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def ask(process: subprocess.Popen[str], what: str) -> None:
    """Tell a child to do something."""
    assert process.stdin is not None
    process.stdin.write(f"{what}\n")
    process.stdin.flush()


def cpu_s(service: subprocess.Popen[str]) -> float:
    """How much CPU time a service has taken so far, in seconds."""
    ask(service, "cpu 0")
    return float(hear(service)["cpu_s"])


@contextmanager
def a_service() -> Generator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A service in a process of its own, and what it says of itself."""
    with tempfile.TemporaryDirectory() as folder, child("serve", folder) as process:
        yield process, hear(process)


# ------------------------------------------------------------------------------ HTTP


@attrs.frozen
class Load:
    """What came of a load."""

    requests: int
    per_s: float
    p99_ms: float


def load_by_wrk(wrk: str, url: str, token: str) -> Load:
    """Have `wrk` ask."""
    done = subprocess.run(
        [
            *(wrk, "-t1", f"-c{CLIENTS}", f"-d{LOAD_S}s", "--timeout", "30s", "--latency"),
            *("-H", f"X-Auth-Token: {token}", url),
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "Non-2xx" not in done.stdout, done.stdout
    count = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    assert count is not None
    assert rate is not None
    assert slow is not None
    unit_ms = {"us": 0.001, "ms": 1.0, "s": 1000.0}[slow[2]]
    return Load(int(count[1]), float(rate[1]), float(slow[1]) * unit_ms)


def load_by_asyncio(url: str, token: str) -> Load:
    """Ask without `wrk`."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.rpartition(":")
    request = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nX-Auth-Token: {token}\r\n\r\n".encode()
    took: list[float] = []

    async def client(until_s: float) -> None:
        reader, writer = await asyncio.open_connection(name, int(port))
        while time.perf_counter() < until_s:
            began_s = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            took.append(time.perf_counter() - began_s)
        writer.close()

    async def clients() -> None:
        until_s = time.perf_counter() + LOAD_S
        await asyncio.gather(*(client(until_s) for _ in range(CLIENTS)))

    asyncio.run(clients())
    return Load(len(took), len(took) / LOAD_S, statistics.quantiles(took, n=100)[98] * 1000)


def cost_of_load(
    service: subprocess.Popen[str], load: Callable[[str, str], Load], url: str, token: str
) -> tuple[float, Load]:
    """Milliseconds of the service's CPU time for a request, and what came of the load."""
    before_s = cpu_s(service)
    came = load(url, token)
    return (cpu_s(service) - before_s) / came.requests * 1000, came


def measure_http() -> Iterator[Figure]:
    """A hundred clients."""
    wrk = shutil.which("wrk")
    load: Callable[[str, str], Load] = partial(load_by_wrk, wrk) if wrk else load_by_asyncio
    by = "wrk" if wrk else "asyncio"
    with a_service() as (service, told):
        call = f"{told['http']}/v2/accounts/default/channels/{told['call']}"
        alone_ms, _ = cost_of_load(service, load, f"{told['http']}/healthz", told["token"])
        each_ms, ours = cost_of_load(service, load, call, told["token"])
    yield Figure(
        what=f"HTTP, {CLIENTS} clients ask for a call ({by})",
        value=ours.per_s,
        unit="/s",
        target=HTTP_PER_S,
        at_least=True,
    )
    yield Figure(what="… p99", value=ours.p99_ms, unit="ms", target=HTTP_P99_MS)
    yield Figure(
        what="… the service's work for one", value=each_ms, unit="ms CPU", target=HTTP_CPU_MS
    )
    yield Figure(
        what=f"… beside the framework alone ({alone_ms:.1f} ms)",
        value=each_ms / alone_ms,
        unit="×",
        target=HTTP_RATIO,
    )


# ------------------------------------------------------------------------- WebSocket


class Subscriber(asyncio.Protocol):
    """One subscriber, as cheap as it can be: it counts events, and reads nothing of them."""

    MARK = b'{"number":'

    def __init__(self, token: str, loop: asyncio.AbstractEventLoop) -> None:
        self._token = token
        self._rest: bytes = b""
        self._transport: Any = None
        self._in = False
        self.seen = 0
        self.wanted = -1
        self.subscribed: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        """Knock, and ask for everything."""
        transport.write(
            b"GET /v2/events HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Count."""
        data = self._rest + data
        if not self.subscribed.done():
            if not self._in and b"\r\n\r\n" in data:
                self._in = True
                ask_who = {"action": "authenticate", "id": "1", "token": self._token}
                self._transport.write(frame(ask_who))
                self._transport.write(
                    frame({"action": "subscribe", "id": "2", "kinds": ["call.*"]})
                )
            if b'"id":"2","status":200' in data:
                self.subscribed.set_result(None)
            self._rest = data
            return
        self.seen += data.count(self.MARK)
        # a mark that is cut in two is found with the next piece, and none is found twice
        self._rest = data[-len(self.MARK) + 1 :]
        if self.seen == self.wanted:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See that nobody was cut off."""
        for future in (self.subscribed, self.done):
            if not future.done():
                future.set_exception(exc or ConnectionError("cut off"))


def frame(message: dict[str, Any]) -> bytes:
    """A text frame of a client's, with a mask that masks nothing (RFC 6455, section 5.2)."""
    body = json.dumps(message).encode()
    assert len(body) < 126
    return bytes((0x81, 0x80 | len(body), 0, 0, 0, 0)) + body


async def be_the_subscribers(port: int, token: str, subscribers: int, events: int) -> None:
    """Subscribe, say so; say when everybody has everything."""
    loop = asyncio.get_running_loop()
    crowd: list[Subscriber] = []
    for _ in range(subscribers):
        _, one = await loop.create_connection(lambda: Subscriber(token, loop), "127.0.0.1", port)
        await one.subscribed
        one.wanted = events
        crowd.append(one)
    say(subscribed=subscribers)
    await asyncio.gather(*(one.done for one in crowd))
    say(seen=sum(one.seen for one in crowd))


def measure_fanout() -> Iterator[Figure]:
    """More and more subscribers."""
    for subscribers in SUBSCRIBERS:
        events = min(MOST_EVENTS, DELIVERIES // subscribers) // 6 * 6
        with a_service() as (service, told):
            port = told["websocket"].rpartition(":")[2].partition("/")[0]
            asked = (port, told["token"], str(subscribers), str(events))
            with child("subscribe", *asked) as crowd:
                assert hear(crowd) == {"subscribed": subscribers}
                before_s = cpu_s(service)
                began_s = time.perf_counter()
                ask(service, f"calls {events}")
                assert hear(crowd) == {"seen": events * subscribers}
                took_s = time.perf_counter() - began_s
                each_us = (cpu_s(service) - before_s) / (events * subscribers) * 1e6
        yield Figure(
            what=f"events × {subscribers:,} subscribers",
            value=events * subscribers / took_s,
            unit="/s",
            target=FANOUT_PER_S[subscribers],
            at_least=True,
        )
        yield Figure(
            what="… the service's work for one",
            value=each_us,
            unit="µs CPU",
            target=FANOUT_CPU_US[subscribers],
        )


# --------------------------------------------------------------------------- journal


def records(count: int) -> list[Record]:
    """What the engine would hand over: whole stories of transfers until their targets ring."""
    board, found, call = Switchboard(), list[Record](), 0
    while len(found) < count:
        for event in until_it_rings(call):
            for record in board.handle(event):
                found.append(_numbered(record, len(found) + 1))
        call += 1
    return found[:count]


def _numbered(record: Record, number: int) -> Record:
    return attrs.evolve(record, number=number, at=1_700_000_000.0 + number, switch="quick")


async def write_all(sync: Sync, given: list[Record], folder: Path) -> tuple[float, float]:
    """Steps a second, and how long one waits until it is safe, in milliseconds."""
    settings = JournalSettings(file=folder / f"{sync.value}.sqlite", sync=sync)
    async with open_journal(settings, now=time.time) as journal:
        many, few = given[:-200], given[-200:]
        began_s = time.perf_counter()
        for record in many:
            journal.take(record)
        await journal.settled(many[-1].number)
        per_s = len(many) / (time.perf_counter() - began_s)
        waited = [await wait_for_one(journal, record) for record in few]
    return per_s, statistics.median(waited) * 1000


async def wait_for_one(journal: Journal, record: Record) -> float:
    """Hand one step over, and wait until it is safe, in seconds."""
    began_s = time.perf_counter()
    journal.take(record)
    await journal.settled(record.number)
    return time.perf_counter() - began_s


def measure_journal() -> Iterator[Figure]:
    """How fast it writes, and when a step is safe."""
    given = records(STEPS + 200)
    with tempfile.TemporaryDirectory() as folder:
        for sync in Sync:
            per_s, safe_ms = trio.run(write_all, sync, given, Path(folder))
            yield Figure(
                what=f"the journal writes steps, sync {sync.value}",
                value=per_s,
                unit="/s",
                target=STEPS_PER_S[sync],
                at_least=True,
            )
            yield Figure(
                what="… one alone is safe after", value=safe_ms, unit="ms", target=SAFE_MS[sync]
            )
        size = (Path(folder) / f"{Sync.FULL.value}.sqlite").stat().st_size
        yield Figure(what="… and takes", value=size / len(given), unit="bytes", target=2_048.0)


async def cost_of_steps(calls: int, folder: Path) -> tuple[float, float]:
    """CPU time of a step in the engine's thread, alone, and with the journal's tap."""
    settings = JournalSettings(file=folder / "tap.sqlite", sync=Sync.NORMAL)
    alone: list[float] = []
    tapped: list[float] = []
    number = 0
    async with open_journal(settings, now=time.time) as journal:

        def tap(record: Record) -> None:
            nonlocal number
            number += 1
            journal.take(_numbered(record, number))

        for _ in range(7):  # in turn, so that a busy spell of the machine hits both
            alone.append(cost_of_a_wave(calls, lambda _: None))
            tapped.append(cost_of_a_wave(calls, tap))
            await journal.settled(number)
    return min(alone), min(tapped)


def cost_of_a_wave(calls: int, tap: Callable[[Record], None]) -> float:
    """Microseconds a step."""
    board, steps = Switchboard(), 0
    began_s = time.thread_time()
    for call in range(calls):
        for event in until_it_rings(call):
            for record in board.handle(event):
                tap(record)
                steps += 1
    return (time.thread_time() - began_s) / steps * 1e6


def measure_tap() -> Iterator[Figure]:
    """What the engine's thread pays for the journal."""
    with tempfile.TemporaryDirectory() as folder:
        alone_us, tapped_us = trio.run(cost_of_steps, 200, Path(folder))
    yield Figure(what="a step with the journal's tap", value=tapped_us, unit="µs CPU", target=80.0)
    yield Figure(
        what=f"… beside one without ({alone_us:.1f} µs)",
        value=tapped_us / alone_us,
        unit="×",
        target=TAP_RATIO,
    )


# ---------------------------------------------------------------------------- memory


def measure_memory() -> Iterator[Figure]:
    """Ten thousand in flight."""
    with a_service() as (process, _):
        ask(process, f"fly {IN_FLIGHT}")
        told = hear(process)
    yield Figure(
        what=f"a service with {IN_FLIGHT:,} transfers in flight",
        value=told["after"] / 2**20,
        unit="MiB",
        target=512.0,
    )
    yield Figure(
        what="… each of them",
        value=(told["after"] - told["before"]) / IN_FLIGHT / 1024,
        unit="KiB",
        target=KILOBYTES_EACH,
    )


def measure() -> Iterator[Figure]:
    """Everything."""
    yield from measure_http()
    yield from measure_fanout()
    yield from measure_journal()
    yield from measure_tap()
    yield from measure_memory()


def main() -> NoReturn:
    """Measure; or be one of the children that are measured."""
    match sys.argv[1:]:
        case ["serve", folder]:
            trio.run(be_the_service, Path(folder))
            sys.exit()
        case ["subscribe", port, token, subscribers, events]:
            asyncio.run(be_the_subscribers(int(port), token, int(subscribers), int(events)))
            sys.exit()
        case _:
            found = list(measure())
            report(found)
            sys.exit(any(figure.ratio < 1 for figure in found))


if __name__ == "__main__":
    main()
