"""The line between the engine and the doors: nobody waits for an end that freezes, or is gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest
import trio
from doors_here import open_doors_of
from lab import SWITCH, Lab, client_of, inline, now, open_lab
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from hookflash.errors import (
    Forbidden,
    HookflashError,
    InputError,
    NotFound,
    Refusal,
    RequestRefused,
    Unauthorized,
)
from hookflash.journal.database import JournalError
from hookflash.server.api import MOST_AT_ONCE
from hookflash.server.caller import Caller
from hookflash.server.idempotency import KeyUsedBefore
from hookflash.server.line import doors_end
from hookflash.server.line import messages as m
from hookflash.server.line.desk_end import FROZEN_S, DeskEnd, DeskWork
from hookflash.server.line.doors_end import LOOK_LIMIT_S, SILENT_S, DoorsEnd, EngineSilent
from hookflash.server.line.stream import Line, LineBroken
from hookflash.server.operations import OPERATIONS


@pytest.mark.parametrize(
    "error",
    [
        InputError("is no number", where="$.target", hint="digits"),
        KeyUsedBefore(),
        RequestRefused("too late"),
        RequestRefused("wait", Refusal.TOO_MANY),
        NotFound("there is no such call"),
        Forbidden(),
        Unauthorized("who?"),
        JournalError("the disk is full"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_as_it_went_in(error: HookflashError) -> None:
    encoded = m.ENCODER.encode(m.Failed(1, m.fault_of(error)))
    failed = m.FROM_ENGINE.decode(encoded)
    assert isinstance(failed, m.Failed)
    found = m.error_of(failed.fault)
    assert (str(found), found.http_status) == (str(error), error.http_status)
    assert isinstance(found, InputError) == isinstance(error, InputError)
    if isinstance(error, RequestRefused):
        assert isinstance(found, RequestRefused)
        assert found.refusal is error.refusal


async def test_what_is_not_read_costs_a_limited_amount_of_memory(
    autojump_clock: MockClock,
) -> None:
    ours, _theirs = lockstep_stream_pair()  # holds nothing
    line = Line(ours, m.FROM_DOORS, most_waiting_bytes=10_000)
    for number in range(1000):
        line.put(m.Answered(number, b"x" * 100))
    with pytest.raises(ExceptionGroup) as broken, trio.fail_after(1):
        await line.send()
    assert broken.group_contains(LineBroken, match="has not read for too long")
    line.put(m.Answered(1, b""))  # of no effect


async def test_a_message_that_is_none_breaks_the_line(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(b"\xff" * 4)
    with pytest.raises(LineBroken, match="4294967295 bytes"):
        await Line(ours, m.FROM_DOORS).receive()
    await theirs.send_all(b"\x00\x00\x00\x03abc")
    with pytest.raises(LineBroken, match="nonsense"):
        await Line(ours, m.FROM_DOORS).receive()
    await theirs.aclose()
    with pytest.raises(LineBroken, match="gone"):
        await Line(ours, m.FROM_DOORS).receive()


def desk_of(lab: Lab, stream: trio.abc.Stream, nursery: trio.Nursery) -> DeskEnd:
    service = lab.service
    return DeskEnd(stream, service.desk, service.metrics, service.settings(None), DeskWork(nursery))


@asynccontextmanager
async def desk_end_of(lab: Lab) -> AsyncGenerator[Line[m.FromEngine]]:
    """A line to a lab's desk, with nobody at its other end."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        end = desk_of(lab, ours, nursery)
        nursery.start_soon(end.run)
        yield Line(theirs, m.FROM_ENGINE)
        nursery.cancel_scope.cancel()


async def test_doors_that_say_nothing_are_given_up(autojump_clock: MockClock, lab: Lab) -> None:
    began_s = trio.current_time()
    with pytest.raises(ExceptionGroup) as broken:
        async with desk_end_of(lab):
            await trio.sleep(60)
    assert broken.group_contains(LineBroken, match="said nothing for 10 s")
    assert trio.current_time() - began_s == FROZEN_S
    assert len(lab.service.desk.ends) == 1  # the lab's own


async def test_nobody_waits_for_a_read_that_hangs_to_open_the_doors_again(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object) -> bytes:
        with trio.CancelScope(shield=True):  # as a thread that waits for a disk
            await trio.sleep(500)
        return b""

    monkeypatch.setattr(DeskEnd, "find", hangs)
    async with trio.open_nursery() as longer:
        ours, theirs = memory_stream_pair()
        line = Line(theirs, m.FROM_ENGINE)
        line.put(m.LookUp(1, "faults"))
        settings = lab.service.settings(None)
        work = DeskWork(longer)
        end = DeskEnd(ours, lab.service.desk, lab.service.metrics, settings, work)
        with pytest.raises(ExceptionGroup) as broken:  # noqa: PT012 - it breaks while it is used
            async with trio.open_nursery() as nursery:
                nursery.start_soon(end.run)
                nursery.start_soon(line.send)
                await trio.sleep(1)
                await theirs.aclose()
        assert broken.group_contains(LineBroken, match="gone")
        assert trio.current_time() < 5
    assert trio.current_time() > 499


async def test_the_doors_may_not_send_what_nobody_may_send_them(
    autojump_clock: MockClock, lab: Lab
) -> None:
    with pytest.raises(ExceptionGroup) as broken:  # noqa: PT012 - the line breaks while it is used
        async with desk_end_of(lab) as line:
            line.put(m.Perform(1, "list_calls", Caller(key="k", account=None), b" " * 1_000_000))
            await line.send()
    assert broken.group_contains(LineBroken, match="a message of 10000")


async def test_a_bug_in_one_question_does_not_end_the_others(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = Caller(key="k", account=None)

    def breaks(_self: object) -> bytes:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(type(lab.service.metrics), "exposition", breaks)
        response = await lab.nobody.ask("GET", "/metrics")
    assert response.status_code == 500
    assert "report" in response.json()["message"]
    operation = next(one for one in OPERATIONS if one.name == "list_calls")
    assert await lab.doors.api.perform(admin, operation, operation.request(account_id="acme")) == []


async def test_an_engine_that_does_not_answer_is_said_to_be_silent(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> bytes:
        await trio.sleep_forever()
        return b""

    monkeypatch.setattr(DeskEnd, "find", never)
    asked = await lab.acme.ask("GET", "channels")
    assert asked.status_code == 503
    assert "does not answer" in asked.json()["message"]
    began_s = trio.current_time()
    ready = await lab.nobody.ask("GET", "/readyz")
    assert ready.status_code == 503
    assert "does not answer" in ready.json()["trouble"]["engine"]
    assert trio.current_time() - began_s <= LOOK_LIMIT_S


async def test_an_engine_that_sends_no_beat_is_not_asked(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await trio.sleep_forever()

    async with doors_without_beats(lab, monkeypatch, never) as end:
        await trio.sleep(SILENT_S + 0.1)
        began_s = trio.current_time()
        for _ in range(10):
            assert "does not answer" in (await end.faults())["engine"]
        with pytest.raises(EngineSilent):
            await end.exposition()
        assert trio.current_time() - began_s < 0.1


@asynccontextmanager
async def doors_without_beats(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, never: Callable[..., Awaitable[None]]
) -> AsyncGenerator[DoorsEnd]:
    """The doors' end of a line whose other end sends its opening, and nothing else."""
    ours, theirs = memory_stream_pair()
    monkeypatch.setattr(DeskEnd, "_beat", never)
    monkeypatch.setattr(DeskEnd, "_hear", never)
    async with trio.open_nursery() as nursery:
        desk_end = desk_of(lab, ours, nursery)
        nursery.start_soon(desk_end.run)
        line = Line(theirs, m.FROM_ENGINE)
        opening = await line.receive()
        assert isinstance(opening, m.Opening)
        end = DoorsEnd(line, opening)
        nursery.start_soon(end.run)
        yield end
        nursery.cancel_scope.cancel()


async def test_a_key_has_a_limited_number_of_requests_in_progress(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = DeskEnd.find

    async def slowly(self: DeskEnd, question: m.Perform | m.LookUp) -> bytes:
        await trio.sleep(1)
        return await found(self, question)

    monkeypatch.setattr(DeskEnd, "find", slowly)
    statuses: list[int] = []

    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.get(
            "/v2/accounts/acme/channels", headers={"X-Auth-Token": lab.acme.token or ""}
        )
        statuses.append(answer.status_code)

    async with client_of(lab.doors) as client, trio.open_nursery() as nursery:
        for _ in range(MOST_AT_ONCE + 5):
            nursery.start_soon(ask, client)
        await trio.sleep(0.5)
        assert (await lab.globex.ask("GET", "channels")).status_code == 200  # not theirs
    assert statuses.count(429) == 5
    assert statuses.count(200) == MOST_AT_ONCE
    assert (await lab.acme.ask("GET", "channels")).status_code == 200


async def test_strangers_may_ask_how_it_is_without_cost_for_the_engine(
    autojump_clock: MockClock, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, asked = DeskEnd.find, 0

    async def counted(self: DeskEnd, question: m.Perform | m.LookUp) -> bytes:
        nonlocal asked
        asked += 1
        return await found(self, question)

    monkeypatch.setattr(DeskEnd, "find", counted)
    for path in ("/readyz", "/metrics", "/healthz", "/", "/openapi.json"):
        for _ in range(50):
            assert (await lab.nobody.ask("GET", path)).status_code == 200
    assert asked == 2  # once for /readyz, once for /metrics


async def test_doors_that_open_again_begin_where_the_history_is(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path) as lab:
        alice, _ = await lab.call()
        transfer = await lab.acme.transfer(alice, "2601")
        await lab.acme.until(transfer, "dialing")
        async with open_doors_of(lab.service, now=now, run=inline) as second:
            history = cast("doors_end.DoorsEnd", second.api.engine).history
            assert history.published == lab.service.journal.published
            async with client_of(second) as client:
                seen = await client.get(
                    f"/v2/accounts/acme/transfers/{transfer}",
                    headers={"X-Auth-Token": lab.acme.token or ""},  # signed, so good here too
                )
            assert seen.json()["data"]["state"] == "dialing"
            lab.hang_up(alice)
            await trio.sleep(2)
            assert history.published == lab.service.journal.published
        assert lab.service.group.engines[SWITCH].switchboard.transfer(transfer) is not None
