"""Storage must not stop telephones: not a damaged file, not a bad row, not a failing disk."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from lab import Lab, open_lab, token_of
from trio.testing import MockClock

from hookflash.journal.database import JournalError

FILE = "hookflash.sqlite"


def change(folder: Path, statement: str, *values: object) -> None:
    """Do something to a journal that nobody has open."""
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount


async def a_transfer(lab: Lab, target: str = "2600") -> str:
    alice, _ = await lab.call()
    return await lab.acme.transfer(alice, target)


async def fail(*_: object) -> Any:
    await trio.lowlevel.checkpoint()
    raise JournalError("the disk is full")


# ------------------------------------------------------------------------ at the start


async def test_with_a_damaged_journal_keys_count_calls_are_transferred_and_it_is_said(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path) as lab:
        key, token = await lab.make_key("acme"), lab.acme.token
        await a_transfer(lab)
        before = lab.service.journal.published
    with (tmp_path / FILE).open("r+b") as file:
        file.write(bytes(100))
    async with open_lab(tmp_path) as lab:
        ready = await lab.nobody.ask("GET", "/readyz")
        assert ready.status_code == 503
        told = ready.json()["trouble"]["journal set aside"]
        assert f"kept as {FILE}.set-aside-" in told
        metrics = (await lab.nobody.ask("GET", "/metrics")).text
        assert "hookflash_journal_set_aside_total 1.0" in metrics
        assert "hookflash_journal_ok 1.0" in metrics
        await attrs.evolve(lab.acme, token=token).look("channels")
        assert await token_of(lab.client, key)
        transfer = await a_transfer(lab)
        assert lab.service.journal.published > before
        await lab.acme.until(transfer, "consulting")


@pytest.mark.parametrize("document", ["{", "[]", '{"numbers": 5}', '{"patterns": {"2((": {}}}'])
async def test_one_account_s_unreadable_feature_codes_are_replaced_by_the_default_ones(
    autojump_clock: MockClock, tmp_path: Path, document: str
) -> None:
    nine = {"numbers": {"9": {"module": "hangup"}}}
    async with open_lab(tmp_path) as lab:
        for program in (lab.acme, lab.globex):
            assert (await program.ask("POST", "metaflows", nine)).status_code == 200
    change(tmp_path, "UPDATE metaflows SET document = ? WHERE account = 'acme'", document)
    async with open_lab(tmp_path) as lab:
        assert "1" in (await lab.acme.look("metaflows"))["numbers"]
        assert (await lab.globex.look("metaflows"))["numbers"].keys() == {"9"}
        trouble = (await lab.nobody.ask("GET", "/readyz")).json()["trouble"]
        assert any("acme" in f"{part} {why}" for part, why in trouble.items()), trouble


async def test_codes_that_are_set_again_are_no_fault_any_more(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    nine = {"numbers": {"9": {"module": "hangup"}}}
    async with open_lab(tmp_path) as lab:
        await lab.acme.ask("POST", "metaflows", nine)
    change(tmp_path, """UPDATE metaflows SET document = '{"numbers": 5}'""")
    async with open_lab(tmp_path) as lab:
        await lab.acme.ask("POST", "metaflows", nine)
        assert (await lab.nobody.ask("GET", "/readyz")).status_code == 200


BAD: list[tuple[str, object]] = [
    ("UPDATE steps SET body = ? WHERE kind = 'transfer.changed'", "{"),
    ("UPDATE steps SET body = CAST(? AS TEXT) WHERE kind = 'transfer.requested'", b"\xff\xfe"),
    ("UPDATE steps SET accounts = ? WHERE number = 3", "|acme|"),
    ("UPDATE steps SET begins = ? WHERE transfer IS NOT NULL", "{"),
    ("UPDATE transfers SET request = ?", "{"),
    ("UPDATE transfers SET kind = ?", "of another release"),
    ("UPDATE transfers SET policy = ?", "nonsense"),
    ("UPDATE transfers SET state = ?", "levitating"),
    ("UPDATE keys SET hash = ?", "nonsense"),
    ("UPDATE secrets SET secret = ?", b"short"),
    ("UPDATE transfers SET first_step = ?", 99),
]


@pytest.mark.parametrize(("statement", "value"), BAD)
async def test_one_bad_row_stops_nobody(
    autojump_clock: MockClock, tmp_path: Path, statement: str, value: object
) -> None:
    async with open_lab(tmp_path) as lab:
        old = await a_transfer(lab)
        await lab.acme.until(old, "consulting")
    change(tmp_path, statement, value)
    async with open_lab(tmp_path) as lab:
        transfer = await a_transfer(lab)
        await lab.acme.until(transfer, "consulting")
        await lab.acme.look("transfers")
        assert (await lab.acme.ask("GET", f"transfers/{old}")).status_code == 200
        assert (await lab.nobody.ask("GET", "/metrics")).status_code == 200
        if "steps SET body" in statement:
            trouble = (await lab.nobody.ask("GET", "/readyz")).json()["trouble"]
            assert "left out: step" in trouble["journal rows"]


# ------------------------------------------------------------------------ a failing disk


async def test_the_url_of_a_202_answers_though_nothing_can_be_written(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = lab.service.journal.change
    monkeypatch.setattr(lab.service.journal, "change", fail)
    alice, _ = await lab.call()
    answered = await lab.acme.act(alice, "transfer", target="2602")
    assert answered.status_code == 202
    url = answered.headers["Location"]
    await trio.sleep(30)  # 2602 is busy, and the two talk again
    seen = (await lab.acme.ask("GET", url)).json()["data"]
    assert (seen["state"], seen["outcome"], seen["cause"]) == ("idle", "reconnected", "USER_BUSY")
    kinds = [entry["kind"] for entry in seen["timeline"]]
    assert (kinds[0], kinds[-1]) == ("transfer.requested", "transfer.ended")
    assert (await lab.globex.ask("GET", url)).status_code == 403
    monkeypatch.setattr(lab.service.journal, "change", written)
    await trio.sleep(10)
    assert lab.service.journal.unwritten() == ()
    assert (await lab.acme.ask("GET", url)).json()["data"] == seen


async def test_while_nothing_can_even_be_read_the_url_of_a_202_answers(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = await lab.call()
    monkeypatch.setattr(lab.service.journal, "change", fail)
    monkeypatch.setattr(lab.service.journal, "read", fail)
    transfer = await lab.acme.transfer(alice, "2602")
    await trio.sleep(30)
    seen = await lab.acme.look(f"transfers/{transfer}")
    assert seen["outcome"] == "reconnected"
    assert seen["timeline"][-1]["kind"] == "transfer.ended"


@pytest.mark.parametrize("broken", [("change",), ("change", "read")])
async def test_idempotency_keys_count_in_memory_meanwhile(
    autojump_clock: MockClock,
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    broken: tuple[str, ...],
) -> None:
    alice, _ = await lab.call()
    for part in broken:
        monkeypatch.setattr(lab.service.journal, part, fail)
    once = {"Idempotency-Key": "once"}
    first = await lab.acme.act(alice, "transfer", target="2601", headers=once)
    again = await lab.acme.act(alice, "transfer", target="2601", headers=once)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["data"] == again.json()["data"]
    other = await lab.acme.act(alice, "transfer", target="2602", headers=once)
    assert other.status_code == 422
    assert len([*lab.service.group.transfers()]) == 1


# ------------------------------------------------------------------------ a process of its own

SERVES = """
import os, resource, sys
from functools import partial
from pathlib import Path
import trio
from hookflash.journal import registry
from hookflash.journal.journal import JournalSettings, open_journal
from hookflash.server.access import Access
from hookflash.server.config import Limits
from hookflash.server.tokens import token_secret

what, file, key = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

async def main():
    settings = JournalSettings(file=file)
    async with open_journal(settings, now=lambda: 1_795_953_600.0) as journal:
        access = Access(journal, Limits(), secret=await token_secret(journal))
        token, text = await access.sign_in(key, "127.0.0.1")
        caller = await access.caller_of(text, "127.0.0.1")
        print(caller.account, journal.fault, flush=True)

if what == "unwritable" and os.getuid() == 0:
    os.setuid(65534)
if what == "full":
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
trio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["unwritable", "full"])
async def test_programs_sign_in_at_a_service_that_started_where_nothing_can_be_written(
    autojump_clock: MockClock, tmp_path: Path, what: str
) -> None:
    async with open_lab(tmp_path) as lab:
        key = await lab.make_key("acme")
    for path, mode in ((tmp_path, 0o555), (tmp_path / FILE, 0o444), (tmp_path.parent, 0o755)):
        path.chmod(mode)
    for parent in tmp_path.parents[1:3]:
        parent.chmod(0o755)
    command = [sys.executable, "-c", SERVES, what, str(tmp_path / FILE), key]
    # its log goes to a pipe: to a file it could not be written
    told = await trio.run_process(command, capture_stdout=True, capture_stderr=True, cwd="/")
    account, _, fault = told.stdout.decode().strip().partition(" ")
    assert account == "acme"
    assert fault != "None"
