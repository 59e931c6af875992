"""Connections are counted, and a full door makes room for honest clients."""

from __future__ import annotations

import resource
from contextlib import ExitStack

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from hookflash.server.connections import (
    RESERVED_DESCRIPTORS,
    Admitted,
    Connections,
    TooManyConnections,
    crowd_of,
    raise_descriptor_limit,
    within_descriptors,
)


async def _stay(door: Connections, address: str, ended: list[str]) -> None:
    with door.admit(address):
        await trio.sleep_forever()
    ended.append(address)


async def test_connections_are_counted_in_all_and_by_address() -> None:
    door = Connections(most=10, most_per_address=5)
    with door.admit("192.0.2.1"), door.admit("192.0.2.1"), door.admit("192.0.2.2"):
        assert (door.total, door.of("192.0.2.1"), door.of("192.0.2.2")) == (3, 2, 1)
    assert (door.total, door.of("192.0.2.1")) == (0, 0)


async def test_an_address_with_too_many_closes_its_own_oldest(autojump_clock: MockClock) -> None:
    door = Connections(most=10, most_per_address=2)
    ended: list[str] = []
    async with trio.open_nursery() as nursery:
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1"):
            nursery.start_soon(_stay, door, address, ended)
            await trio.sleep(1)
        assert ended == ["192.0.2.1"]
        assert (door.of("192.0.2.1"), door.evicted, door.refused) == (2, 1, 0)
        nursery.cancel_scope.cancel()


async def test_strangers_that_fill_the_door_do_not_lock_out_an_honest_client(
    autojump_clock: MockClock,
) -> None:
    door = Connections(most=100, most_per_address=1000)
    ended: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stay, door, "198.51.100.7", ended)
        await trio.sleep(1)
        for _ in range(500):
            nursery.start_soon(_stay, door, "192.0.2.66", ended)
            await trio.sleep(0.01)
        assert door.total == 100
        assert set(ended) == {"192.0.2.66"}
        with door.admit("203.0.113.9") as honest:
            await trio.sleep(1)
            assert not honest.evicted
            assert door.total == 100
        nursery.cancel_scope.cancel()
    assert door.total == 0


async def test_a_request_in_progress_is_not_closed_for_others(autojump_clock: MockClock) -> None:
    door = Connections(most=2, most_per_address=5)
    with ExitStack() as busy:
        for _ in range(2):
            busy.enter_context(busy.enter_context(door.admit("192.0.2.1")).working())
        with pytest.raises(TooManyConnections, match="too many connections"):
            busy.enter_context(door.admit("192.0.2.2"))
        assert (door.total, door.refused, door.evicted) == (2, 1, 0)


async def test_the_oldest_is_the_one_that_has_waited_longest_since_its_last_request(
    autojump_clock: MockClock,
) -> None:
    door = Connections(most=2, most_per_address=5)
    with door.admit("192.0.2.1") as first, door.admit("192.0.2.1") as second:
        with first.working():
            pass
        with door.admit("192.0.2.2"):
            assert (first.evicted, second.evicted) == (False, True)


async def test_the_address_with_most_connections_replaces_its_own(
    autojump_clock: MockClock,
) -> None:
    door = Connections(most=10, most_per_address=100)
    with ExitStack() as stack:
        for number in range(10):
            stack.enter_context(door.admit(f"192.0.2.{number % 2}"))
        stack.enter_context(door.admit("192.0.2.1"))
        assert (door.of("192.0.2.0"), door.of("192.0.2.1")) == (5, 5)
        assert (door.evicted, door.refused) == (1, 0)


async def test_a_proxy_may_have_any_number(autojump_clock: MockClock) -> None:
    door = Connections(most=100, most_per_address=1, is_exempt=lambda one: one == "10.0.0.1")
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(door.admit("10.0.0.1"))
        assert door.of("10.0.0.1") == 50
        assert door.evicted == 0


@given(st.lists(st.tuples(st.sampled_from("ccwg"), st.integers(0, 5)), max_size=40))
def test_whatever_comes_and_goes_the_counts_are_right(actions: list[tuple[str, int]]) -> None:
    trio.run(_come_and_go, actions)


async def _come_and_go(actions: list[tuple[str, int]]) -> None:
    door = Connections(most=6, most_per_address=4)
    there: list[tuple[Admitted, ExitStack]] = []
    addresses = [f"192.0.2.{number}" for number in range(3)]
    try:
        for action, which in actions:
            address = addresses[which % 3]
            if action == "c":
                stack = ExitStack()
                try:
                    there.append((stack.enter_context(door.admit(address)), stack))
                except TooManyConnections:
                    assert door.total == 6 or door.of(address) == 4
            elif action == "w":
                one, stack = there[which % len(there)] if there else (None, ExitStack())
                if one is not None and not one.evicted:
                    stack.enter_context(one.working())
            elif there:
                there.pop()[1].close()  # scopes are left in order
            staying = [one.crowd for one, _ in there if not one.evicted]
            assert door.total == len(staying) <= 6
            for one in addresses:
                assert door.of(one) == staying.count(one) <= 4
    finally:
        while there:
            there.pop()[1].close()
    assert door.total == 0
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("/run/hookflash.sock", "/run/hookflash.sock", True),
    ],
)
def test_whose_connections_are_counted_together(one: str, other: str, *, together: bool) -> None:
    assert (crowd_of(one) == crowd_of(other)) is together


def test_descriptors_stay_in_reserve() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        available = raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
        assert available == hard - RESERVED_DESCRIPTORS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_limits_are_reduced_to_what_there_is() -> None:
    assert within_descriptors(2_000, 5_000, available=10_000) == (2_000, 5_000)
    assert within_descriptors(2_000, 6_000, available=4_000) == (1_000, 3_000)
