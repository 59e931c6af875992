"""An account's feature codes by HTTP: what holds, for which calls, and after a restart."""

# a test may look inside
# pyright: reportPrivateUsage=false

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import trio
from lab import SWITCH, Lab, inline, open_lab
from structlog.testing import capture_logs
from trio.testing import MockClock

from hookflash.journal import registry
from hookflash.journal.database import JournalError
from hookflash.server import config
from hookflash.server.caller import Caller
from hookflash.server.idempotency import MOST_BYTES_IN_MEMORY

STOCK: dict[str, Any] = {
    "binding_digit": "*",
    "digit_timeout": 3000,
    "incomplete_timeout": 5000,
    "listen_on": "both",
    "numbering": [],
    "numbers": {"1": {"module": "resume"}},
    "patterns": {
        r"2(\d+)": {
            "module": "transfer",
            "data": {"transfer_type": "attended", "takeback_dtmf": "*1"},
        }
    },
}
NINE = {"patterns": {r"9(\d+)": {"module": "transfer"}}}
"""`*9` in place of `*2`."""


async def begins(lab: Lab, leg: str, digits: str) -> bool:
    """Whether a party that dials this is in a transfer then."""
    lab.press(leg, digits)
    await trio.sleep(5)
    board = lab.service.group.engines[SWITCH].switchboard
    return board.transfer_of(leg) is not None


async def test_an_account_has_the_stock_codes_at_first(autojump_clock: MockClock, lab: Lab) -> None:
    assert await lab.acme.look("metaflows") == STOCK


async def test_what_is_set_holds_for_calls_that_begin_afterwards(
    autojump_clock: MockClock, lab: Lab
) -> None:
    old, _ = await lab.call("1001", "1002")
    theirs, _ = await lab.call("1003", "1004", account="globex")
    answered = await lab.acme.ask("POST", "metaflows", NINE)
    assert answered.status_code == 200
    holds = answered.json()["data"]
    assert list(holds["patterns"]) == [r"9(\d+)"]
    assert holds["digit_timeout"] == 3000, "all defaults are spelled out"
    assert await lab.acme.look("metaflows") == holds
    new, _ = await lab.call("1005", "1006")
    assert not await begins(lab, new, "*22601")
    assert await begins(lab, new, "*92601")
    assert not await begins(lab, old, "*92601")
    assert await begins(lab, old, "*22601")
    assert await lab.globex.look("metaflows") == STOCK
    assert await begins(lab, theirs, "*22601")


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_calls_that_are_up_have_it_too_when_asked_for(
    autojump_clock: MockClock, lab: Lab, method: str
) -> None:
    up, _ = await lab.call()
    theirs, _ = await lab.call("1003", "1004", account="globex")
    answered = await lab.acme.ask(method, "metaflows?apply_to=all", NINE)
    assert answered.status_code == 200
    assert await begins(lab, up, "*92601")
    assert not await begins(lab, theirs, "*92601")


async def test_a_patch_changes_some_and_null_takes_away(
    autojump_clock: MockClock, lab: Lab
) -> None:
    patch: dict[str, Any] = {
        "digit_timeout": 1500,
        "patterns": {r"2(\d+)": {"data": {"transfer_type": "blind"}}, r"9(\d+)": None},
        "numbers": {"1": None, "3": {"module": "hangup"}},
    }
    answered = await lab.acme.ask("PATCH", "metaflows", patch)
    assert answered.status_code == 200
    assert answered.json()["data"] == {
        **STOCK,
        "digit_timeout": 1500,
        "numbers": {"3": {"module": "hangup"}},
        "patterns": {
            r"2(\d+)": {
                "module": "transfer",
                "data": {"transfer_type": "blind", "takeback_dtmf": "*1"},
            }
        },
    }
    assert (await lab.acme.look("metaflows"))["digit_timeout"] == 1500


async def test_two_patches_at_once_are_both_kept(autojump_clock: MockClock, lab: Lab) -> None:
    async with trio.open_nursery() as nursery:
        for number in ("5", "6", "7"):
            patch = {"numbers": {number: {"module": "hangup"}}}
            nursery.start_soon(lab.acme.ask, "PATCH", "metaflows", patch)
    assert {"1", "5", "6", "7"} == set((await lab.acme.look("metaflows"))["numbers"])


async def test_delete_lets_the_configs_codes_hold_again(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    written = {"patterns": {r"4(\d+)": {"module": "transfer"}}}
    async with open_lab(tmp_path, accounts={"acme": {"metaflows": written}}) as lab:
        before = await lab.acme.look("metaflows")
        assert list(before["patterns"]) == [r"4(\d+)"]
        await lab.acme.ask("POST", "metaflows", NINE)
        up, _ = await lab.call()
        answered = await lab.acme.ask("DELETE", "metaflows?apply_to=all")
        assert answered.status_code == 200
        assert answered.json()["data"] == before == await lab.acme.look("metaflows")
        assert await begins(lab, up, "*42601")


async def test_a_stored_sound_that_can_no_longer_be_read_is_left_out_and_not_lost(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Older versions let programs set a URL as music. The service still starts."""
    data = {"moh": "http://example.org/a.wav", "ringback": "%(2000,4000,440,480)"}
    old = {"patterns": {r"9(\d+)": {"module": "transfer", "data": data}}}
    async with open_lab(tmp_path) as lab:
        journal = lab.service.journal
        store = partial(registry.store_metaflows, account="acme", document=old, now=journal.now())
        await journal.change(store)
    with capture_logs() as logs:
        async with open_lab(tmp_path) as lab:
            (entry,) = (await lab.acme.look("metaflows"))["patterns"].values()
            assert entry["data"].keys() == {"transfer_type", "takeback_dtmf", "ringback"}
            leg, _ = await lab.call()
            assert await begins(lab, leg, "*92601")
            assert await lab.service.journal.read(registry.stored_metaflows) == {"acme": old}
    (warning,) = [log for log in logs if log["event"] == "sound.unreadable"]
    assert warning["account"] == "acme"
    assert warning["where"] == r'$.patterns."9(\\d+)".data.moh'
    assert "http: is not allowed" in warning["why"]


async def test_what_was_set_outlives_a_restart_and_goes_before_the_config(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    written = {"patterns": {r"4(\d+)": {"module": "transfer"}}}
    async with open_lab(tmp_path) as lab:
        await lab.acme.ask("POST", "metaflows", NINE)
        await lab.globex.ask("POST", "metaflows", NINE)
        await lab.globex.ask("DELETE", "metaflows")
    async with open_lab(tmp_path, accounts={"acme": {"metaflows": written}}) as lab:
        assert list((await lab.acme.look("metaflows"))["patterns"]) == [r"9(\d+)"]
        assert await lab.globex.look("metaflows") == STOCK
        call, _ = await lab.call()
        assert await begins(lab, call, "*92601")
        await lab.acme.ask("DELETE", "metaflows")
        assert list((await lab.acme.look("metaflows"))["patterns"]) == [r"4(\d+)"]


async def test_legs_without_an_account_have_codes_too(autojump_clock: MockClock, lab: Lab) -> None:
    answered = await lab.admin.ask("POST", "/v2/accounts/default/metaflows", NINE)
    assert answered.status_code == 200
    call, _ = await lab.call("1001", "1002", account="")
    lab.press(call, "*92601")
    await trio.sleep(5)
    seen = await lab.admin.look(f"/v2/accounts/default/channels/{call}")
    assert seen["transfer_id"] is not None


async def test_a_transfer_in_flight_goes_on_as_it_began(
    autojump_clock: MockClock, lab: Lab
) -> None:
    alice, _ = await lab.call()
    transfer = await lab.acme.transfer(alice, "2601")
    await lab.acme.ask("POST", "metaflows?apply_to=all", {"binding_digit": "#"})
    lab.press(alice, "*1")
    assert (await lab.acme.ended(transfer))["outcome"] == "taken_back"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"binding_digt": "*"}, "binding_digt"),
        ({"binding_digit": "**"}, "binding_digit"),
        ({"digit_timeout": 5}, "digit_timeout"),
        ({"digit_timeout": "2000"}, "digit_timeout"),
        ({"numbers": {"1": {"module": "fly"}}}, 'numbers."1".module'),
        ({"numbers": {"1": {}}}, 'numbers."1"'),
        ({"patterns": {"2(": {"module": "hangup"}}}, 'patterns."2("'),
        (
            {"numbers": {"1": {"module": "transfer", "data": {"moh": "a b"}}}},
            'numbers."1".data.moh',
        ),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_codes_that_cannot_be_used_are_told_by_their_place_and_change_nothing(
    autojump_clock: MockClock, lab: Lab, method: str, document: dict[str, Any], field: str
) -> None:
    if method == "PATCH" and field.startswith('numbers."1"'):
        document = {**document, "patterns": None}  # a patch adds to what there is
        document["numbers"] = {"1": None, "4": document["numbers"]["1"]}
        field = field.replace('"1"', '"4"')
    answered = await lab.acme.ask(method, "metaflows", document)
    assert answered.status_code == 400, answered.text
    assert list(answered.json()["data"]) == [field]
    assert await lab.acme.look("metaflows") == STOCK


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("metaflows?apply_to=old", {"data": {}}, "apply_to"),
        ("metaflows", {}, "data"),
        ("metaflows", {"data": []}, "data"),
        ("metaflows", {"data": {}, "apply_to": "all"}, "apply_to"),
    ],
)
async def test_what_is_asked_wrongly_is_told_by_its_field(
    autojump_clock: MockClock, lab: Lab, path: str, body: object, field: str
) -> None:
    for method in ("POST", "PATCH"):
        answered = await lab.acme.ask(method, path, json=body)
        assert answered.status_code == 400, answered.text
        assert list(answered.json()["data"]) == [field]


async def test_what_cannot_be_kept_does_not_hold(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise JournalError("the disk is full")

    monkeypatch.setattr(lab.service.journal, "change", full)
    answered = await lab.acme.ask("POST", "metaflows", NINE)
    assert answered.status_code == 503
    assert "the disk is full" in answered.json()["message"]
    assert await lab.acme.look("metaflows") == STOCK


# ------------------------------------------------------------------- what they cost


async def test_what_was_parsed_is_forgotten_with_the_last_account_and_call_that_has_it(
    autojump_clock: MockClock, lab: Lab
) -> None:
    """A document of 260 bytes takes 400 KB when it is parsed, and a key can send thousands."""
    board = lab.service.group.engines[SWITCH].switchboard
    assert (await lab.acme.ask("POST", "metaflows", NINE)).status_code == 200
    alice, bob = await lab.call()
    assert await begins(lab, alice, "*92601")
    first = ref(board.choices_of("acme").metaflows)
    for timeout in range(100, 120):
        answered = await lab.acme.ask("POST", "metaflows", {**NINE, "digit_timeout": timeout})
        assert answered.status_code == 200
        await trio.sleep(1)
    gc.collect()
    held = [one for one in config._in_use.values() if one.digit_timeout_s < 1]
    assert [one.digit_timeout_s for one in held] == [0.119]
    assert first() is not None, "a call has them"
    lab.hang_up(alice)
    lab.hang_up(bob)
    await trio.sleep(120)
    gc.collect()
    assert first() is None
    assert (await lab.acme.look("metaflows"))["digit_timeout"] == 119


async def test_feature_codes_are_parsed_where_calls_need_not_wait(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_aside, parsed_aside = [False], list[bool]()
    parse = config.parse_metaflows

    async def aside(work: Callable[[], Any], /) -> Any:
        is_aside[0] = True
        try:
            return await inline(work)
        finally:
            is_aside[0] = False

    def watched(*args: Any, **how: Any) -> Any:
        parsed_aside.append(is_aside[0])
        return parse(*args, **how)

    monkeypatch.setattr(lab.service.desk.context.codes, "_run", aside)
    monkeypatch.setattr(config, "parse_metaflows", watched)
    for method in ("POST", "PATCH"):
        for query in ("", "?apply_to=all"):
            codes = {**NINE, "digit_timeout": 300 + len(parsed_aside)}
            answered = await lab.acme.ask(method, f"metaflows{query}", codes)
            assert answered.json()["data"]["digit_timeout"] == codes["digit_timeout"]
    assert parsed_aside == [True] * 4, "once each"


async def test_a_reload_while_feature_codes_are_parsed_counts(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = lab.service.desk.context.codes
    reloaded = config.Config(defaults=config.AccountKeys(takeback_digits="*7"))

    async def slowly(work: Callable[[], Any], /) -> Any:
        done = await inline(work)
        codes.apply(reloaded)
        return done

    monkeypatch.setattr(codes, "_run", slowly)
    answered = await lab.acme.ask("POST", "metaflows", NINE)
    data = answered.json()["data"]["patterns"][r"9(\d+)"]["data"]
    assert data["takeback_dtmf"] == "*7"


async def test_parsing_counts_as_many_requests(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_lab(tmp_path, limits={"requests_per_second": 100}) as lab:
        await trio.sleep(1)
        statuses = [(await lab.acme.ask("POST", "metaflows", NINE)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        await trio.sleep(1)
        assert (await lab.acme.ask("PATCH", "metaflows", NINE)).status_code == 200


async def test_answers_in_memory_are_limited_by_their_length_too(
    autojump_clock: MockClock, lab: Lab
) -> None:
    store = lab.service.desk.idempotency
    who = Caller(key="k", account="acme", read_only=False)
    done = 0

    async def act() -> str:
        nonlocal done
        done += 1
        return "x" * (MOST_BYTES_IN_MEMORY // 4)

    for key in range(8):
        await store.once(who, str(key), key, str, act)
    kept = [len(answer.body) for answer in store._given.values()]
    assert len(kept) == 3
    assert sum(kept) == store._given_bytes <= MOST_BYTES_IN_MEMORY
    assert len(await store.once(who, "0", 0, str, act)) == MOST_BYTES_IN_MEMORY // 4
    assert done == 8, "the journal has the others"
    big = "x" * (MOST_BYTES_IN_MEMORY + 1)
    assert await store.once(who, "big", 0, str, partial(inline, lambda: big)) == big
    assert (store._given, store._given_bytes) == ({}, 0)
