"""What the switch says, in our words: recorded sessions first, then each kind of event by itself.

The recordings are of Asterisk 22.10.1, with a trial backend whose variables are named `HF_…`; they
hold what ARI and AMI sent.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from fake_asterisk import channel, event, parked
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.asterisk.ari_messages import AriBridge, AriChannel, read_body, read_message
from hookflash.backends.asterisk.channels import KnownLeg, Seen, read_seen
from hookflash.backends.asterisk.inbound import (
    DEFAULT_OUTSIDE_CONTEXTS,
    MAX_GONE,
    AsteriskInbound,
    AsteriskReading,
    endpoint_of,
    is_party,
    local_half,
    sound_of,
)
from hookflash.backends.asterisk.manager_wire import ManagerWire, Message
from hookflash.backends.asterisk.procedures import MOST_BURSTS
from hookflash.backends.asterisk.requests import media_of
from hookflash.backends.halves import Halves
from hookflash.events import (
    CallEvent,
    CommandFailed,
    DigitPressed,
    Direction,
    EndedBy,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegIdentified,
    LegParked,
    LegProgressed,
    LegsJoined,
    LegSnapshot,
    LegsSeen,
    LegsSeparated,
    PairFact,
    SoundStarted,
    SoundStopped,
    SwitchFound,
    SwitchLost,
)
from hookflash.sounds import Burst, Conversation, Music, OtherSound, Recording, Tone

RECORDINGS = Path(__file__).parent.parent / "recordings" / "asterisk"
NAMES = sorted(path.name.removesuffix(".jsonl.gz") for path in RECORDINGS.glob("*.gz"))
WHOLE = [name for name in NAMES if "controller" not in name]
LATER = [name for name in NAMES if "controller" in name]
READING = AsteriskReading(
    account_variable="HOOKFLASH_ACCOUNT",
    owner_variable="HOOKFLASH_OWNER",
    outside_contexts=DEFAULT_OUTSIDE_CONTEXTS,
)
RINGBACK = Tone((Burst((440, 480), 2000), Burst((), 4000)))
_Listed = TypeVar("_Listed")
INBOUND, OUTBOUND = Direction.INBOUND, Direction.OUTBOUND


def new_inbound() -> AsteriskInbound:
    return AsteriskInbound(READING)


def entries(name: str) -> Iterator[tuple[str, str]]:
    with gzip.open(RECORDINGS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            yield entry["conn"], entry["data"]


def heard(name: str, inbound: AsteriskInbound) -> list[CallEvent]:
    """All the facts of a recording."""
    wire = ManagerWire()
    wire.receive(b"Asterisk Call Manager/11.0.0\r\n")
    facts: list[CallEvent] = []
    for connection, data in entries(name):
        if connection == "ari":
            facts += inbound.receive(read_message(data))
            continue
        wire.receive(data.encode())
        for message in wire.messages():
            if message.event.startswith("MusicOnHold"):
                facts += inbound.music(message)
    return facts


def shown(facts: Sequence[CallEvent]) -> list[CallEvent]:
    """Without what is behind a call through the dialplan."""
    halves = Halves()
    return [told for fact in facts for told in halves.take(fact)]


def legs_of(fact: CallEvent) -> tuple[str, ...]:
    if isinstance(fact, PairFact):
        return fact.first, fact.second
    assert not isinstance(fact, CommandFailed | LegsSeen | SwitchLost | SwitchFound)
    return (fact.leg,)


def story(facts: Sequence[CallEvent]) -> dict[str, list[str]]:
    """What happened to each leg; the names of the phones' legs differ each time."""
    legs = [fact.leg for fact in facts if isinstance(fact, LegCreated)]
    names = dict(zip(legs, ("A", "B", "C"), strict=False))
    told: defaultdict[str, list[str]] = defaultdict(list)
    for fact in facts:
        for leg in legs_of(fact):
            told[names.get(leg, leg)].append(type(fact).__name__)
    return told


# ----------------------------------------------------------------------------- recordings


@pytest.mark.parametrize("name", WHOLE)
def test_a_leg_is_created_first_and_hangs_up_last_and_once(name: str) -> None:
    inbound = new_inbound()
    facts = heard(name, inbound)
    for view in (facts, shown(facts)):
        for told in story(view).values():
            assert (told[0], told[-1]) == ("LegCreated", "LegHungUp")
            assert (told.count("LegCreated"), told.count("LegHungUp")) == (1, 1)
    assert inbound.skipped == 0
    assert inbound.kept == 0


@pytest.mark.parametrize("name", WHOLE)
def test_who_is_who(name: str) -> None:
    """Alice calls Bob, and transfers him to a target through the dialplan."""
    alice, bob, target = created_of(shown(heard(name, new_inbound())))
    assert alice == LegCreated(leg=alice.leg, number="1001", direction=INBOUND, name="Alice")
    assert (bob.number, bob.direction, bob.called_for) == ("1002", OUTBOUND, alice.leg)
    assert (target.direction, target.leg.endswith("-target")) == (OUTBOUND, True)


def created_of(facts: Sequence[CallEvent]) -> list[LegCreated]:
    return [fact for fact in facts if isinstance(fact, LegCreated)]


def test_an_attended_transfer_by_digits() -> None:
    facts = shown(heard("complete-by-digits", new_inbound()))
    assert story(facts) == {
        "A": [
            "LegCreated",
            "LegAnswered",
            "LegsJoined",
            *["DigitPressed"] * 6,
            "LegsSeparated",
            "LegParked",
            "SoundStarted",
            "SoundStopped",
            "LegsJoined",
            "LegsSeparated",
            "LegHungUp",
        ],
        "B": [
            "LegCreated",
            "LegAnswered",
            "LegsJoined",
            "LegsSeparated",
            "LegParked",
            "SoundStarted",
            "SoundStopped",
            "LegsJoined",
            "LegsSeparated",
            "LegHungUp",
        ],
        "C": [
            "LegCreated",
            "LegProgressed",
            "LegAnswered",
            "LegParked",
            "LegIdentified",
            "LegsJoined",
            "LegsSeparated",
            *facts_of_the_handover(facts),
            "LegHungUp",
        ],
    }
    digits = [fact.digit for fact in facts if isinstance(fact, DigitPressed)]
    assert "".join(digits) == "*22600"
    assert [fact.sound for fact in facts if isinstance(fact, SoundStarted)] == [
        RINGBACK,
        Music("default"),
    ]


def facts_of_the_handover(facts: Sequence[CallEvent]) -> list[str]:
    """Whether the target is parked in between is a matter of who joins whom."""
    told = story(facts)["C"]
    after = told[told.index("LegsSeparated") + 1 : -1]
    assert after in (
        ["LegsJoined", "LegsSeparated"],
        ["LegParked", "LegsJoined", "LegsSeparated"],
    )
    return after


@pytest.mark.parametrize(
    ("name", "cause"), [("busy", "USER_BUSY"), ("target-drops", "NORMAL_CLEARING")]
)
def test_why_the_target_is_not_there(name: str, cause: str) -> None:
    ends = [fact for fact in shown(heard(name, new_inbound())) if isinstance(fact, LegHungUp)]
    assert cause in [fact.cause for fact in ends if fact.leg.endswith("-target")]


def test_early_media_is_told_as_such() -> None:
    facts = heard("early-media", new_inbound())
    assert any(fact.early_media for fact in facts if isinstance(fact, LegProgressed))


def test_keys_in_a_consultation_come_once() -> None:
    """The far half of the target hears them, too."""
    facts = heard("takeback-consult", new_inbound())
    keys = [fact.digit for fact in facts if isinstance(fact, DigitPressed)]
    assert keys.count("1") == 2
    keys = [fact.digit for fact in shown(facts) if isinstance(fact, DigitPressed)]
    assert "".join(keys) == "*22600*1"


@pytest.mark.parametrize("name", LATER)
def test_a_second_controller_finds_them_all(name: str) -> None:
    """What it lists, and what it hears afterwards, make one story."""
    inbound = new_inbound()
    channels = first_list(name, "channels", list[AriChannel])
    bridges = first_list(name, "bridges", list[AriBridge])
    seen = Seen(channels=tuple(channels), bridges=tuple(bridges))
    living = read_seen(
        seen,
        reading=READING,
        context="hookflash",
        known=dict[str, KnownLeg](),
        outside=(),
    )
    directions = {leg.number: leg.direction for leg in Halves.sort(living)}
    assert directions.keys() == {"1001", "1002", "2600"}
    # of Bob, who was called and has been parked, that is noted now, and was not then
    assert (directions["1001"], directions["2600"]) == (INBOUND, OUTBOUND)
    by_id = {one.id: one for one in channels}
    for leg in living:
        inbound.note_living(by_id[leg.leg], leg)
    for bridge in bridges:
        inbound.note_bridge(bridge)
    facts = heard(name, inbound)
    assert created_of(facts) == []
    target = next(leg.leg for leg in Halves.sort(living) if leg.number == "2600")
    if "ringing" in name:
        assert [type(fact) for fact in facts if getattr(fact, "leg", "") == target][:2] == [
            LegAnswered,
            LegParked,
        ]
    else:
        alice = next(leg.leg for leg in Halves.sort(living) if leg.number == "1001")
        peers = {leg.leg: leg.peer for leg in living}
        assert (peers[alice], peers[target]) == (target, alice)


def first_list(name: str, uri: str, kind: type[list[_Listed]]) -> list[_Listed]:
    """The first response in a recording that lists channels, or bridges."""
    for connection, data in entries(name):
        if connection == "ari" and f'"uri":"{uri}"' in data:
            return read_body(read_message(data).message_body, kind)
    return []


@given(name=st.sampled_from(WHOLE), data=st.data())
def test_lost_events_confuse_nobody(name: str, data: st.DataObject) -> None:
    """Whatever is missing: a leg is told of before anything else of it, and ends once."""
    kept = [read_message(text) for connection, text in entries(name) if connection == "ari"]
    lost = data.draw(st.sets(st.integers(0, len(kept) - 1), max_size=len(kept)))
    inbound = new_inbound()
    facts = [
        fact
        for number, told in enumerate(kept)
        if number not in lost
        for fact in inbound.receive(told)
    ]
    begun: set[str] = set()
    gone: set[str] = set()
    talk: dict[str, str] = {}
    for fact in facts:
        legs = legs_of(fact)
        if isinstance(fact, LegCreated):
            begun.add(fact.leg)
        assert begun.issuperset(legs)
        assert gone.isdisjoint(legs) or isinstance(fact, LegsSeparated)
        if isinstance(fact, LegHungUp):
            gone.add(fact.leg)
            talk.pop(talk.pop(fact.leg, ""), None)  # whoever is gone talks with nobody
        elif isinstance(fact, LegsJoined):
            assert not talk.keys() & set(legs)
            talk |= {fact.first: fact.second, fact.second: fact.first}
        elif isinstance(fact, LegsSeparated):
            assert (talk.pop(fact.first), talk.pop(fact.second)) == (fact.second, fact.first)


# ------------------------------------------------------------------------ one leg


def told(inbound: AsteriskInbound, *events: dict[str, Any]) -> list[CallEvent]:
    return [fact for one in events for fact in inbound.receive(msgspec.convert(one, TOLD))]


TOLD = type(read_message("{}"))
RING = {"state": "Ring"}


def begun(inbound: AsteriskInbound, *legs: str) -> None:
    for leg in legs:
        assert told(inbound, event("ChannelCreated", channel(leg, **RING)))


@pytest.mark.parametrize("leg", ["1795822367.12", "pbx-1795822367.12", "a" * 149, "x-target;2"])
def test_names_of_legs(leg: str) -> None:
    inbound = new_inbound()
    assert told(inbound, event("ChannelCreated", channel(leg, name="PJSIP/a-1", **RING))) == [
        LegCreated(leg=leg, number="1001")
    ]


@pytest.mark.parametrize("leg", ["a b.1", "a,b", "a&b", "${x}", "a;3", "a" * 150, "-a"])
def test_a_leg_whose_name_can_not_stand_in_an_order_does_not_exist(leg: str) -> None:
    unusable: list[str] = []
    inbound = AsteriskInbound(READING, unusable.append)
    it = channel(leg, name="PJSIP/a-1")
    bridge = {"id": "b", "channels": [leg]}
    assert not told(
        inbound,
        event("ChannelCreated", it),
        event("StasisStart", it),
        event("ChannelEnteredBridge", it, bridge=bridge),
        event("ChannelDtmfReceived", it, digit="1"),
        event("ChannelDestroyed", it),
    )
    assert unusable == [leg]
    assert inbound.kept == 0


def test_who_calls_and_what_is_said_of_them() -> None:
    caller = channel("a", **RING, HOOKFLASH_ACCOUNT="acme", HOOKFLASH_MAY_TRANSFER="false")
    caller["caller"]["name"] = "Alice"
    caller["channelvars"]["CALLERID(pres)"] = "prohib_passed_screen"
    caller["accountcode"] = "other"
    assert told(new_inbound(), event("ChannelCreated", caller)) == [
        LegCreated(
            leg="a",
            number="1001",
            account="acme",
            may_transfer=False,
            name="Alice",
            withheld=True,
        )
    ]
    caller["channelvars"] = {"HOOKFLASH_MAY_TRANSFER": "perhaps"}
    (created,) = told(new_inbound(), event("ChannelCreated", caller))
    assert created == LegCreated(leg="a", number="1001", account="other", name="Alice")


def test_the_owner_of_a_leg_is_told_when_it_is_known() -> None:
    inbound = new_inbound()
    boss = channel("a", **RING, HOOKFLASH_ACCOUNT="acme", HOOKFLASH_OWNER="boss")
    assert told(new_inbound(), event("ChannelCreated", boss)) == [
        LegCreated(leg="a", number="1001", account="acme", owner_id="boss")
    ]
    told(inbound, event("ChannelCreated", channel("a", **RING, HOOKFLASH_ACCOUNT="acme")))
    up = channel("a", HOOKFLASH_ACCOUNT="acme", HOOKFLASH_OWNER="boss")
    assert LegIdentified(leg="a", account="acme", owner_id="boss") in told(
        inbound, event("ChannelStateChange", up)
    )


def test_who_is_called_has_a_number_only_when_it_is_dialled() -> None:
    inbound = new_inbound()
    begun(inbound, "a")
    called = channel("b", state="Down", number="")
    assert told(inbound, event("ChannelCreated", called)) == []
    called = channel("b", state="Down", number="1002")
    dial = {"peer": called, "caller": channel("a")}
    (created,) = told(inbound, event("Dial", dialstatus="", **dial))
    assert created == LegCreated(leg="b", number="1002", direction=OUTBOUND, called_for="a")
    rings = told(inbound, *[event("Dial", dialstatus="RINGING", **dial)] * 2)
    assert rings == [LegProgressed(leg="b")] * 2
    early = told(inbound, event("Dial", dialstatus="PROGRESS", **dial))
    assert early == [LegProgressed(leg="b", early_media=True)]
    assert told(inbound, event("ChannelStateChange", called)) == []
    up = event("ChannelStateChange", {**called, "state": "Up"})
    assert told(inbound, up, up) == [LegAnswered(leg="b")]
    assert told(inbound, event("Dial", dialstatus="RINGING", **dial)) == []
    assert told(inbound, event("Dial")) == []


@pytest.mark.parametrize("context", sorted(DEFAULT_OUTSIDE_CONTEXTS))
def test_an_outside_line_is_known_by_its_context(context: str) -> None:
    (created,) = told(new_inbound(), event("ChannelCreated", channel("a", context=context, **RING)))
    assert isinstance(created, LegCreated)
    assert created.outside
    inbound = new_inbound()
    called = channel("b", state="Down", context=context)
    told(inbound, event("ChannelCreated", called))
    (created,) = told(inbound, event("Dial", peer={**called, "dialplan": {"context": "default"}}))
    assert isinstance(created, LegCreated)
    assert created.outside


def test_an_account_that_the_dialplan_sets_later() -> None:
    inbound = new_inbound()
    begun(inbound, "a")
    up = channel("a", HOOKFLASH_ACCOUNT="acme", HOOKFLASH_MAY_TRANSFER="true")
    assert told(inbound, event("ChannelStateChange", up)) == [
        LegIdentified(leg="a", account="acme", may_transfer=True),
        LegAnswered(leg="a"),
    ]
    assert told(inbound, event("ChannelStateChange", up)) == []
    without = channel("a")  # what is not said is no news
    assert told(inbound, event("ChannelStateChange", without)) == []


def test_the_halves_of_a_call_through_the_dialplan_name_each_other_in_any_order() -> None:
    near, far = (f"Local/2600@default-00000001;{half}" for half in "12")
    pair = {
        "t": channel("t", name=near, state="Down", context="from-trunk"),
        "t.far": channel("t.far", name=far, state="Ring", number="", context="from-trunk"),
    }
    for order in (("t", "t.far"), ("t.far", "t")):
        inbound = new_inbound()
        facts = told(inbound, *[event("ChannelCreated", pair[leg]) for leg in order])
        facts += told(inbound, event("ChannelStateChange", {**pair["t.far"], "state": "Up"}))
        facts += told(inbound, event("Dial", peer=pair["t"]))
        created = {fact.leg: fact for fact in facts if isinstance(fact, LegCreated)}
        assert {leg: fact.direction for leg, fact in created.items()} == {
            "t": OUTBOUND,
            "t.far": INBOUND,
        }
        assert not any(fact.outside for fact in created.values())
        assert (created["t"].other_half, created["t.far"].other_half) == ("", "t")
        shown_legs = [fact.leg for fact in shown(facts) if isinstance(fact, LegCreated)]
        assert shown_legs == ["t"]
        ends = [event("ChannelDestroyed", pair[leg], cause=16) for leg in order]
        told(inbound, *ends)
        assert inbound.kept == 0


def test_a_half_that_dies_before_the_other_is_told_of_leaves_nothing() -> None:
    inbound = new_inbound()
    near = channel("t", name="Local/2600@default-00000001;1", state="Down")
    told(inbound, event("ChannelCreated", near), event("ChannelDestroyed", near, cause=17))
    assert inbound.kept == 0


def test_a_leg_whose_beginning_was_missed_is_told_of_first() -> None:
    bridge = {"id": "one", "channels": ["a"]}
    for one in (
        event("ChannelStateChange", channel("a")),
        event("StasisStart", parked("a")),
        event("ChannelDtmfReceived", channel("a"), digit="1"),
        event("ChannelEnteredBridge", channel("a"), bridge=bridge),
        event("ChannelDestroyed", channel("a"), cause=16),
    ):
        first, *rest = told(new_inbound(), one)
        assert isinstance(first, LegCreated)
        assert rest
    assert told(new_inbound(), event("ChannelLeftBridge", channel("a"), bridge=bridge)) == []


def test_what_is_late_of_the_dead_is_no_news() -> None:
    inbound = new_inbound()
    begun(inbound, "a")
    end = event("ChannelDestroyed", channel("a"), cause=17)
    assert told(inbound, end) == [LegHungUp(leg="a", cause="USER_BUSY")]
    late = [
        end,
        event("ChannelStateChange", channel("a")),
        event("StasisStart", parked("a")),
        event("Dial", peer=channel("a"), dialstatus="RINGING"),
        event("ChannelEnteredBridge", channel("a"), bridge={"id": "one"}),
        event("ChannelLeftBridge", channel("a"), bridge={"id": "one"}),
        event("PlaybackFinished", playback={"id": "1", "target_uri": "channel:a"}),
    ]
    assert told(inbound, *late) == []
    assert told(inbound, event("ChannelDtmfReceived", channel("a"), digit="1")) == []
    assert inbound.is_gone("a")
    assert inbound.name_of("a") == ""
    begun(inbound, "a")  # a name may be used again
    assert not inbound.is_gone("a")


@pytest.mark.parametrize(
    ("name", "requests", "expected"),
    [
        ("PJSIP/phones-00000001", [], (None, None)),
        ("PJSIP/phones-00000001", [{"tech_cause": 486}], (486, EndedBy.PARTY)),
        ("PJSIP/phones-00000001", [{"tech_cause": 200}], (None, EndedBy.PARTY)),
        ("PJSIP/phones-00000001", [{"soft": False}, {"soft": True}], (None, EndedBy.PARTY)),
        ("PJSIP/phones-00000001", [{"soft": True}, {"tech_cause": 486}], (None, EndedBy.SWITCH)),
        ("Local/2600@default-00000001;1", [{"soft": False}], (None, None)),
        ("Local/2600@default-00000001;1", [{"soft": True}], (None, EndedBy.SWITCH)),
    ],
)
def test_who_ended_a_leg(
    name: str, requests: list[dict[str, Any]], expected: tuple[int | None, EndedBy | None]
) -> None:
    inbound = new_inbound()
    it = channel("a", name=name)
    told(inbound, event("ChannelCreated", it))
    for more in requests:
        assert told(inbound, event("ChannelHangupRequest", it, cause=17, **more)) == []
    ended = told(inbound, event("ChannelDestroyed", it, cause=17, tech_cause=480))[-1]
    assert isinstance(ended, LegHungUp)
    assert (ended.sip_status, ended.ended_by) == expected


def test_an_unknown_cause_is_an_unspecified_one() -> None:
    inbound = new_inbound()
    begun(inbound, "a")
    end = event("ChannelDestroyed", channel("a"), cause=0)
    assert told(inbound, end) == [LegHungUp(leg="a", cause="NORMAL_UNSPECIFIED")]


def test_the_dead_are_not_remembered_without_end() -> None:
    inbound = new_inbound()
    for number in range(MAX_GONE + 2):
        inbound.note_gone(str(number))
    assert not inbound.is_gone("1")
    assert inbound.is_gone("2")


NOBODY = [
    "AsyncGoto/PJSIP/1001-00000001",
    "Surrogate/PJSIP/1001-00000001",
    "PJSIP/1001-00000001<ZOMBIE>",
    "Local/1@default-00000001;2<ZOMBIE>",
    "PJSIP/1001-00000001<MASQ>",
    "Message/ast_msg_queue",
    "Recorder/ARI-00000001;1",
    "Announcer/ARI-00000001;1",
    "Snoop/1-00000001",
]


@pytest.mark.parametrize("name", NOBODY)
def test_a_channel_that_the_switch_makes_for_a_moment_is_nobody(name: str) -> None:
    nobody = channel("z", name=name, **RING)
    assert not is_party(name)
    inbound = new_inbound()
    events = ("ChannelCreated", "ChannelStateChange", "StasisStart", "ChannelDestroyed")
    assert told(inbound, *[event(kind, nobody) for kind in events]) == []
    assert inbound.kept == 0


def test_the_name_of_a_leg_is_the_latest() -> None:
    """`Bridge` takes names: an old one would find nobody, or somebody else."""
    inbound = new_inbound()
    begun(inbound, "a")
    told(inbound, event("ChannelStateChange", channel("a", name="PJSIP/new-00000009")))
    assert inbound.name_of("a") == "PJSIP/new-00000009"
    told(inbound, event("ChannelDestroyed", channel("a", name="PJSIP/new-00000009<ZOMBIE>")))
    assert inbound.name_of("a") == "PJSIP/new-00000009"
    assert inbound.name_of("b") == ""


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("PJSIP/1001-0000003a", "1001"),
        ("PJSIP/my-trunk-0000003a", "my-trunk"),
        ("PJSIP/1001-0000003a<ZOMBIE>", ""),
        ("Local/1@default-00000001;1", ""),
        ("AsyncGoto/PJSIP/1001-0000003a", ""),
        ("PJSIP/a),SHELL(ls)-0000003a", ""),
        ("IAX2/1001-0000003a", ""),
        ("", ""),
    ],
)
def test_the_endpoint_that_a_name_names(name: str, endpoint: str) -> None:
    assert endpoint_of(name) == endpoint


def test_halves_are_known_by_their_names() -> None:
    assert local_half("Local/1@default-00000001;2") == ("Local/1@default-00000001", "2")
    assert local_half("PJSIP/1-00000001") == ("", "")


# -------------------------------------------------------------------------- keys


@pytest.mark.parametrize(("digit", "told_as"), [("1", "1"), ("*", "*"), ("#", "#"), ("d", "D")])
def test_keys(digit: str, told_as: str) -> None:
    inbound = new_inbound()
    begun(inbound, "a")
    facts = told(inbound, event("ChannelDtmfReceived", channel("a"), digit=digit))
    assert facts == [DigitPressed(leg="a", digit=told_as)]


@pytest.mark.parametrize("digit", ["", "E", "12", " "])
def test_what_is_no_key(digit: str) -> None:
    inbound = new_inbound()
    begun(inbound, "a")
    assert told(inbound, event("ChannelDtmfReceived", channel("a"), digit=digit)) == []
    assert told(inbound, event("ChannelDtmfReceived", digit="1")) == []
    assert inbound.skipped == 2


# ---------------------------------------------------------------------- bridges


def entered(leg: str, bridge: str = "one") -> dict[str, Any]:
    return event("ChannelEnteredBridge", channel(leg), bridge={"id": bridge})


def left(leg: str, bridge: str = "one") -> dict[str, Any]:
    return event("ChannelLeftBridge", channel(leg), bridge={"id": bridge})


def talking() -> AsteriskInbound:
    inbound = new_inbound()
    begun(inbound, "a", "b", "c", "d")
    told(inbound, *[event("ChannelStateChange", channel(leg)) for leg in "abcd"])
    return inbound


def test_two_in_a_bridge_are_a_pair_and_one_is_none() -> None:
    inbound = talking()
    assert inbound.is_alone("a")
    assert told(inbound, entered("a")) == []
    assert told(inbound, entered("b")) == [LegsJoined(first="a", second="b")]
    assert told(inbound, entered("b")) == []  # it was seen there before that was read
    assert not inbound.is_alone("a")
    assert told(inbound, left("a")) == [LegsSeparated(first="a", second="b")]
    assert told(inbound, left("b"), left("b")) == []
    assert inbound.is_alone("a")
    assert not inbound.is_alone("nobody")
    assert inbound.kept == 4  # the legs, and no bridge
    assert told(inbound, event("ChannelEnteredBridge", channel("a"))) == []
    assert told(inbound, event("ChannelEnteredBridge", bridge={"id": "x"})) == []
    assert told(inbound, event("ChannelLeftBridge")) == []


def test_a_conference_is_no_pair() -> None:
    inbound = talking()
    facts = told(inbound, *[entered(leg) for leg in "abcd"])
    assert facts == [LegsJoined(first="a", second="b"), LegsSeparated(first="a", second="b")]
    assert told(inbound, left("b")) == []
    assert told(inbound, left("a")) == [LegsJoined(first="c", second="d")]


def test_who_enters_another_bridge_has_left_the_first() -> None:
    inbound = talking()
    told(inbound, entered("a"), entered("b"), entered("c", "two"))
    assert told(inbound, entered("b", "two")) == [
        LegsSeparated(first="a", second="b"),
        LegsJoined(first="c", second="b"),
    ]
    assert told(inbound, left("b")) == []  # of the first: it is late
    assert told(inbound, left("b", "two")) == [LegsSeparated(first="c", second="b")]


def test_who_dies_in_a_bridge_has_left_it() -> None:
    inbound = talking()
    told(inbound, entered("a"), entered("b"))
    told(inbound, event("ChannelDestroyed", channel("a"), cause=16))
    assert told(inbound, entered("c")) == [LegsJoined(first="b", second="c")]


def test_who_enters_a_bridge_has_answered() -> None:
    inbound = new_inbound()
    begun(inbound, "a")
    assert told(inbound, entered("a")) == [LegAnswered(leg="a")]


# ----------------------------------------------------------------------- the park


def test_a_leg_that_is_parked_before_it_answers() -> None:
    inbound = new_inbound()
    begun(inbound, "a")
    assert told(inbound, event("StasisStart", parked("a", state="Ring"))) == [LegParked(leg="a")]
    assert told(inbound, event("StasisStart", parked("a"))) == [
        LegAnswered(leg="a"),
        LegParked(leg="a"),
    ]
    assert told(inbound, event("StasisStart"), event("ChannelStateChange")) == []
    assert told(inbound, event("ChannelCreated"), event("ChannelDestroyed")) == []


# ------------------------------------------------------------------------- sounds


def music(kind: str, leg: str = "a", name: str = "default") -> Message:
    return Message({"event": (kind,), "uniqueid": (leg,), "class": (name,)})


def test_music_is_told_by_ami() -> None:
    inbound = talking()
    assert inbound.music(music("MusicOnHoldStop")) == ()
    started = SoundStarted(leg="a", sound=Music("jazz"))
    assert inbound.music(music("MusicOnHoldStart", name="jazz")) == (started,)
    stopped = SoundStopped(leg="a", sound=Music("jazz"))
    assert inbound.music(music("MusicOnHoldStop", name="")) == (stopped,)
    assert inbound.music(music("MusicOnHoldStart", "nobody")) == ()
    other = inbound.music(music("MusicOnHoldStart", name="a b"))
    assert other == (SoundStarted(leg="a", sound=OtherSound("music:a b")),)


def test_music_of_a_leg_that_was_not_told_of_is_not_told() -> None:
    inbound = new_inbound()
    told(inbound, event("ChannelCreated", channel("b", state="Down")))
    assert inbound.music(music("MusicOnHoldStart", "b")) == ()


def spying(kind: str, leg: str = "a", of: str = "c") -> Message:
    return Message({"event": (kind,), "spyeruniqueid": (leg,), "spyeeuniqueid": (of,)})


def test_who_takes_part_in_a_conversation_is_told_by_ami() -> None:
    inbound = talking()
    part = Conversation("c")
    assert inbound.spying(spying("ChanSpyStop")) == ()
    assert inbound.spying(spying("ChanSpyStart", "nobody")) == ()
    started = inbound.spying(spying("ChanSpyStart"))
    assert started == (SoundStarted(leg="a", sound=part),)
    stopped = inbound.spying(spying("ChanSpyStop", of=""))
    assert stopped == (SoundStopped(leg="a", sound=part),)


@pytest.mark.parametrize("leaver", ["b", "c"], ids=["the partner", "who takes part"])
def test_who_is_kept_by_a_conversation_has_ended_when_its_party_hangs_up(leaver: str) -> None:
    """`ChanSpy` keeps these two channels: the event of their end comes much later."""
    inbound = talking()
    told(inbound, entered("a"), entered("b"))
    inbound.spying(spying("ChanSpyStart", "c", of="a"))
    hung_up = event("ChannelHangupRequest", channel(leaver), cause=16)
    ended = LegHungUp(leg=leaver, cause="NORMAL_CLEARING", ended_by=EndedBy.PARTY)
    assert told(inbound, hung_up) == [ended]
    assert told(inbound, event("ChannelDestroyed", channel(leaver), cause=16)) == []


def test_what_plays() -> None:
    inbound = talking()
    playback = {"id": "1", "media_uri": "tone:440+480/2000,0/4000", "target_uri": "channel:a"}
    assert told(
        inbound,
        event("PlaybackStarted", playback=playback),
        event("PlaybackFinished", playback=playback),
    ) == [SoundStarted(leg="a", sound=RINGBACK), SoundStopped(leg="a", sound=RINGBACK)]
    elsewhere = {**playback, "target_uri": "bridge:a"}
    assert told(inbound, event("PlaybackStarted", playback=elsewhere)) == []
    assert told(inbound, event("PlaybackStarted"), event("PlaybackFinished")) == []


bursts = st.builds(
    Burst,
    st.lists(st.integers(1, 9_999), max_size=4).map(tuple),
    st.integers(1, 999_999),
)
tones = st.builds(
    Tone, st.lists(bursts, min_size=1, max_size=16).map(tuple), st.none() | st.integers(1, 60)
)


@given(tones)
def test_a_tone_comes_back_as_it_was_sent(tone: Tone) -> None:
    """A cadence that repeats itself may come back shorter, and more often: it sounds the same."""
    back = sound_of(media_of(tone))
    assert isinstance(back, Tone)
    assert (back.times is None) == (tone.times is None)
    assert back.bursts * (back.times or 1) == tone.bursts * (tone.times or 1)
    assert len(tone.bursts) * (tone.times or 1) <= MOST_BURSTS


@pytest.mark.parametrize(
    ("media", "sound"),
    [
        ("sound:ivr/one-moment", Recording("ivr/one-moment")),
        ("tone:!440/200", Tone((Burst((440,), 200),), times=1)),
        ("tone:!440/200,!0/100,!440/200,!0/100", Tone((Burst((440,), 200), Burst((), 100)), 2)),
        ("tone:ring;tonezone=fr", OtherSound("tone:ring;tonezone=fr")),
        ("recording:secret", OtherSound("recording:secret")),
        ("sound:../../etc/passwd", OtherSound("file:../../etc/passwd")),
        ("", OtherSound("")),
    ],
)
def test_sounds_of_others_are_named_and_never_played(media: str, sound: object) -> None:
    assert sound_of(media) == sound


# ------------------------------------------------------------- told in another way


def test_what_was_seen_is_no_news_afterwards() -> None:
    inbound = new_inbound()
    seen = LegSnapshot(leg="a", number="1001", direction=INBOUND, answered=True, peer="b")
    for leg in "ab":
        inbound.note_living(msgspec.convert(channel(leg), AriChannel), seen)
    inbound.note_bridge(AriBridge(id="one", channels=["a", "b", "stranger"][:2]))
    assert told(inbound, event("ChannelStateChange", channel("a"))) == []
    assert told(inbound, left("a")) == [LegsSeparated(first="a", second="b")]
    inbound.note_bridge(AriBridge(id="two", channels=["stranger"]))
    inbound.note_gone("stranger")
    assert inbound.name_of("a") == channel("a")["name"]


def test_events_that_are_not_read_mean_nothing() -> None:
    assert told(new_inbound(), event("ChannelVarset", channel("a")), event("Novelty"), {}) == []
