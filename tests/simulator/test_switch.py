"""The switch's rules and traps, one by one.

Where a test says *recorded*, the order is that of a recording; where it says *measured*, the same
was done with a FreeSWITCH 1.10.12 and told this. Each is tried with several seeds, for what the
dice may change is the order of what belongs to no leg in common.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs
import pytest

from hookflash.backends.simulator.people import (
    Answers,
    AnswersAndLeaves,
    Behaviour,
    Busy,
    EarlyMedia,
    Manual,
    NeverAnswers,
    Refuses,
    Unreachable,
)
from hookflash.backends.simulator.switch import SILENCE, Audible, ChannelPlace, Sense
from hookflash.backends.simulator.world import World
from hookflash.events import (
    CallEvent,
    DigitPressed,
    Direction,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
)
from hookflash.sounds import Music, Recording

PARK = {
    "park_after_bridge": "true",
    "hangup_after_bridge": "false",
    "uuid_bridge_park_on_cancel": "true",
}
END = {**PARK, "park_after_bridge": "false", "hangup_after_bridge": "true"}
ARMED = {
    "park_after_bridge": "false",
    "exec_after_bridge_app": "intercept",
    "exec_after_bridge_arg": "B",
}
DISARM = {"exec_after_bridge_app": "", "exec_after_bridge_arg": ""}
MUSIC = Music()

every_seed = pytest.mark.parametrize("seed", range(8))


SAID: dict[type[CallEvent], str] = {
    LegCreated: "{leg} created {number}",
    LegProgressed: "{leg} rings",
    LegAnswered: "{leg} answered",
    LegParked: "{leg} parked",
    LegsJoined: "{first} joined {second}",
    LegsSeparated: "{first} parted {second}",
    SoundStarted: "{leg} plays {sound}",
    SoundStopped: "{leg} stops {sound}",
    DigitPressed: "{leg} presses {digit}",
    LegHungUp: "{leg} hung up {cause}",
}


def short(event: CallEvent) -> str:
    """Write a fact in three words."""
    if isinstance(event, LegProgressed) and event.early_media:
        return f"{event.leg} early"
    return SAID[type(event)].format(**attrs.asdict(event, recurse=False))


def quiet(told: list[str]) -> list[str]:
    """Leave out that a sound stops: when it does, is chance."""
    return [fact for fact in told if " stops " not in fact]


class Lab:
    """Alice (A) called Bob (B), is parked beside him, and may call Carol (C)."""

    def __init__(self, seed: int = 0, *, split: bool = True) -> None:
        self.told: list[str] = []
        self.world = World(seed, missing_sounds=(Recording("missing.wav"),))
        self.world.switch.draws_rare_things = False
        self.world.on_event = lambda event: self.told.append(self.named(short(event)))
        self.world.add_phone("1001", name="Alice")
        self.world.add_phone("1002", Answers(after_s=0.0), name="Bob")
        self.switch = self.world.switch
        self.world.call("1001", "1002")
        self.wait()
        if split:
            self.ask("park_both", "A")
            self.news()

    def named(self, text: str) -> str:
        return text.replace("leg-1", "A").replace("leg-2", "B")

    def leg(self, name: str) -> str:
        return {"A": "leg-1", "B": "leg-2"}.get(name, name)

    def wait(self, for_s: float = 1.0) -> None:
        assert self.world.run(self.world.now_s + for_s)

    def news(self, for_s: float = 1.0) -> list[str]:
        """Let time go by; what has been told since the last time?"""
        self.wait(for_s)
        told, self.told[:] = list(self.told), []
        return told

    def ask(self, primitive: str, *arguments: object) -> str:
        do: Callable[..., str] = getattr(self.switch, primitive)
        return do(*(self.leg(a) if isinstance(a, str) else a for a in arguments))

    def set(self, leg: str, variables: dict[str, str]) -> None:
        known = {name: self.leg(value) for name, value in variables.items()}
        assert self.switch.setvar_multi(self.leg(leg), known) == "+OK"

    def dial(self, behaviour: Behaviour, **variables: str) -> list[str]:
        self.world.add_phone("26", behaviour, name="Carol")
        self.switch.originate("C", "26", {**PARK, **variables})
        return self.news(0.5)

    def join(self, first: str, second: str) -> list[str]:
        self.ask("bridge", first, second)
        return self.news()

    def place(self, leg: str) -> ChannelPlace | None:
        channel = self.switch.find(self.leg(leg))
        return None if channel is None else channel.place


def consultation(seed: int = 0, **carols: str) -> Lab:
    """Alice talks with Carol, and Bob hears music."""
    lab = Lab(seed)
    lab.ask("broadcast", "B", MUSIC)
    lab.dial(Answers(after_s=0.0))
    lab.set("A", PARK)
    lab.set("C", {**PARK, **carols})
    assert lab.join("A", "C") == ["A joined C"]
    return lab


# ------------------------------------------------------------- ordinary calls


def test_a_call_as_recorded() -> None:
    lab = Lab(split=False)
    assert lab.told == [
        "A created 1001",
        "B created 1002",
        "B answered",
        "A early",
        "A answered",
        "A joined B",
    ]
    alice = lab.switch.find("leg-1")
    assert alice is not None
    assert (alice.direction, alice.number) == (Direction.INBOUND, "1001")
    assert lab.world.parties["1001"].hears == Audible(Sense.VOICE, "Bob")


@every_seed
@pytest.mark.parametrize(("who", "other"), [("A", "B"), ("B", "A")])
def test_an_ordinary_leg_dies_with_its_partner_as_recorded(seed: int, who: str, other: str) -> None:
    lab = Lab(seed, split=False)
    lab.news()
    lab.world.hang_up(lab.leg(who))
    assert lab.news() == [
        f"{who} hung up NORMAL_CLEARING",
        f"{other} hung up NORMAL_CLEARING",
    ]
    assert not list(lab.switch.channels())


@pytest.mark.parametrize(
    ("behaviour", "carols"),
    [
        (Busy(), "C hung up USER_BUSY"),
        (Unreachable(), "C hung up NO_ROUTE_DESTINATION"),
        (Unreachable(cause="USER_NOT_REGISTERED"), "C hung up USER_NOT_REGISTERED"),
    ],
)
def test_a_call_that_is_refused_ends_the_callers_leg(behaviour: Behaviour, carols: str) -> None:
    lab = Lab(split=False)
    lab.world.add_phone("3", behaviour)
    lab.news()
    lab.world.call("1001", "3")
    assert lab.news()[2:] == [carols.replace("C", "leg-4"), carols.replace("C", "leg-3")]


def test_a_caller_who_hangs_up_while_it_rings_cancels_the_call() -> None:
    lab = Lab(split=False)
    lab.world.add_phone("3", Manual())
    lab.world.call("1001", "3")
    lab.news()
    lab.world.hang_up("leg-3")
    assert lab.news() == ["leg-3 hung up NORMAL_CLEARING", "leg-4 hung up ORIGINATOR_CANCEL"]


def test_a_caller_who_hangs_up_in_the_instant_of_the_answer() -> None:
    lab = Lab(split=False)
    lab.world.add_phone("3", Manual())
    lab.world.call("1001", "3")
    lab.news()
    lab.world.answer("leg-4")
    lab.world.hang_up("leg-3")
    assert lab.news() == [
        "leg-4 answered",
        "leg-3 hung up NORMAL_CLEARING",
        "leg-4 hung up ORIGINATOR_CANCEL",
    ]


def test_what_people_do_with_a_leg_that_is_gone_or_has_answered_changes_nothing() -> None:
    lab = Lab(split=False)
    lab.news()
    for leg in ("leg-1", "leg-2", "leg-9"):
        lab.switch.answer(leg)
        lab.switch.ring(leg)
        lab.switch.refuse(leg, "USER_BUSY")
    lab.switch.hang_up("leg-9")
    lab.switch.press("leg-9", "1")
    assert lab.news() == []


# ------------------------------------------------------------------- the park


@every_seed
@pytest.mark.parametrize("named", ["A", "B"])
def test_a_split_parks_both_as_recorded(seed: int, named: str) -> None:
    lab = Lab(seed, split=False)
    lab.news()
    assert lab.ask("park_both", named) == "+OK"
    assert lab.news() in (
        ["A parted B", "A parked", "B parked"],
        ["B parked", "A parted B", "A parked"],  # target-drops
    )


def test_both_orders_of_a_split_occur() -> None:
    orders: set[str] = set()
    for seed in range(60):
        lab = Lab(seed, split=False)
        lab.news()
        lab.ask("park_both", "A")
        orders.add(lab.news()[0])
    assert orders == {"A parted B", "B parked"}


@every_seed
def test_whoever_leaves_during_a_split_the_other_is_parked_measured(seed: int) -> None:
    for who, other in (("A", "B"), ("B", "A")):
        lab = Lab(seed, split=False)
        lab.news()
        lab.ask("park_both", "A")
        lab.wait(0.015)
        lab.ask("kill", who)
        told = lab.news()
        assert f"{who} hung up NORMAL_CLEARING" in told
        assert f"{other} parked" in told


def test_a_leg_that_is_parked_again_stops_its_sound_measured() -> None:
    lab = Lab()
    lab.ask("broadcast", "B", MUSIC)
    lab.news()
    lab.ask("park_both", "B")
    assert lab.news() == [f"B stops {MUSIC}", "B parked"]


def test_a_parked_leg_that_nobody_fetches_is_hung_up_measured() -> None:
    lab = Lab(split=False)
    lab.set("A", {"park_timeout": "3", "park_after_bridge": "true"})
    lab.ask("park_both", "A")
    lab.news(2.0)
    assert lab.place("A") is ChannelPlace.PARKED
    assert lab.ask("getvar", "A", "park_after_bridge") == "_undef_"
    assert lab.news(1.1) == ["A hung up NORMAL_CLEARING"]


def test_a_parked_leg_that_was_fetched_in_time_lives() -> None:
    lab = Lab(split=False)
    lab.set("A", {"park_timeout": "2"})
    lab.ask("park_both", "A")
    lab.news(0.5)
    lab.join("A", "B")
    lab.ask("park_both", "A")
    lab.news(3.0)
    assert lab.place("A") is ChannelPlace.PARKED


# --------------------------------------------------------------- dialling out


@every_seed
def test_a_target_answers_and_is_parked_as_recorded(seed: int) -> None:
    lab = Lab(seed)
    assert lab.dial(Answers(after_s=0.1)) == ["C created 26", "C rings", "C answered", "C parked"]


def test_a_target_with_early_media() -> None:
    lab = Lab()
    told = lab.dial(EarlyMedia(after_s=0.4))
    assert told == ["C created 26", "C early", "C answered", "C parked"]


def test_a_target_that_answers_and_leaves() -> None:
    lab = Lab()
    assert lab.dial(AnswersAndLeaves(talk_s=0.3)) == [
        "C created 26",
        "C answered",
        "C parked",
        "C hung up NORMAL_CLEARING",
    ]


def test_a_target_that_leaves_in_the_instant_of_its_answer_is_not_parked() -> None:
    lab = Lab()
    told = lab.dial(AnswersAndLeaves(talk_s=0.0))
    assert told == ["C created 26", "C answered", "C hung up NORMAL_CLEARING"]


@pytest.mark.parametrize(
    ("behaviour", "end"),
    [
        (Busy(), ["C hung up USER_BUSY"]),
        (Refuses(after_s=0.3), ["C rings", "C hung up CALL_REJECTED"]),
        (Unreachable(), ["C hung up NO_ROUTE_DESTINATION"]),
    ],
)
def test_a_target_that_is_refused(behaviour: Behaviour, end: list[str]) -> None:
    assert Lab().dial(behaviour) == ["C created 26", *end]


def test_a_target_without_a_phone() -> None:
    lab = Lab()
    lab.switch.originate("C", "404", {})
    assert lab.news() == ["C created 404", "C hung up UNALLOCATED_NUMBER"]


@every_seed
def test_a_target_that_does_not_answer_rings_out_up_to_a_second_early_as_recorded(
    seed: int,
) -> None:
    lab = Lab(seed)
    assert lab.dial(NeverAnswers(), originate_timeout="3") == ["C created 26", "C rings"]
    assert lab.news(1.4) == []
    assert lab.news(1.2) == ["C hung up NO_ANSWER"]


def test_a_target_that_answered_does_not_ring_out() -> None:
    lab = Lab()
    lab.dial(Answers(after_s=0.1), originate_timeout="3")
    assert lab.news(5.0) == []


WAITS = {"return_ring_ready": "true", "api_on_answer_hookflash": "sched_del rings"}


@every_seed
def test_a_target_that_is_parked_while_it_rings_is_there_with_its_answer_measured(
    seed: int,
) -> None:
    lab = Lab(seed)
    assert lab.dial(NeverAnswers(), originate_timeout="1", **WAITS) == ["C created 26", "C rings"]
    assert lab.news(3.0) == []  # its `originate` has ended, and with it the timeout
    lab.world.answer("C")
    assert lab.news(0.0) == ["C answered", "C parked"]


def test_a_target_that_is_parked_while_it_rings_is_hung_up_by_a_task() -> None:
    lab = Lab()
    lab.dial(NeverAnswers(), **WAITS)
    lab.ask("kill_later", "rings", "C", "NO_ANSWER", 2)
    assert lab.news(1.9) == []
    assert lab.news(0.2) == ["C hung up NO_ANSWER"]


def test_the_answer_cancels_that_task() -> None:
    lab = Lab()
    lab.ask("kill_later", "rings", "C", "NO_ANSWER", 2)
    assert lab.dial(Answers(after_s=0.3), **WAITS)[-1] == "C parked"
    assert lab.news(5.0) == []


def test_the_far_half_of_a_loopback_inherits_it_and_the_leg_is_lost() -> None:
    """The dialplan's own `bridge` is over as soon as a phone rings."""
    lab = Lab()
    lab.world.add_phone("26", Answers(after_s=3))
    lab.switch.originate(lab.leg("C"), "26", WAITS, dial_string="loopback/26/default")
    assert "C hung up DESTINATION_OUT_OF_ORDER" in lab.news(2.0)


def test_early_media_does_not_end_an_originate() -> None:
    lab = Lab()
    lab.dial(EarlyMedia(after_s=5.0), originate_timeout="2", **WAITS)
    assert lab.news(3.0) == ["C hung up NO_ANSWER"]


def test_a_name_that_lives_can_not_be_given_again_measured() -> None:
    lab = Lab()
    lab.dial(Answers(after_s=0.1))
    assert lab.ask("originate", "C", "26", {}) == "-ERR DESTINATION_OUT_OF_ORDER"
    assert lab.news() == []


def test_a_ringing_target_is_cancelled_as_recorded() -> None:
    lab = Lab()
    lab.dial(NeverAnswers())
    assert lab.ask("kill", "C", "ORIGINATOR_CANCEL") == "+OK"
    assert lab.ask("kill", "C") == "-ERR No such channel!"
    assert lab.news() == ["C hung up ORIGINATOR_CANCEL"]


def test_a_ringing_leg_can_be_parked_measured() -> None:
    lab = Lab()
    lab.dial(Manual())
    lab.ask("park_both", "C")
    assert lab.news() == ["C parked"]
    lab.world.answer("C")
    assert lab.news() == ["C answered"]


# ---------------------------------------------------------------------- joins


@every_seed
def test_a_join_stops_both_sounds_as_recorded(seed: int) -> None:
    lab = Lab(seed)
    for leg in ("A", "B"):
        lab.ask("broadcast", leg, MUSIC)
    lab.news()
    assert lab.join("A", "B") == [f"A stops {MUSIC}", f"B stops {MUSIC}", "A joined B"]


@every_seed
def test_the_reply_comes_long_before_the_join(seed: int) -> None:
    lab = Lab(seed)
    assert lab.ask("bridge", "A", "B") == "+OK leg-2"
    assert lab.news(0.0265) == []
    assert lab.place("A") is ChannelPlace.MOVING
    assert lab.news(0.032) == ["A joined B"]


def test_a_join_with_nobody_is_refused() -> None:
    lab = Lab()
    for first, second in (("A", "X"), ("X", "A")):
        assert lab.ask("bridge", first, second) == "-ERR Invalid uuid"
    lab.ask("kill", "A")
    assert lab.ask("bridge", "A", "B") == "-ERR Invalid uuid"


def test_two_ringing_legs_can_not_be_joined() -> None:
    lab = Lab()
    lab.dial(NeverAnswers())
    lab.switch.originate("D", "26", {})
    assert lab.ask("bridge", "C", "D") == "-ERR Invalid uuid"


@every_seed
@pytest.mark.parametrize("order", [("A", "C"), ("C", "A")])
def test_a_join_with_a_ringing_leg_hangs_up_both_as_told(seed: int, order: tuple[str, str]) -> None:
    lab = Lab(seed)
    lab.dial(NeverAnswers())
    assert lab.join(*order) == ["C hung up DESTINATION_OUT_OF_ORDER", "A hung up ORIGINATOR_CANCEL"]


@every_seed
def test_with_park_on_cancel_the_first_is_parked_instead_measured(seed: int) -> None:
    lab = Lab(seed)
    lab.dial(NeverAnswers())
    lab.set("A", PARK)
    assert lab.join("A", "C") == ["C hung up DESTINATION_OUT_OF_ORDER", "A parked"]


def test_a_leg_that_answers_just_in_time_is_joined() -> None:
    lab = Lab()
    lab.dial(Manual())
    lab.ask("bridge", "A", "C")
    lab.wait(0.01)
    lab.world.answer("C")
    assert lab.news() == ["C answered", "A joined C"]


@every_seed
@pytest.mark.parametrize("after_s", [0.0001, 0.025])
def test_a_second_leg_that_dies_within_the_join_as_recorded(seed: int, after_s: float) -> None:
    lab = Lab(seed)
    lab.dial(Answers(after_s=0.0))
    lab.set("A", PARK)
    lab.ask("bridge", "A", "C")
    lab.wait(after_s)
    lab.world.hang_up("C")
    assert lab.news() == ["C hung up NORMAL_CLEARING", "A parked"]


@every_seed
@pytest.mark.parametrize("after_s", [0.0001, 0.025])
def test_without_park_on_cancel_the_first_dies_as_told(seed: int, after_s: float) -> None:
    lab = Lab(seed)
    lab.dial(Answers(after_s=0.0))
    lab.set("C", PARK)  # it counts on the first leg only
    lab.ask("bridge", "A", "C")
    lab.wait(after_s)
    lab.world.hang_up("C")
    assert lab.news() in (
        ["C hung up NORMAL_CLEARING", "A hung up ORIGINATOR_CANCEL"],
        ["C hung up NORMAL_CLEARING", "A hung up DESTINATION_OUT_OF_ORDER"],  # C is gone for good
    )


def adrift(seed: int, after_s: float = 0.0005) -> Lab:
    lab = Lab(seed)
    lab.dial(Answers(after_s=0.0))
    for leg in ("A", "C"):
        lab.set(leg, PARK)
    lab.ask("bridge", "A", "C")
    lab.wait(after_s)
    lab.ask("kill", "A")
    return lab


@every_seed
@pytest.mark.parametrize("after_s", [0.0001, 0.025])
def test_a_second_leg_whose_first_dies_within_the_join_goes_adrift_measured(
    seed: int, after_s: float
) -> None:
    lab = adrift(seed, after_s)
    assert lab.news() == ["A hung up NORMAL_CLEARING"]
    assert lab.place("C") is ChannelPlace.ADRIFT
    assert lab.ask("broadcast", "C", MUSIC) == "+OK Message sent"
    assert lab.news() == []


@every_seed
@pytest.mark.parametrize(
    ("primitive", "legs", "told"),
    [
        ("bridge", ("C", "B"), "C joined B"),
        ("bridge", ("B", "C"), "B joined C"),
        ("park_both", ("C",), "C parked"),
        ("kill", ("C",), "C hung up NORMAL_CLEARING"),
    ],
)
def test_a_leg_adrift_can_be_fetched_measured(
    seed: int, primitive: str, legs: tuple[str, ...], told: str
) -> None:
    lab = adrift(seed)
    lab.news()
    lab.ask(primitive, *legs)
    assert lab.news() == [told]


def test_both_may_die_within_the_join() -> None:
    for after_s in (0.0005, 0.025):
        lab = adrift(0, after_s)
        lab.ask("kill", "C")
        assert lab.news() == ["A hung up NORMAL_CLEARING", "C hung up NORMAL_CLEARING"]


@every_seed
def test_a_pair_that_is_joined_again_is_parted_first_measured(seed: int) -> None:
    lab = Lab(seed, split=False)
    lab.news()
    assert lab.join("A", "B") == ["A parted B", "A joined B"]
    assert lab.join("B", "A") == ["A parted B", "B joined A"]
    assert lab.join("A", "B") == ["B parted A", "A joined B"]


def test_a_pair_that_is_joined_again_while_one_dies() -> None:
    lab = Lab(split=False)
    lab.news()
    lab.ask("bridge", "A", "B")
    lab.wait(0.0002)
    lab.ask("kill", "B")
    told = lab.news()
    assert told[0] == "B hung up NORMAL_CLEARING"
    assert told[1].startswith("A hung up")


# -------------------------------------------------- joins that cross each other


def three(seed: int) -> Lab:
    """All three are parked, and carry what a careful controller gives them."""
    lab = Lab(seed)
    lab.dial(Answers(after_s=0.0))
    for leg in "ABC":
        lab.set(leg, PARK)
    return lab


TOOK_A = "C hung up DESTINATION_OUT_OF_ORDER"


Crossed: TypeAlias = tuple[list[str], dict[str, ChannelPlace | None]]
CROSSINGS: list[tuple[float, tuple[str, str], list[Crossed]]] = [
    # the first leg is wanted by a new join that it leads: the new one wins
    (0.0001, ("A", "B"), [(["A joined B"], {"C": ChannelPlace.ADRIFT})]),
    (0.0250, ("A", "B"), [([TOOK_A, "A joined B"], {"C": None})]),
    # … or in which it is the second: what had not begun stays, and the other goes adrift
    (0.0001, ("B", "A"), [(["A joined C"], {"B": ChannelPlace.ADRIFT})]),
    (0.0250, ("B", "A"), [([TOOK_A, "B joined A"], {"C": None})]),
    # the second leg is to lead: the new one wins
    (0.0001, ("C", "B"), [(["C joined B"], {"A": ChannelPlace.ADRIFT})]),
    (0.0250, ("C", "B"), [(["C joined B"], {"A": ChannelPlace.ADRIFT})]),
    # … or is to be second once more: whoever of the two is quicker
    (0.0001, ("B", "C"), [(["B joined C"], {"A": ChannelPlace.ADRIFT}), (["A joined C"], {})]),
    (0.0250, ("B", "C"), [(["B joined C"], {"A": ChannelPlace.ADRIFT}), (["A joined C"], {})]),
    # the same once more
    (0.0001, ("A", "C"), [(["A joined C"], {})]),
    (0.0250, ("A", "C"), [([TOOK_A, "A parked"], {"C": None})]),
    # … and the other way round
    (0.0001, ("C", "A"), [(["C joined A"], {}), (["A joined C"], {})]),
    (0.0250, ("C", "A"), [(["C joined A"], {})]),
]


@every_seed
@pytest.mark.parametrize(("after_s", "second", "allowed"), CROSSINGS)
def test_a_join_that_overtakes_another_measured(
    seed: int,
    after_s: float,
    second: tuple[str, str],
    allowed: list[Crossed],
) -> None:
    lab = three(seed)
    lab.ask("bridge", "A", "C")
    lab.wait(after_s)
    lab.ask("bridge", *second)
    told = lab.news()
    assert told in [one for one, _ in allowed]
    places = dict(next(places for one, places in allowed if one == told))
    assert {leg: lab.place(leg) for leg in places} == places


def test_of_three_joins_at_once_the_last_wins() -> None:
    lab = three(0)
    lab.ask("bridge", "A", "C")
    lab.ask("bridge", "A", "B")
    lab.ask("bridge", "A", "B")
    assert lab.news() == ["A joined B"]
    assert lab.place("C") is ChannelPlace.ADRIFT


@every_seed
def test_a_join_that_comes_while_another_fails_fails_with_it_measured(seed: int) -> None:
    lab = three(seed)
    lab.ask("bridge", "A", "C")
    lab.wait(0.025)
    lab.ask("kill", "C")
    lab.ask("bridge", "A", "B")
    assert lab.news() == ["C hung up NORMAL_CLEARING", "A parked"]
    assert lab.place("B") is ChannelPlace.ADRIFT


@every_seed
@pytest.mark.parametrize("after_s", [0.0001, 0.025])
def test_a_transfer_overtakes_a_join_measured(seed: int, after_s: float) -> None:
    lab = three(seed)
    lab.ask("bridge", "A", "C")
    lab.wait(after_s)
    lab.ask("park_one", "A")
    if after_s < 0.001:
        assert lab.news() == ["A parked"]
        assert lab.place("C") is ChannelPlace.ADRIFT
    else:
        assert lab.news() == ["C hung up DESTINATION_OUT_OF_ORDER", "A parked"]


@every_seed
def test_a_join_overtakes_a_transfer(seed: int) -> None:
    lab = Lab(seed, split=False)
    lab.news()
    lab.ask("park_both", "A")
    lab.ask("bridge", "A", "B")
    told = lab.news()
    assert "A parted B" in told
    assert told[-1] == "A joined B"


def test_a_join_overtakes_a_transfer_of_one_of_the_pair() -> None:
    lab = consultation()
    lab.ask("park_both", "C")
    lab.ask("bridge", "A", "B")
    told = lab.news()
    assert told[-1] == "A joined B"
    assert lab.place("C") is ChannelPlace.PARKED


def test_what_was_left_behind_is_fetched_by_a_later_order() -> None:
    lab = three(0)
    lab.ask("bridge", "A", "C")
    lab.ask("bridge", "A", "B")
    lab.ask("park_both", "C")
    assert lab.news() == ["C parked", "A joined B"]


def test_who_is_left_behind_leaves_their_bridge() -> None:
    lab = consultation()
    lab.ask("broadcast", "B", MUSIC)
    lab.switch.originate("D", "26", PARK)
    lab.news()
    lab.ask("bridge", "C", "D")
    lab.ask("bridge", "D", "B")
    told = lab.news()
    assert set(told) == {"A parted C", "A parked", f"B stops {MUSIC}", "D joined B"}
    assert lab.place("C") is ChannelPlace.ADRIFT


# --------------------------------------------------- fetched out of a bridge


@every_seed
@pytest.mark.parametrize(
    ("joined", "told"),
    [
        # takeback-consult, swap-threeway: the second leg's park comes before the parting
        (("A", "B"), ["C parked", "A parted C", f"B stops {MUSIC}", "A joined B"]),
        # measured: the first's comes after
        (("B", "C"), ["A parted C", "A parked", f"B stops {MUSIC}", "B joined C"]),
        (("C", "B"), ["A parted C", "A parked", f"B stops {MUSIC}", "C joined B"]),
    ],
)
def test_a_leg_that_is_fetched_out_of_a_bridge_leaves_the_other_parked(
    seed: int, joined: tuple[str, str], told: list[str]
) -> None:
    lab = consultation(seed)
    told = [fact for fact in told if not fact.startswith("B stops")]
    heard = lab.join(*joined)
    legs = quiet(heard)
    if joined == ("A", "B") and legs[0] == "A parted C":  # 1 of 20
        legs[:2] = reversed(legs[:2])
    assert legs == told
    assert f"B stops {MUSIC}" in heard


@every_seed
def test_a_second_leg_that_does_not_park_is_hung_up_when_the_first_is_fetched_measured(
    seed: int,
) -> None:
    lab = consultation(seed, **END)
    told = lab.join("A", "B")
    assert quiet(told) == ["C hung up NORMAL_CLEARING", "A joined B"]


@every_seed
def test_a_first_leg_that_does_not_park_is_hung_up_when_the_second_is_fetched(seed: int) -> None:
    lab = consultation(seed)
    lab.set("A", END)
    told = lab.join("B", "C")
    assert quiet(told) == ["A parted C", "A hung up NORMAL_CLEARING", "B joined C"]


# ------------------------------------------------------------- when one leaves


@every_seed
@pytest.mark.parametrize(
    ("who", "variables", "told"),
    [
        ("C", PARK, "A parked"),
        ("C", END, "A hung up NORMAL_CLEARING"),
        ("C", {**END, "hangup_after_bridge": "false"}, "A hung up NORMAL_CLEARING"),  # measured
        ("A", PARK, "C parked"),
        ("A", END, "C hung up NORMAL_CLEARING"),
        ("A", {**END, "hangup_after_bridge": "false"}, "C hung up NORMAL_CLEARING"),  # measured
    ],
)
def test_what_becomes_of_a_leg_stands_in_its_variables(
    seed: int, who: str, variables: dict[str, str], told: str
) -> None:
    lab = consultation(seed)
    lab.set("C" if who == "A" else "A", variables)
    lab.world.hang_up(lab.leg(who))
    assert lab.news() == [f"{who} hung up NORMAL_CLEARING", told]


def test_the_first_leg_ends_for_the_reason_of_the_second() -> None:
    lab = consultation()
    lab.set("A", END)
    lab.ask("kill", "C", "MANAGER_REQUEST")
    assert lab.news() == ["C hung up MANAGER_REQUEST", "A hung up MANAGER_REQUEST"]


def test_both_may_leave_at_once_measured() -> None:
    lab = consultation()
    lab.ask("kill", "A")
    lab.ask("kill", "C")
    assert lab.news() == ["A hung up NORMAL_CLEARING", "C hung up NORMAL_CLEARING"]


# ---------------------------------------------------------------- the failsafe


@every_seed
def test_an_armed_second_leg_takes_the_rescue_as_recorded(seed: int) -> None:
    lab = consultation(seed, **ARMED)
    lab.world.hang_up("leg-1")
    assert lab.news() == ["A hung up NORMAL_CLEARING", f"B stops {MUSIC}", "C joined B"]
    lab.world.hang_up("leg-2")
    assert lab.news() == ["B hung up NORMAL_CLEARING", "C hung up NORMAL_CLEARING"]


def test_the_rescue_takes_some_forty_milliseconds_as_recorded() -> None:
    lab = consultation(0, **ARMED)
    lab.world.hang_up("leg-1")
    assert "C joined B" not in lab.news(0.040)
    assert "C joined B" in lab.news(0.050)


@every_seed
def test_an_armed_second_leg_ends_if_there_is_nobody_to_rescue_measured(seed: int) -> None:
    lab = consultation(seed, **ARMED)
    lab.world.hang_up("leg-2")
    lab.wait(0.3)
    lab.news()
    lab.world.hang_up("leg-1")
    assert lab.news() == ["A hung up NORMAL_CLEARING", "C hung up NORMAL_CLEARING"]


@every_seed
def test_when_an_armed_second_leg_leaves_the_first_is_parked_measured(seed: int) -> None:
    lab = consultation(seed, **ARMED)
    lab.world.hang_up("C")
    assert lab.news() == ["C hung up NORMAL_CLEARING", "A parked"]


@every_seed
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({**PARK, **ARMED, "hangup_after_bridge": "false"}, [f"B stops {MUSIC}", "A joined B"]),
        ({**PARK, **ARMED, "park_after_bridge": "true"}, ["A parked"]),
        ({**PARK, **ARMED, "hangup_after_bridge": "true"}, ["A hung up NORMAL_CLEARING"]),
    ],
)
def test_an_armed_first_leg_rescues_only_if_it_would_neither_park_nor_hang_up_measured(
    seed: int, variables: dict[str, str], told: list[str]
) -> None:
    lab = consultation(seed)
    lab.set("A", variables)
    lab.world.hang_up("C")
    assert lab.news() == ["C hung up NORMAL_CLEARING", *told]


@every_seed
def test_of_a_second_leg_the_arms_go_before_the_park_measured(seed: int) -> None:
    lab = consultation(seed, **{**ARMED, **PARK})
    lab.world.hang_up("leg-1")
    assert lab.news()[-1] == "C joined B"


@every_seed
def test_the_trap_an_armed_leg_undoes_a_takeback_measured(seed: int) -> None:
    lab = consultation(seed, **ARMED)
    told = [fact for fact in quiet(lab.join("A", "B")) if fact != "A parted C"]  # it may be told
    assert told == ["A hung up PICKED_OFF", "C joined B"]


@every_seed
def test_disarmed_it_does_not_measured(seed: int) -> None:
    lab = consultation(seed, **ARMED)
    lab.set("C", {**DISARM, "park_after_bridge": "true"})
    assert sorted(quiet(lab.join("A", "B"))[:2]) == ["A parted C", "C parked"]
    assert lab.place("A") is ChannelPlace.JOINED


@every_seed
def test_an_armed_second_leg_that_is_fetched_itself_is_joined_measured(seed: int) -> None:
    lab = consultation(seed, **ARMED)
    assert quiet(lab.join("B", "C")) == ["A parted C", "A parked", "B joined C"]


@every_seed
def test_a_ringing_leg_that_is_armed_takes_the_rescue_when_it_answers_measured(seed: int) -> None:
    lab = Lab(seed)
    lab.dial(Manual())
    lab.set("C", {"execute_on_answer": "intercept leg-2"})
    lab.world.answer("C")
    assert lab.news() == ["C answered", "C joined B"]


@every_seed
def test_armed_so_it_is_parked_if_there_is_nobody_measured(seed: int) -> None:
    lab = Lab(seed)
    lab.dial(Manual())
    lab.set("C", {"execute_on_answer": "intercept leg-2"})
    lab.world.hang_up("leg-2")
    lab.news()
    lab.world.answer("C")
    assert lab.news() == ["C answered", "C parked"]


@every_seed
def test_armed_so_it_hangs_up_whom_the_rescue_talks_with_measured(seed: int) -> None:
    lab = Lab(seed, split=False)
    for leg in ("A", "B"):
        lab.set(leg, PARK)
    lab.dial(Manual())
    lab.set("C", {"execute_on_answer": "intercept leg-2"})
    lab.world.answer("C")
    assert lab.news() == ["C answered", "A hung up PICKED_OFF", "C joined B"]
    voices = [(heard.sense, heard.what) for heard in lab.world.parties["1002"].heard]
    assert voices == [(Sense.VOICE, "Alice"), (Sense.SILENCE, ""), (Sense.VOICE, "Carol")]


def test_no_leg_rescues_itself() -> None:
    lab = consultation(0, **{**ARMED, "exec_after_bridge_arg": "C"})
    lab.world.hang_up("leg-1")
    assert lab.news() == ["A hung up NORMAL_CLEARING", "C hung up NORMAL_CLEARING"]


# --------------------------------------------------------------------- sounds


@every_seed
def test_a_sound_begins_after_a_while_as_recorded(seed: int) -> None:
    lab = Lab(seed)
    assert lab.ask("broadcast", "B", MUSIC) == "+OK Message sent"
    assert lab.news(0.099) == []
    assert lab.news(0.110) == [f"B plays {MUSIC}"]
    assert lab.world.parties["1002"].hears == Audible(Sense.MUSIC, "music:default")


def test_a_sound_that_is_missing_is_not_played_and_nobody_is_told() -> None:
    lab = Lab()
    assert lab.ask("broadcast", "B", Recording("missing.wav")) == "+OK Message sent"
    assert lab.news() == []


def test_a_sound_to_nobody() -> None:
    assert Lab().ask("broadcast", "X", MUSIC) == "-ERR invalid uuid"
    assert Lab().ask("break_all", "X") == "-ERR No such channel!"


def test_a_sound_to_a_joined_leg_is_played_to_it_alone_measured() -> None:
    lab = Lab(split=False)
    lab.news()
    lab.switch.broadcast("leg-2", Recording("beep"), sense=Sense.TONE, lasts_s=0.4)
    assert lab.news() == ["B plays file:beep", "B stops file:beep"]
    alice, bob = lab.world.parties["1001"], lab.world.parties["1002"]
    assert [heard.sense for heard in bob.heard] == [Sense.VOICE, Sense.TONE, Sense.VOICE]
    assert [heard.sense for heard in alice.heard] == [Sense.VOICE]


def test_a_sound_to_a_ringing_leg_is_not_played() -> None:
    lab = Lab()
    lab.dial(NeverAnswers())
    assert lab.ask("broadcast", "C", MUSIC) == "+OK Message sent"
    assert lab.news() == []


def test_a_sound_behind_an_endless_one_never_comes_measured() -> None:
    lab = Lab()
    lab.ask("broadcast", "B", MUSIC)
    lab.news()
    lab.ask("broadcast", "B", Recording("beep"))
    assert lab.news(60.0) == []


def test_a_sound_behind_a_short_one_waits_for_it_measured() -> None:
    lab = Lab()
    for name in ("one", "two", "three"):
        lab.switch.broadcast("leg-2", Recording(name), lasts_s=0.4)
        lab.wait(0.11)
    assert sorted(lab.news(3.0)) == [
        f"B {v} file:{s}" for v in ("plays", "stops") for s in ("one", "three", "two")
    ]


@every_seed
def test_broken_off_it_comes_measured(seed: int) -> None:
    lab = Lab(seed)
    lab.ask("broadcast", "B", MUSIC)
    lab.news()
    assert lab.ask("break_all", "B") == "+OK"
    lab.ask("broadcast", "B", Recording("beep"))
    assert lab.news() == [f"B stops {MUSIC}", "B plays file:beep"]


def test_a_sound_that_was_only_ordered_is_broken_off_too_measured() -> None:
    lab = Lab()
    lab.ask("broadcast", "B", MUSIC)
    lab.ask("break_all", "B")
    lab.ask("broadcast", "B", Recording("beep"))
    assert lab.news() == ["B plays file:beep"]


@pytest.mark.parametrize("order", [("bridge", "A", "B"), ("park_both", "B"), ("kill", "B")])
def test_a_sound_that_was_only_ordered_is_forgotten_when_the_leg_goes_measured(
    order: tuple[str, ...],
) -> None:
    lab = Lab()
    lab.ask("broadcast", "B", MUSIC)
    lab.ask(*order)
    assert not [fact for fact in lab.news() if "plays" in fact]


def test_a_leg_that_hangs_up_is_told_nothing_more_of() -> None:
    lab = Lab()
    lab.switch.broadcast("leg-2", Recording("beep"), lasts_s=2.0)
    lab.news()
    lab.world.hang_up("leg-2")
    assert lab.news(5.0) == ["B hung up NORMAL_CLEARING"]
    assert lab.world.parties["1002"].hears == SILENCE


# ------------------------------------------------------------ digits, variables


def test_digits_are_told_and_heard() -> None:
    lab = Lab(split=False)
    lab.news()
    lab.world.press("leg-1", "*1#", gap_s=0.1)
    assert lab.news() == ["A presses *", "A presses 1", "A presses #"]
    assert lab.world.parties["1002"].digits_heard() == "*1#"
    assert lab.world.parties["1002"].hears == Audible(Sense.VOICE, "Alice")


def test_digits_have_serial_numbers() -> None:
    lab = Lab()
    serials: list[int] = []
    lab.world.on_event = lambda event: serials.append(getattr(event, "serial", 0))
    lab.world.press("leg-1", "12", gap_s=0.1)
    lab.world.press("leg-2", "3")
    lab.wait()
    assert serials == [1, 2, 3]


def test_a_ringing_phone_presses_nothing() -> None:
    lab = Lab()
    lab.dial(Manual())
    lab.world.press("C", "1")
    assert lab.news() == []


@pytest.mark.parametrize(
    ("terminators", "digit", "stops"),
    [
        (None, "*", [f"B stops {MUSIC}"]),
        (None, "1", []),
        ("none", "*", []),
        ("0#", "#", [f"B stops {MUSIC}"]),
    ],
)
def test_a_terminator_stops_the_sound_measured(
    terminators: str | None, digit: str, stops: list[str]
) -> None:
    lab = Lab()
    if terminators is not None:
        lab.set("B", {"playback_terminators": terminators})
    lab.ask("broadcast", "B", MUSIC)
    lab.news()
    lab.world.press("leg-2", digit)
    assert lab.news() == [f"B presses {digit}", *stops]


def test_variables_die_with_their_leg() -> None:
    lab = Lab()
    lab.set("A", {"a": "1", "b": "2"})
    lab.set("A", {"b": ""})
    assert lab.ask("getvar", "A", "a") == "1"
    assert lab.ask("getvar", "A", "b") == "_undef_"
    lab.ask("kill", "A")
    assert lab.ask("getvar", "A", "a") == "-ERR No such channel!"
    assert lab.ask("setvar_multi", "A", {"a": "1"}) == "-ERR No such channel!"
    assert lab.ask("park_both", "A") == "-ERR No such channel!"
