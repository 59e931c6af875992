"""The service dies at any moment, and comes back on the same journal: nothing is lost.

First on the virtual clock, where it is cut off after each step of a transfer in turn, with the file
as it lay on the disk at that moment, while the (emulated) switch and its people live on. Then as a
process of its own, killed with SIGKILL.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import pytest
import trio
from lab import Lab, config_of, inline, now
from processes import (
    JOURNAL,
    PATIENCE_S,
    Notes,
    asking,
    enters,
    make_key,
    serving,
    steps_in,
    write_config,
)
from trio.testing import MockClock

from hookflash.backends.base import LOST_TRACK
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.server import Listening, open_emulator
from hookflash.engine.engine import Engine
from hookflash.engine.record import Record
from hookflash.events import TransferOptions
from hookflash.fsm.transfer import Outcome, State
from hookflash.journal import history, transfers
from hookflash.journal.database import open_for_reading
from hookflash.journal.replay import rerun
from hookflash.journal.transfers import Past
from hookflash.server.config import Config
from hookflash.server.service import Service, open_service
from hookflash.sounds import parse_sound
from hookflash.transfer_context import TransferContext, program_data

pytestmark = pytest.mark.slow

SWITCH: Final = "fs"
JAZZ: Final = parse_sound("tone:350/1000,0/1000")


def config_on(listening: Listening, **tables: Any) -> Config:
    switch = {
        "kind": "freeswitch",
        "host": listening.host,
        "port": listening.port,
        "password": "ClueCon",
    }
    return config_of(switches={SWITCH: switch}, **tables)


@asynccontextmanager
async def open_controller(listening: Listening, folder: Path) -> AsyncGenerator[Service]:
    """A service on an emulated switch, once it has found it."""
    async with open_service(config_on(listening), beside=folder, now=now, run=inline) as service:
        with trio.fail_after(60):
            while service.group.away():
                await trio.sleep(0.01)
        yield service


def engine_of(service: Service) -> Engine:
    return service.group.engines[SWITCH]


async def begin_call(listening: Listening, service: Service) -> tuple[str, str]:
    legs = listening.emulator.call("1001", "1002", account="acme")
    lines = engine_of(service).switchboard.legs
    with trio.fail_after(60):
        while any(leg not in lines or lines[leg].peer is None for leg in legs):
            await trio.sleep(0.01)
    return legs


def copy_of(folder: Path) -> Path:
    """The journal as it lies on the disk now, in a folder of its own."""
    after = folder / "after the crash"
    after.mkdir()
    for file in folder.glob(f"{JOURNAL}*"):
        shutil.copy(file, after)
    return after


def transfers_in(folder: Path) -> list[Past]:
    connection = open_for_reading(folder / JOURNAL)
    try:
        return transfers.find_transfers(connection)
    finally:
        connection.close()


def check_history(folder: Path) -> None:
    """No number is missing or twice, each transfer has one outcome, and runs again as written."""
    steps = steps_in(folder)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    connection = open_for_reading(folder / JOURNAL)
    try:
        assert transfers.unfinished(connection) == {}
        for transfer in transfers.transfer_ids(connection):
            about = history.steps_of(connection, transfer)
            assert [step.kind for step in about].count("transfer.ended") == 1
            assert rerun(about).differences == ()
    finally:
        connection.close()


# ------------------------------------------------------------- on the virtual clock

Actions = list[tuple[float, Callable[[], object]]]
"""What people do, and how long after the action before it, or after the transfer was asked for."""

Story = Callable[[Emulator, tuple[str, str]], Actions]


def alice_hands_over(emulator: Emulator, legs: tuple[str, str]) -> Actions:
    return [(4.0, partial(emulator.hang_up, legs[0]))]


def alice_takes_back(emulator: Emulator, legs: tuple[str, str]) -> Actions:
    dial = partial(emulator.press, legs[0], "*9")
    return [(4.0, dial), (6.0, dial)]  # nobody may have heard it the first time


def bob_leaves(emulator: Emulator, legs: tuple[str, str]) -> Actions:
    return [(4.0, partial(emulator.hang_up, legs[1]))]


def alice_leaves_while_it_rings(emulator: Emulator, legs: tuple[str, str]) -> Actions:
    return [(0.7, partial(emulator.hang_up, legs[0]))]


CRASHES = [
    *((alice_hands_over, Outcome.TRANSFERRED, after) for after in range(1, 17)),
    *((alice_takes_back, Outcome.TAKEN_BACK, after) for after in range(2, 22, 3)),
    *((bob_leaves, Outcome.ABANDONED, after) for after in range(3, 18, 3)),
    *((alice_leaves_while_it_rings, Outcome.TRANSFERRED, after) for after in range(4, 16, 2)),
]


@attrs.define
class Crash:
    """Cuts a service off after so many steps."""

    folder: Path
    after_steps: int
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    left: Path | None = None
    promised: int = 0
    """The last number that anybody outside was told, when it happened."""
    service: Service | None = None

    def tell(self, record: Record) -> None:
        self.after_steps -= 1
        if self.after_steps == 0 and self.service is not None:
            self.left = copy_of(self.folder)
            self.promised = self.service.journal.published
            self.scope.cancel()


async def people(actions: Actions) -> None:
    """They do what they do, whoever controls their calls."""
    for after_s, action in actions:
        await trio.sleep(after_s)
        action()


async def all_is_settled(service: Service) -> None:
    with trio.fail_after(120):
        while any(True for _ in service.group.transfers()):
            await trio.sleep(0.1)
    await trio.sleep(10)  # and hang-ups are done


@pytest.mark.parametrize(("story", "outcome", "after_steps"), CRASHES)
async def test_a_service_that_dies_after_any_step_comes_back_and_forgets_nobody(
    story: Story, outcome: Outcome, after_steps: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_emulator() as listening, trio.open_nursery() as nursery:
        crash = Crash(tmp_path, after_steps)
        with crash.scope:
            async with open_controller(listening, tmp_path) as service:
                legs = await begin_call(listening, service)
                crash.service = service
                engine_of(service).tap(crash.tell)
                nursery.start_soon(people, story(listening.emulator, legs))
                await engine_of(service).transfer(
                    legs[0], "2600", options=TransferOptions(takeback_digits="*9")
                )
                await all_is_settled(service)
        after = crash.left
        assert after is not None, "the story was over before the crash"
        await trio.sleep(0.5)  # nobody controls the calls
        async with open_controller(listening, after) as again:
            assert all(line.responsible == "acme" for line in engine_of(again).legs())
            await all_is_settled(again)
            assert not any(watch.broken for watch in again.watches.values())
            living = listening.emulator.world.snapshot()
            assert [leg for leg in living if leg.peer is None] == []
    assert len(steps_in(after)) >= crash.promised
    check_history(after)
    for past in transfers_in(after):
        # what was not heard while nobody was there may have had no effect: Alice and Bob talk then
        assert past.outcome == outcome or past.cause == "CONTROLLER_RESTARTED", past


async def crashed_while(
    state: State, listening: Listening, folder: Path, **wishes: Any
) -> tuple[Path, str, tuple[str, str]]:
    """Let a service die while a transfer to 2650 is in a state, with all that it knew written.

    Returns:
        Where the journal is; the transfer; the legs of the two.
    """
    left: tuple[Path, str, tuple[str, str]] | None = None
    with trio.CancelScope() as scope:
        async with open_controller(listening, folder) as service:
            legs = await begin_call(listening, service)
            transfer = await engine_of(service).transfer(legs[0], "2650", **wishes)
            with trio.fail_after(60):
                while transfer.transfer is None or transfer.transfer.state is not state:
                    await trio.sleep(0.01)
            await trio.sleep(0.5)
            left = copy_of(folder), transfer.id, legs
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert left is not None
    return left


CONTEXT = TransferContext(headers=(("X-Ticket", "1"),), data=program_data({"ticket": [1, None]}))


async def test_what_was_wished_for_survives(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_emulator() as listening:
        after, name, legs = await crashed_while(
            State.DIALING,
            listening,
            tmp_path,
            options=TransferOptions(
                music=JAZZ, takeback_digits="*9", ring_timeout_s=77, context=CONTEXT
            ),
            by="key 1",
        )
        async with open_controller(listening, after) as again:
            transfer = engine_of(again).switchboard.transfer(name)
            assert transfer is not None
            told = (transfer.policy.music, transfer.policy.ring_timeout_s, transfer.by)
            assert told == (JAZZ, 77, "key 1")
            assert transfer.context == CONTEXT
            assert transfer.state is State.DIALING
            assert again.group.engines[SWITCH].switchboard.account_of(name) == "acme"
            listening.emulator.press(legs[0], "*9")
            await all_is_settled(again)
        (past,) = transfers_in(after)
        assert (past.outcome, past.by) == (Outcome.TAKEN_BACK, "key 1")
        assert past.data == CONTEXT.data
        check_history(after)


async def test_a_target_that_does_not_answer_rings_as_long_as_was_wished_for_and_no_longer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_emulator() as listening:
        after, _, _ = await crashed_while(
            State.DIALING, listening, tmp_path, options=TransferOptions(ring_timeout_s=7)
        )
        async with open_controller(listening, after) as again:
            await all_is_settled(again)
        (past,) = transfers_in(after)
        assert past.outcome == Outcome.RECONNECTED
        assert past.ended is not None
        assert past.ended - past.begun < 7 + 5 + 5  # the switch's own limit, or ours after it


async def test_a_transfer_that_ended_while_nobody_was_there_gets_its_outcome(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_emulator() as listening:
        after, name, legs = await crashed_while(State.DIALING, listening, tmp_path)
        for leg in legs:
            listening.emulator.hang_up(leg)
        await trio.sleep(60)
        async with open_controller(listening, after) as again:
            await all_is_settled(again)
        (past,) = transfers_in(after)
        assert (past.id, past.outcome, past.cause) == (name, Outcome.FAILED, LOST_TRACK)
        assert past.parties.transferor.number == "1001"
        check_history(after)


async def test_two_crashes_in_one_transfer(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_emulator() as listening:
        after, _, legs = await crashed_while(State.DIALING, listening, tmp_path)
        listening.emulator.answer("2650")
        second = after / "after the crash"
        with trio.CancelScope() as scope:
            async with open_controller(listening, after):
                await trio.sleep(2)
                assert copy_of(after) == second
                scope.cancel()
                await trio.lowlevel.checkpoint()
        async with open_controller(listening, second) as again:
            listening.emulator.hang_up(legs[0])
            await all_is_settled(again)
        (past,) = transfers_in(second)
        assert past.outcome == Outcome.TRANSFERRED
        assert [step.kind for step in steps_in(second)].count("transfer.found") == 2
        check_history(second)


async def test_a_switch_that_is_no_longer_in_the_config_is_missed_aloud(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_emulator() as listening:
        after, name, _ = await crashed_while(State.DIALING, listening, tmp_path)
        async with open_service(config_of(), beside=after, now=now, run=inline):
            pass
        assert name in caplog.text
        assert "switch.not_configured" in caplog.text


# ------------------------------------------------------------------ a disk that fails


async def test_with_a_disk_that_fails_transfers_go_on_and_it_is_said(
    lab: Lab, autojump_clock: MockClock, tmp_path: Path
) -> None:
    alice, _ = await lab.call()
    await lab.service.journal.change(lambda c: c.execute("PRAGMA query_only = ON"))
    transfer = await lab.acme.transfer(alice, "2600")
    await lab.acme.until(transfer, "consulting")
    ready = await lab.nobody.ask("GET", "/readyz")
    assert ready.status_code == 503
    assert "readonly" in ready.json()["trouble"]["journal"]
    told = (await lab.nobody.ask("GET", "/metrics")).text
    assert "hookflash_journal_ok 0.0" in told
    assert "hookflash_journal_waiting 0.0" not in told
    assert (await lab.nobody.ask("GET", "/healthz")).status_code == 200
    assert (await lab.acme.ask("POST", f"transfers/{transfer}/complete")).status_code == 202
    await lab.acme.look("channels")
    await lab.service.journal.change(lambda c: c.execute("PRAGMA query_only = OFF"))
    await trio.sleep(5)
    assert (await lab.nobody.ask("GET", "/readyz")).status_code == 200
    assert "hookflash_journal_ok 1.0" in (await lab.nobody.ask("GET", "/metrics")).text
    assert (await lab.acme.look(f"transfers/{transfer}"))["outcome"] == "transferred"
    check_history(tmp_path)


# ------------------------------------------------------------------ a process, killed


def joins_for_consultation(told: dict[str, Any]) -> bool:
    return told.get("state") == "consulting" and told["event"]["type"] == "LegsJoined"


def rings(told: dict[str, Any]) -> bool:
    return told.get("state") == "dialing" and told["kind"] == "call.progressed"


async def play_until(moment: str, notes: Notes, emulator: Emulator, alice: str) -> None:
    """Let the transfer go on until the moment at which the service is to be killed."""
    if moment == "holding":
        return
    await notes.until(enters("dialing"))
    if moment == "dialing":
        return
    await notes.until(rings)
    emulator.answer("2650")
    await notes.until(joins_for_consultation)
    if moment == "consulting":
        return
    emulator.hang_up(alice)
    await notes.until(enters("completing"))


async def finish(emulator: Emulator, client: httpx.AsyncClient, name: str, alice: str) -> str:
    """Let people bring the transfer to its end; its outcome."""
    while True:
        seen = (await client.get(f"transfers/{name}")).json()["data"]
        if seen.get("outcome"):
            return str(seen["outcome"])
        states = {leg.leg: leg for leg in emulator.world.snapshot()}
        target = states.get(f"{name}-target")
        if target is not None and not target.answered:
            emulator.answer("2650")
        elif seen["state"] == "consulting" and alice in states and states[alice].peer:
            emulator.hang_up(alice)
        await trio.sleep(0.1)


@pytest.mark.parametrize("moment", ["holding", "dialing", "consulting", "completing"])
async def test_a_process_that_is_killed_comes_back_and_goes_on(moment: str, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    async with open_emulator() as listening:
        emulator, before, after = listening.emulator, Notes(), Notes()
        switch = f'kind = "freeswitch"\nport = {listening.port}\npassword = "ClueCon"'
        config = write_config(tmp_path, switch)
        with trio.fail_after(PATIENCE_S):
            async with (
                serving(config) as first,
                asking(first, key) as client,
                trio.open_nursery() as nursery,
            ):
                await nursery.start(before.follow, first, key)
                alice, name, promised = await ask_for_a_transfer(emulator, client, before)
                await play_until(moment, before, emulator, alice)
                first.kill()
                await first.process.wait()
                nursery.cancel_scope.cancel()
        numbers = [step.number for step in steps_in(tmp_path)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert numbers[-1] >= max(promised, *before.told)
        with trio.fail_after(PATIENCE_S):
            async with (
                serving(config) as second,
                asking(second, key) as client,
                trio.open_nursery() as nursery,
            ):
                await nursery.start(after.follow, second, key)
                outcome = await finish(emulator, client, name, alice)
                await after.until(lambda told: told["kind"] == "transfer.ended")
                second.process.terminate()
                assert await second.process.wait() == 0
                nursery.cancel_scope.cancel()
    assert outcome == "transferred" or (moment, outcome) == ("holding", "reconnected")
    assert before.told == {number: after.told[number] for number in before.told}
    check_history(tmp_path)


async def ask_for_a_transfer(
    emulator: Emulator, client: httpx.AsyncClient, notes: Notes
) -> tuple[str, str, int]:
    """Have Alice's call transferred to 2650: her leg, the transfer, and the number we were told."""
    alice, _ = emulator.call("1001", "1002", account="acme")
    await notes.until(lambda told: told["kind"] == "call.joined")
    data = {"action": "transfer", "target": "2650", "takeback_dtmf": "*9"}
    taken = await client.post(f"channels/{alice}", json={"data": data})
    assert taken.status_code == 202, taken.text
    answered = taken.json()["data"]
    return alice, str(answered["transfer_id"]), int(answered["number"])


async def test_a_simulated_switch_dies_with_its_process_and_nothing_is_left_open(
    tmp_path: Path,
) -> None:
    key = make_key(tmp_path)
    before, after = Notes(), Notes()
    config = write_config(
        tmp_path, 'kind = "simulator"\naccount = "acme"\ncalls = [["1001", "1002"]]'
    )
    with trio.fail_after(PATIENCE_S):
        async with (
            serving(config) as first,
            asking(first, key) as client,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(before.follow, first, key)
            joined = await before.until(lambda told: told["kind"] == "call.joined")
            data = {"action": "transfer", "target": "2601"}
            taken = await client.post(f"channels/{joined['call_id']}", json={"data": data})
            name = taken.json()["data"]["transfer_id"]
            await before.until(enters("dialing"))
            first.kill()
            await first.process.wait()
            nursery.cancel_scope.cancel()
        async with (
            serving(config) as second,
            asking(second, key) as client,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(after.follow, second, key)
            await after.until(lambda told: told["kind"] == "transfer.ended")
            seen = (await client.get(f"transfers/{name}")).json()["data"]
            assert (seen["state"], seen["outcome"], seen["cause"]) == ("idle", "failed", LOST_TRACK)
            second.process.terminate()
            assert await second.process.wait() == 0
            nursery.cancel_scope.cancel()
    assert before.told == {number: after.told[number] for number in before.told}
    check_history(tmp_path)
