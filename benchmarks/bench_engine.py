"""The whole way: from a FreeSWITCH's bytes to the machine, and back to a command.

* **An event through client, engine and machine.** The events of the recorded calls, over and over,
  over loopback TCP, as in `bench_wire`; but here whole: the client on trio, the engine's queue, the
  switchboard, and the machine, which begins the transfers that are dialled in them and orders what
  it orders. Beside it what genesis and greenswitch need to merely receive the same stream. CPU time
  of the one process that receives, so of one core at most.
* **Wire to command.** From the last byte of the event that says that the target is parked to the
  first byte of the script that joins it with the transferor, with 1, 100 and 1,000 transfers in
  flight. The emulator, the controller, and the wire between them are processes of their own; both
  stamps are the wire's, which hands over frame by frame.

    python benchmarks/bench_engine.py
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import bench_wire
import trio
from bench_core import Figure

from hookflash.backends.freeswitch.client import open_freeswitch
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.backends.simulator.people import Answers
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.server import Listening, serve_emulator
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.events import Direction, LegCreated, LegsJoined
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import State

REPLAYS: Final = 20
LAST: Final = "the-last-leg"
AT_ONCE: Final = Account(
    takeback_digits="*9",
    metaflows=parse_metaflows(
        {
            "numbers": {
                digit: {"module": "transfer", "data": {"target": "2600", "takeback_dtmf": "*9"}}
                for digit in ("1", "2")
            }
        }
    ),
)
"""Codes that begin a transfer with their last digit: the stream doesn't wait for a person to have
dialled. They are those that Alice dials in the recordings, `*2…` and `*1`: so that in each round
two of eleven calls are transferred, and the machine takes the events of these as news."""
PATIENCE_S: Final = 120.0

TARGET_US: Final = 60.0
"""So that a core carries 16,000 events a second: a switch with 200 calls a second sends so many."""
TARGET_RATIOS: Final = {"genesis": 6.0, "greenswitch": 2.0}

RINGING_S: Final = {1: 0.05, 100: 2.0, 1000: 16.0}
"""How long the targets' phones ring, by how many transfers are to be in flight: longer than it
takes to begin them all."""
START_PER_S: Final = 80.0
"""How many transfers a second are begun, and so how many targets a second answer."""
ONE_AFTER_ANOTHER: Final = 100
"""How often, where only one is in flight."""
TARGETS_MS: Final = {1: (1.0, 5.0), 100: (1.0, 10.0), 1000: (2.0, 25.0)}
"""Of p50 and p99."""


# ---------------------------------------------------- an event through client, engine, machine


def last_event() -> bytes:
    """The beginning of one more leg, by which the end of the stream is known."""
    event = {"Event-Name": "CHANNEL_CREATE", "Unique-ID": LAST, "Call-Direction": "inbound"}
    body = json.dumps(event).encode()
    head = f"Content-Length: {len(body)}\nContent-Type: text/event-json\n\n"
    return head.encode() + body


def play_switch(replays: int) -> None:
    """Send one client the recorded events, and say +OK to whatever it orders meanwhile."""
    events = bench_wire.recorded_events("json")
    with socket.create_server(("127.0.0.1", 0)) as door:
        print(door.getsockname()[1], flush=True)
        peer, _ = door.accept()
    sending = threading.Lock()
    subscribed = threading.Event()

    def answer() -> None:
        for command in bench_wire.commands_of(peer):
            with sending:
                peer.sendall(_answer_to(command))
            if command.startswith(b"api show channels"):
                subscribed.set()

    with peer:
        peer.settimeout(PATIENCE_S)
        peer.sendall(b"Content-Type: auth/request\n\n")
        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        subscribed.wait(PATIENCE_S)
        for _ in range(replays):
            for event in events:
                with sending:
                    peer.sendall(event)
        with sending:
            peer.sendall(last_event())
        answering.join(PATIENCE_S)


def _answer_to(command: bytes) -> bytes:
    if not command.startswith(b"api "):
        return b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
    body = b'{"row_count":0}\n' if command.startswith(b"api show") else b"+OK\n"
    return b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(body), body)


async def receive_whole(port: int, events: int) -> None:
    """Take the stream through client, engine and machine; print what an event has cost."""
    done = trio.Event()
    steps = transferred = 0

    def count(record: Record) -> None:
        nonlocal steps, transferred
        steps += 1
        transferred += record.transfer is not None
        if isinstance(record.event, LegCreated) and record.event.leg == LAST:
            done.set()

    watch = bench_wire.Watch()
    async with (
        open_freeswitch(FreeSwitch(port=port)) as backend,
        open_engine(backend, account=AT_ONCE) as engine,
    ):
        engine.tap(count)
        with trio.fail_after(PATIENCE_S):
            await done.wait()
        watch.report(events)
    assert backend.dropped == 0, "events were dropped"
    assert steps > events / 3, "it was for nothing that it was so quick"
    assert transferred > events / 50, "the machine had nothing to do"


@attrs.frozen(kw_only=True)
class Cost:
    """What an event costs, all in all."""

    events: int
    cpu_us: float
    wall_us: float


def measure_whole(rounds: int) -> Cost:
    """What an event costs us, at best."""
    events = len(bench_wire.recorded_events("json")) * REPLAYS
    results: list[dict[str, float]] = []
    for _ in range(rounds):
        with _helper("--switch", str(REPLAYS)) as switch:
            said = _run("--whole", switch.word, str(events))
        results.append(json.loads(said.splitlines()[-1]))
    return Cost(
        events=events,
        cpu_us=min(result["cpu_us"] for result in results),
        wall_us=min(result["wall_us"] for result in results),
    )


# ------------------------------------------------------------------------- wire to command


async def emulate(calls: int, ringing_s: float) -> None:
    """Be a FreeSWITCH with so many calls up, and one phone that rings and answers."""
    emulator = Emulator()
    emulator.world.add_phone("2777", Answers(after_s=ringing_s))
    for _ in range(calls):
        emulator.call("1001", "1002")

    class Announcement(trio.TaskStatus[Listening]):
        def started(self, value: Listening | None = None) -> None:
            print("" if value is None else value.port, flush=True)

    await serve_emulator(emulator, port=0, task_status=Announcement())


async def control(port: int, calls: int, at_once: int) -> None:
    """Transfer every call, so many at once, and print how many were in flight."""
    policy = Policy(ring_timeout_s=PATIENCE_S)
    joined = trio.Semaphore(at_once)
    waiting: set[str] = set()
    most = 0
    async with (
        open_freeswitch(FreeSwitch(port=port)) as backend,
        open_engine(backend, account=Account(policy=policy)) as engine,
    ):
        with trio.fail_after(PATIENCE_S):
            callers = await _callers(engine, calls)
        follower = engine.follow()

        async def begin() -> None:
            nonlocal most
            for number, leg in enumerate(callers):
                await joined.acquire()
                await engine.transfer(leg, "2777", transfer=f"t{number}")
                waiting.add(f"t{number}")
                most = max(most, len(waiting))
                await trio.sleep(1 / START_PER_S)

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(begin)
                done = 0
                async for record in follower:
                    talks = record.after is State.CONSULTING and isinstance(
                        record.event, LegsJoined
                    )
                    if talks and record.transfer in waiting:
                        waiting.discard(record.transfer)
                        joined.release()
                        done += 1
                    assert record.outcome is None, record
                    if done == calls:
                        break
    print(most)


async def _callers(engine: Engine, calls: int) -> list[str]:
    while True:
        callers = [
            leg.id
            for leg in engine.legs()
            if leg.peer is not None and leg.direction is Direction.INBOUND
        ]
        if len(callers) == calls:
            return callers
        await trio.sleep(0.1)


class TimedWire:
    """A wire between a switch and its controller, which says when what went over it."""

    def __init__(self, switch_port: int) -> None:
        self._switch = socket.create_connection(("127.0.0.1", switch_port))
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.parked_s: dict[str, float] = {}
        self.ordered_s: dict[str, float] = {}

    def carry(self) -> None:
        """Carry both ways, until one side has enough."""
        controller, _ = self._door.accept()
        for end in (controller, self._switch):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upwards = threading.Thread(target=self._carry_orders, args=(controller,), daemon=True)
        upwards.start()
        wire = Wire()
        while data := self._switch.recv(bench_wire.CHUNK_BYTES):
            wire.receive(data)
            for frame in wire.frames():
                try:
                    controller.sendall(_bytes_of(frame))
                except ConnectionError:
                    return
                self._stamp(frame)

    def _stamp(self, frame: Frame) -> None:
        """Write down when a target was said to be parked."""
        now_s = time.monotonic()
        if b'"CHANNEL_PARK"' in frame.body:
            found = re.search(rb'"Unique-ID":\s*"(t\d+)-target"', frame.body)
            if found is not None:
                self.parked_s.setdefault(found[1].decode(), now_s)

    def _carry_orders(self, controller: socket.socket) -> None:
        try:
            while data := controller.recv(bench_wire.CHUNK_BYTES):
                now_s = time.monotonic()
                for found in re.finditer(rb"hookflash_join=(t\d+)\.1\b", data):
                    self.ordered_s.setdefault(found[1].decode(), now_s)
                self._switch.sendall(data)
        except ConnectionError:
            pass
        self._switch.shutdown(socket.SHUT_RDWR)


def _bytes_of(frame: Frame) -> bytes:
    return frame.head + b"\n\n" + frame.body


@attrs.frozen(kw_only=True)
class Delay:
    """How long a command takes to follow its event."""

    in_flight: int
    commands: int
    p50_ms: float
    p99_ms: float


def measure_delay(in_flight: int) -> Delay:
    """Measure with so many transfers in flight."""
    calls = max(in_flight, ONE_AFTER_ANOTHER)
    with _helper("--emulator", str(calls), str(RINGING_S[in_flight])) as emulator:
        wire = TimedWire(int(emulator.word))
        carrying = threading.Thread(target=wire.carry, daemon=True)
        carrying.start()
        said = _run("--control", str(wire.port), str(calls), str(in_flight))
    most = int(said.splitlines()[-1])
    assert most == in_flight, f"{most} were in flight at once, and not {in_flight}"
    delays = [1000 * (wire.ordered_s[t] - wire.parked_s[t]) for t in wire.ordered_s]
    assert len(delays) == calls, f"{len(delays)} of {calls} joins were seen"
    cuts = statistics.quantiles(delays, n=100)
    return Delay(in_flight=in_flight, commands=len(delays), p50_ms=cuts[49], p99_ms=cuts[98])


# ------------------------------------------------------------------------------ processes


@attrs.frozen
class _Helper:
    word: str
    """The first line that it printed."""


def _command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, os.environ.get("PYTHONPATH", "")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return [sys.executable, __file__, *arguments], environ


@contextmanager
def _helper(*arguments: str) -> Generator[_Helper]:
    """Another process of this file, while it is needed."""
    command, environ = _command(*arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        try:
            yield _Helper(process.stdout.readline().strip())
        finally:
            process.terminate()


def _run(*arguments: str) -> str:
    command, environ = _command(*arguments)
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environ, timeout=PATIENCE_S
    ).stdout


# ------------------------------------------------------------------------------- measuring


def measure(rounds: int = 3) -> Iterator[Figure]:
    """Measure everything, and yield the figures as they come."""
    whole = measure_whole(rounds)
    yield Figure(
        what="an event through client, engine and machine",
        value=whole.cpu_us,
        unit="µs CPU",
        target=TARGET_US,
    )
    peers = list(filter(bench_wire.installed, bench_wire.PEERS))
    for peer in bench_wire.measure(peers, rounds=rounds):
        yield Figure(
            what=f"… {peer.client} needs to receive it ({1e6 / peer.cpu_us:,.0f}/s, "
            f"we {1e6 / whole.cpu_us:,.0f}/s)",
            value=peer.cpu_us / whole.cpu_us,
            unit="×",
            target=TARGET_RATIOS[peer.client],
            at_least=True,
        )
    for in_flight, (p50_ms, p99_ms) in TARGETS_MS.items():
        delay = measure_delay(in_flight)
        what = f"event to command, {in_flight:,} in flight"
        yield Figure(what=f"{what}, p50", value=delay.p50_ms, unit="ms", target=p50_ms)
        yield Figure(what=f"{what}, p99", value=delay.p99_ms, unit="ms", target=p99_ms)


def main() -> int:
    """Measure, print, and say by the exit status whether the targets hold."""
    parser = argparse.ArgumentParser(description="what the whole way costs")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    for name, number in (("switch", 1), ("whole", 2), ("emulator", 2), ("control", 3)):
        parser.add_argument(f"--{name}", nargs=number, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.switch:
        play_switch(int(asked.switch[0]))
    elif asked.whole:
        trio.run(receive_whole, int(asked.whole[0]), int(asked.whole[1]))
    elif asked.emulator:
        trio.run(emulate, int(asked.emulator[0]), float(asked.emulator[1]))
    elif asked.control:
        port, calls, at_once = map(int, asked.control)
        trio.run(control, port, calls, at_once)
    else:
        return 0 if report(measure(rounds=asked.rounds)) else 1
    return 0


def report(figures: Iterator[Figure]) -> bool:
    """Print each figure as it comes; return whether every target holds."""
    good = True
    for figure in figures:
        good &= figure.ratio >= 1
        row = f"{figure.what:70} {figure.value:8.2f} {figure.unit}"
        print(f"{row}, target {figure.target:g}", flush=True)
    return good


if __name__ == "__main__":
    sys.exit(main())
