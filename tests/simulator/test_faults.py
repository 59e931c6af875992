"""What may go wrong between switch and controller, and what never does."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.simulator.faults import (
    HOLD_BACK_S,
    REFUSED,
    CommandLine,
    EventLine,
    Faults,
    legs_of,
    parse_faults,
)
from hookflash.backends.simulator.switch import Thunk
from hookflash.backends.simulator.world import World
from hookflash.commands import HangUp, SwitchCommand
from hookflash.errors import InputError
from hookflash.events import (
    CallEvent,
    CommandFailed,
    DigitPressed,
    LegHungUp,
    LegParked,
    LegsJoined,
    LegsReleased,
)

# ------------------------------------------------------------------- the record


def test_by_default_nothing_goes_wrong() -> None:
    assert not Faults().bend_events
    assert not Faults().bend_commands
    assert parse_faults("") == Faults()
    assert str(Faults()) == ""


def test_faults_as_people_write_them() -> None:
    assert parse_faults("lose_command=0.1, latency = 0.2,seed=7,lose_at_most=3") == Faults(
        seed=7,
        lose_command=0.1,
        event_latency_s=(0.0, 0.2),
        command_latency_s=(0.0, 0.2),
        lose_at_most=3,
    )
    assert parse_faults("event_latency=0.05..0.2,reorder=1,duplicate=.5,fail_command=1e-1") == (
        Faults(event_latency_s=(0.05, 0.2), reorder=1.0, duplicate=0.5, fail_command=0.1)
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("speed=1", "unknown fault 'speed' (one of latency, seed, event_latency, "),
        ("=1", "unknown fault ''"),
        ("reorder=1.5", "reorder=1.5 is not a probability (0 to 1)"),
        ("reorder=nan", "reorder=nan is not a probability (0 to 1)"),
        ("lose_command", "lose_command= is not a probability (0 to 1)"),
        ("fail_command=often", "fail_command=often is not a probability"),
        (
            "latency=soon",
            "latency=soon is not a time span (seconds: the longest, or the shortest..the",
        ),
        ("event_latency=0.2..0.1", "event_latency=0.2..0.1 is not a time span"),
        ("command_latency=-1", "command_latency=-1 is not a time span"),
        ("latency=0..inf", "latency=0..inf is not a time span"),
        ("latency=nan", "latency=nan is not a time span"),
        ("seed=-1", "seed=-1 is not a number (a whole number, 0 or more)"),
        ("lose_at_most=²", "lose_at_most=² is not a number"),
        ("seed=1,seed=1", "seed is given twice (give it once)"),
        ("latency=1,event_latency=1", "event_latency is given twice"),
    ],
)
def test_faults_that_are_not_allowed(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_faults(text)
    assert str(caught.value).startswith(words)


def test_a_program_is_told_too() -> None:
    for make in (
        lambda: Faults(reorder=2.0),
        lambda: Faults(event_latency_s=(0.2, 0.1)),
        lambda: Faults(lose_at_most=-1),
    ):
        with pytest.raises(InputError):
            make()


shares = st.floats(0.0, 1.0)
spans = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(lambda s: (min(s), max(s)))
all_faults = st.builds(
    Faults,
    seed=st.integers(0, 2**32),
    event_latency_s=spans,
    command_latency_s=spans,
    reorder=shares,
    duplicate=shares,
    lose_command=shares,
    fail_command=shares,
    lose_at_most=st.none() | st.integers(0, 20),
)


@given(all_faults)
def test_what_is_written_can_be_read(faults: Faults) -> None:
    assert parse_faults(str(faults)) == faults


# -------------------------------------------------------------- the event line


def serial_of(event: CallEvent) -> int:
    """The tests' events carry their number in some field."""
    match event:
        case DigitPressed(serial=serial):
            return serial
        case LegHungUp(cause=cause):
            return int(cause)
        case _:
            pytest.fail("no event of ours")


class OneEventLine:
    """An event line on a clock of its own, and what comes out of it."""

    def __init__(self, faults: Faults) -> None:
        self.world = World()
        self.out: list[tuple[float, CallEvent]] = []
        self.line = EventLine(
            faults,
            now=lambda: self.world.now_s,
            at=self.world.at,
            deliver=lambda event: self.out.append((self.world.now_s, event)),
        )

    def send_at(self, at_s: float, event: CallEvent) -> None:
        self.world.at(at_s, lambda: self.line.send(event))

    def delivered(self) -> list[CallEvent]:
        assert self.world.run()
        return [event for _, event in self.out]


legs = st.sampled_from("ABCD")
sent = st.lists(st.tuples(st.floats(0.0, 0.1), legs, legs), max_size=40)


@given(all_faults, sent)
def test_facts_of_one_leg_keep_their_order(
    faults: Faults, waits: list[tuple[float, str, str]]
) -> None:
    line = OneEventLine(faults)
    events: list[CallEvent] = []
    at_s = 0.0
    for wait_s, one, other in waits:
        at_s += wait_s
        event: CallEvent = (
            LegParked(leg=one) if one == other else LegsJoined(first=one, second=other)
        )
        events.append(event)
        line.send_at(at_s, event)
    delivered = line.delivered()
    for leg in "ABCD":
        mine = [event for event in events if leg in legs_of(event)]
        # A repeat stands right behind its original: so, without repeats, nothing is left over.
        got = [event for event in delivered if leg in legs_of(event)]
        assert [one for one, _ in itertools.groupby(got, key=id)] == [id(event) for event in mine]
        assert all(sum(event is one for one in got) in (1, 2) for event in mine)


@given(spans)
def test_without_reordering_the_socket_keeps_the_order_of_all(span: tuple[float, float]) -> None:
    line = OneEventLine(Faults(event_latency_s=span))
    events = [DigitPressed(leg="ABC"[n % 3], digit="1", serial=n) for n in range(30)]
    for n, event in enumerate(events):
        line.send_at(n * 0.01, event)
    assert line.delivered() == events


def test_with_reordering_legs_overtake_each_other() -> None:
    line = OneEventLine(Faults(reorder=0.5))
    for n in range(50):
        line.send_at(n * 0.005, DigitPressed(leg="AB"[n % 2], digit="1", serial=n))
    serials = [serial_of(event) for event in line.delivered()]
    assert serials != sorted(serials)
    assert max(at_s for at_s, _ in line.out) < 50 * 0.005 + HOLD_BACK_S


def test_with_duplicates_every_event_comes_twice() -> None:
    line = OneEventLine(Faults(duplicate=1.0))
    events = [DigitPressed(leg="A", digit="1", serial=n) for n in range(5)]
    for event in events:
        line.send_at(0.0, event)
    assert line.delivered() == [event for event in events for _ in range(2)]
    assert len({at_s for at_s, _ in line.out}) == 6, "each repeat is a little later"


def test_latency_delays() -> None:
    line = OneEventLine(Faults(event_latency_s=(0.1, 0.3)))
    for n in range(20):
        line.send_at(float(n), DigitPressed(leg="A", digit="1", serial=n))
    line.delivered()
    delays = [at_s - serial_of(event) for at_s, event in line.out]
    assert all(0.0999 < delay_s < 0.3001 for delay_s in delays)
    assert len(set(delays)) > 15


@pytest.mark.slow
def test_the_line_forgets_legs_that_are_long_over() -> None:
    line = OneEventLine(Faults(duplicate=1.0))
    for n in range(10_000):
        line.send_at(float(n), LegHungUp(leg=f"leg-{n}", cause=str(n)))
    serials = [serial_of(event) for event in line.delivered()]
    assert serials == [n for n in range(10_000) for _ in range(2)]
    assert len(line.line.legs_s) <= 4096


def test_whose_order_an_event_belongs_to() -> None:
    assert legs_of(LegsReleased(first="A", second="B")) == ("A", "B")
    assert legs_of(LegParked(leg="A")) == ("A",)
    assert legs_of(CommandFailed(command=HangUp(leg="A"), reason="")) == ()


# ------------------------------------------------------------ the command line


def commands_through(faults: Faults, count: int) -> tuple[list[SwitchCommand], list[CallEvent]]:
    """Send many commands at once; which are performed, and what is reported?"""
    world = World()
    performed: list[SwitchCommand] = []
    reported: list[CallEvent] = []
    line = CommandLine(
        faults,
        now=lambda: world.now_s,
        at=world.at,
        perform=performed.append,
        report=reported.append,
    )
    for n in range(count):
        line.send(HangUp(leg=str(n)))
    assert world.run()
    assert count == len(performed) + line.lost
    return performed, reported


@given(all_faults)
def test_commands_keep_their_order_and_the_losses_their_bound(faults: Faults) -> None:
    performed, reported = commands_through(faults, 40)
    numbers = [int(command.leg) for command in performed if isinstance(command, HangUp)]
    assert numbers == sorted(numbers)
    if faults.lose_at_most is not None:
        assert len(performed) >= 40 - faults.lose_at_most
    for event in reported:
        assert isinstance(event, CommandFailed)
        assert event.command not in performed


def test_a_refused_command_is_reported_and_a_lost_one_is_not() -> None:
    assert commands_through(Faults(lose_command=1.0), 3) == ([], [])
    performed, reported = commands_through(Faults(fail_command=1.0, lose_at_most=2), 3)
    assert performed == [HangUp(leg="2")]
    assert reported == [CommandFailed(command=HangUp(leg=leg), reason=REFUSED) for leg in "01"]


def test_a_command_takes_its_time() -> None:
    def at_the_time(_time_s: float, _thunk: Thunk) -> None:
        times.append(_time_s)

    times: list[float] = []
    line = CommandLine(
        Faults(command_latency_s=(0.1, 0.2)),
        now=lambda: 1.0,
        at=at_the_time,
        perform=lambda _command: None,
        report=lambda _event: None,
    )
    for _ in range(10):
        line.send(HangUp(leg="A"))
    assert times == sorted(times)
    assert all(1.1 <= time_s <= 1.2 for time_s in times)


# ----------------------------------------------------------------- lost events


def sent_through(faults: Faults, count: int = 20) -> list[int]:
    """Send so many events; which arrive?"""
    arrived: list[CallEvent] = []

    def at(_time_s: float, thunk: Thunk) -> None:
        thunk()

    line = EventLine(faults, now=lambda: 0.0, at=at, deliver=arrived.append)
    for number in range(1, count + 1):
        line.send(DigitPressed(leg="a", digit="1", serial=number))
    return [event.serial for event in arrived if isinstance(event, DigitPressed)]


def test_events_are_lost_by_chance_and_no_more_than_allowed() -> None:
    assert sent_through(Faults(lose_event=1.0)) == []
    assert sent_through(Faults(lose_event=1.0, lose_events_at_most=3)) == list(range(4, 21))
    some = sent_through(Faults(lose_event=0.3, seed=1))
    assert 5 < len(some) < 20
    assert some == sorted(some)
    assert some == sent_through(Faults(lose_event=0.3, seed=1))


def test_exactly_one_event_is_lost() -> None:
    for number in (1, 7, 20):
        arrived = sent_through(Faults(lose_event_number=number))
        assert arrived == [one for one in range(1, 21) if one != number]
    assert sent_through(Faults(lose_event_number=21)) == list(range(1, 21))
    assert not Faults(lose_event_number=0).bend_events


def test_lost_events_as_people_write_them() -> None:
    text = "lose_event=0.1,lose_events_at_most=2,lose_event_number=5"
    assert parse_faults(text) == Faults(lose_event=0.1, lose_events_at_most=2, lose_event_number=5)
    assert str(parse_faults(text)) == text
    with pytest.raises(InputError, match="lose_event=2 is not a probability"):
        parse_faults("lose_event=2")


def test_a_world_loses_the_event_that_is_named() -> None:
    told: list[list[str]] = []
    for number in (0, 3):
        world = World(faults=Faults(lose_event_number=number))
        events: list[CallEvent] = []
        world.on_event = events.append
        world.call("1001", "1002")
        world.run(1.0)
        told.append([repr(event) for event in events])
    whole, lacking = told
    assert lacking == whole[:2] + whole[3:]
