"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from pathlib import Path

import attrs
import pytest
import trio
from lab import SWITCH, Lab
from processes import PATIENCE_S, serving, write_config
from structlog.testing import capture_logs
from trio.testing import MockClock

from hookflash.cli.service import obey
from hookflash.commands import SwitchCommand
from hookflash.server.systemd import (
    EXTENDED_S,
    LONGEST_STATUS,
    REPORT_S,
    STUCK_S,
    Reporter,
    Systemd,
)


@attrs.frozen
class Heard:
    """systemd's end."""

    socket: socket.socket
    address: str

    def messages(self) -> list[dict[str, str]]:
        """What has come since the last time."""
        found: list[dict[str, str]] = []
        while True:
            try:
                text = self.socket.recv(65_536).decode()
            except BlockingIOError:
                return found
            found.append(dict(line.split("=", 1) for line in text.splitlines()))


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Heard]:
    address = f"@hookflash-test-{os.getpid()}" if request.param == "abstract" else "notify"
    if request.param == "path":
        address = str(tmp_path / address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(0)
        listening.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
        yield Heard(listening, address)


def test_what_systemd_has_set_is_read_and_removed(systemd: Heard) -> None:
    environ = {
        "NOTIFY_SOCKET": systemd.address,
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    ours = Systemd.from_environ(environ)
    assert ours == Systemd(systemd.address, 30.0)
    assert environ == {"PATH": "/bin"}
    for nothing in ({}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "²"}):
        assert Systemd.from_environ(dict(nothing)) == Systemd()
    assert Systemd.from_environ({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}).watchdog_s is None


def test_without_systemd_nothing_is_sent_and_a_deaf_one_does_no_harm(tmp_path: Path) -> None:
    with capture_logs() as logs:
        Systemd().ready()
        assert logs == []
        Systemd(str(tmp_path / "nobody")).ready()
    assert [entry["event"] for entry in logs] == ["systemd.unreachable"]


async def test_a_service_reports_how_it_is(
    autojump_clock: MockClock, lab: Lab, nursery: trio.Nursery, systemd: Heard
) -> None:
    nursery.start_soon(Reporter(Systemd(systemd.address, 30.0), lab.service).run)
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601")
    systemd.messages()
    await trio.sleep(REPORT_S)
    assert systemd.messages() == [
        {"WATCHDOG": "1"},
        {"STATUS": f"up: {SWITCH}; transfers in flight: 1"},
    ]

    nursery.start_soon(lab.service.drain)
    await trio.sleep(REPORT_S)
    assert {"EXTEND_TIMEOUT_USEC": str(int(EXTENDED_S * 1e6))} in systemd.messages()
    await lab.acme.ended(transfer)
    nursery.cancel_scope.cancel()


async def test_the_watchdog_is_fed_whatever_a_switch_says(
    autojump_clock: MockClock, lab: Lab, systemd: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "x" * 1_000_000 + "\udcff"

    def away(_: object) -> dict[str, str]:
        return {SWITCH: why}

    monkeypatch.setattr(type(lab.service.group), "away", away)
    with capture_logs() as logs:
        Reporter(Systemd(systemd.address, 30.0), lab.service).report()
    watchdog, status = systemd.messages()
    assert watchdog == {"WATCHDOG": "1"}
    assert len(status["STATUS"]) == LONGEST_STATUS
    assert logs == []
    Systemd(systemd.address).tell(STATUS="\udcff")
    assert systemd.messages() == [{"STATUS": "?"}]


async def test_the_watchdog_hears_nothing_of_an_engine_that_is_stuck(
    autojump_clock: MockClock,
    lab: Lab,
    nursery: trio.Nursery,
    systemd: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(command: SwitchCommand) -> None:
        await trio.sleep_forever()

    nursery.start_soon(Reporter(Systemd(systemd.address, 4.0), lab.service).run)
    alice, bob = await lab.call()
    await trio.sleep(300)  # idle is not stuck
    systemd.messages()
    await trio.sleep(4)
    assert {"WATCHDOG": "1"} in systemd.messages()
    monkeypatch.setattr(lab.backend, "perform", never)
    nursery.start_soon(lab.acme.transfer, alice, "2600")
    await trio.sleep(1)
    lab.press(bob, "5")
    await trio.sleep(STUCK_S + 3)
    systemd.messages()
    with capture_logs() as logs:
        await trio.sleep(10)
    assert not any("WATCHDOG" in told for told in systemd.messages())
    assert {entry["event"] for entry in logs} == {"engine.stuck"}
    nursery.cancel_scope.cancel()


async def test_a_reload_is_told(autojump_clock: MockClock, lab: Lab, systemd: Heard) -> None:
    async def signals() -> AsyncGenerator[int]:
        yield signal.SIGHUP
        yield signal.SIGTERM

    file = Path("missing.toml")
    async with aclosing(signals()) as received:
        await obey(received, lab.service, file, Systemd(systemd.address))
    begun, ended = systemd.messages()
    assert begun["RELOADING"] == "1"
    assert int(begun["MONOTONIC_USEC"]) > 0
    assert ended == {"READY": "1"}


@pytest.mark.slow
async def test_a_process_from_its_start_to_its_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: Heard
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    async with serving(write_config(tmp_path, 'kind = "simulator"')) as service:
        await trio.sleep(0.3)
        first, *more = systemd.messages()
        assert first == {"READY": "1"}
        assert more
        assert {"WATCHDOG": "1"} in more
        service.process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE_S):
            await service.process.wait()
        assert {"STOPPING": "1"} in systemd.messages()
