"""Other people's clients beside the emulator: each does a whole attended transfer over it.

They run in processes of their own, in real time, and under an interpreter that has them: the one of
`make bench`, or the one that HOOKFLASH_BENCH_PYTHON names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from hookflash.backends.simulator.people import Answers
from hookflash.backends.simulator.world import World
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.server import open_emulator
from hookflash.events import CallEvent, LegsJoined

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 30.0
MUSIC = "tone_stream://%(500,500,300);loops=-1"

TRANSFER = """
import json, sys

MUSIC = "tone_stream://%(500,500,300);loops=-1"
PARKS = "park_after_bridge=true;hangup_after_bridge=false;uuid_bridge_park_on_cancel=true"
ENDS = "park_after_bridge=false;hangup_after_bridge=true"

def transfer(send, wait):
    '''A whole transfer: send(line) gives the answer, wait(name, **headers) an event.'''
    def each(name, *legs):
        missing = set(legs)
        while missing:
            missing.discard((yield wait(name))["Unique-ID"])

    call = yield wait("CHANNEL_BRIDGE")
    a, b = call["Bridge-A-Unique-ID"], call["Bridge-B-Unique-ID"]
    yield send(f"api uuid_setvar {a} playback_terminators none")
    yield send(f"api uuid_transfer {a} -both park inline")
    yield from each("CHANNEL_PARK", a, b)
    yield send(f"api uuid_broadcast {b} {MUSIC} aleg")
    yield wait("PLAYBACK_START", b)
    options = "origination_uuid=carol,ignore_early_media=true,park_after_bridge=true"
    yield send(
        f"bgapi originate {{{options}}}sofia/internal/2600@127.0.0.1 &park()\\nJob-UUID: job-1"
    )
    yield wait("CHANNEL_PARK", "carol")
    yield send(f"api uuid_setvar_multi {a} {PARKS}")
    yield send(f"api uuid_setvar_multi carol {PARKS}")
    yield send(f"api uuid_bridge {a} carol")
    yield wait("CHANNEL_BRIDGE", a)
    yield wait("CHANNEL_PARK", "carol")
    yield send(f"api uuid_setvar_multi {b} {ENDS}")
    yield send(f"api uuid_setvar_multi carol {ENDS}")
    yield send(f"api uuid_bridge {b} carol")
    yield wait("CHANNEL_BRIDGE", b)
    yield from each("CHANNEL_DESTROY", b, "carol")
    yield send("api show channels count")

def report(answers, events):
    json.dump({"answers": answers, "events": events}, sys.stdout)
"""

GREENSWITCH = """
import gevent, greenswitch
from gevent.queue import Queue

events, answers, told = Queue(), [], []
client = greenswitch.InboundESL(host="127.0.0.1", port=int(sys.argv[1]), password="ClueCon")
client.connect()
client.register_handle("*", lambda event: events.put(dict(event.headers)))
answers.append(client.send("events plain ALL").data)

def send(line):
    answers.append(client.send(line).data.strip())

def wait(name, leg=None):
    with gevent.Timeout(15):
        while True:
            event = events.get()
            told.append([event.get("Event-Name"), event.get("Unique-ID")])
            if event.get("Event-Name") == name and leg in (None, event.get("Unique-ID")):
                return event

def lazy(call):
    return lambda *args: lambda: call(*args)

steps = transfer(lazy(send), lazy(wait))
step = next(steps)
try:
    while True:
        step = steps.send(step())
except StopIteration:
    pass
client.stop()
report(answers, told)
"""

GENESIS = """
import asyncio
from genesis import Channel, Inbound
from genesis.types import ChannelState

async def main():
    events, answers, told = asyncio.Queue(), [], []
    async with Inbound("127.0.0.1", int(sys.argv[1]), "ClueCon") as client:
        async def keep(event):
            await events.put(dict(event))
        client.on("*", keep)
        answers.append((await client.send("events plain ALL"))["Reply-Text"])

        async def send(line):
            reply = await client.send(line)
            answers.append((reply.body or reply.get("Reply-Text", "")).strip())

        async def wait(name, leg=None):
            async with asyncio.timeout(15):
                while True:
                    event = await events.get()
                    told.append([event.get("Event-Name"), event.get("Unique-ID")])
                    if event.get("Event-Name") == name and leg in (None, event.get("Unique-ID")):
                        return event

        steps = transfer(send, wait)
        step = next(steps)
        try:
            while True:
                step = steps.send(await step)
        except StopIteration:
            pass

    # … and with its own idea of a call, on a line of its own
    async with Inbound("127.0.0.1", int(sys.argv[1]), "ClueCon") as client:
        one = await Channel.create(client, "user/2600")
        await one.wait(ChannelState.EXECUTE, timeout=10)
        other = await Channel.create(client, "user/2610")
        await other.wait(ChannelState.EXECUTE, timeout=10)
        answers.append((await one.bridge(other)).body.strip())
        await one.wait("CHANNEL_BRIDGE", timeout=10)
        await one.hangup()
        await one.wait("CHANNEL_HANGUP_COMPLETE", timeout=10)
        answers.append("one bridged the other")
    report(answers, told)

asyncio.run(main())
"""


def python_with(package: str) -> str:
    """Find an interpreter that has a client, in the version of the extra `bench`."""
    named = os.environ.get("HOOKFLASH_BENCH_PYTHON")
    homes = [ROOT / ".venv-bench/bin/python"]
    probe = f"import {package}, importlib.metadata as m; print(m.version('{package}'))"
    for python in [named] if named else [*homes, sys.executable]:
        if not Path(python).exists():
            continue
        found = subprocess.run(
            [str(python), "-c", probe], capture_output=True, text=True, timeout=60, check=False
        )
        if found.returncode == 0 and not found.stdout.startswith("0.3."):
            return str(python)
    pytest.skip(f"{package} isn't installed: it lives in the extra 'bench' (make bench)")


async def run(python: str, script: str) -> dict[str, Any]:
    """Let a client do its transfer, with people who leave when their part is over."""
    world = World()
    world.add_phone("2600", Answers(after_s=0.2), "carol")
    world.add_phone("2610", Answers(after_s=0.2), "dora")
    emulator = Emulator(world=world)
    calls: list[str] = []

    def people(fact: CallEvent) -> None:
        if not isinstance(fact, LegsJoined):
            return
        if fact.second == "carol":  # Alice leaves the consultation; later, Bob leaves
            world.after(0.1, lambda: world.switch.hang_up(fact.first))

    def place_call() -> None:
        if not calls:
            world.after(0.1, lambda: calls.extend(emulator.call("1001", "1002")))

    emulator.on_fact = people
    emulator.bus.on_subscription = place_call
    with trio.fail_after(LIMIT_S):
        async with open_emulator(emulator) as listening:
            done = await trio.run_process(
                [python, "-c", TRANSFER + script, str(listening.port)],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    names = dict(zip(calls, ("alice", "bob"), strict=True))
    told["answers"] = [
        answer.replace(calls[0], "alice").replace(calls[1], "bob") for answer in told["answers"]
    ]
    told["events"] = [(name, names.get(leg, leg)) for name, leg in told["events"]]
    return told


ANSWERS = [
    "+OK event listener enabled plain",
    "+OK",
    "+OK",
    "+OK Message sent",
    "+OK Job-UUID: job-1",
    "+OK",
    "+OK",
    "+OK carol",
    "+OK",
    "+OK",
    "+OK carol",
    "0 total.",
]


@pytest.fixture(params=["greenswitch", "genesis"])
def stranger(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A client's name, and an interpreter that has it."""
    name: str = request.param
    return name, python_with(name)


async def test_a_stranger_transfers_a_call(stranger: tuple[str, str]) -> None:
    package, python = stranger
    told = await run(python, GENESIS if package == "genesis" else GREENSWITCH)
    assert told["answers"][: len(ANSWERS)] == ANSWERS
    ends = [leg for name, leg in told["events"] if name == "CHANNEL_DESTROY"]
    assert sorted(ends) == ["alice", "bob", "carol"]
    bridges = [leg for name, leg in told["events"] if name == "CHANNEL_BRIDGE"]
    assert bridges == ["alice", "alice", "bob"]
    if package == "genesis":
        assert told["answers"][-1] == "one bridged the other"
