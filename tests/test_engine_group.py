"""Several switches, one history; and what a controller that starts again finds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest
import trio
import trio.testing

from hookflash.backends.base import LOST_TRACK, Capabilities, LegSnapshot
from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.people import Answers
from hookflash.backends.simulator.world import World
from hookflash.commands import SwitchCommand
from hookflash.engine.found import Unfinished
from hookflash.engine.group import EngineGroup, open_engine_group
from hookflash.engine.legs import Account
from hookflash.engine.record import Named, Parties, Record
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import BackendClosed, NotFound, RequestRefused
from hookflash.events import (
    CallEvent,
    Direction,
    LegHungUp,
    SwitchFound,
    SwitchLost,
    TransferFound,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.sounds import Music


def noon() -> float:
    return 43_200.0


class Absent:
    """A switch that can't be reached."""

    capabilities = Capabilities()

    async def events(self) -> AsyncIterator[CallEvent]:
        yield SwitchLost(reason="nobody answers there")
        await trio.sleep_forever()

    async def perform(self, command: SwitchCommand) -> None:
        raise BackendClosed("the switch is away")

    async def snapshot(self) -> tuple[LegSnapshot, ...]:
        raise BackendClosed("the switch is away")


async def call_on(switch: SimulatedBackend) -> tuple[str, str]:
    if "2600" not in switch.world.parties:
        switch.world.add_phone("2600", Answers(after_s=1.5))
    return await switch.call("1001", "1002")


async def test_records_of_all_switches_have_one_count(
    autojump_clock: trio.testing.MockClock,
) -> None:
    records: list[Record] = []
    async with open_simulator(seed=1) as one, open_simulator(seed=2) as other:
        other.world.switch.name_leg = iter(["x-1", "x-2"]).__next__
        switches = {"one": one, "other": other}
        async with open_engine_group(
            switches, now=noon, taps=[records.append], first_number=100
        ) as group:
            alice, _ = await call_on(one)
            carla, _ = await call_on(other)
            for leg in (alice, carla):
                await group.engine_with_leg(leg).transfer(leg, "2600")
            await trio.sleep(10)
            assert {name for name, _ in group.legs()} == {"one", "other"}
            assert [t.state for _, t in group.transfers()] == [State.CONSULTING] * 2
    numbers = [record.number for record in records]
    assert numbers == list(range(100, 100 + len(numbers)))
    assert {record.switch for record in records} == {"one", "other"}
    begun = [record for record in records if record.begins is not None]
    assert [record.switch for record in begun] == ["one", "other"]


async def test_a_switch_that_is_away_stops_nobody_on_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_simulator() as present:
        switches = {"present": present, "absent": Absent()}
        async with open_engine_group(switches, now=noon) as group:
            alice, _ = await call_on(present)
            await trio.sleep(1)
            assert group.away() == {"absent": "nobody answers there"}
            transfer = await group.engines["present"].transfer(alice, "2600")
            await trio.sleep(3)
            await transfer.complete()
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
            with pytest.raises(BackendClosed, match="nobody answers there"):
                await group.engines["absent"].hang_up("a")


async def test_the_same_id_on_two_switches_wants_the_switch_named(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        open_simulator() as one,
        open_simulator() as other,
        open_engine_group({"one": one, "other": other}, now=noon) as group,
    ):
        leg, _ = await call_on(one)
        same, _ = await call_on(other)
        assert leg == same
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RequestRefused, match="name the switch"):
            group.engine_with_leg(leg)
        assert group.engine_with_leg(leg, "other") is group.engines["other"]
        with pytest.raises(NotFound):
            group.engine_with_leg("nobody")
        with pytest.raises(NotFound):
            group.engine_with_transfer("none")


async def test_requests_wait_for_nothing_before_the_switch_is_found() -> None:
    class Silent(Absent):
        async def events(self) -> AsyncIterator[CallEvent]:
            await trio.sleep_forever()
            yield SwitchFound()

    async with open_engine_group({"silent": Silent()}, now=noon) as group:
        with pytest.raises(BackendClosed, match="not connected yet"):
            await group.engines["silent"].hang_up("a")


async def test_choices_and_closing_reach_every_switch(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        open_simulator() as one,
        open_simulator() as other,
        open_engine_group({"one": one, "other": other}, now=noon) as group,
    ):
        account = Account(policy=Policy(ring_timeout_s=7))
        group.choose({"acme": account}, default=account)
        group.close_to_new_transfers("enough")
        for engine in group.engines.values():
            assert engine.switchboard.choices_of("acme") is account
            assert engine.switchboard.choices_of("") is account
            assert engine.switchboard.closing == "enough"


# --------------------------------------------------------- after a controller has died


REQUEST = TransferRequested(
    leg="a",
    transfer="t",
    target="2600",
    by="key 7",
    options=TransferOptions(music=Music("own"), takeback_digits="*9", ring_timeout_s=33),
)
PARTIES = Parties(
    transferor=Named("a", "1001"), transferee=Named("b", "1002"), target=Named("t-target", "2600")
)


def leg(
    name: str, *, peer: str | None = None, marked: str = "", parked: bool = False
) -> LegSnapshot:
    return LegSnapshot(
        leg=name,
        number=name,
        direction=Direction.INBOUND,
        answered=True,
        peer=peer,
        parked=parked,
        transfer="t" if marked else "",
        role=marked,
        kind="attended" if marked else "",
    )


def board_with_memory() -> Switchboard:
    return Switchboard(
        unfinished={"t": Unfinished(request=REQUEST, parties=PARTIES, account="acme")}
    )


def test_a_found_transfer_that_ends_takes_no_leg_from_another() -> None:
    """As on a real FreeSWITCH that two controllers had served: two transfers of the same two."""
    old = Unfinished(request=attrs.evolve(REQUEST, transfer="old"), parties=PARTIES)
    board = Switchboard(unfinished={"t": Unfinished(request=REQUEST, parties=PARTIES), "old": old})
    rings = attrs.evolve(leg("old-target", marked="target"), transfer="old", answered=False)
    board.adopt(
        [
            leg("a", peer="t-target", marked="transferor"),
            leg("b", parked=True, marked="transferee"),
            leg("t-target", peer="a", marked="target"),
            rings,
        ]
    )
    board.handle(LegHungUp(leg="old-target", cause="ORIGINATOR_CANCEL"))
    assert list(board.running) == ["t"]
    (record,) = board.handle(LegHungUp(leg="a"))
    assert record.transfer == "t"
    assert record.after is State.COMPLETING


def test_what_was_asked_for_is_remembered() -> None:
    board = board_with_memory()
    living = [
        leg("a", parked=True, marked="transferor"),
        leg("b", parked=True, marked="transferee"),
        leg("t-target", parked=True, marked="target"),
    ]
    (record,) = board.adopt(living)
    found = board.transfer("t")
    assert found is not None
    assert (found.by, found.policy.music, found.policy.ring_timeout_s) == (
        "key 7",
        Music("own"),
        33,
    )
    assert record.account == "acme"
    assert board.account_of("t") == "acme"


@pytest.mark.parametrize(
    ("living", "outcome", "cause"),
    [
        ([leg("b", peer="t-target"), leg("t-target", peer="b")], Outcome.TRANSFERRED, None),
        ([leg("a", peer="b"), leg("b", peer="a")], Outcome.RECONNECTED, LOST_TRACK),
        ([leg("a", peer="t-target"), leg("t-target", peer="a")], Outcome.ABANDONED, None),
        ([leg("b")], Outcome.FAILED, LOST_TRACK),
        ([], Outcome.FAILED, LOST_TRACK),
    ],
    ids=["handed over", "talk again", "transferee left", "one is left", "nobody is left"],
)
def test_what_became_of_a_transfer_without_marks_is_told(
    living: list[LegSnapshot], outcome: Outcome, cause: str | None
) -> None:
    board = board_with_memory()
    (record,) = board.adopt(living)
    assert (record.transfer, record.outcome, record.cause) == ("t", outcome, cause)
    assert record.account == "acme"
    assert record.parties == PARTIES
    assert board.adopt(living) == [], "it is told once"


async def test_the_group_hands_each_switch_what_it_had_in_flight(
    autojump_clock: trio.testing.MockClock,
) -> None:
    records: list[Record] = []
    left = {"one": {"t": Unfinished(request=REQUEST, parties=PARTIES, account="acme")}}
    async with open_simulator() as one, open_simulator() as other:
        switches = {"one": one, "other": other}
        async with open_engine_group(switches, now=noon, taps=[records.append], unfinished=left):
            await trio.sleep(1)
    ended = [record for record in records if record.outcome is not None]
    assert [(record.switch, record.transfer) for record in ended] == [("one", "t")]


async def test_the_group_tells_each_switch_which_transfers_have_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A controller that died before their marks were taken off: the next one takes them off."""
    world = World(seed=1)
    async with (
        open_simulator(world=world) as one,
        open_engine_group({"one": one}, now=noon) as group,
    ):
        alice, _ = await call_on(one)
        transfer = await group.engines["one"].transfer(alice, "2600")
        await trio.sleep(10)
        assert [t.state for _, t in group.transfers()] == [State.CONSULTING]
    assert {leg.transfer for leg in world.snapshot()} == {transfer.id}
    records: list[Record] = []
    ended = {"one": {transfer.id}, "another": {"t"}}
    async with (
        open_simulator(world=world) as one,
        open_engine_group({"one": one}, now=noon, taps=[records.append], ended=ended) as group,
    ):
        await trio.sleep(1)
        assert list(group.transfers()) == []
        assert {leg.transfer for leg in world.snapshot()} == {""}
    assert any(isinstance(record.event, TransferFound) for record in records)
    assert [record.outcome for record in records if record.outcome is not None] == []


def test_a_group_without_switches_is_empty() -> None:
    assert list(EngineGroup({}).legs()) == []
