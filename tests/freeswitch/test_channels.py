"""How a channel's dump is read: each constellation that a transfer meets, in a small dump."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hookflash.backends.freeswitch.channels import Reading, pairs_of
from hookflash.backends.freeswitch.inbound import DEFAULT_OUTSIDE_CONTEXTS, DEFAULT_OUTSIDE_PROFILES
from hookflash.events import Direction, LegSnapshot
from hookflash.sounds import Conversation, HeardSound, Music, OtherSound

READING = Reading(
    account_variable="hookflash_account",
    owner_variable="hookflash_owner",
    outside_contexts=DEFAULT_OUTSIDE_CONTEXTS,
    outside_profiles=DEFAULT_OUTSIDE_PROFILES,
)

EXECUTE = {"Channel-State": "CS_EXECUTE", "Channel-State-Number": "4"}
SOFT_EXECUTE = {"Channel-State": "CS_SOFT_EXECUTE", "Channel-State-Number": "3"}
EXCHANGE = {"Channel-State": "CS_EXCHANGE_MEDIA", "Channel-State-Number": "5"}
PARK = {"Channel-State": "CS_PARK", "Channel-State-Number": "6"}
CONSUME = {"Channel-State": "CS_CONSUME_MEDIA", "Channel-State-Number": "7"}
HIBERNATE = {"Channel-State": "CS_HIBERNATE", "Channel-State-Number": "8"}
RESET = {"Channel-State": "CS_RESET", "Channel-State-Number": "2"}
OUR_PARK = {"variable_transfer_source": "1795000000:9c1f:bl_xfer:park/default/inline"}
THEIR_TRANSFER = {"variable_transfer_source": "1795000000:9c1f:bl_xfer:3000/default/XML"}


def dump(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The dump of a leg that has called in, and answered."""
    said: dict[str, Any] = {
        "Answer-State": "answered",
        "Call-Direction": "inbound",
        "Caller-Caller-ID-Number": "1001",
        "Caller-Destination-Number": "1002",
    }
    for part in parts:
        said |= part
    return said | more


OUR_JOIN = {"variable_transfer_source": "1795000000:9c1f:uuid_br:b"}
FAILSAFE = {"variable_exec_after_bridge_app": "execute_extension"}
THEIR_FAILSAFE = {"variable_exec_after_bridge_app": "playback"}
OUTBOUND = {"Call-Direction": "outbound"}


def app(name: str, data: str = "") -> dict[str, str]:
    """The application that the leg executes, or did last."""
    said = {"variable_current_application": name}
    return said | ({"variable_current_application_data": data} if data else {})


def read(*parts: dict[str, Any], **more: Any) -> LegSnapshot:
    leg = READING.read("a", dump(*parts, **more))
    assert leg is not None
    return leg


def test_a_leg_that_has_ended_is_no_leg() -> None:
    assert READING.read("a", dump(**{"Answer-State": "hangup"})) is None


# ------------------------------------------------------------------------ who it is


@pytest.mark.parametrize("destination", ["park", ""], ids=["after a split", "after an intercept"])
def test_a_leg_that_was_sent_somewhere_keeps_its_number(destination: str) -> None:
    sent = OUTBOUND | OUR_PARK | {"Caller-Destination-Number": destination}
    assert read(sent, variable_sip_to_user="2600").number == "2600"
    assert read(OUTBOUND, variable_sip_to_user="u2600").number == "1002"


def test_who_calls_and_who_is_called() -> None:
    named = {"Caller-Caller-ID-Name": "Alice", "Caller-Privacy-Hide-Number": "true"}
    assert read(named, variable_hookflash_account="acme") == LegSnapshot(
        leg="a",
        number="1001",
        direction=Direction.INBOUND,
        account="acme",
        answered=True,
        name="Alice",
        withheld=True,
    )
    # of who is called, the switch says only who calls
    assert read(named, OUTBOUND) == LegSnapshot(
        leg="a", number="1002", direction=Direction.OUTBOUND, answered=True
    )


@pytest.mark.parametrize(
    ("said", "outside"),
    [
        ({"Caller-Context": "public"}, True),
        ({"Caller-Context": "default"}, False),
        ({**OUTBOUND, "Caller-Context": "public"}, False),
        ({**OUTBOUND, "variable_sip_gateway_name": "carrier"}, True),
        ({**OUTBOUND, "variable_sofia_profile_name": "external"}, True),
        ({**OUTBOUND, "variable_sofia_profile_name": "internal"}, False),
        ({"variable_sofia_profile_name": "external"}, False),
    ],
)
def test_who_is_outside(said: dict[str, str], *, outside: bool) -> None:
    assert read(said).outside is outside


def test_rights_halves_and_marks() -> None:
    leg = read(
        variable_hookflash_may_transfer="false",
        variable_other_loopback_leg_uuid="far",
        variable_originating_leg_uuid="caller",
        variable_hookflash_transfer="t1",
        variable_hookflash_role="target:a",
        variable_hookflash_kind="attended",
    )
    assert (leg.may_transfer, leg.other_half, leg.called_for) == (False, "far", "caller")
    assert (leg.transfer, leg.role, leg.kind) == ("t1", "target", "attended")


def test_a_mark_that_was_inherited_is_none() -> None:
    leg = read(variable_hookflash_transfer="t1", variable_hookflash_role="target:another")
    assert (leg.transfer, leg.role) == ("", "")


def test_a_variable_that_is_a_list_is_not_looked_at() -> None:
    assert read(variable_hookflash_account=["a", "b"]).account == ""


# ----------------------------------------------------------------------- where it is


@pytest.mark.parametrize("state", [EXECUTE, SOFT_EXECUTE, EXCHANGE, CONSUME, HIBERNATE])
def test_a_leg_that_is_bridged(state: dict[str, str]) -> None:
    leg = read(state, app("bridge"), variable_bridge_to="b")
    assert (leg.peer, leg.parked, leg.elsewhere) == ("b", False, False)


@pytest.mark.parametrize(
    "history", ["variable_signal_bond", "variable_bridge_uuid", "Other-Leg-Unique-ID"]
)
def test_a_partner_of_the_past_is_none(history: str) -> None:
    """They are written when a join is ordered, or never taken off: they may name the dead."""
    assert read(PARK, **{history: "b"}).peer is None


@pytest.mark.parametrize(
    ("runs", "ordered"),
    [
        ("CS_EXCHANGE_MEDIA", "6"),
        ("CS_EXCHANGE_MEDIA", "2"),
        ("CS_EXECUTE", "10"),
        ("CS_RESET", "2"),
    ],
)
def test_a_leg_on_its_way_out_of_a_bridge_is_nowhere(runs: str, ordered: str) -> None:
    state = {"Channel-State": runs, "Channel-State-Number": ordered}
    leg = read(state, variable_bridge_to="b")
    assert (leg.peer, leg.parked, leg.elsewhere) == (None, False, False)


@pytest.mark.parametrize(
    "how",
    [
        dump(PARK),  # by `park_after_bridge`
        dump(PARK, app("bridge")),
        dump(EXECUTE, app("park"), OUR_PARK),  # by our `uuid_transfer … inline`
        dump(EXECUTE, app("playback", "local_stream://moh"), OUR_PARK),
        dump(EXECUTE, app("park"), OUR_JOIN, FAILSAFE),  # by the failsafe that ended its bridge
        dump(EXECUTE, app("park"), OUR_JOIN),  # which we have taken off since
        dump(EXECUTE, app("playback", "%(200,0,440)"), OUR_JOIN, FAILSAFE),
        dump(EXECUTE, app("park"), OUTBOUND),  # by our `originate … &park()`
        dump(EXECUTE, app("playback", "local_stream://moh"), OUTBOUND),
    ],
)
def test_a_leg_in_our_park(how: dict[str, Any]) -> None:
    leg = read(how)
    assert (leg.parked, leg.elsewhere, leg.peer) == (True, False, None)
    # a bridge that was told and did not come to be leaves its mark; a sound may play in a bridge
    bridged = read(how, variable_bridge_to="b")
    plays = how.get("variable_current_application") == "playback"
    assert (bridged.parked, bridged.peer) == ((False, "b") if plays else (True, None))


@pytest.mark.parametrize(
    "how",
    [
        dump(EXECUTE, app("park")),  # a dialplan's
        dump(EXECUTE, app("park"), THEIR_TRANSFER),
        dump(EXECUTE, app("playback", "queue.wav"), THEIR_TRANSFER),
        dump(EXECUTE, app("playback", "queue.wav"), OUTBOUND, THEIR_TRANSFER),
        dump(EXECUTE, app("conference"), OUR_PARK),
        dump(EXECUTE, app("playback", "how-was-it.wav"), OUR_JOIN, THEIR_FAILSAFE),
        dump(EXECUTE, app("voicemail")),
        dump(EXECUTE, app("bridge")),
    ],
)
def test_a_leg_that_is_about_something_of_somebody_elses(how: dict[str, Any]) -> None:
    leg = read(how)
    assert (leg.parked, leg.elsewhere, leg.peer) == (False, True, None)
    assert leg.hears is None
    ringing = read(how, **{"Answer-State": "ringing"})
    assert not ringing.elsewhere
    assert not read(how, variable_bridge_to="b").elsewhere


@pytest.mark.parametrize(
    "how",
    [
        dump(EXECUTE, app("intercept"), THEIR_TRANSFER),  # our own failsafe, at its beginning
        dump(EXECUTE, app("execute_extension"), OUR_JOIN, FAILSAFE),  # just before its park
        dump(EXECUTE, app("sched_transfer"), OUR_JOIN, FAILSAFE),
        dump(EXECUTE, app("uuid_bridge")),
        dump(EXECUTE, app("bridge"), {"variable_park_after_bridge": "true"}),  # just left it
        dump(EXECUTE),
        dump(RESET, app("park"), OUR_PARK),
        dump(SOFT_EXECUTE, app("park"), OUR_PARK),  # being joined, or left over from a join
        dump(EXECUTE, {"Channel-State-Number": "2"}, app("park"), OUR_PARK),
        dump(PARK, {"Channel-State-Number": "4"}),
        dump(EXECUTE, {"Channel-State-Number": "4", "Channel-State": "CS_ROUTING"}, app("park")),
    ],
)
def test_a_leg_that_is_moving_stands_nowhere(how: dict[str, Any]) -> None:
    leg = read(how)
    assert (leg.parked, leg.elsewhere, leg.peer, leg.answered) == (False, False, None, True)


# --------------------------------------------------------------------- what it hears

MUSIC = app("playback", "local_stream://moh")


@pytest.mark.parametrize(
    ("said", "hears"),
    [
        (MUSIC, None),  # missing, or ended: what plays has a loop
        ({**MUSIC, "variable_current_loop": "1"}, Music()),
        (
            {**MUSIC, "variable_current_loop": "1", "variable_playback_ms": "20"},
            Music(),
        ),
        ({**MUSIC, "variable_playback_ms": "4000"}, None),  # it has ended, and is named still
        ({**app("playback", "say::hi"), "variable_current_loop": "1"}, OtherSound("say::hi")),
        (app("playback"), None),
        (app("park"), None),
    ],
)
def test_what_a_parked_leg_hears(said: dict[str, str], hears: HeardSound | None) -> None:
    leg = read(EXECUTE, OUR_PARK, said)
    assert (leg.parked, leg.hears) == (True, hears)


PART = {"variable_transfer_source": "1795000000:9c1f:bl_xfer:three_way:b,park/default/inline"}


def test_a_leg_that_takes_part_in_a_conversation_counts_as_parked() -> None:
    leg = read(EXECUTE, PART, app("three_way", "b"))
    assert (leg.parked, leg.elsewhere, leg.hears) == (True, False, Conversation("b"))


@pytest.mark.parametrize(
    "how",
    [
        EXECUTE | THEIR_TRANSFER | app("three_way", "b"),
        EXECUTE | PART | app("three_way", "c"),
        EXECUTE | PART | app("three_way"),
    ],
)
def test_a_conversation_that_is_none_of_ours(how: dict[str, Any]) -> None:
    leg = read(how)
    assert (leg.parked, leg.elsewhere, leg.hears) == (False, True, None)


@pytest.mark.parametrize("how", [EXCHANGE, RESET], ids=["joined", "moving"])
def test_a_leg_that_was_fetched_out_of_a_conversation(how: dict[str, str]) -> None:
    leg = read(how, PART, app("three_way", "b"))
    assert (leg.parked, leg.hears) == (False, None)


def test_after_a_conversation_it_is_parked() -> None:
    leg = read(EXECUTE, PART, app("park"))
    assert (leg.parked, leg.hears) == (True, None)


# ------------------------------------------------------------------------------ pairs


def leg(name: str, peer: str | None = None) -> LegSnapshot:
    return LegSnapshot(leg=name, number="1", direction=Direction.INBOUND, peer=peer)


def test_a_pair_is_one_if_both_say_so() -> None:
    pair = (leg("a", "b"), leg("b", "a"))
    assert pairs_of(pair) == pair
    assert pairs_of(iter(pair)) == pair


@pytest.mark.parametrize(
    "living",
    [
        (leg("a", "b"),),  # the other is dead
        (leg("a", "b"), leg("b")),
        (leg("a", "b"), leg("b", "c"), leg("c", "b")),
        (leg("a", "a-stranger"), leg("b")),
    ],
)
def test_one_who_names_another_that_does_not_is_alone(living: tuple[LegSnapshot, ...]) -> None:
    seen = pairs_of(living)
    assert seen[0] == attrs.evolve(living[0], peer=None)
    assert len(seen) == len(living)
    assert seen[2:] == living[2:]
