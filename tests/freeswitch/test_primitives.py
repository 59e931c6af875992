"""Primitive operations: what a leg keeps of itself, what it gets back, and the text of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.freeswitch.primitives import (
    ASKED_BEFORE,
    CHANGED,
    KEPT,
    NOTHING_KEPT,
    OURS,
    UNDEFINED,
    Display,
    Originate,
    SendToPark,
    SetVariable,
    SetVariables,
    VariableCheck,
    kept,
    restored,
    with_kept,
)
from hookflash.backends.freeswitch.procedures import Procedures
from hookflash.backends.freeswitch.text import line_of, question_of
from hookflash.commands import Split


def answers(*, before: str = UNDEFINED, **said: str) -> list[str]:
    """What a leg says to `ASKED_BEFORE`."""
    return [f"{before}\n", *(said.get(name, UNDEFINED) for name in CHANGED)]


def value_of(step: SetVariables | None) -> str:
    """What is kept."""
    assert step is not None
    ((name, value),) = step.variables
    assert name == KEPT
    return value


def given_back(before: str) -> SetVariables:
    """What a leg gets back that is no half of a loopback."""
    (step,) = restored("a", (f"{before}\n", UNDEFINED, UNDEFINED))
    return step


# ---------------------------------------------------------------- kept, given back


def test_it_is_asked_first_whether_anything_is_kept_already() -> None:
    assert (KEPT, *CHANGED) == ASKED_BEFORE
    assert kept("a", answers(before=NOTHING_KEPT)) is None
    assert kept("a", answers(before="hangup_after_bridge:true")) is None


def test_what_a_leg_said_comes_back_and_the_rest_goes() -> None:
    said = {"hangup_after_bridge": "true", "exec_after_bridge_app": "transfer"}
    said |= {"exec_after_bridge_arg": "1002 XML default", "park_timeout": "60:1000"}
    back = given_back(value_of(kept("a", answers(**said))))
    assert back.leg == "a"
    assert dict(back.variables) == {name: said.get(name, "") for name in CHANGED} | dict.fromkeys(
        OURS, ""
    )


def test_a_leg_that_said_nothing_keeps_that_it_did() -> None:
    """So that it is not asked again when the transfer has changed it."""
    value = value_of(kept("a", answers()))
    assert value == NOTHING_KEPT
    assert kept("a", answers(before=value)) is None
    # a leg that we have called begins with it, and loses whatever is ours
    assert dict(given_back(value).variables) == dict.fromkeys((*CHANGED, *OURS), "")


def test_what_was_given_back_once_is_not_taken_again() -> None:
    """What a leg says that has kept nothing is its own."""
    assert dict(given_back(UNDEFINED).variables) == dict.fromkeys(OURS, "")


def test_the_marks_that_a_far_half_has_inherited_go_too() -> None:
    near, far = restored("near", (NOTHING_KEPT, "far\n", UNDEFINED))
    assert (near.leg, far.leg) == ("near", "far")
    assert dict(far.variables) == dict.fromkeys(OURS, "")


@pytest.mark.parametrize(
    "other", [UNDEFINED, "", "-ERR No such channel!", "a\n\napi hupall", "a b"]
)
def test_what_is_no_leg_is_no_far_half(other: str) -> None:
    assert [step.leg for step in restored("near", (NOTHING_KEPT, other, UNDEFINED))] == ["near"]


def test_a_silenced_leg_stays_so_until_the_switch_has_said_whom_it_has_got() -> None:
    """Measured: given back with the proof of the join, 9 of 50 outside lines were told."""
    now, later = restored("a", ("ignore_display_updates:false|park_timeout:5", UNDEFINED, "true\n"))
    assert dict(now.variables)["park_timeout"] == "5"
    assert {"ignore_display_updates", KEPT}.isdisjoint(dict(now.variables))
    assert line_of(later) == (
        "sched_api +2 hookflash-variables-a uuid_setvar_multi a "
        "ignore_display_updates=false;hookflash_before="
    )
    # what is not ours to open again is not touched
    assert len(restored("a", (UNDEFINED, UNDEFINED, "true"))) == 1
    assert len(restored("a", (NOTHING_KEPT, UNDEFINED, "false"))) == 1


def test_a_transfer_that_begins_before_that_finds_what_the_leg_had() -> None:
    """Its own end gives it back; what the last transfer's end would do comes to nothing."""
    split = Procedures().of(Split(first="a", second="b", transfer="x", undisclosed=("b",)))
    assert line_of(split.steps[0]) == "sched_del hookflash-variables-b"
    assert split.optional == 1
    assert kept("b", answers(before=NOTHING_KEPT, ignore_display_updates="true")) is None


def test_what_is_kept_goes_with_the_first_order_that_changes_a_leg() -> None:
    """Should the controller die between two orders, one leg would keep something for ever."""
    keep = SetVariables("a", (("hookflash_before", NOTHING_KEPT),))
    first, again = SetVariables("a", (("park_timeout", "9"),)), SetVariables("a", (("x", "1"),))
    other = SetVariables("b", (("park_timeout", "9"),))
    steps = with_kept((first, SendToPark("a"), other, again), [keep])
    both = SetVariables("a", (("hookflash_before", NOTHING_KEPT), ("park_timeout", "9")))
    assert steps == (both, SendToPark("a"), other, again)


@pytest.mark.parametrize(
    "value", ["a;b=c", "a|park_timeout:1", "${x}", "a=b", "a\nb", "'a'", "x" * 121, ""]
)
def test_what_would_mean_something_is_not_kept(value: str) -> None:
    assert value_of(kept("a", answers(park_timeout=value))) == NOTHING_KEPT


def test_nothing_but_what_we_change_is_ever_given_back() -> None:
    """The variable is on somebody's channel: a dialplan may have written it."""
    back = given_back("api_hangup_hook:system|hookflash_role:target|park_timeout:5")
    assert {name for name, _ in back.variables} == {*CHANGED, *OURS}
    assert dict(back.variables)["park_timeout"] == "5"
    assert dict(back.variables)["hookflash_role"] == ""


@given(
    said=st.dictionaries(
        st.sampled_from(CHANGED), st.text(alphabet="aB1_.,:/*# -|;=\n${}'", max_size=130)
    )
)
def test_what_is_kept_is_one_line_and_comes_back_or_is_lost_alone(said: dict[str, str]) -> None:
    step = kept("a", answers(**said))
    assert step is not None
    line = line_of(step)
    assert line.count(";") == 0
    assert "\n" not in line
    back = dict(given_back(value_of(step)).variables)
    for name in CHANGED:
        assert back[name] in ("", said.get(name, UNDEFINED).strip())


# ---------------------------------------------------------------------------- text


def originate(*variables: tuple[str, str]) -> str:
    return line_of(Originate("t", "1003", "user/1003", variables))


def test_a_comma_in_a_value_does_not_end_it() -> None:
    line = originate(("origination_uuid", "t"), ("export_vars", "one,two"))
    assert line == "originate {origination_uuid=t,export_vars=one\\,two}user/1003 &park()"


def test_variables_that_are_set_together_need_no_escape_for_commas() -> None:
    step = SetVariables("a", (("export_vars", "one,two"), ("park_timeout", "")))
    assert line_of(step) == "uuid_setvar_multi a export_vars=one,two;park_timeout="
    assert line_of(SetVariable("a", "x", "y z")) == "uuid_setvar a x y z"


def test_a_display_is_shown_now_or_later() -> None:
    assert line_of(Display("a", "Bob", "1002")) == "uuid_display a Bob|1002"
    assert line_of(Display("a", "Bob", "1002", after_s=1)) == (
        "sched_api +1 hookflash-show-a uuid_display a Bob|1002"
    )


def test_a_question_and_what_answers_it() -> None:
    exact = VariableCheck(leg="a", variable="signal_bond", value="b")
    assert question_of(exact) == "uuid_getvar a signal_bond"
    assert exact.shown_by("b\n")
    assert not exact.shown_by("bob")
    within = VariableCheck(leg="a", variable="transfer_source", value="intercept:b", within=True)
    assert within.shown_by("17:9c:bl_xfer:intercept:b/default/inline")
    assert not within.shown_by("17:9c:bl_xfer:intercept:c/default/inline")
