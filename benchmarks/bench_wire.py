"""What an event costs: from the socket to a fact, beside the clients that PyPI offers.

A fake FreeSWITCH, in a process of its own, greets each client as a real one does, takes its `auth`
and its `event` command, and then sends the events of the recorded calls over and over, over
loopback TCP: 6 KB each on average, in the mix in which a switch sends them. Each client runs in a
fresh process, and its time is what that process spends from the subscription to the last event,
per event:

* **CPU time**, in user space and kernel, `recv` included. It is what the ratios are made of: on a
  busy machine it stays what it is.
* wall-clock time, which says the same on an idle one.

Of several rounds the best counts, as whatever disturbs a round can only make it slower.

`genesis` (asyncio) and `greenswitch` (gevent) are given what they can read, `event plain`: neither
parses `event json`. genesis' log is turned down to warnings, since it would print a line an event.
One handler for all events counts them. Ours gives facts, by way of `Wire` and `Inbound`.

    python benchmarks/bench_wire.py
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from hookflash.backends.freeswitch.inbound import EVENT_NAMES, Inbound
from hookflash.backends.freeswitch.recording import Way, read_recording
from hookflash.backends.freeswitch.wire import Frame, Wire

RECORDINGS: Final = Path(__file__).resolve().parent.parent / "tests" / "freeswitch" / "recordings"
CHUNK_BYTES: Final = 64 * 1024
PATIENCE_S: Final = 120.0
"""How long a client may take, before it counts as stuck."""

TARGETS_US: Final = {"json": 20.0, "plain": 30.0}
TARGET_RATIOS: Final = {
    ("json", "genesis"): 20.0,
    ("json", "greenswitch"): 7.0,
    ("plain", "genesis"): 12.0,
    ("plain", "greenswitch"): 4.0,
}


@attrs.frozen(kw_only=True)
class Client:
    """Somebody who receives events."""

    name: str
    form: str
    """What it subscribes to: `json` or `plain`."""
    replays: int
    """How often it gets the recorded events: enough for some half second of work."""


OURS: Final = (
    Client(name="hookflash", form="json", replays=80),
    Client(name="hookflash", form="plain", replays=80),
)
PEERS: Final = (
    Client(name="genesis", form="plain", replays=3),
    Client(name="greenswitch", form="plain", replays=8),
)


@attrs.frozen(kw_only=True)
class Cost:
    """What one event costs a client, at best."""

    client: str
    form: str
    events: int
    cpu_us: float
    wall_us: float


# ------------------------------------------------------------------------- the fake switch


def recorded_events(form: str) -> list[bytes]:
    """Return every event of the recorded calls, framed as it was."""
    events: list[bytes] = []
    for path in sorted(RECORDINGS.glob(f"*.{form}.jsonl.gz")):
        wire = Wire()
        for entry in read_recording(path):
            if entry.direction is Way.RECV:
                wire.receive(entry.raw())
        events += [
            frame.head + b"\n\n" + frame.body
            for frame in wire.frames()
            if frame.content_type == f"text/event-{form}"
        ]
    return events


def play_switch(form: str, replays: int) -> None:
    """Serve one client, then leave. Prints the port first."""
    stream = b"".join(recorded_events(form))
    with socket.create_server(("127.0.0.1", 0)) as door:
        print(door.getsockname()[1], flush=True)
        peer, _ = door.accept()
    with peer:
        peer.settimeout(PATIENCE_S)
        peer.sendall(b"Content-Type: auth/request\n\n")
        commands = commands_of(peer)
        for command in commands:
            peer.sendall(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
            if command.startswith(b"event "):
                break
        for _ in range(replays):
            peer.sendall(stream)
        if next(commands, b"") == b"exit":
            peer.sendall(b"Content-Type: command/reply\nReply-Text: +OK bye\n\n")


def commands_of(peer: socket.socket) -> Iterator[bytes]:
    """Yield what a client sends, command by command, until it leaves."""
    pending: bytes = b""
    while True:
        try:
            data = peer.recv(CHUNK_BYTES)
        except ConnectionError:
            return
        if not data:
            return
        parts: list[bytes] = (pending + data).split(b"\n\n")
        pending = parts.pop()
        yield from parts


# ---------------------------------------------------------------------------- the clients


class Watch:
    """Two clocks, started together."""

    def __init__(self) -> None:
        self._cpu_s, self._wall_s = time.process_time(), time.perf_counter()

    def report(self, events: int) -> None:
        """Print what an event has cost since."""
        cpu_s, wall_s = time.process_time() - self._cpu_s, time.perf_counter() - self._wall_s
        print(json.dumps({"cpu_us": cpu_s / events * 1e6, "wall_us": wall_s / events * 1e6}))


def receive_as_hookflash(port: int, form: str, events: int) -> None:
    """Count facts as well, so that it can't be for nothing that it was so quick."""
    wire, inbound = Wire(), Inbound()
    seen = facts = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:

        def ask(command: str) -> None:
            connection.sendall(command.encode() + b"\n\n")
            while next_frame().content_type != "command/reply":
                pass

        def next_frame() -> Frame:
            while (frame := wire.next_frame()) is None:
                data = connection.recv(CHUNK_BYTES)
                assert data, "the switch is gone"
                wire.receive(data)
            return frame

        ask("auth ClueCon")
        ask(f"event {form} {' '.join(EVENT_NAMES)}")
        watch = Watch()
        while seen < events:
            facts += len(inbound.receive(next_frame()))
            seen += 1
        watch.report(events)
    assert facts > events / 3
    assert inbound.skipped == 0


def receive_as_genesis(port: int, form: str, events: int) -> None:
    """Let genesis do it."""
    os.environ["GENESIS_LOG_LEVEL"] = "WARNING"
    genesis: Any = importlib.import_module("genesis")

    async def receive() -> None:
        seen = 0
        done = asyncio.Event()

        async def count(event: object) -> None:  # noqa: ARG001 - as genesis calls it
            nonlocal seen
            seen += 1
            if seen == events:
                done.set()

        async with genesis.Inbound("127.0.0.1", port, "ClueCon") as client:
            client.on("*", count)
            watch = Watch()
            await client.send(f"event {form} ALL")
            await asyncio.wait_for(done.wait(), PATIENCE_S)
            watch.report(events)

    asyncio.run(receive())


def receive_as_greenswitch(port: int, form: str, events: int) -> None:
    """Let greenswitch do it."""
    greenswitch: Any = importlib.import_module("greenswitch")
    gevent_event: Any = importlib.import_module("gevent.event")
    done = gevent_event.Event()
    seen = 0

    def count(event: object) -> None:  # noqa: ARG001 - as greenswitch calls it
        nonlocal seen
        seen += 1
        if seen == events:
            done.set()

    client = greenswitch.InboundESL(host="127.0.0.1", port=port, password="ClueCon")  # noqa: S106
    client.connect()
    client.register_handle("*", count)
    watch = Watch()
    client.send(f"event {form} ALL")
    assert done.wait(PATIENCE_S), "greenswitch is stuck"
    watch.report(events)
    client.stop()


RECEIVE: Final = {
    "hookflash": receive_as_hookflash,
    "genesis": receive_as_genesis,
    "greenswitch": receive_as_greenswitch,
}


# -------------------------------------------------------------------------------- measuring


def _round(client: Client, events: int) -> dict[str, float]:
    me = [sys.executable, __file__]
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, os.environ.get("PYTHONPATH", "")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    switch = subprocess.Popen(
        [*me, "--switch", client.form, str(client.replays)],
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
    )
    with switch:
        assert switch.stdout is not None
        try:
            port = switch.stdout.readline().strip()
            done = subprocess.run(
                [*me, "--client", client.name, port, client.form, str(events)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env=environ,
                timeout=PATIENCE_S,
            )
        finally:
            switch.terminate()
    return json.loads(done.stdout.splitlines()[-1])


def installed(client: Client) -> bool:
    """Tell whether a peer is there to be measured."""
    return importlib.util.find_spec(client.name) is not None


def measure(clients: Iterable[Client] | None = None, rounds: int = 3) -> list[Cost]:
    """Measure clients in turn, so that a busy spell of the machine hits all of them alike.

    Args:
        clients: whom; by default ours, and every peer that is installed.
        rounds: how often each; the best one counts.

    Returns:
        What an event costs each of them, in the same order.
    """
    who = list(clients) if clients is not None else [*OURS, *filter(installed, PEERS)]
    sizes = {form: len(recorded_events(form)) for form in ("json", "plain")}
    events = {client: sizes[client.form] * client.replays for client in who}
    results: dict[Client, list[dict[str, float]]] = {client: [] for client in who}
    for _ in range(rounds):
        for client in who:
            results[client].append(_round(client, events[client]))
    return [
        Cost(
            client=client.name,
            form=client.form,
            events=events[client],
            cpu_us=min(result["cpu_us"] for result in results[client]),
            wall_us=min(result["wall_us"] for result in results[client]),
        )
        for client in who
    ]


def main() -> int:
    """Measure, print, and say by the exit status whether the targets hold."""
    parser = argparse.ArgumentParser(description="what an event costs")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--switch", nargs=2, metavar=("FORM", "REPLAYS"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--client", nargs=4, metavar=("NAME", "PORT", "FORM", "EVENTS"), help=argparse.SUPPRESS
    )
    asked = parser.parse_args()
    if asked.switch:
        play_switch(asked.switch[0], int(asked.switch[1]))
        return 0
    if asked.client:
        name, port, form, events = asked.client
        RECEIVE[name](int(port), form, int(events))
        return 0
    return 0 if report(measure(rounds=asked.rounds)) else 1


def report(costs: list[Cost]) -> bool:
    """Print a table; return whether every target holds."""
    good = True
    print(f"{'client':12} {'form':6} {'events':>7} {'CPU µs':>8} {'wall µs':>8}")
    for cost in costs:
        row = f"{cost.client:12} {cost.form:6} {cost.events:7}"
        print(f"{row} {cost.cpu_us:8.1f} {cost.wall_us:8.1f}")
    for ours in (cost for cost in costs if cost.client == "hookflash"):
        target_us = TARGETS_US[ours.form]
        good &= ours.cpu_us <= target_us
        print(f"{ours.form}: {ours.cpu_us:.1f} µs an event, target {target_us:.0f}")
        for peer in (cost for cost in costs if cost.client != "hookflash"):
            ratio, target = peer.cpu_us / ours.cpu_us, TARGET_RATIOS[ours.form, peer.client]
            good &= ratio >= target
            print(f"{ours.form}: {ratio:.1f} × {peer.client}, target {target:.0f}")
    if not good:
        print("a target is missed")
    return good


if __name__ == "__main__":
    sys.exit(main())
