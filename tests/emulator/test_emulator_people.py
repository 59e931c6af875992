"""`hookflash emulate`: a scenario's people at the emulator's phones, and the command itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from shipped import FOLDER, SCENARIOS
from trio.testing import MockClock

import hookflash.cli.emulator
from hookflash.backends.freeswitch.client import open_freeswitch
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.simulator.executor import DIRECT
from hookflash.cli.emulator import emulate, prepare
from hookflash.emulator.server import open_emulator
from hookflash.emulator.session import EventSocketSession
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.errors import InputError
from hookflash.fsm.transfer import Outcome
from hookflash.server.addresses import read_address

SCENARIO = """
title = "Everything that people do"
seed = 3

[parties]
alice = {number = "1001"}
bob   = {number = "1002"}
carol = {number = "2650", phone = "manual"}

[[do]]
who = "alice"
at_s = 1
dials = "12"
every_s = 0.2

[[do]]
who = "bob"
after_s = 0.5
does = "hangs up"

[[do]]
who = "carol"
when = "carol rings"
after_s = 0.3
does = "answers"

[[do]]
who = "carol"
after_s = 1.0
asks = "hangup"

[[do]]
who = "carol"
after_s = 1.0
dials = "#"

[[do]]
who = "alice"
does = "hangs up"

[expect]
"""


class Listener:
    """A program that listens to the emulator, without a socket."""

    def __init__(self, scenario: str, folder: Path) -> None:
        file = folder / "scenario.toml"
        file.write_text(scenario, encoding="utf-8")
        self.emulator, people = prepare(file)
        assert people is not None
        people.come()
        self.session: EventSocketSession = self.emulator.connect()

    def run(self, until_s: float) -> list[tuple[str, str]]:
        """The events until then: their names, and what they tell."""
        self.emulator.world.run(until_s)
        told: list[tuple[str, str]] = []
        for event in self.session.take().decode().split("Event-Name: ")[1:]:
            headers = dict(line.split(": ", 1) for line in event.split("\n")[1:] if ": " in line)
            told.append((event.partition("\n")[0], headers.get("DTMF-Digit", "")))
        return told

    def say(self, line: str) -> None:
        self.session.receive(f"{line}\n\n".encode())


def test_people_wait_for_a_listener_and_do_their_part(tmp_path: Path) -> None:
    listener = Listener(SCENARIO, tmp_path)
    assert listener.run(60.0) == []
    listener.say("auth ClueCon")
    listener.say("event plain CHANNEL_BRIDGE DTMF CHANNEL_ANSWER CHANNEL_HANGUP")
    assert listener.run(70.0) == [
        ("CHANNEL_ANSWER", ""),
        ("CHANNEL_ANSWER", ""),
        ("CHANNEL_BRIDGE", ""),
        ("DTMF", "1"),
        ("DTMF", "2"),
        ("CHANNEL_HANGUP", ""),
        ("CHANNEL_HANGUP", ""),
    ]
    listener.say("event plain CHANNEL_PARK")
    listener.say("bgapi originate user/2650 &park()")
    assert listener.run(80.0) == [("CHANNEL_ANSWER", ""), ("CHANNEL_PARK", ""), ("DTMF", "%23")]


REFUSES = """
title = "Carol declines"
[parties]
alice = {number = "1001"}
bob   = {number = "1002"}
carol = {number = "2650", phone = "manual"}
[[do]]
who = "alice"
at_s = 0.5
dials = "5"
[[do]]
who = "carol"
when = "carol rings"
does = "refuses"
[expect]
"""


def test_people_decline(tmp_path: Path) -> None:
    listener = Listener(REFUSES, tmp_path)
    listener.say("auth ClueCon")
    listener.say("event plain DTMF")
    assert listener.run(10.0) == [("DTMF", "5")]
    listener.say("event plain BACKGROUND_JOB")
    listener.say("bgapi originate user/2650 &park()")
    listener.emulator.world.run(20.0)
    assert b"-ERR CALL_REJECTED" in listener.session.take()


def playable() -> list[str]:
    """Shipped scenarios in which people act, on people's cues, under the stock policy."""
    found: list[str] = []
    for name, scenario in SCENARIOS.items():
        people_only = all(
            line.asks is None
            and line.who in {party.name for party in scenario.parties}
            and line.does in {None, "answers", "hangs up", "refuses"}
            and not (line.when or "").startswith("the ")
            for line in scenario.script
        )
        plain = scenario.account == Account() and not scenario.tenants
        stock = plain and not scenario.faults.bend_commands
        single = len(scenario.calls) == 1 and scenario.race is None
        transfers = {outcome.value for outcome in Outcome} & set(scenario.expect.outcome or ())
        if people_only and stock and single and transfers:
            found.append(name)
    return found


@pytest.mark.parametrize("name", playable())
async def test_a_shipped_scenario_ends_as_it_should_over_the_emulator(
    name: str, autojump_clock: MockClock
) -> None:
    """The people at the emulator's phones, our own engine at its event socket."""
    expected = SCENARIOS[name].expect.outcome
    emulator, people = prepare(FOLDER / f"{name}.toml")
    assert people is not None
    people.come()
    async with (
        open_emulator(emulator) as listening,
        open_freeswitch(FreeSwitch(port=listening.port, dialling=DIRECT)) as backend,
        open_engine(backend) as engine,
        engine.follow() as follower,
    ):
        with trio.fail_after(600):
            async for record in follower:
                if record.outcome is not None:
                    assert expected is not None
                    assert record.outcome.value in expected
                    return


def test_without_a_scenario() -> None:
    emulator, people = prepare(None, password="p", seed=4)  # noqa: S106 - of an emulator
    assert people is None
    assert emulator.password == "p"  # noqa: S105
    assert emulator.world.seed == 4


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8021", ("127.0.0.1", 8021)),
        ("[::1]:0", ("::1", 0)),
        ("here:1", ("here", 1)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert read_address(text, where="--listen") == address


@pytest.mark.parametrize("text", ["8021", ":8021", "host:", "host:x", "host:65536", ""])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match="is not an address"):
        read_address(text, where="--listen")


# ----------------------------------------------------------------- the command

COMMAND = "from hookflash.cli.emulator import emulate; emulate(listen='{listen}', scenario={file})"


@contextmanager
def running(listen: str, file: str = "None") -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(listen=listen, file=file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_the_command_listens_until_it_is_interrupted() -> None:
    with running("127.0.0.1:0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("a FreeSWITCH event socket listens on 127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0


@pytest.mark.slow
async def test_the_command_says_what_is_wrong_with_a_port() -> None:
    async with open_emulator() as listening:
        with running(f"127.0.0.1:{listening.port}") as process:
            _, errors = await trio.to_thread.run_sync(process.communicate)
    assert "InputError: " in errors
    assert "can't listen" in errors


def test_the_command_in_this_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it but the waiting."""

    async def serve(*_args: object, task_status: object, **_options: object) -> None:
        assert isinstance(task_status, hookflash.cli.emulator.Announcement)
        task_status.started(None)
        task_status.started(
            hookflash.cli.emulator.Listening(emulator=prepare(None)[0], host="::1", port=7)
        )

    monkeypatch.setattr(hookflash.cli.emulator, "serve_emulator", serve)
    assert emulate(listen="[::1]:0", scenario=FOLDER / "busy.toml") == 0
    assert capsys.readouterr().out == "a FreeSWITCH event socket listens on [::1]:7\n"

    async def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hookflash.cli.emulator, "serve_emulator", interrupted)
    with pytest.raises(KeyboardInterrupt):
        emulate()

    async def taken(*_args: object, **_options: object) -> None:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(hookflash.cli.emulator, "serve_emulator", taken)
    with pytest.raises(InputError, match="can't listen"):
        emulate()
