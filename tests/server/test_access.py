"""Who may ask, and what: keys and tokens, and the rules of the accounts."""

# a test may look inside
# pyright: reportPrivateUsage=false

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from lab import SWITCH, Lab, Program, client_of, now, open_lab, token_of
from trio.testing import MockClock

from hookflash.errors import Unauthorized
from hookflash.journal import history, registry
from hookflash.journal.database import JournalError
from hookflash.server.access import REMEMBERED_S
from hookflash.server.caller import Caller
from hookflash.server.operations import OPERATIONS, Operation
from hookflash.server.rates import Allowance

WRONG = "hookflash_0123456789ab_" + "x" * 32


async def sign_in(client: httpx.AsyncClient, key: str) -> httpx.Response:
    return await client.put("/v2/api_auth", json={"data": {"api_key": key}})


def elsewhere(lab: Lab, address: str) -> httpx.AsyncClient:
    """A program on another machine."""
    return client_of(lab.doors, address)


# ------------------------------------------------------------------------ signing in


async def test_a_key_gives_a_token_that_says_whose_it_is(
    autojump_clock: MockClock, lab: Lab
) -> None:
    answered = await sign_in(lab.client, await lab.make_key("acme"))
    body = answered.json()
    assert answered.status_code == 201
    assert body["data"] == {"account_id": "acme", "expires_in_s": 3600.0}
    assert (body["status"], body["request_id"]) == ("success", answered.headers["X-Request-ID"])
    again = await sign_in(lab.client, await lab.make_key("acme"))
    assert again.json()["auth_token"] != body["auth_token"]
    admins = await sign_in(lab.client, await lab.make_key(None))
    assert admins.json()["data"]["account_id"] is None


@pytest.mark.parametrize(
    ("header", "before"),
    [("X-Auth-Token", ""), ("Authorization", "Bearer "), ("Authorization", "bearer ")],
)
async def test_both_headers_carry_a_token(
    autojump_clock: MockClock, lab: Lab, header: str, before: str
) -> None:
    token = await token_of(lab.client, await lab.make_key("acme"))
    headers = {header: before + token}
    assert (await lab.nobody.ask("GET", "channels", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"X-Auth-Token": ""},
        {"X-Auth-Token": "ü"},
        {"X-Auth-Token": "x" * 10_000},
    ],
)
async def test_what_is_no_token_is_told_so(
    autojump_clock: MockClock, lab: Lab, headers: dict[str, str]
) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answered = await lab.client.get("/v2/accounts/acme/channels", headers=raw)  # pyright: ignore[reportArgumentType] - httpx takes bytes as well
    assert answered.status_code == 401
    assert answered.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_key_itself_is_no_token(autojump_clock: MockClock, lab: Lab) -> None:
    program = attrs.evolve(lab.acme, token=await lab.make_key("acme"))
    assert (await program.ask("GET", "channels")).status_code == 401


async def test_a_token_expires(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_lab(tmp_path, limits={"token_lifetime_s": 60.0}) as lab:
        await trio.sleep(59)
        await lab.acme.look("channels")
        await trio.sleep(1)  # and what is remembered of it does not outlive it
        assert (await lab.acme.ask("GET", "channels")).status_code == 401


async def test_a_key_that_is_revoked_takes_its_tokens_with_it(
    autojump_clock: MockClock, lab: Lab
) -> None:
    key = await lab.make_key("acme")
    program = attrs.evolve(lab.acme, token=await token_of(lab.client, key))
    await program.look("channels")
    revoke = partial(registry.revoke_key, key_id=key.split("_")[1], now=lab.service.journal.now())
    await lab.service.journal.change(revoke)
    await trio.sleep(REMEMBERED_S)
    assert (await program.ask("GET", "channels")).status_code == 401
    assert (await sign_in(lab.client, key)).status_code == 401
    await lab.acme.look("channels")  # the account's other keys count


async def test_many_long_connections_of_one_key_ask_the_journal_once(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await lab.make_key("acme")
    key = text.split("_")[1]
    access = lab.doors.api.access
    caller = Caller(key=key, account="acme")
    asked: list[str] = []
    is_valid = registry.is_valid

    def count(connection: sqlite3.Connection, key_id: str) -> bool:
        asked.append(key_id)
        return is_valid(connection, key_id)

    monkeypatch.setattr(registry, "is_valid", count)
    for _ in range(100):
        await access.check(caller)
    assert asked == [key]
    await lab.service.journal.change(partial(registry.revoke_key, key_id=key, now=0.0))
    await trio.sleep(REMEMBERED_S)
    access.sweep()
    with pytest.raises(Unauthorized, match="revoked"):
        await access.check(caller)
    with pytest.raises(Unauthorized, match="revoked"):
        await access.check(caller)


async def test_keys_and_tokens_outlive_a_restart(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_lab(tmp_path) as lab:
        token, key = lab.acme.token, await lab.make_key("acme")
    async with open_lab(tmp_path) as lab:
        await attrs.evolve(lab.acme, token=token).look("channels")
        assert (await sign_in(lab.client, key)).status_code == 201


async def test_a_disk_that_cant_be_written_keeps_nobody_from_signing_in(
    autojump_clock: MockClock, lab: Lab
) -> None:
    key = await lab.make_key("acme")
    await lab.service.journal.change(lambda c: c.execute("PRAGMA query_only = ON"))
    program = attrs.evolve(lab.acme, token=await token_of(lab.client, key))
    await program.look("channels")
    alice, _ = await lab.call()
    await program.transfer(alice, "2600")


async def test_a_journal_that_cant_be_read_now_keeps_nobody_from_asking(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(_look: object) -> None:
        await trio.lowlevel.checkpoint()
        raise JournalError("the journal can't be read: disk I/O error")

    monkeypatch.setattr(lab.service.journal, "read", read)
    await trio.sleep(REMEMBERED_S)
    await lab.acme.look("channels")
    forged = attrs.evolve(lab.acme, token=str(lab.acme.token)[:-4] + "AAAA")
    assert (await forged.ask("GET", "channels")).status_code == 401
    await trio.sleep(3600)  # and no token lives longer for it
    assert (await lab.acme.ask("GET", "channels")).status_code == 401


async def test_a_token_is_as_good_as_the_service_that_signed_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with open_lab(one) as lab:
        token = lab.acme.token
    async with open_lab(other) as lab:
        assert (await attrs.evolve(lab.acme, token=token).ask("GET", "channels")).status_code == 401


# --------------------------------------------------------------------------- read-only keys


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_a_read_only_key_looks_and_changes_nothing(
    autojump_clock: MockClock, lab: Lab, operation: Operation
) -> None:
    make = partial(registry.make_key, account="acme", label="", now=now(), read_only=True)
    _, key = await lab.service.journal.change(make)
    watcher = attrs.evolve(lab.acme, token=await token_of(lab.client, key))
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601")
    before = lab.service.journal.published
    for route in operation.routes:
        path = route.path.format(call_id=alice, transfer_id=transfer).removeprefix("/")
        data = {"action": route.action} if route.action else {} if route.body else None
        if operation.name == "transfer":
            data = {"action": "transfer", "target": "2600"}
        if operation.name == "pick_up":
            data = {"action": "pick_up", "slot": "701"}
        if operation.name == "give_number":
            data = {"action": "number", "target": "2600"}
        answered = await watcher.ask(route.method, path, data)
        if operation.changes:
            assert answered.status_code == 403, (route, answered.text)
            assert "read-only" in answered.json()["message"]
        else:
            assert answered.status_code == 200, (route, answered.text)
    assert lab.service.journal.published == before


# --------------------------------------------------------------------------- wrong ones


async def test_wrong_keys_are_slowed_down_counted_and_in_the_end_not_heard(
    autojump_clock: MockClock, lab: Lab
) -> None:
    took_s: list[float] = []
    for _ in range(10):
        began_s = trio.current_time()
        answered = await sign_in(lab.client, WRONG)
        took_s.append(trio.current_time() - began_s)
        assert answered.status_code == 401
    assert took_s == sorted(took_s)
    assert took_s[0] >= 0.1
    assert took_s[-1] == 4.0
    refused = await sign_in(lab.client, WRONG)
    assert refused.status_code == 429
    assert refused.json()["data"] == {"refusal": "too_many"}
    assert lab.doors.api.access.wrong_keys == 10
    text = (await lab.nobody.ask("GET", "/metrics")).text
    assert "hookflash_wrong_keys_total 10.0" in text
    await trio.sleep(60)
    assert (await sign_in(lab.client, WRONG)).status_code == 401


async def test_a_right_key_is_taken_from_where_many_wrong_ones_come(
    autojump_clock: MockClock, lab: Lab
) -> None:
    """All programs behind one proxy share its address."""
    good, theirs = await lab.make_key("acme"), await lab.make_key("acme")
    assert (await sign_in(lab.client, theirs)).status_code == 201

    async def guess() -> None:
        while True:
            await sign_in(lab.client, f"{theirs}x")  # costs a slow hash
            await trio.sleep(0.5)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(guess)
        await trio.sleep(10)
        with trio.fail_after(1):
            assert (await sign_in(lab.client, good)).status_code == 201
            assert (await sign_in(lab.client, good)).status_code == 201
        # and whom they guess at, if it signed in before
        assert (await sign_in(lab.client, theirs)).status_code == 201
        nursery.cancel_scope.cancel()


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are checked slowly: each time costs a tenth of a second."""
    keys: list[str] = []
    check = registry.check_key

    def counted(connection: sqlite3.Connection, text: str) -> registry.Key | None:
        keys.append(text)
        return check(connection, text)

    monkeypatch.setattr(registry, "check_key", counted)
    return keys


async def test_many_programs_that_come_back_at_once_with_one_key_wait_for_one_check(
    autojump_clock: MockClock, lab: Lab, checked: list[str]
) -> None:
    """After a restart, no key is known to be right."""
    key = await lab.make_key("acme")
    answers: list[int] = []

    async def come_back() -> None:
        answers.append((await sign_in(lab.client, key)).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(come_back)
    assert answers == [201] * 100
    assert checked.count(key) == 1


@pytest.mark.parametrize("guesses_at", ["a key", "many keys"])
async def test_guesses_from_one_address_are_not_all_checked_and_delay_nobody_elsewhere(
    autojump_clock: MockClock,
    lab: Lab,
    checked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    guesses_at: str,
) -> None:
    """A key's ID is no secret: its account sees it in `by`."""
    good, known = await lab.make_key("acme"), await lab.make_key("acme")
    read = lab.doors.api.access._journal.read

    async def read_slowly(look: Callable[[sqlite3.Connection], Any]) -> Any:
        await trio.sleep(0.005)
        return await read(look)

    monkeypatch.setattr(lab.doors.api.access._journal, "read", read_slowly)
    number = itertools.count()

    async def guess(client: httpx.AsyncClient) -> None:
        while True:
            key = f"{good}x" if guesses_at == "a key" else f"hookflash_{next(number):012}_x"
            await sign_in(client, key)
            await trio.sleep(0.1)

    async with elsewhere(lab, "192.0.2.66") as theirs, trio.open_nursery() as nursery:
        assert (await sign_in(theirs, known)).status_code == 201
        for _ in range(20):
            nursery.start_soon(guess, theirs)
        await trio.sleep(6)
        assert len(checked) < (15 if guesses_at == "a key" else 60)  # of some 600
        with trio.fail_after(0.1):
            assert (await sign_in(lab.client, good)).status_code == 201
            assert (await sign_in(theirs, known)).status_code == 201
            assert (await sign_in(theirs, good)).status_code == 201  # it is known now
        nursery.cancel_scope.cancel()
    assert not lab.doors.api.access._checking


async def test_lists_cost_more_and_an_account_has_a_budget_of_its_own(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    limits = {"requests_per_second": 20, "account_requests_per_second": 30}
    async with open_lab(tmp_path, limits=limits) as lab:
        await trio.sleep(1)
        lists = [(await lab.acme.ask("GET", "channels")).status_code for _ in range(5)]
        assert lists == [200, 200, 200, 200, 429]
        second = attrs.evolve(
            lab.acme, token=await token_of(lab.client, await lab.make_key("acme"))
        )
        gets = [(await second.ask("GET", "transfers/x")).status_code for _ in range(11)]
        assert gets == [404] * 10 + [429]  # another key of the same account
        foreign = attrs.evolve(lab.acme, account="globex")
        await trio.sleep(1)
        for _ in range(19):
            assert (await foreign.ask("GET", "channels")).status_code in {403, 429}
        assert (await lab.globex.ask("GET", "channels")).status_code == 200


async def test_whoever_sends_many_at_once_is_heard_no_more_often(
    autojump_clock: MockClock, lab: Lab
) -> None:
    statuses: list[int] = []

    async def guess() -> None:
        statuses.append((await sign_in(lab.client, WRONG)).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(guess)
    assert sorted(statuses) == [401] * 10 + [429] * 40


async def test_guesses_from_one_address_shut_nobody_else_out(
    autojump_clock: MockClock, lab: Lab
) -> None:
    async with elsewhere(lab, "10.0.0.9") as client:
        thief = attrs.evolve(lab.nobody, client=client, token=WRONG)
        for _ in range(10):
            assert (await thief.ask("GET", "channels")).status_code == 401
        assert (await thief.ask("GET", "channels")).status_code == 429
        # not even a program at the same address, which has its token
        await attrs.evolve(thief, token=lab.acme.token).look("channels")
    assert (await sign_in(lab.client, await lab.make_key("acme"))).status_code == 201


async def test_a_limit_without_measure_slows_down_all_the_same(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path, limits={"wrong_keys_per_minute": 1_000_000}) as lab:
        access = lab.doors.api.access
        for _ in range(2_000):
            access._wrong.use("127.0.0.1", trio.current_time())  # it would take two hours
        began_s = trio.current_time()
        assert (await sign_in(lab.client, WRONG)).status_code == 401
        assert trio.current_time() - began_s == 4.0


def test_an_allowance_is_a_sliding_window_for_each() -> None:
    allowance = Allowance(2, within_s=10)
    assert [allowance.takes("a", at_s) for at_s in (0, 1, 2, 10, 10.5, 11)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]
    assert allowance.takes("b", 11)
    assert allowance.used("a", 11) == 2
    allowance.sweep(30)
    assert allowance.used("a", 30) == 0


# ------------------------------------------------------------------ who may transfer by digits


async def _transfers_by_digits(lab: Lab, leg: str) -> bool:
    lab.press(leg, "*22601")
    await trio.sleep(5)
    return lab.service.group.engines[SWITCH].switchboard.transfer_of(leg) is not None


@pytest.mark.parametrize(
    ("may_transfer", "user", "outside"),
    [("users", True, False), ("anybody", True, True), ("nobody", False, False)],
)
async def test_who_may_transfer_by_digits_is_the_accounts_choice(
    autojump_clock: MockClock, tmp_path: Path, may_transfer: str, user: bool, outside: bool
) -> None:
    rules = {"may_transfer": may_transfer}
    async with open_lab(tmp_path, accounts={"acme": {"rules": rules}}) as lab:
        _, stranger = await lab.call("1001", "1002", callee_account="")
        assert await _transfers_by_digits(lab, stranger) is outside
        alice, _ = await lab.call("1003", "1004", callee_account="")
        assert await _transfers_by_digits(lab, alice) is user


async def test_the_mark_of_a_leg_goes_before_the_accounts_choice(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, stranger = await lab.call("1001", "1002", callee_account="")
    lines = lab.service.group.engines[SWITCH].switchboard.legs
    lines[alice].may_transfer = False
    lines[stranger].may_transfer = True
    assert not await _transfers_by_digits(lab, alice)
    assert await _transfers_by_digits(lab, stranger)


async def test_a_refusal_by_digits_stands_in_the_history_and_the_call_goes_on(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, stranger = await lab.call("1001", "1002", callee_account="")
    assert not await _transfers_by_digits(lab, stranger)
    assert (await lab.acme.look(f"channels/{alice}"))["other_leg_call_id"] == stranger
    text = (await lab.nobody.ask("GET", "/metrics")).text
    assert 'hookflash_requests_refused_total{refusal="not_entitled",switch="sim"} 1.0' in text


async def test_a_program_of_the_account_may_transfer_for_any_leg_of_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path, accounts={"acme": {"rules": {"may_transfer": "nobody"}}}) as lab:
        alice, _ = await lab.call()
        await lab.acme.transfer(alice, "2600")


# --------------------------------------------------------------------------- targets and rates


async def _asks(program: Program, call: str, target: str) -> int:
    return (await program.act(call, "transfer", target=target)).status_code


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        ({"targets_allowed": ["26??"]}, "2601", "26011"),
        ({"targets_denied": ["+*", "00*"]}, "2601", "+4412"),
        ({"targets_allowed": ["*"], "targets_denied": ["260[2-9]"]}, "2601", "2602"),
        ({"targets_allowed": ["[*]9", "2601"]}, "2601", "19"),
    ],
)
async def test_where_to_is_a_matter_of_patterns(
    autojump_clock: MockClock, tmp_path: Path, rules: dict[str, Any], allowed: str, refused: str
) -> None:
    async with open_lab(tmp_path, accounts={"acme": {"rules": rules}}) as lab:
        alice, _ = await lab.call()
        assert await _asks(lab.acme, alice, refused) == 422
        lab.press(alice, f"*2{refused.replace('+', '')}")
        theirs, _ = await lab.call("1003", "1004", account="globex")
        assert await _asks(lab.globex, theirs, refused) == 202
        assert await _asks(lab.acme, alice, allowed) == 202


async def test_targets_hold_for_digits_too(autojump_clock: MockClock, tmp_path: Path) -> None:
    rules = {"targets_denied": ["2601"]}
    async with open_lab(tmp_path, accounts={"acme": {"rules": rules}}) as lab:
        alice, bob = await lab.call()
        assert not await _transfers_by_digits(lab, alice)
        assert (await lab.acme.look(f"channels/{alice}"))["other_leg_call_id"] == bob


@pytest.mark.slow
async def test_a_call_is_transferred_so_often_and_no_more(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path, accounts={"acme": {"policy": {"hop_limit": 2}}}) as lab:
        alice, bob = await lab.call()
        first = await lab.acme.transfer(alice, "1007", transfer_type="blind")
        await lab.acme.ended(first)
        await lab.acme.ended(await lab.acme.transfer(bob, "1008", transfer_type="blind"))
        (left,) = [one for one in await lab.acme.look("channels") if one["number"] == "1008"]
        assert left["transfers"] == 2
        refused = await lab.acme.act(left["call_id"], "transfer", target="2600")
        assert refused.status_code == 422
        assert refused.json()["data"] == {"refusal": "target_refused"}


async def test_so_many_at_once_and_a_hold_does_not_count(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    rules = {"transfers_at_once": 1}
    async with open_lab(tmp_path, defaults={"rules": rules}) as lab:
        calls = [(await lab.call(f"10{n}1", f"10{n}2"))[0] for n in range(3)]
        theirs, _ = await lab.call("1091", "1092", account="globex")
        first = await lab.acme.transfer(calls[0], "2601")
        assert await _asks(lab.acme, calls[1], "2601") == 429
        assert (await lab.acme.act(calls[2], "hold")).status_code == 202
        assert await _asks(lab.globex, theirs, "2601") == 202
        await lab.acme.ask("DELETE", f"transfers/{first}")
        await lab.acme.ended(first)
        assert (await lab.acme.act(calls[2], "resume")).status_code == 202
        await trio.sleep(5)
        assert await _asks(lab.acme, calls[1], "2601") == 202


@pytest.mark.slow
async def test_whoever_is_held_leaves_room_for_a_transfer(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    rules = {"transfers_at_once": 1, "transfers_per_minute": 1}
    async with open_lab(tmp_path, defaults={"rules": rules}) as lab:
        held, _ = await lab.call("1011", "1012")
        other, _ = await lab.call("1021", "1022")
        for _ in range(2):
            assert (await lab.acme.act(held, "hold")).status_code == 202
            await trio.sleep(1)
            assert (await lab.acme.act(held, "resume")).status_code == 202
            await trio.sleep(1)
        assert (await lab.acme.act(held, "hold")).status_code == 202
        assert await _asks(lab.acme, other, "2601") == 202


async def test_another_account_s_transfer_of_our_call_is_not_ours_to_steer(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path) as lab:
        alice, bob = await lab.call("1001", "1002", callee_account="globex")
        transfer = await lab.acme.transfer(alice, "2600")
        await trio.sleep(5)
        assert (await lab.globex.look(f"channels/{bob}"))["transfer_id"] is None
        for action in ("complete", "takeback"):
            refused = await lab.globex.act(bob, action)
            assert refused.status_code == 409
            assert transfer not in refused.text
        assert (await lab.acme.look(f"transfers/{transfer}"))["state"] == "consulting"
        assert (await lab.acme.act(alice, "takeback")).status_code == 202


async def test_so_many_a_minute(autojump_clock: MockClock, tmp_path: Path) -> None:
    rules = {"transfers_per_minute": 2}
    async with open_lab(tmp_path, accounts={"acme": {"rules": rules}}) as lab:
        alice, _ = await lab.call()
        for _ in range(2):
            await lab.acme.ended(await lab.acme.transfer(alice, "2602"))
        assert await _asks(lab.acme, alice, "2602") == 429
        await trio.sleep(60)
        assert await _asks(lab.acme, alice, "2602") == 202


async def test_no_transfer_at_all_is_a_limit_too(autojump_clock: MockClock, tmp_path: Path) -> None:
    rules = {"transfers_at_once": 0}
    async with open_lab(tmp_path, accounts={"acme": {"rules": rules}}) as lab:
        alice, _ = await lab.call()
        assert await _asks(lab.acme, alice, "2600") == 429


# --------------------------------------------------------------------------- names of accounts


@pytest.mark.parametrize(
    "name", ["acme|globex", "acme/../globex", "a" * 129, "\u00fc", "ac me", "?"]
)
async def test_a_leg_whose_account_is_no_allowed_name_belongs_to_nobody(
    autojump_clock: MockClock, lab: Lab, name: str
) -> None:
    strange, _ = await lab.call("1003", "1004", account=name)
    mine, _ = await lab.call("1001", "1002", account="acme")
    legs = lab.service.group.engines[SWITCH].switchboard.legs
    assert legs[strange].responsible == "?"
    for program in (lab.acme, lab.globex, lab.admin, attrs.evolve(lab.admin, account="default")):
        assert (await program.ask("GET", f"channels/{strange}")).status_code == 404
        assert strange not in (await program.ask("GET", "channels")).text
    assert not await _transfers_by_digits(lab, strange)
    assert await _transfers_by_digits(lab, mine)
    wanted = history.Wanted(account="acme")
    read = partial(history.read_after, after=0, wanted=wanted)
    steps, _ = await lab.service.journal.read(read)
    assert {step.call for step in steps if step.call} & {strange} == set()


@pytest.mark.parametrize("name", ["4f2b@sip.example.org", "+4989123456", "a:b.c-d_e", "a" * 128])
async def test_names_as_telephone_companies_use_them_work_everywhere(
    autojump_clock: MockClock, tmp_path: Path, name: str
) -> None:
    async with open_lab(tmp_path, accounts={name: {"rules": {"transfers_at_once": 3}}}) as lab:
        token = await token_of(lab.client, await lab.make_key(name))
        program = attrs.evolve(lab.acme, account=name, token=token)
        alice, _ = await lab.call(account=name)
        transfer = await program.transfer(alice, "2600")
        assert (await program.look(f"transfers/{transfer}"))["account_id"] == name
        assert (await program.ask("POST", "metaflows", {"numbers": {}})).status_code == 200
