"""Replies that nobody reads: limited for each key, over all its connections and both doors."""

# a test may look inside
# pyright: reportPrivateUsage=false

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from talk import open_line, open_rig
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from hookflash.server.config import Limits
from hookflash.server.unsent import Reader, Unsent
from hookflash.server.websocket import messages as m

MOST = 1_000
ABNORMAL = 1006
"""It did not even read that it was closed."""


@given(st.lists(st.tuples(st.sampled_from("asd"), st.integers(0, 5), st.integers(0, 700))))
def test_whatever_is_sent_or_not_the_bytes_of_a_key_are_limited(
    actions: list[tuple[str, int, int]],
) -> None:
    unsent = Unsent(MOST)
    closed: list[int] = []
    readers = [Reader(f"key {number % 2}", partial(closed.append, number)) for number in range(6)]
    for action, which, size in actions:
        reader = readers[which]
        if action == "a":
            unsent.add(reader, size)
        elif action == "s":
            unsent.sent(reader, size)
        else:
            unsent.drop(reader)
        for key in ("key 0", "key 1"):
            held = sum(one.unread_bytes for one in readers if one.key == key)
            assert unsent.of(key) == held <= MOST
        assert not closed or sum(size for action, _, size in actions if action == "a") > MOST
    for reader in readers:
        unsent.drop(reader)
    assert not unsent._readers
    assert not unsent._bytes


def test_who_is_furthest_behind_is_closed_and_other_keys_are_not() -> None:
    unsent = Unsent(MOST)
    closed: list[str] = []
    readers = {name: Reader(name[0], partial(closed.append, name)) for name in ("a1", "a2", "b")}
    for name, size in (("b", 900), ("a1", 300), ("a2", 400), ("a1", 200), ("a2", 200)):
        unsent.add(readers[name], size)
    assert closed == ["a2"]
    assert (unsent.of("a"), unsent.of("b")) == (500, 900)


async def test_a_key_that_never_reads_its_replies_loses_the_connections_that_do_not(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    limits = Limits(requests_per_second=10_000, account_requests_per_second=10_000)
    async with open_rig(tmp_path, limits) as rig, AsyncExitStack() as stays:
        key, unsent = await rig.key(), rig.doors.api.unsent
        unsent.most_bytes = MOST
        honest = await stays.enter_async_context(open_line(rig.listener, key))
        deaf = [
            await stays.enter_async_context(open_line(rig.listener, key, lockstep=True))
            for _ in range(5)
        ]
        for _ in range(12):
            for one in deaf:
                with suppress(ConnectionClosed):
                    await one.say("list_calls")
            await wait_all_tasks_blocked()
            assert sum(unsent.of(one) for one in unsent._readers) <= MOST
            await honest.get("list_calls")
        ends = [(await one.closed())[0] for one in deaf[:2]]
        assert set(ends) <= {m.TOO_SLOW, ABNORMAL}
        await honest.get("list_calls")
    assert not unsent._readers
