"""How the lists of channels and bridges are read: each constellation that a transfer meets."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import pytest
from fake_asterisk import Json, channel, parked

from hookflash.backends.asterisk.ari_messages import AriBridge, AriChannel
from hookflash.backends.asterisk.channels import (
    KnownLeg,
    Seen,
    noted_sound,
    read_seen,
    waits_for_a_controller,
)
from hookflash.backends.asterisk.inbound import DEFAULT_OUTSIDE_CONTEXTS, AsteriskReading
from hookflash.events import Direction, LegSnapshot
from hookflash.sounds import Burst, Conversation, Music, OtherSound, Tone

READING = AsteriskReading(
    account_variable="HOOKFLASH_ACCOUNT",
    owner_variable="HOOKFLASH_OWNER",
    outside_contexts=DEFAULT_OUTSIDE_CONTEXTS,
)
INBOUND, OUTBOUND = Direction.INBOUND, Direction.OUTBOUND
OURS = {"context": "hookflash"}


def seen_of(*channels: Json, bridges: list[list[str]] | None = None) -> Seen:
    return Seen(
        channels=tuple(msgspec.convert(one, AriChannel) for one in channels),
        bridges=tuple(
            AriBridge(id=str(number), channels=legs) for number, legs in enumerate(bridges or [])
        ),
    )


def read(
    *channels: Json,
    bridges: list[list[str]] | None = None,
    known: Mapping[str, KnownLeg] | None = None,
    outside: Collection[str] = (),
) -> dict[str, LegSnapshot]:
    living = read_seen(
        seen_of(*channels, bridges=bridges),
        reading=READING,
        context="hookflash",
        known=known or {},
        outside=outside,
    )
    return {leg.leg: leg for leg in living}


# ------------------------------------------------------------------------ who it is


def test_who_calls_and_who_is_called() -> None:
    caller = channel("a", HOOKFLASH_ACCOUNT="acme", HOOKFLASH_MAY_TRANSFER="true")
    caller["caller"]["name"] = "Alice"
    caller["channelvars"]["CALLERID(pres)"] = "prohib"
    assert read(caller)["a"] == LegSnapshot(
        leg="a",
        number="1001",
        direction=INBOUND,
        account="acme",
        may_transfer=True,
        answered=True,
        elsewhere=True,
        name="Alice",
        withheld=True,
    )
    # who is called is not whoever is shown to it
    caller["dialplan"]["app_name"] = "AppDial"
    called = read(caller)["a"]
    assert (called.direction, called.name, called.withheld) == (OUTBOUND, "", False)


@pytest.mark.parametrize("state", ["Down", "Ring", "Ringing", "Dialing", "Busy", ""])
def test_a_leg_that_has_not_answered_is_nowhere_yet(state: str) -> None:
    for one in (channel("a", state=state), parked("a", state=state)):
        leg = read(one)["a"]
        assert (leg.answered, leg.parked, leg.elsewhere) == (False, False, False)


@pytest.mark.parametrize("app", ["AppDial", "AppDial2"])
def test_a_leg_that_has_just_answered_is_nowhere_yet(app: str) -> None:
    leg = read(channel("a", app=app))["a"]
    assert (leg.answered, leg.parked, leg.elsewhere) == (True, False, False)


@pytest.mark.parametrize(
    ("said", "direction"),
    [
        ({"app": "Dial"}, INBOUND),
        ({"app": "AppDial"}, OUTBOUND),
        ({"app": "AppDial2"}, OUTBOUND),
        ({"app": "Stasis"}, INBOUND),
        ({"app": "Stasis", "HOOKFLASH_BEGAN": "outbound"}, OUTBOUND),  # parked since
        ({"app": "AppDial", "HOOKFLASH_BEGAN": "inbound"}, INBOUND),
        ({"app": "Stasis", "HOOKFLASH_ROLE": "target:a"}, OUTBOUND),
        ({"app": "Stasis", "HOOKFLASH_ROLE": "target:b"}, INBOUND),
        ({"app": "Stasis", "HOOKFLASH_ROLE": "transferee"}, INBOUND),
        ({"name": "Local/1@default-00000001;1"}, OUTBOUND),
        ({"name": "Local/1@default-00000001;2"}, INBOUND),
    ],
)
def test_who_began_a_leg_that_is_older_than_we_are_is_guessed(
    said: dict[str, str], direction: Direction
) -> None:
    assert read(channel("a", **said))["a"].direction is direction


def test_what_the_events_have_said_is_better_than_a_guess() -> None:
    known = {"a": KnownLeg(direction=OUTBOUND, outside=True, number="1003")}
    leg = read(parked("a", number="1001"), known=known, outside=())["a"]
    assert (leg.direction, leg.outside, leg.number) == (OUTBOUND, True, "1003")
    without = {"a": KnownLeg(direction=INBOUND, outside=False)}
    leg = read(parked("a"), known=without, outside={"a"})["a"]
    assert (leg.number, leg.outside) == ("1001", False)


def test_who_is_outside_is_told_where_no_event_has() -> None:
    legs = read(channel("a"), channel("b"), outside={"b"})
    assert (legs["a"].outside, legs["b"].outside) == (False, True)


def test_marks() -> None:
    marks = {"HOOKFLASH_TRANSFER": "x1", "HOOKFLASH_KIND": "attended"}
    leg = read(parked("a", HOOKFLASH_ROLE="transferor", **marks))["a"]
    assert (leg.transfer, leg.role, leg.kind) == ("x1", "transferor", "attended")
    target = read(parked("t", HOOKFLASH_ROLE="target:t", **marks))["t"]
    assert (target.transfer, target.role) == ("x1", "target")
    inherited = read(parked("t.far", HOOKFLASH_ROLE="target:t", **marks))["t.far"]
    assert (inherited.transfer, inherited.role) == ("", "")


@pytest.mark.parametrize("name", ["AsyncGoto/PJSIP/1-00000001", "PJSIP/1-00000001<ZOMBIE>"])
def test_a_channel_of_a_moment_is_no_leg(name: str) -> None:
    assert read(channel("a"), channel("z", name=name), bridges=[["a", "z"]])["a"].peer is None
    assert read(channel("z", name=name)) == {}


# ----------------------------------------------------------------------- where it is


def test_a_leg_in_our_keeping() -> None:
    for said in ("", "unjoined"):
        leg = read(parked("a", said=said))["a"]
        assert (leg.parked, leg.elsewhere, leg.peer) == (True, False, None)


@pytest.mark.parametrize(
    "one",
    [
        parked("a", context="default"),
        parked("a", app="Playback"),
        channel("a", **OURS, exten="park", app="Wait"),
    ],
)
def test_what_looks_like_it_and_is_not_ours(one: Json) -> None:
    assert not read(one)["a"].parked


@pytest.mark.parametrize("app", ["", "Set", "Wait", "StartMusicOnHold", "Goto"])
def test_a_leg_that_waits_for_a_controller(app: str) -> None:
    one = channel("a", **OURS, exten="park", app=app)
    leg = read(one)["a"]
    assert (leg.parked, leg.elsewhere) == (False, False)
    assert waits_for_a_controller(msgspec.convert(one, AriChannel), "hookflash")


@pytest.mark.parametrize(
    "one",
    [
        parked("a"),
        channel("a", **OURS, exten="join", app="Bridge"),
        channel("a", **OURS, exten="rescue", app="Wait"),
        channel("a", exten="park", app="Wait"),
    ],
)
def test_a_leg_that_does_not_wait_for_a_controller(one: Json) -> None:
    assert not waits_for_a_controller(msgspec.convert(one, AriChannel), "hookflash")


@pytest.mark.parametrize("exten", ["join", "left", "rescue", "fetched"])
def test_a_leg_that_our_dialplan_moves_stands_nowhere(exten: str) -> None:
    leg = read(channel("a", **OURS, exten=exten, app="Bridge"))["a"]
    assert (leg.parked, leg.elsewhere, leg.peer) == (False, False, None)


@pytest.mark.parametrize("app", ["Queue", "VoiceMail", "MusicOnHold", "Stasis", "ConfBridge"])
def test_a_leg_that_is_about_something_of_somebody_elses(app: str) -> None:
    leg = read(channel("a", app=app, data="queue"))["a"]
    assert (leg.parked, leg.elsewhere) == (False, True)


def test_a_leg_that_takes_part_in_a_conversation_counts_as_parked() -> None:
    one = channel("b", **OURS, exten="part", app="ChanSpy", data="PJSIP/1001-0000000a,uBqES")
    other = channel("a", name="PJSIP/1001-0000000a")
    legs = read(one, other)
    assert (legs["b"].parked, legs["b"].hears) == (True, Conversation("a"))
    gone = read(one)["b"]
    assert (gone.parked, gone.hears, gone.elsewhere) == (False, None, False)
    theirs = read(channel("b", app="ChanSpy", data="PJSIP/1001-0000000a,q"), other)["b"]
    assert (theirs.parked, theirs.elsewhere) == (False, True)


# ----------------------------------------------------------------------------- pairs


def test_two_in_a_bridge_are_a_pair() -> None:
    legs = read(channel("a"), channel("b"), parked("c"), bridges=[["a", "b"], []])
    assert [leg.peer for leg in legs.values()] == ["b", "a", None]
    assert not legs["a"].elsewhere
    assert legs["c"].parked


@pytest.mark.parametrize("members", [["a"], ["a", "b", "c"], ["a", "gone"]])
def test_one_is_none_and_a_conference_is_none(members: list[str]) -> None:
    legs = read(channel("a"), channel("b"), channel("c"), bridges=[members])
    assert legs["a"].peer is None
    assert (legs["a"].parked, legs["a"].elsewhere) == (False, False)


# ------------------------------------------------- a call through the dialplan

NEAR, FAR = ("Local/2600@default-00000001;1", "Local/2600@default-00000001;2")
LINKED = {"CHANNEL(linkedid)": "t"}


def test_a_far_half_names_its_near_one_and_who_is_behind_names_it() -> None:
    legs = read(
        parked("t", name=NEAR),
        channel("t.far", name=FAR),
        channel("phone", app="AppDial"),
        bridges=[["t.far", "phone"]],
    )
    assert legs["t.far"].other_half == "t"
    assert (legs["t"].other_half, legs["t"].called_for) == ("", "")
    assert legs["phone"].called_for == "t.far"
    assert legs["t"].called_for == legs["t.far"].called_for == ""


def test_a_phone_that_rings_behind_it_is_known_by_what_links_them() -> None:
    legs = read(
        channel("t", name=NEAR, state="Ringing", app="AppDial2", **LINKED),
        channel("t.far", name=FAR, state="Ring", **LINKED),
        channel("phone", state="Ringing", app="AppDial", **LINKED),
        channel("talks", app="AppDial", **LINKED),
        channel("calls", state="Ring", **LINKED),
        channel("stranger", state="Ringing", app="AppDial", **{"CHANNEL(linkedid)": "s"}),
        channel("unlinked", state="Ringing", app="AppDial"),
    )
    assert {leg.leg: leg.called_for for leg in legs.values() if leg.called_for} == {
        "phone": "t.far"
    }


def test_a_half_alone_is_half_of_nothing() -> None:
    assert read(channel("t.far", name=FAR))["t.far"].other_half == ""


# --------------------------------------------------------------------- what it hears

RINGBACK = Tone((Burst((440, 480), 2000), Burst((), 4000)))


@pytest.mark.parametrize(
    ("note", "playback", "hears"),
    [
        ("", "", None),
        ("music music:default", "music", Music()),
        (f"a-s1-0 {RINGBACK}", "a-s1-0", RINGBACK),
        ("a-s1-0", "a-s1-0", None),  # it ends by itself: perhaps it has
        ("a-s1-0 of a stranger", "a-s1-0", OtherSound("of a stranger")),
    ],
)
def test_what_a_parked_leg_hears_is_noted_on_it(note: str, playback: str, hears: object) -> None:
    one = parked("a", HOOKFLASH_SOUND=note)
    assert noted_sound(msgspec.convert(one, AriChannel)) == (playback, hears)
    assert read(one)["a"].hears == hears
    talks = channel("a", HOOKFLASH_SOUND=note)
    assert read(talks, channel("b"), bridges=[["a", "b"]])["a"].hears is None
