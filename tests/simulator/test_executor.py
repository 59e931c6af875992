"""Commands, as they are said to the switch, and what comes of them."""

from __future__ import annotations

import attrs
import pytest

from hookflash.backends.simulator.people import Answers, Behaviour, Manual, NeverAnswers
from hookflash.backends.simulator.sounds import sound_length_s
from hookflash.backends.simulator.switch import ChannelPlace
from hookflash.backends.simulator.world import World
from hookflash.commands import (
    Afterwards,
    Arm,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    Park,
    PlayRingback,
    PlayTone,
    Release,
    Split,
    SwitchCommand,
    Trigger,
)
from hookflash.events import (
    CallEvent,
    CommandFailed,
    Direction,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegsReleased,
    LegsSeparated,
    SoundStarted,
    SoundStopped,
)
from hookflash.sounds import Music, Recording, Sound, parse_sound

A, B, C = "leg-1", "leg-2", "carol"
MOH = Music()
DIAL = Dial(leg=C, target="2600", on_behalf_of=A, ring_timeout_s=20.0)


class Controller:
    """Says commands, and sees what comes of them."""

    def __init__(self, carol: Behaviour | None = None) -> None:
        self.told: list[CallEvent] = []
        self.world = World(1)
        self.world.on_event = self.told.append
        self.world.add_phone("2600", carol or Answers(after_s=0.5))
        self.world.call("1001", "1002", account="acme")
        self.say()

    def say(self, *commands: SwitchCommand, for_s: float = 1.0) -> list[CallEvent]:
        self.told.clear()
        for command in commands:
            self.world.perform(command)
        self.world.run(self.world.now_s + for_s)
        return list(self.told)

    def variables(self, leg: str) -> dict[str, str]:
        channel = self.world.switch.find(leg)
        assert channel is not None
        return channel.variables


def consulting(rescue: str | None = B) -> Controller:
    controller = Controller()
    controller.say(Split(first=A, second=B))
    controller.say(HoldWithMusic(leg=B, music=MOH), DIAL)
    join = Join(first=A, second=C, afterwards=Afterwards.PARK, rescue=rescue)
    assert controller.say(join) == [LegsJoined(first=A, second=C)]
    return controller


def test_split() -> None:
    told = Controller().say(Split(first=A, second=B))
    assert told == [LegParked(leg=B), LegsSeparated(first=A, second=B), LegParked(leg=A)]


def test_a_split_that_is_repeated_disturbs_nobody() -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B))
    controller.say(HoldWithMusic(leg=B, music=MOH))
    assert controller.say(Split(first=A, second=B, repeated=True)) == []


def test_a_join_that_is_repeated_on_the_heels_of_the_first_is_one_join() -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B), DIAL)
    first = Join(first=A, second=C, transfer="x", afterwards=Afterwards.PARK)
    again = attrs.evolve(first, attempt=2, repeated=True)
    assert controller.say(first, again, attrs.evolve(again, attempt=3)) == [
        LegsJoined(first=A, second=C)
    ]


def test_a_join_that_is_repeated_because_the_first_was_lost_is_carried_out() -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B), DIAL)
    again = Join(
        first=A, second=C, transfer="x", attempt=2, repeated=True, afterwards=Afterwards.PARK
    )
    assert controller.say(again) == [LegsJoined(first=A, second=C)]


def test_after_a_split_no_digit_ends_a_sound() -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B))
    controller.say(HoldWithMusic(leg=B, music=MOH))
    controller.world.press(B, "*")
    assert not [event for event in controller.say() if isinstance(event, SoundStopped)]


@pytest.mark.parametrize(
    ("command", "sound"),
    [
        (HoldWithMusic(leg=B, music=MOH), MOH),
        (
            PlayRingback(leg=B, ringback=parse_sound("tone:440+480/2000,0/4000")),
            parse_sound("tone:440+480/2000,0/4000"),
        ),
    ],
)
def test_endless_sounds(command: SwitchCommand, sound: Sound) -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B))
    assert controller.say(command, for_s=100.0) == [SoundStarted(leg=B, sound=sound)]


def test_music_from_a_file_ends_with_the_file() -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B))
    told = controller.say(HoldWithMusic(leg=B, music=Recording("moh.wav")), for_s=100.0)
    assert told == [
        SoundStarted(leg=B, sound=Recording("moh.wav")),
        SoundStopped(leg=B, sound=Recording("moh.wav")),
    ]


def test_a_tone_plays_once_even_in_the_midst_of_music() -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B))
    controller.say(HoldWithMusic(leg=B, music=MOH))
    tone = parse_sound("tone:880/300,0/100*1")
    assert controller.say(PlayTone(leg=B, tone=tone)) == [
        SoundStopped(leg=B, sound=MOH),
        SoundStarted(leg=B, sound=tone),
        SoundStopped(leg=B, sound=tone),
    ]


@pytest.mark.parametrize(
    ("tone", "lasts_s"),
    [
        ("tone:880/300,0/100*1", 0.4),
        ("tone:880/300,0/100,440/200,0/100*1", 0.7),
        ("tone:880/300,0/100*3", 1.2),
        ("tone:880/300,0/100", None),
        ("file:beep.wav", 2.0),
        ("music:jazz", None),
    ],
)
def test_how_long_a_tone_plays(tone: str, lasts_s: float | None) -> None:
    assert sound_length_s(parse_sound(tone)) == pytest.approx(lasts_s)


def test_dial() -> None:
    controller = Controller()
    assert controller.say(attrs.evolve(DIAL, account="acme")) == [
        LegCreated(leg=C, number="2600", direction=Direction.OUTBOUND, account="acme"),
        LegProgressed(leg=C),
        LegAnswered(leg=C),
        LegParked(leg=C),
    ]
    assert controller.variables(C)["originate_timeout"] == "20"


def test_a_leg_that_is_dialled_for_nobody_has_no_account() -> None:
    dial = Dial(leg=C, target="2600", on_behalf_of="gone", ring_timeout_s=20.0)
    assert Controller().say(dial)[0] == LegCreated(
        leg=C, number="2600", direction=Direction.OUTBOUND
    )


@pytest.mark.parametrize(("ring_timeout_s", "seconds"), [(0.1, "1"), (2.0, "2"), (2.01, "3")])
def test_a_target_is_never_given_less_time_in_whole_seconds(
    ring_timeout_s: float, seconds: str
) -> None:
    controller = Controller(NeverAnswers())
    dial = Dial(leg=C, target="2600", on_behalf_of=A, ring_timeout_s=ring_timeout_s)
    controller.say(dial, for_s=0.0)
    assert controller.variables(C)["originate_timeout"] == seconds
    assert controller.say(for_s=3.0)[-1] == LegHungUp(leg=C, cause="NO_ANSWER")


def test_a_target_that_nobody_knows() -> None:
    dial = Dial(leg=C, target="404", on_behalf_of=A, ring_timeout_s=20.0)
    assert Controller().say(dial)[1:] == [LegHungUp(leg=C, cause="UNALLOCATED_NUMBER")]


def test_a_leg_that_is_dialled_twice() -> None:
    controller = Controller()
    controller.say(DIAL)
    assert controller.say(DIAL) == [
        CommandFailed(command=DIAL, reason="-ERR DESTINATION_OUT_OF_ORDER")
    ]


def test_hang_up() -> None:
    controller = Controller(NeverAnswers())
    controller.say(DIAL)
    hang_up = HangUp(leg=C, cause="ORIGINATOR_CANCEL")
    assert controller.say(hang_up) == [LegHungUp(leg=C, cause="ORIGINATOR_CANCEL")]
    assert controller.say(hang_up) == [LegHungUp(leg=C, cause="INVALID_CALL_REFERENCE")]


@pytest.mark.parametrize(
    ("afterwards", "parks", "hangs_up"),
    [(Afterwards.PARK, "true", "false"), (Afterwards.END, "false", "true")],
)
def test_a_join_says_what_becomes_of_both(
    afterwards: Afterwards, parks: str, hangs_up: str
) -> None:
    controller = Controller()
    told = controller.say(Join(first=A, second=B, afterwards=afterwards))
    assert told[-1] == LegsJoined(first=A, second=B)
    for leg in (A, B):
        variables = controller.variables(leg)
        assert variables["park_after_bridge"] == parks
        assert variables["hangup_after_bridge"] == hangs_up
        assert variables["uuid_bridge_park_on_cancel"] == "true"
        assert "exec_after_bridge_app" not in variables


def test_a_join_with_a_rescue() -> None:
    controller = consulting()
    controller.world.hang_up(A)
    assert controller.say(for_s=3.0) == [
        LegHungUp(leg=A),
        LegParked(leg=C),  # two seconds, in which a living controller would fetch it
        SoundStopped(leg=B, sound=MOH),
        LegsJoined(first=C, second=B),
    ]


def test_a_join_with_a_rescue_when_the_armed_one_leaves() -> None:
    controller = consulting()
    controller.world.hang_up(C)
    assert controller.say() == [LegHungUp(leg=C), LegParked(leg=A)]


def test_the_first_leg_is_armed_by_an_order_of_its_own() -> None:
    controller = consulting()
    assert controller.say(Arm(leg=A, rescue=B, when=Trigger.LEFT_ALONE)) == []
    controller.world.hang_up(C)
    assert controller.say(for_s=3.0) == [
        LegHungUp(leg=C),
        LegParked(leg=A),
        SoundStopped(leg=B, sound=MOH),
        LegsJoined(first=A, second=B),
    ]


def test_a_join_without_a_rescue_when_the_first_leaves() -> None:
    controller = consulting(rescue=None)
    controller.world.hang_up(A)
    assert controller.say() == [LegHungUp(leg=A), LegParked(leg=C)]


def test_a_takeback_that_does_not_disarm_is_undone() -> None:
    controller = consulting()
    told = controller.say(Join(first=A, second=B, afterwards=Afterwards.END), for_s=3.0)
    assert LegHungUp(leg=A, cause="PICKED_OFF") in told


def test_a_takeback_that_disarms() -> None:
    controller = consulting()
    told = controller.say(
        Join(first=A, second=B, afterwards=Afterwards.END, disarm=(A, C), rescued=B)
    )
    assert told[-1] == LegsJoined(first=A, second=B)
    assert LegParked(leg=C) in told


def test_a_join_forgets_the_arms_of_both() -> None:
    controller = consulting()
    controller.world.hang_up(A)
    controller.say()
    controller.say(Join(first=B, second=C, afterwards=Afterwards.END))
    assert "exec_after_bridge_app" not in controller.variables(C)


def test_to_disarm_who_is_gone_is_no_failure() -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B))
    told = controller.say(Join(first=A, second=B, afterwards=Afterwards.END, disarm=("gone",)))
    assert told[-1] == LegsJoined(first=A, second=B)


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.005, 0.02, 0.025, 0.03, 0.035, 0.04, 0.1])
def test_a_join_in_the_moment_in_which_the_failsafe_catches(after_s: float) -> None:
    """The switch joins them by itself: a second bridge on its heels would end a leg."""
    controller = consulting()
    controller.world.hang_up(A)
    controller.world.run(until_s=controller.world.now_s + after_s)
    controller.say(Join(first=B, second=C, afterwards=Afterwards.END, disarm=(C,)))
    assert controller.world.switch.partner(B) == C
    assert {leg.leg for leg in controller.world.snapshot()} == {B, C}
    controller.world.hang_up(B)  # and it has become an ordinary call
    controller.say()
    assert controller.world.snapshot() == ()


def test_who_is_introduced_sees_the_other() -> None:
    controller = consulting()
    introduce = Introduce(first=A, second=C, first_number="1001", second_number="2600")
    assert controller.say(introduce) == []
    assert [controller.world.switch.shown(leg)[-1] for leg in (A, B, C)] == ["2600", "1001", "1001"]
    assert controller.say(attrs.evolve(introduce, second="gone")) == []


def test_arm_and_disarm() -> None:
    controller = Controller(Manual())
    controller.say(Split(first=A, second=B), DIAL)
    assert controller.say(Arm(leg=C, rescue=B)) == []
    controller.say(Join(first=A, second=B, afterwards=Afterwards.END, disarm=(A, C)))
    controller.world.answer(C)
    assert controller.say() == [LegAnswered(leg=C), LegParked(leg=C)]


def test_an_armed_target_takes_the_rescue_when_nobody_fetches_it() -> None:
    controller = Controller(Manual())
    controller.say(Split(first=A, second=B), DIAL)
    controller.say(Arm(leg=C, rescue=B), HangUp(leg=A))
    controller.world.answer(C)
    assert controller.say(for_s=2.0) == [
        LegAnswered(leg=C),
        LegParked(leg=C),
        LegsJoined(first=C, second=B),
    ]


def test_release() -> None:
    controller = consulting()
    assert controller.say(Release(first=A, second=C)) == [LegsReleased(first=A, second=C)]
    controller.world.hang_up(A)
    assert controller.say() == [LegHungUp(leg=A), LegHungUp(leg=C)]


X = "nobody"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Split(first=X, second=B), "-ERR No such channel!"),
        (Park(leg=X), "-ERR No such channel!"),
        (HoldWithMusic(leg=X, music=MOH), "-ERR invalid uuid"),
        (PlayRingback(leg=X, ringback=Recording("ring")), "-ERR invalid uuid"),
        (PlayTone(leg=X, tone=Recording("beep")), "-ERR invalid uuid"),
        (Join(first=X, second=B, afterwards=Afterwards.END), "-ERR No such channel!"),
        (Join(first=A, second=X, afterwards=Afterwards.END), "-ERR No such channel!"),
        (Arm(leg=X, rescue=B), "-ERR No such channel!"),
        (Release(first=A, second=X), "-ERR No such channel!"),
        (Release(first=X, second=B), "-ERR No such channel!"),
    ],
)
def test_what_the_switch_refuses_comes_back_as_a_failure(
    command: SwitchCommand, reason: str
) -> None:
    assert Controller().say(command) == [CommandFailed(command=command, reason=reason)]


def test_a_split_from_somebody_who_is_gone_parks_the_other() -> None:
    controller = Controller()
    controller.say(Split(first=A, second=B))
    controller.say(HangUp(leg=B))
    split = Split(first=A, second=B)
    assert controller.say(split) == [
        CommandFailed(command=split, reason="-ERR No such channel!"),
        LegParked(leg=A),
    ]


def test_two_ringing_legs_can_not_be_joined() -> None:
    controller = Controller(NeverAnswers())
    dave = Dial(leg="dave", target="2600", on_behalf_of=A, ring_timeout_s=20.0)
    controller.say(DIAL, dave)
    join = Join(first=C, second="dave", afterwards=Afterwards.END)
    assert controller.say(join) == [CommandFailed(command=join, reason="-ERR Invalid uuid")]


def test_a_whole_transfer() -> None:
    controller = consulting()
    controller.world.hang_up(A)
    controller.say()
    assert controller.say(
        Join(first=B, second=C, afterwards=Afterwards.END), Release(first=B, second=C)
    )[0] == LegsReleased(first=B, second=C)
    controller.world.hang_up(B)
    assert controller.say() == [LegHungUp(leg=B), LegHungUp(leg=C)]
    assert controller.world.snapshot() == ()


def test_a_join_that_came_to_nothing_can_be_repeated() -> None:
    controller = Controller()
    controller.world.switch.draws_rare_things = False
    controller.say(Split(first=A, second=B), DIAL)
    join = Join(first=A, second=C, afterwards=Afterwards.PARK, rescue=B)
    assert controller.say(join, HangUp(leg=A)) == [LegHungUp(leg=A)]
    carol = controller.world.switch.find(C)
    assert carol is not None
    assert carol.place is ChannelPlace.ADRIFT
    assert controller.say(Park(leg=C)) == [LegParked(leg=C)]
    again = Join(first=B, second=C, afterwards=Afterwards.END)
    assert controller.say(again) == [LegsJoined(first=B, second=C)]


def test_what_comes_after_a_join_that_waits_does_not_overtake_it() -> None:
    """Else its variables would outlive the order that takes them off."""
    controller = Controller()
    controller.say(Split(first=A, second=B))
    join = Join(first=A, second=B, afterwards=Afterwards.END, transfer="t")
    controller.world.perform(join)
    told = controller.say(for_s=0.0)
    while LegsJoined(first=A, second=B) not in told:
        told += controller.say(for_s=0.001)
    controller.say(attrs.evolve(join, repeated=True, attempt=2), Forget(legs=(A, B)))
    for leg in (A, B):
        assert "hookflash_join" not in controller.variables(leg)
        assert "uuid_bridge_park_on_cancel" not in controller.variables(leg)
