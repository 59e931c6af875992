"""HTTP, asked as programs ask it: calls and transfers, and every way to be told no."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import httpx
import pytest
import trio
from lab import SWITCH, Lab, Program, open_lab, token_of
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from hookflash.backends.base import Capabilities, LegSnapshot
from hookflash.backends.simulator.backend import open_simulator
from hookflash.commands import SwitchCommand
from hookflash.events import CallEvent, Direction, LegCreated, SwitchFound, SwitchLost
from hookflash.fsm.transfer import State
from hookflash.journal.database import JournalError
from hookflash.journal.journal import STALLED_S
from hookflash.server.doors.metrics import DoorMetrics
from hookflash.server.http.health import METRICS_EVERY_S
from hookflash.server.idempotency import KEEP_LIMIT_S
from hookflash.server.switches import simulated_world

JSON = {"Content-Type": "application/json"}


def told(answered: httpx.Response, status: int) -> dict[str, Any]:
    """See that an error comes in Kazoo's envelope, and nothing else; what its `data` holds."""
    body = answered.json()
    assert answered.status_code == status, body
    assert set(body) == {"data", "error", "message", "request_id", "status"}
    assert (body["error"], body["status"]) == (str(status), "error")
    assert body["message"]
    assert body["request_id"] == answered.headers["X-Request-ID"]
    assert "Traceback" not in answered.text
    return body["data"]


# ------------------------------------------------------------------------ calls


async def test_an_account_sees_its_own_calls(autojump_clock: MockClock, lab: Lab) -> None:
    alice, bob = await lab.call("1001", "1002")
    theirs, _ = await lab.call("1003", "1004", account="globex")
    seen = await lab.acme.look("channels")
    assert {one["call_id"] for one in seen} == {alice, bob}
    assert await lab.acme.look(f"channels/{alice}") == {
        "call_id": alice,
        "switch": SWITCH,
        "account_id": "acme",
        "owner_id": None,
        "direction": "inbound",
        "number": "1001",
        "answered": True,
        "bridged": True,
        "other_leg_call_id": bob,
        "other_leg_number": "1002",
        "transfer_id": None,
        "transfers": 0,
        "uuid": alice,
        "other_leg": bob,
        "destination": "1002",
    }
    assert theirs in {one["call_id"] for one in await lab.globex.look("channels")}


async def test_a_leg_that_is_named_by_a_call_id(autojump_clock: MockClock, lab: Lab) -> None:
    """FreeSWITCH with `inbound-use-callid-as-uuid`; a slash in it separates nothing."""
    name = "a-.!%*_+~:/?@=[]%2F%20b@[2001:db8::1]" + "x" * 200
    world = lab.backend.world.switch
    world.name_leg = iter((name, "bob", *"cdefgh")).__next__
    alice, bob = await lab.call()
    assert (alice, bob) == (name, "bob")
    path = quote(name, safe="")
    assert (await lab.acme.look(f"channels/{path}"))["call_id"] == name
    transfer = await lab.acme.transfer(path, "2600")
    story = await lab.acme.until(transfer, "consulting")
    assert story["transferor"]["call_id"] == name
    taken_back = await lab.acme.act(path, "takeback")
    assert taken_back.status_code == 202, taken_back.text
    assert (await lab.acme.ended(transfer))["outcome"] == "taken_back"
    too_long = await lab.acme.act("x" * 257, "transfer", target="2600")
    assert too_long.status_code == 400


async def test_an_administrator_acts_for_any_account(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    nobodys, _ = await lab.call("1005", "1006", account="")
    transfer = await lab.admin.transfer(alice, "2600")
    assert (await lab.acme.until(transfer, "consulting"))["account_id"] == "acme"
    seen = await lab.admin.look("/v2/accounts/default/channels")
    assert nobodys in {one["call_id"] for one in seen}


async def test_a_transfer_is_taken_and_followed_to_its_end(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, bob = await lab.call()
    answered = await lab.acme.act(alice, "transfer", target="2600")
    assert answered.status_code == 202
    taken = answered.json()["data"]
    assert answered.headers["Location"] == taken["url"]
    assert taken["url"] == f"/v2/accounts/acme/transfers/{taken['transfer_id']}"
    assert (await lab.acme.look(taken["url"]))["state"] == "holding"
    consulting = await lab.acme.until(taken["transfer_id"], "consulting")
    assert consulting["outcome"] is None
    assert (await lab.acme.look(f"channels/{bob}"))["transfer_id"] == taken["transfer_id"]
    await trio.sleep(1)
    assert lab.hears(alice) == "2600"
    lab.hang_up(alice)
    over = await lab.acme.ended(taken["transfer_id"])
    assert (over["outcome"], over["cause"]) == ("transferred", None)
    assert over["begun"] < over["ended"]
    assert over["transferor"] == {"call_id": alice, "number": "1001"}
    assert over["transferee"] == {"call_id": bob, "number": "1002"}
    assert over["target_leg"]["number"] == over["target"] == "2600"
    assert (await lab.acme.look(f"channels/{bob}"))["transfers"] == 1


async def test_data_of_a_program_s_own_comes_back_everywhere(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    data = {"ticket": 4711, "said": ["é", None, {"a": 1.5}]}
    held = await lab.acme.act(alice, "hold", data=data)
    name = held.json()["data"]["transfer_id"]
    assert (await lab.acme.until(name, "held"))["data"] == data
    assert (await lab.acme.act(alice, "takeback")).status_code == 202
    assert (await lab.acme.ended(name))["data"] == data
    transfer = await lab.acme.transfer(alice, "2600", data=data)
    assert (await lab.acme.until(transfer, "consulting"))["data"] == data
    lab.hang_up(alice)
    assert (await lab.acme.ended(transfer))["data"] == data
    listed = await lab.acme.look("transfers")
    assert [one["data"] for one in listed] == [data, data]


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"variables": {"crm_a": "1"}}, 422, "allowed: none"),
        ({"caller_id_number": "110"}, 422, "allowed: the transferor's own"),
        ({"headers": {"X-FS-Display-Name": "Bank"}}, 400, "has a meaning to the switch"),
        ({"headers": {"X-A": "a\r\nB: c"}}, 400, "is not allowed"),
        ({"headers": {"Alert-Info": "x"}}, 400, "headers"),
        ({"data": {"a": "x" * 5000}}, 400, "at most 4096"),
    ],
)
async def test_what_may_not_be_given_along_is_refused_and_nobody_is_put_on_hold(
    autojump_clock: MockClock, lab: Lab, fields: dict[str, Any], status: int, says: str
) -> None:
    alice, _ = await lab.call()
    asked = {"action": "transfer", "target": "2600", **fields}
    answered = await lab.acme.ask("POST", f"channels/{alice}", asked)
    assert (answered.status_code, says in answered.text) == (status, True), answered.text
    assert lab.hears(alice) == "1002"


async def test_a_transfer_shows_its_timeline(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2602")
    timeline = (await lab.acme.ended(transfer))["timeline"]
    numbers = [step["number"] for step in timeline]
    assert numbers == sorted(set(numbers))
    assert timeline[0]["kind"] == "transfer.requested"
    assert timeline[-1]["kind"] == "transfer.ended"
    assert all(step["why"] for step in timeline)
    states = [state for state, _ in itertools.groupby(step["state"] for step in timeline)]
    assert states == ["holding", "dialing", "failed_reconnect", "idle"]


# -------------------------------------------------------------- every field counts


@pytest.mark.parametrize("field", ["transfer_type", "transfer-type"])
async def test_a_blind_transfer_lets_the_transferor_go_at_once(
    autojump_clock: MockClock, lab: Lab, field: str
) -> None:
    alice, bob = await lab.call()
    transfer = await lab.acme.transfer(alice, "2600", **{field: "blind"})
    over = await lab.acme.ended(transfer)
    assert (over["transfer_type"], over["outcome"]) == ("blind", "transferred")
    assert alice not in {one["call_id"] for one in await lab.acme.look("channels")}
    assert (await lab.acme.look(f"channels/{bob}"))["other_leg_number"] == "2600"


async def test_music_and_ringback_are_heard(autojump_clock: MockClock, lab: Lab) -> None:
    alice, bob = await lab.call()
    await lab.acme.transfer(
        alice, "2601", moh="local_stream://jazz", ringback="tone:425/1000,0/4000"
    )
    await trio.sleep(2)
    assert lab.hears(bob) == "music:jazz"
    assert lab.hears(alice) == "tone:425/1000,0/4000"


@pytest.mark.slow
async def test_the_timeout_says_how_long_the_target_may_ring(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601", timeout=3.5)
    began_s = trio.current_time()
    over = await lab.acme.ended(transfer)
    assert over["outcome"] == "reconnected"
    assert over["cause"] == "NO_ANSWER"
    # the switch counts whole seconds, and up to one too few (see `Procedures._dial`)
    assert 3 <= trio.current_time() - began_s < 5


async def test_the_takeback_digits_are_those_that_were_asked_for(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, bob = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601", takeback_dtmf="*77")
    await trio.sleep(1)
    lab.press(alice, "*77")
    assert (await lab.acme.ended(transfer))["outcome"] == "taken_back"
    assert (await lab.acme.look(f"channels/{alice}"))["other_leg_call_id"] == bob


async def test_with_empty_takeback_digits_the_account_code_still_resumes(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601", takeback_dtmf="")
    await trio.sleep(1)
    lab.press(alice, "*77")
    await trio.sleep(5)
    assert (await lab.acme.look(f"transfers/{transfer}"))["outcome"] is None
    lab.press(alice, "*1")
    assert (await lab.acme.ended(transfer))["outcome"] == "taken_back"


@pytest.mark.parametrize("action", ["takeback", "resume"])
async def test_taking_back_by_the_call(autojump_clock: MockClock, lab: Lab, action: str) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601")
    await trio.sleep(1)
    answered = await lab.acme.act(alice, action)
    assert answered.status_code == 202
    assert answered.json()["data"]["transfer_id"] == transfer
    assert (await lab.acme.ended(transfer))["outcome"] == "taken_back"


async def test_completing_by_the_call(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2600")
    await lab.acme.until(transfer, "consulting")
    assert (await lab.acme.act(alice, "complete")).status_code == 202
    assert (await lab.acme.ended(transfer))["outcome"] == "transferred"


async def test_hold_and_resume(autojump_clock: MockClock, lab: Lab) -> None:
    alice, bob = await lab.call()
    held = (await lab.acme.act(alice, "hold", moh="music:rain")).json()["data"]
    await trio.sleep(2)
    assert lab.hears(bob) == "music:rain"
    seen = await lab.acme.look(held["url"])
    assert (seen["transfer_type"], seen["state"], seen["target"]) == ("hold", "held", "")
    assert (await lab.acme.act(alice, "resume")).status_code == 202
    await lab.acme.ended(held["transfer_id"])
    assert (await lab.acme.look(f"channels/{alice}"))["other_leg_call_id"] == bob


async def test_hanging_up(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    answered = await lab.acme.act(alice, "hangup")
    assert answered.status_code == 202
    assert "Location" not in answered.headers
    taken = answered.json()["data"]
    assert (taken["transfer_id"], taken["url"]) == (None, None)
    await trio.sleep(1)
    assert await lab.acme.look("channels") == []


async def test_delete_takes_a_transfer_back(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2600")
    await lab.acme.until(transfer, "consulting")
    answered = await lab.acme.ask("DELETE", f"transfers/{transfer}")
    assert answered.status_code == 202
    assert (await lab.acme.ended(transfer))["outcome"] == "taken_back"
    assert "is over" in (await lab.acme.ask("DELETE", f"transfers/{transfer}")).json()["message"]


async def test_complete_hands_over(autojump_clock: MockClock, lab: Lab) -> None:
    alice, bob = await lab.call()
    transfer = await lab.acme.transfer(alice, "2600")
    assert told(await lab.acme.ask("POST", f"transfers/{transfer}/complete"), 409) == {
        "refusal": "not_now"
    }
    await lab.acme.until(transfer, "consulting")
    answered = await lab.acme.ask("POST", f"transfers/{transfer}/complete")
    assert answered.status_code == 202
    assert (await lab.acme.ended(transfer))["outcome"] == "transferred"
    assert (await lab.acme.look(f"channels/{bob}"))["other_leg_number"] == "2600"


@pytest.mark.slow
async def test_hundred_transfers_are_paged_without_gap_or_repeat(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    made: list[str] = []
    for _ in range(11):
        made.append(await lab.acme.transfer(alice, "2602"))
        await lab.acme.ended(made[-1])
    seen: list[str] = []
    start: dict[str, str] = {}
    while True:
        params = {"page_size": "3", **start}
        page = (await lab.acme.ask("GET", "transfers", params=params)).json()
        assert page["page_size"] == len(page["data"]) <= 3
        seen += [one["id"] for one in page["data"]]
        if page["next_start_key"] is None:
            break
        start = {"start_key": page["next_start_key"]}
        # what begins meanwhile comes before the first page, and shifts none of the others
        await lab.acme.ended(await lab.acme.transfer(alice, "2602"))
    assert seen == made[::-1]


async def test_transfers_are_found_by_outcome_and_by_time(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    busy = await lab.acme.transfer(alice, "2602")
    await lab.acme.ended(busy)
    await trio.sleep(60)
    running = await lab.acme.transfer(alice, "2601", timeout=600)
    await trio.sleep(1)

    async def found(**params: str) -> list[str]:
        return [one["id"] for one in await lab.acme.look("transfers", **params)]

    assert await found() == [running, busy]
    assert await found(outcome="running") == [running]
    assert await found(outcome="reconnected") == [busy]
    assert await found(outcome="failed") == []
    begun = (await lab.acme.look(f"transfers/{running}"))["begun"]
    earlier = "2026-11-29T12:00:30Z"
    assert begun > earlier
    assert await found(begun_from=earlier) == [running]
    assert await found(begun_before=earlier) == [busy]
    assert await found(begun_before="2026-11-29T13:00:30+01:00") == [busy]
    assert await found(begun_from="2026-11-29 12:00:30") == [running]
    states = {one["id"]: one["state"] for one in await lab.acme.look("transfers")}
    assert states == {running: "dialing", busy: "idle"}


# ---------------------------------------------------------------- the same again


async def test_a_repeat_under_a_key_does_nothing_and_is_answered_the_same(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    key = {"Idempotency-Key": "one"}
    first = await lab.acme.act(alice, "transfer", target="2601", headers=key)
    await trio.sleep(1)
    again = await lab.acme.act(alice, "transfer", target="2601", headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["data"] == first.json()["data"]
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json()["request_id"] != first.json()["request_id"]
    assert len(await lab.acme.look("transfers")) == 1
    lab.hang_up(alice)
    await trio.sleep(120)
    late = await lab.acme.act(alice, "transfer", target="2601", headers=key)
    assert late.json()["data"] == first.json()["data"]


async def test_a_repeat_whose_answer_was_never_kept_is_told_of_the_same_transfer(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash between the action and the answer: it is in neither memory nor file."""

    async def lose(*_answer: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(lab.service.desk.idempotency, "_keep", lose)
    alice, _ = await lab.call()
    key = {"Idempotency-Key": "one"}
    first = await lab.acme.act(alice, "transfer", target="2602", headers=key)
    again = await lab.acme.act(alice, "transfer", target="2602", headers=key)
    assert again.json()["data"] == first.json()["data"]
    await lab.acme.ended(first.json()["data"]["transfer_id"])
    late = await lab.acme.act(alice, "transfer", target="2602", headers=key)
    assert late.json()["data"] == first.json()["data"]
    assert len(await lab.acme.look("transfers")) == 1


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_repeat_does_nothing_while_the_disk_fails(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    async def fail(_change: object) -> None:
        if hangs:
            await trio.sleep(60)
        raise JournalError("the disk is full")

    alice, _ = await lab.call()
    monkeypatch.setattr(lab.service.journal, "change", fail)
    key = {"Idempotency-Key": "one"}
    with trio.fail_after(STALLED_S + KEEP_LIMIT_S + 1):
        first = await lab.acme.act(alice, "transfer", target="2602", headers=key)
    assert first.status_code == 202
    again = await lab.acme.act(alice, "transfer", target="2602", headers=key)
    assert again.json()["data"] == first.json()["data"]
    other = await lab.acme.act(alice, "transfer", target="2600", headers=key)
    assert other.status_code == 422


async def test_ten_at_once_under_a_key_are_one(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    answers: list[httpx.Response] = []

    async def ask() -> None:
        key = {"Idempotency-Key": "one"}
        answers.append(await lab.acme.act(alice, "transfer", target="2601", headers=key))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
    assert {one.status_code for one in answers} == {202}
    assert len({one.json()["data"]["transfer_id"] for one in answers}) == 1


async def test_a_key_with_another_request_is_refused(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    key = {"Idempotency-Key": "one"}
    await lab.acme.act(alice, "transfer", target="2602", headers=key)
    for fields in ({"target": "2600"}, {"target": "2602", "moh": "local_stream://jazz"}):
        other = await lab.acme.act(alice, "transfer", headers=key, **fields)
        assert "another request" in told(other, 422)["Idempotency-Key"]["message"]
    theirs, _ = await lab.call("1003", "1004", account="globex")
    answered = await lab.globex.act(theirs, "transfer", target="2602", headers=key)
    assert answered.status_code == 202, "a key is a program's own"


async def test_a_refusal_is_repeated_under_its_key(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    running = await lab.acme.transfer(alice, "2602")
    key = {"Idempotency-Key": "one"}
    first = await lab.acme.act(alice, "transfer", target="2600", headers=key)
    await lab.acme.ended(running)
    again = await lab.acme.act(alice, "transfer", target="2600", headers=key)
    assert told(again, 409) == told(first, 409)
    assert again.json()["message"] == first.json()["message"]
    assert len(await lab.acme.look("transfers")) == 1


async def test_too_many_means_ask_again_and_whoever_does_is_heard(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    accounts = {"acme": {"rules": {"transfers_at_once": 1}}}
    async with open_lab(tmp_path, accounts=accounts) as lab:
        alice, _ = await lab.call()
        cecil, _ = await lab.call("1003", "1004")
        first = await lab.acme.transfer(alice, "2602")
        key = {"Idempotency-Key": "one"}
        assert told(await lab.acme.act(cecil, "transfer", target="2602", headers=key), 429) == {
            "refusal": "too_many"
        }
        await lab.acme.ended(first)
        again = await lab.acme.act(cecil, "transfer", target="2602", headers=key)
        assert again.status_code == 202


async def test_taking_back_and_completing_take_a_key_too(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2600")
    await lab.acme.until(transfer, "consulting")
    key = {"Idempotency-Key": "one"}
    path = f"transfers/{transfer}/complete"
    first = await lab.acme.ask("POST", path, headers=key)
    await lab.acme.ended(transfer)
    assert (await lab.acme.ask("POST", path, headers=key)).json()["data"] == first.json()["data"]
    told(await lab.acme.ask("DELETE", f"transfers/{transfer}", headers=key), 422)
    told(await lab.acme.ask("DELETE", f"transfers/{transfer}"), 409)


# ----------------------------------------------------------------------- 400, 405, 413

WRONG_BODIES: list[tuple[bytes, str]] = [
    (b"", "data"),
    (b"{", "data"),
    (b"\xff\xfe", "data"),
    (b"[]", "data"),
    (b"null", "data"),
    (b"[" * 5_000, "data"),
    (b"{}", "data"),
    (b'{"data": []}', "data"),
    (b'{"data": {}}', "action"),
    (b'{"data": {"action": "fly"}}', "action"),
    (b'{"data": {"action": "hangup"}, "verb": "PUT"}', "verb"),
    (b'{"data": {"action": "transfer", "target": 2600}}', "target"),
    (b'{"data": {"action": "transfer", "target": ""}}', "target"),
    (b'{"data": {"action": "transfer", "target": "2600\\n"}}', "target"),
    (b'{"data": {"action": "transfer", "target": "26!00"}}', "target"),
    (b'{"data": {"action": "transfer", "target": "2600", "tmieout": 5}}', "tmieout"),
    (b'{"data": {"action": "transfer", "target": "2600", "timeout": 0}}', "timeout"),
    (b'{"data": {"action": "transfer", "target": "2600", "timeout": "5"}}', "timeout"),
    (b'{"data": {"action": "transfer", "target": "2600", "timeout": true}}', "timeout"),
    (b'{"data": {"action": "transfer", "target": "2600", "timeout": 1e9}}', "timeout"),
    (b'{"data": {"action": "transfer", "target": "2600", "moh": "a b"}}', "moh"),
    (b'{"data": {"action": "transfer", "target": "2600", "moh": ""}}', "moh"),
    (b'{"data": {"action": "transfer", "target": "2600", "ringback": "x::y"}}', "ringback"),
    (b'{"data": {"action": "transfer", "target": "2600", "takeback_dtmf": "x"}}', "takeback_dtmf"),
    (b'{"data": {"action": "transfer", "target": "2600", "transfer_type": "x"}}', "transfer_type"),
    (
        b'{"data":{"action":"transfer","target":"1","transfer_type":"blind","transfer-type":"attended"}}',
        "transfer_type",
    ),
    (b'{"data": {"action": "hangup", "target": "2600"}}', "target"),
    (b'{"data": {"action": "complete", "timeout": 5}}', "timeout"),
    (b'{"data": {"action": "hold", "ringback": "x"}}', "ringback"),
]


@pytest.mark.parametrize(("body", "field"), WRONG_BODIES, ids=lambda one: repr(one)[:60])
async def test_a_body_that_cannot_be_used_is_told_by_its_field(
    autojump_clock: MockClock, lab: Lab, body: bytes, field: str
) -> None:
    alice, bob = await lab.call()
    answered = await lab.acme.ask("POST", f"channels/{alice}", content=body, headers=JSON)
    fault = told(answered, 400)
    assert list(fault) == [field]
    assert fault[field]["message"]
    assert (await lab.acme.look(f"channels/{alice}"))["other_leg_call_id"] == bob


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"outcome": "won"}, "outcome"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "201"}, "page_size"),
        ({"page_size": "many"}, "page_size"),
        ({"begun_from": "yesterday"}, "begun_from"),
        ({"begun_before": "2026-13-01"}, "begun_before"),
        ({"start_key": "somewhere"}, "start_key"),
        ({"start_key": "9" * 201}, "start_key"),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_told_by_its_name(
    autojump_clock: MockClock, lab: Lab, params: dict[str, str], field: str
) -> None:
    assert list(told(await lab.acme.ask("GET", "transfers", params=params), 400)) == [field]


@pytest.mark.parametrize("key", ["", "x" * 129])
async def test_an_idempotency_key_has_one_to_128_characters(
    autojump_clock: MockClock, lab: Lab, key: str
) -> None:
    alice, _ = await lab.call()
    headers = {"Idempotency-Key": key}
    answered = await lab.acme.act(alice, "transfer", target="2600", headers=headers)
    assert list(told(answered, 400)) == ["Idempotency-Key"]


async def test_ids_that_are_too_long_or_no_names_are_told(
    autojump_clock: MockClock, lab: Lab
) -> None:
    assert list(told(await lab.acme.ask("GET", "transfers/" + "x" * 65), 400)) == ["transfer_id"]
    assert list(told(await lab.acme.ask("GET", "channels/" + "x" * 257), 400)) == ["call_id"]
    path = "/v2/accounts/a%20b/channels"
    assert list(told(await lab.acme.ask("GET", path), 400)) == ["account_id"]


async def test_a_body_is_json_whatever_its_label_says(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    answered = await lab.acme.ask(
        "POST",
        f"channels/{alice}",
        content=b'{"data": {"action": "hangup"}}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},  # what curl -d says
    )
    assert answered.status_code == 202


async def test_a_method_that_is_not_known_there(autojump_clock: MockClock, lab: Lab) -> None:
    answered = await lab.acme.ask("PUT", "channels")
    told(answered, 405)
    assert set(answered.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


class Bits(httpx.AsyncByteStream):
    """A body that does not say how long it is."""

    def __init__(self, bits: list[bytes]) -> None:
        self._bits = iter(bits)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for bit in self._bits:
            return bit
        raise StopAsyncIteration


async def test_options_tells_every_method_of_a_path(autojump_clock: MockClock, lab: Lab) -> None:
    document = (await lab.nobody.ask("GET", "/openapi.json")).json()
    for path, methods in document["paths"].items():
        answered = await lab.nobody.ask("OPTIONS", path.replace("{", "").replace("}", ""))
        allowed = {one.lower() for one in answered.headers["Allow"].split(", ")}
        known = {*methods, "options", *({"head"} if "get" in methods else ())}
        assert (answered.status_code, allowed) == (204, known), path


async def test_head_answers_as_get_without_the_body(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    own = {"x-request-id"}
    for path in ("/", "/openapi.json", "/healthz", "/readyz", "channels", f"channels/{alice}"):
        get = await lab.acme.ask("GET", path)
        head = await lab.acme.ask("HEAD", path)
        assert (head.status_code, head.content) == (200, b""), path
        for name in {*get.headers, *head.headers} - own:
            assert head.headers[name] == get.headers[name], (path, name)
    assert (await lab.acme.ask("HEAD", f"transfers/{alice}/complete")).status_code == 405
    assert (await lab.nobody.ask("HEAD", "channels")).status_code == 401


async def test_a_slash_at_the_end_makes_no_difference(autojump_clock: MockClock, lab: Lab) -> None:
    assert await lab.acme.look("channels/") == []
    for path in ("/v2/accounts//channels", "//healthz/x", "/healthz//x"):
        told(await lab.acme.ask("GET", path), 404)


async def test_an_id_may_contain_a_slash_that_is_percent_encoded(
    autojump_clock: MockClock, lab: Lab
) -> None:
    lab.backend.world.switch.name_leg = iter(["a/b?c", "d%e", "f", "g"]).__next__
    alice, bob = await lab.call()
    assert (await lab.acme.look("channels/a%2Fb%3Fc"))["call_id"] == alice
    assert (await lab.acme.look("channels/d%25e"))["call_id"] == bob


# ------------------------------------------------------------------ bytes that are no text

NO_TEXT = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\xe4b")


@pytest.mark.parametrize("junk", NO_TEXT)
async def test_bytes_that_are_no_text_are_refused_without_a_traceback(
    autojump_clock: MockClock, lab: Lab, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    alice, _ = await lab.call()
    encoded = "".join(f"%{byte:02x}" for byte in junk)
    bodies = (
        b'{"data": {"action": "transfer", "target": "%s"}}' % junk,
        b'{"data": {"%s": "hangup"}}' % junk,
        junk,
        b"{" + junk,
    )
    for body in bodies:
        told(await lab.acme.ask("POST", f"channels/{alice}", content=body), 400)
        told(await lab.acme.ask("POST", "metaflows", content=body), 400)
        told(await lab.client.put("/v2/api_auth", content=body), 400)
    for path in ("channels/" + encoded, "/" + encoded, f"/v2/accounts/{encoded}/channels"):
        told(await lab.acme.ask("GET", path), 400)
    for query in (f"switch={encoded}", f"{encoded}=1", f"page_size={encoded}"):
        told(await lab.acme.ask("GET", f"transfers?{query}"), 400)
    for name in ("X-Request-ID", "If-None-Match", "Content-Length-Hint"):
        answered = await lab.client.get("/", headers={name: junk})  # pyright: ignore[reportArgumentType] - httpx takes bytes as well
        assert answered.status_code == 200
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


@pytest.mark.parametrize("number", [b"1e999", b"-1e400", b"9" * 5_000, b"NaN", b"Infinity"])
async def test_numbers_that_are_none_are_refused(
    autojump_clock: MockClock, lab: Lab, number: bytes
) -> None:
    alice, _ = await lab.call()
    body = b'{"data": {"action": "transfer", "target": "2600", "timeout": %s}}' % number
    told(await lab.acme.ask("POST", f"channels/{alice}", content=body), 400)


async def test_a_body_that_is_too_long(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_lab(tmp_path, limits={"request_bytes": 2_000}) as lab:
        alice, _ = await lab.call()
        body = b'{"data": {"action": "hangup"}}' + b" " * 2_000
        told(await lab.acme.ask("POST", f"channels/{alice}", content=body, headers=JSON), 413)

        url = f"/v2/accounts/acme/channels/{alice}"
        headers = {**JSON, "X-Auth-Token": str(lab.acme.token)}
        request = lab.client.build_request("POST", url, headers=headers)
        request.stream = Bits([body[start : start + 100] for start in range(0, len(body), 100)])
        told(await lab.client.send(request), 413)
        assert len(await lab.acme.look("channels")) == 2


# --------------------------------------------------------------- 401, 403, 404, 409, 422


async def _everything(program: Program, call: str, transfer: str) -> list[httpx.Response]:
    act = {"action": "hangup"}
    return [
        await program.ask("GET", "channels"),
        await program.ask("GET", f"channels/{call}"),
        await program.ask("POST", f"channels/{call}", act),
        await program.ask("GET", "transfers"),
        await program.ask("GET", f"transfers/{transfer}"),
        await program.ask("DELETE", f"transfers/{transfer}"),
        await program.ask("POST", f"transfers/{transfer}/complete"),
        await program.ask("GET", "metaflows"),
        await program.ask("POST", "metaflows", {"numbers": {}}),
        await program.ask("PATCH", "metaflows", {"numbers": {}}),
        await program.ask("DELETE", "metaflows"),
    ]


async def test_nobody_does_anything_without_a_token(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601")
    for answered in await _everything(lab.nobody, alice, transfer):
        told(answered, 401)
        assert answered.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await lab.acme.look(f"channels/{alice}"))["transfer_id"] == transfer
    path = f"channels/{alice}"
    answered = await lab.nobody.ask("POST", path, content=b"{", headers=JSON)
    told(answered, 401)  # what nobody sends is not even read


def _but_for_its_id(answered: httpx.Response) -> dict[str, Any]:
    body = answered.json()
    del body["request_id"]
    return body


async def test_of_another_account_nobody_learns_even_that_it_is_there(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601")
    acme, none = (attrs.evolve(lab.globex, account=one) for one in ("acme", "none"))
    there = await _everything(acme, alice, transfer)
    await trio.sleep(1)  # the budget of the key
    not_there = await _everything(none, "no-call", "no-transfer")
    for one, other in zip(there, not_there, strict=True):
        assert told(one, 403) == {"refusal": "not_entitled"}
        assert _but_for_its_id(one) == _but_for_its_id(other)


async def test_another_accounts_call_is_as_one_that_does_not_exist(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601")
    over = await lab.acme.transfer((await lab.call("1003", "1004"))[0], "2602")
    await lab.acme.ended(over)
    for theirs, nobodys in ((alice, "no-call"),):
        for action in ("hangup", "hold", "complete", "takeback"):
            one = await lab.globex.act(theirs, action)
            other = await lab.globex.act(nobodys, action)
            assert told(one, 404) == {"refusal": "no_such_call"}
            assert _but_for_its_id(one) == _but_for_its_id(other)
        one = await lab.globex.ask("GET", f"channels/{theirs}")
        assert _but_for_its_id(one) == _but_for_its_id(
            await lab.globex.ask("GET", f"channels/{nobodys}")
        )
    for theirs in (transfer, over):
        for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/complete")):
            one = await lab.globex.ask(method, f"transfers/{theirs}{rest}")
            other = await lab.globex.ask(method, f"transfers/nobodys{rest}")
            told(one, 404)
            assert _but_for_its_id(one) == _but_for_its_id(other)
    assert await lab.globex.look("transfers") == []
    assert (await lab.acme.look(f"transfers/{transfer}"))["outcome"] is None


async def test_two_switches_with_one_call_id_tell_nothing_of_anothers_call(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    world = simulated_world(seed=2)
    async with (
        open_simulator(world=world) as second,
        open_lab(tmp_path, more={"second": second}) as lab,
    ):
        lab.backend.world.switch.name_leg = iter(["same", "a", "c", "d"]).__next__
        world.switch.name_leg = iter(["same", "b"]).__next__
        await lab.call("1001", "1002")
        await second.call("1003", "1004", account="acme")
        await trio.sleep(1)
        told(await lab.globex.act("same", "hangup"), 404)
        assert "name the switch" in (await lab.acme.act("same", "hangup")).json()["message"]
        numbers = {
            switch: (await lab.acme.look("channels/same", switch=switch))["number"]
            for switch in (SWITCH, "second")
        }
        assert numbers == {SWITCH: "1001", "second": "1003"}
        told(await lab.acme.ask("GET", "channels/same", params={"switch": "third"}), 404)


async def test_what_cannot_be_done_now(autojump_clock: MockClock, lab: Lab) -> None:
    alice, bob = await lab.call()
    for action in ("takeback", "resume", "complete"):
        assert told(await lab.acme.act(alice, action), 409) == {"refusal": "not_now"}
    await lab.acme.transfer(alice, "2601")
    for leg in (alice, bob):
        refused = await lab.acme.act(leg, "transfer", target="2600")
        assert told(refused, 409) == {"refusal": "not_now"}
    lonely = lab.backend.world.call("1005", "2601", account="acme")[0]
    lab.backend.nudge()
    await trio.sleep(1)
    refused = await lab.acme.act(lonely, "transfer", target="2600")
    assert "not answered" in refused.json()["message"]
    told(refused, 409)


async def test_a_target_that_is_not_allowed(autojump_clock: MockClock, tmp_path: Path) -> None:
    rules = {"targets_allowed": ["26*", "1*"], "targets_denied": ["2603"]}
    async with open_lab(tmp_path, accounts={"acme": {"rules": rules}}) as lab:
        alice, bob = await lab.call()
        for target in ("2603", "0900123456"):
            refused = await lab.acme.act(alice, "transfer", target=target)
            assert told(refused, 422) == {"refusal": "target_refused"}
            assert target in refused.json()["message"]
        told(await lab.acme.act(alice, "transfer", target="1002"), 422)  # Bob himself
        assert (await lab.acme.look(f"channels/{alice}"))["other_leg_call_id"] == bob
        await lab.acme.transfer(alice, "2600")


# ------------------------------------------------------------------------ 429, 503, 500


async def test_who_asks_too_often_is_told_so_and_others_are_not(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path, limits={"requests_per_second": 5}) as lab:
        for _ in range(5):
            told(await lab.acme.ask("GET", "transfers/x"), 404)
        told(await lab.acme.ask("GET", "transfers/x"), 429)
        told(await lab.globex.ask("GET", "transfers/x"), 404)
        await trio.sleep(1)
        told(await lab.acme.ask("GET", "transfers/x"), 404)


class Loses:
    """A way to a switch that is lost, and found again when somebody says so."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[CallEvent](100)
        self.tell = self._send.send_nowait

    def events(self) -> AsyncIterator[CallEvent]:
        return self._receive

    async def perform(self, command: SwitchCommand) -> None:
        await trio.lowlevel.checkpoint()

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        await trio.lowlevel.checkpoint()
        return ()


async def test_a_switch_that_is_away(autojump_clock: MockClock, tmp_path: Path) -> None:
    switch = Loses()
    async with open_lab(tmp_path, more={"east": switch}) as lab:
        switch.tell(SwitchFound())
        created = LegCreated(leg="far", number="1001", direction=Direction.INBOUND, account="acme")
        switch.tell(created)
        await trio.sleep(1)
        assert (await lab.nobody.ask("GET", "/readyz")).json() == {"status": "ok", "trouble": {}}
        switch.tell(SwitchLost(reason="the line is cut"))
        await trio.sleep(1)
        refused = await lab.acme.act("far", "hangup")
        told(refused, 503)
        assert "the switch is away: the line is cut" in refused.json()["message"]
        ready = await lab.nobody.ask("GET", "/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"status": "trouble", "trouble": {"switch east": "the line is cut"}}
        alice, _ = await lab.call()
        await lab.acme.transfer(alice, "2600")  # the others work
        switch.tell(SwitchFound())
        await trio.sleep(1)
        assert (await lab.nobody.ask("GET", "/readyz")).status_code == 200
        assert (await lab.acme.act("far", "hangup")).status_code == 202


async def test_a_service_that_is_about_to_stop(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    cecil, _ = await lab.call("1003", "1004")
    transfer = await lab.acme.transfer(alice, "2600")
    await lab.acme.until(transfer, "consulting")
    left: list[int] = []

    async def drain() -> None:
        left.append(await lab.service.drain())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain)
        await trio.sleep(0.1)
        refused = await lab.acme.act(cecil, "transfer", target="2600")
        assert told(refused, 503) == {"refusal": "closing"}
        ready = await lab.nobody.ask("GET", "/readyz")
        assert "about to stop" in ready.json()["trouble"]["service"]
        assert (await lab.nobody.ask("GET", "/healthz")).status_code == 200
        assert (await lab.acme.ask("POST", f"transfers/{transfer}/complete")).status_code == 202
    assert left == [0]


async def test_a_bug_of_ours_is_told_by_its_id_alone(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr(lab.service.group, "legs", broken)
    answered = await lab.acme.ask("GET", "channels", headers={"X-Request-ID": "mine"})
    assert told(answered, 500) == {}
    assert "secret" not in answered.text
    assert "ZeroDivision" not in answered.text
    assert "mine" in caplog.text
    assert "secret of the house" in caplog.text


# ------------------------------------------------------------------- names, health, document


async def test_a_request_keeps_the_name_that_it_brings(autojump_clock: MockClock, lab: Lab) -> None:
    for path in ("/healthz", "channels", "/nowhere"):
        answered = await lab.acme.ask("GET", path, headers={"X-Request-ID": "desk-7:41"})
        assert answered.headers["X-Request-ID"] == "desk-7:41"
    names = {(await lab.acme.ask("GET", "/healthz")).headers["X-Request-ID"] for _ in range(3)}
    assert len(names) == 3
    for strange in ("a b", "x" * 65, "<script>"):
        answered = await lab.acme.ask("GET", "channels", headers={"X-Request-ID": strange})
        assert answered.headers["X-Request-ID"] != strange


@pytest.mark.parametrize("path", ["/nowhere", "/v2", "/v2/accounts/acme", "/schema"])
async def test_what_is_not_there_is_told_in_the_envelope(
    autojump_clock: MockClock, lab: Lab, path: str
) -> None:
    told(await lab.nobody.ask("GET", path), 404)
    told(await lab.acme.ask("GET", path), 404)


async def _metrics(lab: Lab) -> dict[tuple[str, ...], float]:
    text = (await lab.nobody.ask("GET", "/metrics")).text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_count_what_has_happened(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    await lab.acme.ended(await lab.acme.transfer(alice, "2602"))
    cecil, _ = await lab.call("1003", "1004")
    await lab.acme.until(await lab.acme.transfer(cecil, "2600"), "consulting")
    await lab.acme.act(cecil, "transfer", target="2600")
    await lab.nobody.ask("GET", "/nowhere")
    seen = await _metrics(lab)
    assert seen["hookflash_transfers_begun_total", "attended", SWITCH] == 2
    assert seen["hookflash_transfers_ended_total", "reconnected", SWITCH] == 1
    assert seen["hookflash_transfers", "consulting", SWITCH] == 1
    assert seen["hookflash_transfers", "dialing", SWITCH] == 0
    assert seen["hookflash_requests_refused_total", "not_now", SWITCH] == 1
    assert seen["hookflash_state_seconds_count", "dialing"] == 2
    assert seen["hookflash_switch_up", SWITCH] == 1
    assert seen["hookflash_legs", SWITCH] == 5
    assert seen["hookflash_journal_ok",] == 1
    assert seen["hookflash_http_request_seconds_count", "transfer", "202"] == 2
    assert seen["hookflash_http_request_seconds_count", "transfer", "409"] == 1
    assert seen["hookflash_http_request_seconds_count", "none", "404"] == 1
    broken = {key: value for key, value in seen.items() if "promises_broken" in key[0]}
    assert len(broken) >= 5
    assert set(broken.values()) == {0}


async def test_the_metrics_have_every_state(autojump_clock: MockClock, lab: Lab) -> None:
    states = {key[1] for key in await _metrics(lab) if key[0] == "hookflash_transfers"}
    assert states == {state.value for state in State} - {"idle"}


async def test_the_page_and_the_document_need_nobody_else(
    autojump_clock: MockClock, lab: Lab
) -> None:
    page = await lab.nobody.ask("GET", "/")
    assert page.headers["Content-Type"].startswith("text/html")
    for fetched in ("src=", "@import", "url(", "<script", "<link", 'href="http', "//cdn"):
        assert fetched not in page.text
    document = (await lab.nobody.ask("GET", "/openapi.json")).json()
    for path, methods in document["paths"].items():
        assert path in page.text
        for operation in methods.values():
            assert operation["summary"] in html.unescape(page.text)


async def test_the_page_and_the_document_are_sent_once(autojump_clock: MockClock, lab: Lab) -> None:
    for path in ("/", "/openapi.json"):
        first = await lab.nobody.ask("GET", path)
        tag = first.headers["ETag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            again = await lab.nobody.ask("GET", path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["ETag"] == tag
        changed = await lab.nobody.ask("GET", path, headers={"If-None-Match": '"other"'})
        assert changed.content == first.content


async def test_every_answer_is_safe_in_a_browser(autojump_clock: MockClock, lab: Lab) -> None:
    alice, _ = await lab.call()
    key = {"api_key": await lab.make_key("acme")}
    answers = [
        *await _everything(lab.acme, alice, "none"),
        *await _everything(lab.nobody, alice, "none"),
        await lab.nobody.ask("PUT", "/v2/api_auth", key),
        *[await lab.nobody.ask("GET", path) for path in ("/healthz", "/metrics", "/nowhere")],
        *[await lab.nobody.ask("GET", path) for path in ("/", "/openapi.json")],
    ]
    for answered in answers:
        headers = answered.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == ("no-cache" if "ETag" in headers else "no-store")
        assert "Strict-Transport-Security" not in headers
    secure = await lab.client.get("https://lab/healthz")
    assert secure.headers["Strict-Transport-Security"].startswith("max-age=")


async def test_the_page_may_have_its_own_style_and_nothing_else(
    autojump_clock: MockClock, lab: Lab
) -> None:
    page = await lab.nobody.ask("GET", "/")
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.headers["Content-Security-Policy"]
    assert "style=" not in page.text


async def test_the_metrics_are_collected_once_a_second_however_many_ask(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected = itertools.count()

    async def exposition(_: DoorMetrics) -> bytes:
        await trio.sleep(0.1)
        return b"%d" % next(collected)

    monkeypatch.setattr(DoorMetrics, "exposition", exposition)
    texts = [(await lab.nobody.ask("GET", "/metrics")).text for _ in range(50)]
    await trio.sleep(METRICS_EVERY_S)
    texts.append((await lab.nobody.ask("GET", "/metrics")).text)
    assert texts == ["0"] * 50 + ["1"]


async def test_the_document_tells_every_status_that_can_come(
    autojump_clock: MockClock, lab: Lab
) -> None:
    document = (await lab.nobody.ask("GET", "/openapi.json")).json()
    for path, methods in document["paths"].items():
        if not path.startswith("/v2"):
            continue
        for method, operation in methods.items():
            wanted = {"400", "401", "429", "500", "503"}
            wanted |= {"403"} if "account_id" in path else set()
            wanted |= {"404"} if path.endswith(("call_id}", "transfer_id}", "complete")) else set()
            wanted |= {"413"} if "requestBody" in operation else set()
            assert wanted <= set(operation["responses"]), (method, path)


async def test_the_shapes_that_go_in_are_as_strict_as_the_checks(
    autojump_clock: MockClock, lab: Lab
) -> None:
    document = (await lab.nobody.ask("GET", "/openapi.json")).json()
    shapes = document["components"]["schemas"]
    for name in ("TransferAction", "HoldAction", "SignIn", "Credentials", "Metaflows"):
        assert shapes[name]["additionalProperties"] is False
    timeout = shapes["TransferAction"]["properties"]["timeout"]["anyOf"][0]
    assert timeout["exclusiveMinimum"] == 0
    set_codes = document["paths"]["/v2/accounts/{account_id}/metaflows"]["post"]["requestBody"]
    body = set_codes["content"]["application/json"]["schema"]
    assert body["additionalProperties"] is False
    assert body["properties"]["data"]["$ref"].endswith("/Metaflows")


async def test_the_journals_fault_is_told(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.service.journal, "fault", "the disk is full")
    ready = await lab.nobody.ask("GET", "/readyz")
    assert ready.status_code == 503
    assert ready.json()["trouble"] == {"journal": "the disk is full"}
    assert (await _metrics(lab))["hookflash_journal_ok",] == 0
    alice, _ = await lab.call()
    await lab.acme.transfer(alice, "2600")


@pytest.mark.slow
async def test_a_service_that_comes_again_remembers(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path) as lab:
        alice, _ = await lab.call()
        over = await lab.acme.transfer(alice, "2602")
        await lab.acme.ended(over)
        before = await lab.acme.look(f"transfers/{over}")
        key = await lab.make_key("acme")
    async with open_lab(tmp_path) as lab:
        assert await lab.acme.look(f"transfers/{over}") == before
        again = attrs.evolve(lab.acme, token=await token_of(lab.client, key))
        assert await again.look("channels") == []
