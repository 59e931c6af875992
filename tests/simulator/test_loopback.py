"""A target through `loopback/…`: three legs and two bridges, as measured on FreeSWITCH 1.10.12."""

from __future__ import annotations

import pytest

from hookflash.backends.simulator.people import Answers, Behaviour, Busy, EarlyMedia, Manual
from hookflash.backends.simulator.switch import Audible, ChannelPlace, Sense
from hookflash.backends.simulator.world import World
from hookflash.events import CallEvent, LegCreated, LegHungUp, LegProgressed, LegsJoined
from hookflash.sounds import Recording

A, B, C, CB, CP = "leg-1", "leg-2", "C", "leg-3", "leg-4"
STAYS = {
    "park_after_bridge": "true",
    "hangup_after_bridge": "false",
    "uuid_bridge_park_on_cancel": "true",
}
ASKED = {
    "origination_caller_id_number": "1001",
    "ignore_early_media": "true",
    "hookflash_account": "acme",
    "baz": "1",
    "export_vars": "codecs,baz",
    "park_timeout": "77",
}

every_seed = pytest.mark.parametrize("seed", range(8))


class Lab:
    """Alice and Bob are parked; Carol is called through the dialplan."""

    def __init__(self, seed: int = 0, carol: Behaviour | None = None) -> None:
        self.told: list[CallEvent] = []
        self.world = World(seed)
        self.world.raw = True
        self.world.on_event = self.told.append
        for number, name in (("1001", "Alice"), ("1002", "Bob"), ("1003", "Carol")):
            behaviour = (carol or Answers(after_s=0.1)) if name == "Carol" else Answers(after_s=0.0)
            self.world.add_phone(number, behaviour, name)
        self.switch = self.world.switch
        self.switch.draws_rare_things = False
        self.world.call("1001", "1002")
        self.wait()
        self.switch.park_both(A)
        self.news()
        self.switch.originate(C, "1003", ASKED, account="acme", dial_string="loopback/1003/default")

    def wait(self, for_s: float = 1.0) -> None:
        assert self.world.run(self.world.now_s + for_s)

    def news(self, for_s: float = 1.0) -> list[CallEvent]:
        self.wait(for_s)
        told, self.told[:] = list(self.told), []
        return told

    def join(self) -> None:
        for leg in (A, C):
            self.switch.setvar_multi(leg, STAYS)
        self.switch.bridge(A, C)
        self.news()

    def of(self, leg: str, told: list[CallEvent]) -> list[str]:
        names: list[str] = []
        for event in told:
            legs = (getattr(event, name, "") for name in ("leg", "first", "second"))
            if leg in legs:
                cause = f" {event.cause}" if isinstance(event, LegHungUp) else ""
                names.append(type(event).__name__ + cause)
        return names


@every_seed
def test_it_is_three_legs_measured(seed: int) -> None:
    lab = Lab(seed)
    told = lab.news()
    created = {fact.leg: fact for fact in told if isinstance(fact, LegCreated)}
    assert list(created) == [C, CB, CP]
    assert (created[C].other_half, created[CB].other_half) == (CB, C)
    assert created[CP].called_for == CB
    assert [created[leg].number for leg in created] == ["1003", "1001", "1003"]
    assert [created[leg].account for leg in created] == ["acme", "acme", ""]
    assert lab.of(CP, told) == ["LegCreated", "LegProgressed", "LegAnswered", "LegsJoined"]
    assert lab.of(CB, told) == ["LegCreated", "LegProgressed", "LegAnswered", "LegsJoined"]
    assert lab.of(C, told) == ["LegCreated", "LegProgressed", "LegAnswered", "LegParked"]
    assert LegsJoined(first=CB, second=CP) in told


def test_variables_stand_on_both_halves_and_reach_the_phone_only_if_exported_measured() -> None:
    lab = Lab()
    lab.news()
    get = lab.switch.getvar
    assert [get(leg, "hookflash_account") for leg in (C, CB, CP)] == ["acme", "acme", "_undef_"]
    assert [get(leg, "baz") for leg in (C, CB, CP)] == ["1", "1", "1"]
    # in the park it is forgotten; on the half that never parks it lies in wait
    assert [get(leg, "park_timeout") for leg in (C, CB, CP)] == ["_undef_", "77", "_undef_"]
    assert get(C, "other_loopback_leg_uuid") == CB
    assert get(CB, "other_loopback_leg_uuid") == C
    assert [get(leg, "signal_bond") for leg in (C, CB, CP)] == ["_undef_", CP, CB]


def test_keys_are_told_twice_measured() -> None:
    lab = Lab()
    lab.news()
    lab.world.press(C, "5")
    assert [lab.of(leg, lab.told) for leg in (C, CB, CP)] == [[], [], []]
    told = lab.news()
    assert [lab.of(leg, told) for leg in (C, CB, CP)] == [["DigitPressed"], [], ["DigitPressed"]]
    lab.join()
    lab.world.press(A, "7")
    told = lab.news()
    assert [lab.of(leg, told) for leg in (A, CB, C)] == [["DigitPressed"], ["DigitPressed"], []]
    assert lab.world.parties["1003"].digits_heard() == "7"


def test_voices_and_sounds_pass() -> None:
    lab = Lab()
    lab.news()
    lab.switch.broadcast(C, Recording("beep"), sense=Sense.TONE)
    lab.news()
    assert lab.world.parties["1003"].hears == Audible(Sense.TONE, "file:beep")
    lab.join()
    assert lab.world.parties["1003"].hears == Audible(Sense.VOICE, "Alice")
    assert lab.world.parties["1001"].hears == Audible(Sense.VOICE, "Carol")


@every_seed
def test_the_phone_hangs_up_measured(seed: int) -> None:
    lab = Lab(seed)
    lab.news()
    lab.join()
    lab.world.hang_up(C)
    told = lab.news()
    assert lab.of(CP, told) == ["LegHungUp NORMAL_CLEARING"]
    assert lab.of(CB, told) == ["LegHungUp NORMAL_CLEARING"]
    assert lab.of(C, told) == ["LegHungUp NORMAL_CLEARING"]
    assert lab.of(A, told) == ["LegParked"]


@every_seed
@pytest.mark.parametrize(
    ("killed", "causes"),
    [
        (C, {C: {"USER_BUSY"}, CB: {"USER_BUSY", "NORMAL_CLEARING"}, CP: {"NORMAL_CLEARING"}}),
        (CB, {C: {"USER_BUSY", "NORMAL_CLEARING"}, CB: {"USER_BUSY"}, CP: {"NORMAL_CLEARING"}}),
        (CP, {C: {"USER_BUSY"}, CB: {"USER_BUSY"}, CP: {"USER_BUSY"}}),
    ],
)
def test_if_one_is_killed_all_three_end_measured(
    seed: int, killed: str, causes: dict[str, set[str]]
) -> None:
    lab = Lab(seed)
    lab.news()
    lab.switch.kill(killed, "USER_BUSY")
    ended = {fact.leg: fact.cause for fact in lab.news() if isinstance(fact, LegHungUp)}
    assert ended.keys() == causes.keys()
    assert all(ended[leg] in causes[leg] for leg in ended)


def test_when_loopback_b_is_killed_loopback_a_may_be_parked_before_it_ends_measured() -> None:
    seen: set[tuple[str, ...]] = set()
    for seed in range(40):
        lab = Lab(seed)
        lab.news()
        lab.join()
        lab.switch.kill(CB, "USER_BUSY")
        told = lab.news()
        seen.add(tuple(lab.of(C, told)))
        assert lab.of(A, told)[-1] == "LegParked"
    assert ("LegParked", "LegHungUp USER_BUSY") in seen
    assert ("LegHungUp USER_BUSY",) in seen


@pytest.mark.parametrize(("carol", "cause"), [(Busy(), "USER_BUSY"), (Manual(), "NO_ANSWER")])
def test_a_call_that_fails_measured(carol: Behaviour, cause: str) -> None:
    lab = Lab(0, carol)
    if cause == "NO_ANSWER":
        lab.wait(0.5)
        lab.switch.kill(C, cause)
    ended = {fact.leg: fact.cause for fact in lab.news() if isinstance(fact, LegHungUp)}
    phone = "ORIGINATOR_CANCEL" if cause == "NO_ANSWER" else cause
    assert ended == {C: cause, CB: cause, CP: phone}


def test_early_media_that_is_ignored_is_told_of_the_phone_alone_measured() -> None:
    lab = Lab(0, EarlyMedia())
    told = [fact for fact in lab.news(0.5) if isinstance(fact, LegProgressed)]
    assert told == [LegProgressed(leg=CP, early_media=True)]


def test_the_phone_is_taken_away_and_both_halves_end_measured() -> None:
    lab = Lab()
    lab.news()
    lab.switch.bridge(A, CP)
    told = lab.news()
    assert LegsJoined(first=A, second=CP) in told
    assert lab.of(C, told) == ["LegHungUp NORMAL_CLEARING"]
    assert lab.of(CB, told) == ["LegsSeparated", "LegHungUp NORMAL_CLEARING"]


def test_loopback_b_is_parked_measured() -> None:
    lab = Lab()
    lab.news()
    lab.switch.park_one(CB)
    told = lab.news()
    assert lab.of(CP, told) == ["LegHungUp NORMAL_CLEARING"]
    assert lab.of(CB, told) == ["LegParked"]
    channel = lab.switch.find(C)
    assert channel is not None
    assert channel.place is ChannelPlace.PARKED


def test_a_dialplan_that_goes_through_loopback_measured() -> None:
    world = World()
    world.raw = True
    told: list[CallEvent] = []
    world.on_event = told.append
    first, second = world.call("1001", "1002", account="acme", through_loopback=True)
    world.run(1.0)
    created = {fact.leg: fact for fact in told if isinstance(fact, LegCreated)}
    b, phone = created[second].other_half, list(created)[-1]
    assert [created[leg].called_for for leg in (first, second, b, phone)] == ["", first, "", b]
    assert [created[leg].account for leg in (first, second, b, phone)] == ["acme", "", "", ""]
    assert LegsJoined(first=first, second=second) in told
    assert LegsJoined(first=b, second=phone) in told
    assert world.parties["1002"].hears == Audible(Sense.VOICE, "1001")
    world.hang_up(first)
    world.run(2.0)
    assert not world.snapshot()
