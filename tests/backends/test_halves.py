"""A call that the switch places to itself: what is told of it, and what is not."""

from __future__ import annotations

from itertools import permutations

import attrs
import pytest

from hookflash.backends.halves import Halves
from hookflash.commands import Look
from hookflash.events import (
    CallEvent,
    CommandFailed,
    DigitPressed,
    Direction,
    EndedBy,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegIdentified,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegSnapshot,
    LegsReleased,
    LegsSeen,
    LegsSeparated,
    SwitchFound,
)

OUT = Direction.OUTBOUND

ALICE = LegCreated(leg="alice", number="1001", account="acme")
NEAR = LegCreated(leg="near", number="1003", direction=OUT, account="acme", may_transfer=True)
FAR = LegCreated(leg="far", number="1001", other_half="near")
PHONE = LegCreated(leg="phone", number="1003", direction=OUT, called_for="far")
GATEWAY = LegCreated(leg="gateway", number="+49301", direction=OUT, called_for="far", outside=True)

PHONE_BEHIND = LegIdentified(
    leg="near", number="1003", account="acme", outside=False, may_transfer=True
)
GATEWAY_BEHIND = attrs.evolve(PHONE_BEHIND, number="+49301", outside=True)
UNKNOWN_BEHIND = LegIdentified(leg="near", number="", outside=True)

# the dialplan calls another loopback
NEAR_2 = LegCreated(leg="near-2", number="3000", direction=OUT, called_for="far")
FAR_2 = LegCreated(leg="far-2", number="1001", other_half="near-2")
BEHIND_2 = attrs.evolve(GATEWAY, called_for="far-2")


def joined(first: LegId, second: LegId) -> LegsJoined:
    return LegsJoined(first=first, second=second)


def told(halves: Halves, *events: CallEvent) -> list[CallEvent]:
    return [one for event in events for one in halves.take(event)]


def begun(*events: CallEvent) -> Halves:
    halves = Halves()
    told(halves, *events)
    return halves


def snapshot(created: LegCreated, peer: LegId | None = None) -> LegSnapshot:
    return LegSnapshot(
        leg=created.leg,
        number=created.number,
        direction=created.direction,
        account=created.account,
        outside=created.outside,
        may_transfer=created.may_transfer,
        answered=True,
        peer=peer,
        other_half=created.other_half,
        called_for=created.called_for,
    )


def seen(*living: LegSnapshot) -> LegsSeen:
    return LegsSeen(look=Look(legs=tuple(leg.leg for leg in living)), living=living)


# ----------------------------------------------------------------------- who is who


def test_an_ordinary_call_is_told_as_it_is() -> None:
    events: list[CallEvent] = [
        ALICE,
        LegCreated(leg="bob", number="1002", direction=OUT, called_for="alice"),
        LegProgressed(leg="bob"),
        LegAnswered(leg="bob"),
        joined("alice", "bob"),
        DigitPressed(leg="alice", digit="1"),
        LegsSeparated(first="alice", second="bob"),
        LegsReleased(first="alice", second="bob"),
        LegParked(leg="never-heard-of"),
        CommandFailed(command=Look(legs=()), reason="-ERR"),
        SwitchFound(),
        LegHungUp(leg="bob"),
    ]
    assert told(Halves(), *events) == events


def test_the_near_half_stands_for_whoever_is_behind_it() -> None:
    halves = Halves()
    assert told(halves, NEAR, FAR, PHONE) == [NEAR]
    assert told(halves, LegAnswered(leg="phone"), joined("far", "phone")) == [PHONE_BEHIND]
    assert told(halves, LegAnswered(leg="far"), LegAnswered(leg="near")) == [
        LegAnswered(leg="near")
    ]
    assert told(halves, joined("alice", "near")) == [joined("alice", "near")]


@pytest.mark.parametrize(
    ("behind", "cause", "expected"),
    [
        ([("phone", "USER_BUSY", 486)], "USER_BUSY", (486, EndedBy.PARTY)),
        ([("phone", "USER_BUSY", 486)], "NO_ANSWER", (None, None)),  # the dialplan went on
        ([("phone", "USER_BUSY", 486), ("gateway", "USER_BUSY", 486)], "USER_BUSY", (486, "party")),
        ([("phone", "USER_BUSY", 486), ("gateway", "USER_BUSY", 600)], "USER_BUSY", (None, None)),
        ([("phone", "USER_BUSY", 486), ("gateway", "DECLINE", 603)], "DECLINE", (603, "party")),
        ([], "USER_BUSY", (None, None)),
    ],
)
def test_the_end_of_a_near_half_is_that_of_whoever_is_behind_it(
    behind: list[tuple[str, str, int]], cause: str, expected: tuple[int | None, str | None]
) -> None:
    halves = begun(NEAR, FAR, PHONE, GATEWAY)
    for leg, own, status in behind:
        end = LegHungUp(leg=leg, cause=own, sip_status=status, ended_by=EndedBy.PARTY)
        assert told(halves, end) == []
    assert told(halves, LegHungUp(leg="far", cause=cause)) == []
    (end,) = told(halves, LegHungUp(leg="near", cause=cause))
    assert isinstance(end, LegHungUp)
    assert (end.cause, end.sip_status, end.ended_by) == (cause, *expected)


def test_what_the_switch_says_of_a_near_half_itself_counts() -> None:
    halves = begun(NEAR, FAR, PHONE)
    told(halves, LegHungUp(leg="phone", ended_by=EndedBy.PARTY))
    end = LegHungUp(leg="near", ended_by=EndedBy.SWITCH)
    assert told(halves, end) == [end]


def test_one_key_press_is_told_once() -> None:
    halves = begun(NEAR, FAR, PHONE, joined("far", "phone"))
    presses = [DigitPressed(leg=leg, digit="*") for leg in ("phone", "far", "near")]
    assert told(halves, *presses) == [DigitPressed(leg="near", digit="*")]


def test_what_is_hidden_comes_and_goes_unseen() -> None:
    halves = begun(NEAR, FAR, PHONE, joined("far", "phone"))
    hidden = (
        LegsSeparated(first="far", second="phone"),
        LegsReleased(first="phone", second="far"),
        LegParked(leg="phone"),
        LegHungUp(leg="phone"),
        LegHungUp(leg="far"),
    )
    assert told(halves, *hidden) == []
    assert told(halves, LegHungUp(leg="near")) == [LegHungUp(leg="near")]
    assert told(halves, PHONE) == [PHONE]  # a name may come again, and then is an ordinary leg


def test_who_lives_on_without_its_near_half_is_told_of() -> None:
    halves = begun(NEAR, FAR, PHONE, LegAnswered(leg="phone"), joined("far", "phone"))
    assert told(halves, LegHungUp(leg="near"), LegsSeparated(first="far", second="phone")) == [
        LegHungUp(leg="near")
    ]
    assert told(halves, LegHungUp(leg="far")) == []  # as a rule the phone is next, unseen
    born = [PHONE, LegAnswered(leg="phone")]
    assert told(halves, LegParked(leg="phone"))[:3] == [*born, LegParked(leg="phone")]
    assert told(halves, LegHungUp(leg="phone")) == [LegHungUp(leg="phone")]


def test_who_is_seen_to_live_on_is_told_of_even_if_nothing_happens_to_it() -> None:
    halves = begun(NEAR, FAR, PHONE, LegAnswered(leg="phone"), LegHungUp(leg="near"))
    told(halves, LegHungUp(leg="far"))
    alone = seen(snapshot(PHONE))
    assert told(halves, alone) == [PHONE, LegAnswered(leg="phone"), alone]


def test_the_same_identity_is_told_once() -> None:
    halves = begun(NEAR, FAR, PHONE, joined("far", "phone"))
    assert told(halves, joined("phone", "far")) == []


def test_the_rights_of_the_party_behind_count_where_there_are_some() -> None:
    theirs = attrs.evolve(PHONE, account="other", may_transfer=False)
    assert told(begun(NEAR, FAR, theirs), joined("phone", "far")) == [
        attrs.evolve(PHONE_BEHIND, account="other", may_transfer=False)
    ]


# -------------------------------------------------------------------- the careful answer


def test_an_outside_party_is_one_as_soon_as_the_dialplan_calls_it() -> None:
    halves = begun(NEAR, FAR)
    assert told(halves, GATEWAY) == [GATEWAY_BEHIND]
    assert told(halves, joined("far", "gateway")) == []


def test_it_stays_so_until_the_near_half_is_joined_with_somebody_who_is_not() -> None:
    """Phone and gateway are called at once, and the phone answers."""
    halves = begun(NEAR, FAR)
    assert told(halves, GATEWAY, PHONE) == [GATEWAY_BEHIND]
    assert told(halves, LegHungUp(leg="gateway")) == []
    assert told(halves, joined("far", "phone")) == [PHONE_BEHIND]


def test_whose_beginning_was_lost_counts_as_outside() -> None:
    assert told(begun(NEAR, FAR), joined("far", "phone")) == [UNKNOWN_BEHIND]


def test_the_beginning_of_a_far_half_was_lost() -> None:
    """Then whom the dialplan calls is told of; and so is it of the near half, once it is known."""
    halves = begun(ALICE, NEAR)
    assert told(halves, GATEWAY, joined("far", "gateway")) == [GATEWAY, joined("far", "gateway")]
    answer = told(halves, seen(snapshot(FAR, "gateway"), snapshot(GATEWAY, "far")))
    assert answer[0] == GATEWAY_BEHIND
    (event,) = answer[1:]
    assert isinstance(event, LegsSeen)
    assert [leg.leg for leg in event.living] == ["gateway"]


@pytest.mark.parametrize("before", range(3))
def test_the_far_half_may_be_told_of_before_the_near_one(before: int) -> None:
    """FreeSWITCH tells of each in a thread of its own: of 50 ring groups on a busy switch, six."""
    halves = Halves()
    events: list[CallEvent] = [FAR, GATEWAY]
    events.insert(before, NEAR)
    assert told(halves, *events) == [NEAR, GATEWAY_BEHIND]
    assert told(halves, joined("far", "gateway"), LegAnswered(leg="near")) == [
        LegAnswered(leg="near")
    ]
    presses = [DigitPressed(leg=leg, digit="*") for leg in ("gateway", "far", "near")]
    assert told(halves, *presses) == [DigitPressed(leg="near", digit="*")]
    ends = [LegHungUp(leg=leg) for leg in ("gateway", "far", "near")]
    assert told(halves, *ends) == [LegHungUp(leg="near")]
    assert told(halves, PHONE) == [PHONE]


@pytest.mark.parametrize("outer", list(permutations((NEAR, FAR))))
@pytest.mark.parametrize(
    "inner",
    [(NEAR_2, FAR_2, BEHIND_2), (FAR_2, NEAR_2, BEHIND_2), (FAR_2, BEHIND_2, NEAR_2)],
)
def test_a_chain_is_one_leg_in_whatever_order_its_halves_are_told_of(
    outer: tuple[LegCreated, ...], inner: tuple[LegCreated, ...]
) -> None:
    halves = Halves()
    assert told(halves, *outer, *inner) == [NEAR, GATEWAY_BEHIND]
    assert told(halves, joined("far-2", "gateway"), joined("far", "near-2")) == []
    presses = [DigitPressed(leg=leg, digit="*") for leg in ("gateway", "far-2", "near-2", "far")]
    assert told(halves, *presses) == []


def test_whose_near_half_has_not_begun_is_asked_who_it_is() -> None:
    """The beginning of the near half was lost: it is known when it answers."""
    halves = begun(FAR, PHONE, joined("far", "phone"))
    assert told(halves, LegAnswered(leg="near")) == [LegAnswered(leg="near")]
    (answer,) = told(halves, seen(snapshot(NEAR)))
    assert isinstance(answer, LegsSeen)
    assert [leg.leg for leg in answer.living] == ["near"]
    assert told(halves, DigitPressed(leg="phone", digit="*")) == []


def test_a_far_half_whose_near_half_has_ended_is_an_ordinary_leg() -> None:
    halves = begun(ALICE, NEAR, FAR, PHONE, joined("far", "phone"), LegHungUp(leg="near"))
    assert told(halves, joined("far", "phone")) == [FAR, PHONE, joined("far", "phone")]
    alone = (snapshot(FAR, "phone"), snapshot(PHONE, "far"))
    assert Halves().begin(alone) == alone


# ------------------------------------------------------------------- out of hiding


def test_a_loopback_that_bows_out_leaves_the_leg_behind_it() -> None:
    halves = begun(ALICE, NEAR, FAR, PHONE, LegAnswered(leg="phone"), joined("far", "phone"))
    assert told(halves, joined("alice", "phone")) == [
        PHONE,
        LegAnswered(leg="phone"),
        joined("alice", "phone"),
    ]
    assert told(halves, LegHungUp(leg="far"), LegHungUp(leg="near")) == [LegHungUp(leg="near")]
    assert told(halves, DigitPressed(leg="phone", digit="1"), LegHungUp(leg="phone")) == [
        DigitPressed(leg="phone", digit="1"),
        LegHungUp(leg="phone"),
    ]


def test_one_that_has_not_answered_is_not_said_to_have() -> None:
    halves = begun(ALICE, NEAR, FAR, PHONE)
    assert told(halves, joined("phone", "alice")) == [PHONE, joined("phone", "alice")]


# ------------------------------------------------------------------------- chains


def test_a_chain_of_loopbacks_is_one_leg() -> None:
    halves = Halves()
    assert told(halves, NEAR, FAR, NEAR_2, FAR_2, BEHIND_2) == [NEAR, GATEWAY_BEHIND]
    assert told(halves, joined("far-2", "gateway")) == []
    # the half in the middle is nobody: it must not make an outside party an inside one
    assert told(halves, joined("far", "near-2")) == []


# ---------------------------------------------------------------------- snapshots

CALL = (
    snapshot(ALICE, "near"),
    snapshot(NEAR, "alice"),
    snapshot(FAR, "gateway"),
    snapshot(GATEWAY, "far"),
)
CHAIN = (
    snapshot(NEAR),
    snapshot(FAR, "near-2"),
    snapshot(NEAR_2, "far"),
    snapshot(FAR_2, "gateway"),
    snapshot(BEHIND_2, "far-2"),
)


def as_shown(leg: LegSnapshot) -> LegSnapshot:
    return attrs.evolve(leg, number="+49301", outside=True)


@pytest.mark.parametrize("living", list(permutations(CALL)))
def test_a_snapshot_hides_the_same_whatever_its_order(living: tuple[LegSnapshot, ...]) -> None:
    halves = Halves()
    shown = halves.begin(living)
    assert {leg.leg: leg for leg in shown} == {"alice": CALL[0], "near": as_shown(CALL[1])}
    assert list(halves.identities()) == [GATEWAY_BEHIND]
    assert halves.is_hidden("far")
    assert halves.is_hidden("gateway")


@pytest.mark.parametrize("living", list(permutations(CHAIN)))
def test_a_snapshot_of_a_chain_shows_one_leg(living: tuple[LegSnapshot, ...]) -> None:
    near = attrs.evolve(CHAIN[0], other_half="far")
    chain = tuple(near if leg is CHAIN[0] else leg for leg in living)
    assert Halves().begin(chain) == (as_shown(near),)


def test_a_near_half_says_which_is_its_other_half_too() -> None:
    near = attrs.evolve(CALL[1], other_half="far")
    assert Halves().begin((near, CALL[2], CALL[3])) == (as_shown(near),)


def test_legs_that_name_each_other_in_a_ring_are_all_shown_or_hidden_and_it_ends() -> None:
    one = LegSnapshot(leg="one", number="1", direction=Direction.INBOUND, other_half="two")
    two = LegSnapshot(leg="two", number="2", direction=Direction.INBOUND, other_half="one")
    assert len(Halves().begin((one, two))) == 1


def test_to_begin_is_to_forget() -> None:
    halves = begun(NEAR, FAR, GATEWAY)
    assert halves.begin(()) == ()
    assert list(halves.identities()) == []
    assert not halves.is_hidden("far")


def test_what_follows_a_snapshot_goes_on_from_it() -> None:
    halves = Halves()
    halves.begin(CALL)
    assert told(halves, DigitPressed(leg="gateway", digit="1")) == []
    assert told(halves, joined("alice", "gateway")) == [
        GATEWAY,
        LegAnswered(leg="gateway"),
        joined("alice", "gateway"),
    ]


def test_an_answer_shows_and_tells_what_was_missed() -> None:
    halves = begun(NEAR)
    identity, answer = told(halves, seen(*CALL))
    assert identity == GATEWAY_BEHIND
    assert isinstance(answer, LegsSeen)
    assert [leg.leg for leg in answer.living] == ["alice", "near"]
    assert answer.living[1].outside
    (again,) = told(halves, seen(*CALL))
    assert again == answer
