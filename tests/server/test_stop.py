"""The service stops, and reads its config again, without hurting anybody."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx
import pytest
import trio
from lab import Lab, config_of, open_lab
from processes import (
    PATIENCE_S,
    Notes,
    Process,
    asking,
    enters,
    make_key,
    serving,
    steps_in,
    write_config,
)
from trio.testing import MockClock

from hookflash.cli.service import hurry, obey, stop_notice
from hookflash.engine.record import Record
from hookflash.errors import InputError, Refusal
from hookflash.server.service import STOPPING

# ------------------------------------------------------------- on the virtual clock


async def test_a_stop_with_nobody_in_a_transfer_takes_no_time(
    lab: Lab, autojump_clock: MockClock
) -> None:
    await lab.call()
    began_s = trio.current_time()
    assert await lab.service.drain() == 0
    assert trio.current_time() == began_s


async def test_a_stop_waits_for_those_who_are_in_a_transfer(
    lab: Lab, autojump_clock: MockClock
) -> None:
    alice, bob = await lab.call()
    transfer = await lab.acme.transfer(alice, "2600")
    await lab.acme.until(transfer, "consulting")
    async with trio.open_nursery() as nursery:
        left: list[int] = []

        async def stop() -> None:
            left.append(await lab.service.drain())

        nursery.start_soon(stop)
        await trio.sleep(5)
        assert left == []
        lab.hang_up(alice)
    assert left == [0]
    assert (await lab.acme.look(f"transfers/{transfer}"))["outcome"] == "transferred"
    living = {leg.leg: leg for leg in lab.backend.world.snapshot()}
    assert living[bob].peer is not None


async def test_a_stop_waits_no_longer_than_it_may_and_says_what_is_left(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path, limits={"drain_s": 7.0}) as lab:
        for caller in ("1001", "1003"):
            alice, _ = await lab.call(caller, "1002")
            await lab.acme.transfer(alice, "2601", timeout=100)
        began_s = trio.current_time()
        assert await lab.service.drain() == 2
        assert 7.0 <= trio.current_time() - began_s < 8.0


async def test_who_says_it_twice_is_not_kept_waiting(lab: Lab, autojump_clock: MockClock) -> None:
    alice, _ = await lab.call()
    await lab.acme.transfer(alice, "2601")
    async with trio.open_nursery() as nursery:
        began_s = trio.current_time()
        nursery.start_soon(lab.service.drain)
        await trio.sleep(1)
        lab.service.hurry()
    assert trio.current_time() - began_s < 2


async def test_a_service_that_stops_takes_no_new_transfers(
    lab: Lab, autojump_clock: MockClock
) -> None:
    alice, _ = await lab.call()
    other, _ = await lab.call("1003", "1004")
    transfer = await lab.acme.transfer(alice, "2600")
    await lab.acme.until(transfer, "consulting")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lab.service.drain)
        await trio.sleep(1)
        refused = await lab.acme.act(other, "transfer", target="2600")
        assert refused.status_code == 503
        assert refused.json()["message"] == STOPPING
        assert refused.json()["data"] == {"refusal": "closing"}
        lab.press(other, "*22600")
        await trio.sleep(5)
        ready = await lab.nobody.ask("GET", "/readyz")
        assert ready.status_code == 503
        assert ready.json()["trouble"] == {"service": "is about to stop"}
        assert len(list(lab.service.group.transfers())) == 1  # that of before goes on
        assert (await lab.acme.ask("POST", f"transfers/{transfer}/complete")).status_code == 202
    refusals = [record for record in records_in(lab) if record.refusal is Refusal.CLOSING]
    assert len(refusals) == 2
    assert getattr(refusals[-1].event, "by", None) == "digits"
    assert (await lab.acme.look(f"transfers/{transfer}"))["outcome"] == "transferred"


def records_in(lab: Lab) -> list[Record]:
    return [step.record() for step in steps_in(lab.service.journal.settings.file.parent)]


async def test_a_config_that_is_read_again_holds_for_calls_that_begin_afterwards(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path) as lab:
        before, _ = await lab.call()
        metaflows = {"binding_digit": "#", "patterns": {r"2(\d+)": {"module": "transfer"}}}
        lab.service.reload(config_of(accounts={"acme": {"metaflows": metaflows}}))
        after, _ = await lab.call("1003", "1004")
        lab.press(before, "#22600")
        lab.press(after, "*22600")
        await trio.sleep(5)
        assert list(lab.service.group.transfers()) == []
        lab.press(before, "*22600")
        lab.press(after, "#22600")
        await trio.sleep(5)
        assert len(list(lab.service.group.transfers())) == 2


@pytest.mark.parametrize(
    ("part", "tables"),
    [
        ("listen", {"listen": {"http": "127.0.0.1:9999"}}),
        ("journal", {"journal": {"keep_days": 3}}),
        ("limits", {"limits": {"drain_s": 1}}),
        ("switches", {"switches": {"another": {"kind": "simulator"}}}),
    ],
)
async def test_a_config_that_changes_what_can_not_change_is_refused_as_a_whole(
    lab: Lab, autojump_clock: MockClock, part: str, tables: dict[str, object]
) -> None:
    before = await lab.acme.look("metaflows")
    changed = config_of(accounts={"acme": {"metaflows": {"binding_digit": "#"}}}, **tables)
    with pytest.raises(InputError, match="can't change while the service runs") as refused:
        lab.service.reload(changed)
    assert part in refused.value.where
    assert await lab.acme.look("metaflows") == before


async def signals_of(*numbers: signal.Signals) -> AsyncGenerator[int]:
    for number in numbers:
        await trio.sleep(1)
        yield number


async def test_signals_are_obeyed_until_one_says_to_stop(
    lab: Lab, autojump_clock: MockClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "hookflash.toml"
    await trio.Path(file).write_text("[limits]\ndrain_s = -1", encoding="utf-8")
    signals = signals_of(signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)
    await obey(signals, lab.service, file)
    await signals.aclose()
    assert capsys.readouterr().out.startswith(
        "reload rejected; the previous configuration stays in effect: "
    )
    await trio.Path(file).write_text('[defaults]\ntakeback_digits = "*9"', encoding="utf-8")
    signals = signals_of(signal.SIGHUP, signal.SIGINT)
    await obey(signals, lab.service, file)
    await signals.aclose()
    assert capsys.readouterr().out == (
        "configuration reloaded; it applies to calls that begin from now on\n"
    )
    await obey(signals_of(signal.SIGHUP), lab.service, None)
    assert capsys.readouterr().out == "there is no configuration file to reload\n"


async def test_only_a_signal_that_says_to_stop_hurries_a_stop(
    lab: Lab, autojump_clock: MockClock
) -> None:
    alice, _ = await lab.call()
    await lab.acme.transfer(alice, "2601")
    async with trio.open_nursery() as nursery:
        began_s = trio.current_time()
        nursery.start_soon(
            hurry, signals_of(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM), lab.service
        )
        assert await lab.service.drain() == 1
        assert 3.0 <= trio.current_time() - began_s < 4.0


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (0, "stopped; nobody is in a transfer"),
        (1, "stopped; 1 transfer is left to the switches' failsafes"),
        (2, "stopped; 2 transfers are left to the switches' failsafes"),
    ],
)
def test_who_is_left_is_said(left: int, told: str) -> None:
    assert stop_notice(left) == told


# --------------------------------------------------------------- a process, signalled

SIMULATOR = 'kind = "simulator"\naccount = "acme"\ncalls = [["1001", "1002"]]'


@attrs.frozen
class Served:
    process: Process
    client: httpx.AsyncClient
    config: Path

    async def says(self, *words: str) -> str:
        """The next line that it prints, in which these words must be."""
        line = await self.process.lines.receive()
        assert all(word in line for word in words), line
        return line

    async def ends(self) -> int:
        return await self.process.process.wait()


@asynccontextmanager
async def served(folder: Path, notes: Notes | None = None, **more: str) -> AsyncGenerator[Served]:
    key = make_key(folder)
    config = write_config(folder, SIMULATOR, **more)
    with trio.fail_after(PATIENCE_S):
        async with (
            serving(config) as process,
            asking(process, key) as client,
            trio.open_nursery() as nursery,
        ):
            await nursery.start((notes or Notes()).follow, process, key)
            yield Served(process, client, config)
            nursery.cancel_scope.cancel()


async def begin_transfer(serving: Served, notes: Notes) -> str:
    joined = await notes.until(lambda told: told["kind"] == "call.joined")
    data = {"action": "transfer", "target": "2601", "timeout": 3600}
    taken = await serving.client.post(f"channels/{joined['call_id']}", json={"data": data})
    assert taken.status_code == 202, taken.text
    await notes.until(enters("dialing"))
    return str(taken.json()["data"]["transfer_id"])


@pytest.mark.slow
async def test_sigterm_ends_it_well(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        service.process.process.terminate()
        await service.says("stopped; nobody is in a transfer")
        assert await service.ends() == 0


@pytest.mark.slow
async def test_sigterm_waits_as_long_as_it_may_and_says_what_is_left(tmp_path: Path) -> None:
    notes = Notes()
    async with served(tmp_path, notes, limits="drain_s = 0.2") as service:
        await begin_transfer(service, notes)
        service.process.process.terminate()
        await service.says("waiting up to 0.2 s for 1 transfer; Ctrl-C again ends at once")
        await service.says("stopped; 1 transfer is left to the switches' failsafes")
        assert await service.ends() == 0
    numbers = [step.number for step in steps_in(tmp_path)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.slow
async def test_a_second_sigterm_hurries_it(tmp_path: Path) -> None:
    notes = Notes()
    async with served(tmp_path, notes, limits="drain_s = 3600") as service:
        transfer = await begin_transfer(service, notes)
        service.process.process.terminate()
        ready = f"{service.process.http}/readyz"
        while "service" not in (await service.client.get(ready)).json()["trouble"]:
            await trio.sleep(0.05)
        seen = await service.client.get(f"transfers/{transfer}")
        assert seen.json()["data"]["state"] == "dialing"  # it works on while it waits
        service.process.process.terminate()
        await service.says("waiting up to 3600 s for 1 transfer")
        await service.says("1 transfer is left")
        assert await service.ends() == 0


@pytest.mark.slow
async def test_sighup_lets_a_good_config_hold_and_refuses_a_bad_one_as_a_whole(
    tmp_path: Path,
) -> None:
    async def codes(service: Served) -> str:
        answered = await service.client.get("metaflows")
        return str(answered.json()["data"]["binding_digit"])

    async with served(tmp_path) as service:

        async def read_again(*words: str, **more: str) -> None:
            write_config(tmp_path, SIMULATOR, **more)
            service.process.process.send_signal(signal.SIGHUP)
            await service.says(*words)

        assert await codes(service) == "*"
        hash_sign = {"accounts.acme.metaflows": 'binding_digit = "#"'}
        await read_again("configuration reloaded", **hash_sign)
        assert await codes(service) == "#"
        wrong = {"accounts.acme.metaflows": 'binding_digit = "A"', "limits": "drain_s = -1"}
        await read_again(
            "reload rejected; the previous configuration stays in effect", "limits.drain_s", **wrong
        )
        assert await codes(service) == "#"
        elsewhere = {"accounts.acme.metaflows": 'binding_digit = "*"', "limits": "drain_s = 7"}
        await read_again("reload rejected", "limits", "restart", **elsewhere)
        assert await codes(service) == "#"
        await trio.Path(service.config).unlink()
        service.process.process.send_signal(signal.SIGHUP)
        await service.says(
            "reload rejected; the previous configuration stays in effect", "can't be read"
        )
        service.process.process.terminate()
        await service.says("stopped")
        assert await service.ends() == 0


@pytest.mark.slow
async def test_a_journal_that_is_in_use_is_refused_to_a_second_service(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        second = await trio.run_process(
            [sys.executable, "-m", "hookflash", "serve", "--config", str(service.config)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        assert second.returncode == 1  # not 2: the other may end, so systemd is to try again
        assert b"another hookflash process uses this journal" in second.stderr
        assert b"Traceback" not in second.stderr
