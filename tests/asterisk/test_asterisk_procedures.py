"""Our commands as operations of an Asterisk: value by value, and what never gets to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookflash.backends.asterisk.primitives import (
    OURS,
    AsteriskProcedure,
    Conceal,
    GetvarCheck,
    HangUpChannel,
    OriginateChannel,
    PlayMedia,
    PlayMusic,
    Primitive,
    Redirect,
    RestoreDisplay,
    RestoreLimit,
    Setvar,
    StopSounds,
    Variables,
    Whisper,
)
from hookflash.backends.asterisk.procedures import (
    ALLOWED_ACCOUNT,
    ALLOWED_LEG,
    ALLOWED_NUMBER,
    FAR_HALF,
    MOST_BURSTS,
    WITHHELD,
    AsteriskDialling,
    AsteriskProcedures,
    KnownParty,
    role_on,
)
from hookflash.commands import (
    Afterwards,
    Announce,
    Arm,
    Dial,
    Forget,
    HangUp,
    HoldWithMusic,
    Introduce,
    Join,
    Look,
    Park,
    PassKeys,
    PlayRingback,
    PlayTone,
    Release,
    Split,
    SwitchCommand,
    TakePart,
    Trigger,
    WithholdKeys,
)
from hookflash.errors import InputError
from hookflash.events import Direction
from hookflash.sounds import Burst, Music, Recording, Tone

DIAL = Dial(leg="t", target="1003", on_behalf_of="a", ring_timeout_s=20, transfer="x1")
JOIN = Join(first="a", second="t", afterwards=Afterwards.PARK)
INTRODUCE = Introduce(first="b", second="t", first_number="1002", second_number="+4930123")
TONE = Tone((Burst((440,), 200),), times=1)


def party_of(leg: str) -> KnownParty:
    """Everybody is known, and has a channel."""
    return KnownParty(channel=f"PJSIP/{leg}-00000001")


def procedures(**parties: KnownParty) -> AsteriskProcedures:
    return AsteriskProcedures(party_of=lambda leg: parties.get(leg) or party_of(leg))


def made(command: SwitchCommand, maker: AsteriskProcedures | None = None) -> AsteriskProcedure:
    procedure = (maker or procedures()).of(command)
    assert procedure is not None
    return procedure


def variables(step: Primitive) -> dict[str, str]:
    assert isinstance(step, Setvar | OriginateChannel)
    return dict(step.variables)


def sets(procedure: AsteriskProcedure) -> dict[str, dict[str, str]]:
    """What its steps set, for each leg."""
    steps = [*procedure.steps]
    for step in procedure.steps:
        steps += step.sets if isinstance(step, Redirect) else ()
    return {step.leg: variables(step) for step in steps if isinstance(step, Setvar)}


AT_EASE = {"HOOKFLASH_AFTER": "", "HOOKFLASH_RESCUE": "", "HOOKFLASH_ARMED": ""}
RESCUES_B = {"HOOKFLASH_RESCUE": "PJSIP/b-00000001"}
BY = "hookflash,undisclosed,1"


def concealed(procedure: AsteriskProcedure) -> set[str]:
    """The legs whose phones are told nothing by the switch."""
    return {step.leg for step in procedure.steps if isinstance(step, Conceal) and step.by == BY}


# ------------------------------------------------------------- what is sent


def test_split_marks_both_and_parks_both_at_once() -> None:
    maker = procedures(a=KnownParty(direction=Direction.INBOUND))
    procedure = made(Split(first="a", second="b", transfer="x1", kind="attended"), maker)
    marks = {"HOOKFLASH_TRANSFER": "x1", "HOOKFLASH_KIND": "attended"} | AT_EASE
    limit = {"HOOKFLASH_LIMIT_S": "1860"}
    assert sets(procedure) == {
        "a": marks | {"HOOKFLASH_ROLE": "transferor", "HOOKFLASH_BEGAN": "inbound"} | limit,
        "b": marks | {"HOOKFLASH_ROLE": "transferee", "HOOKFLASH_BEGAN": ""} | limit,
    }
    assert procedure.steps[-1] == Redirect("a", "park", "b")
    assert (procedure.before, procedure.unless, procedure.optional) == ((), (), 0)


def test_without_a_transfer_there_is_no_role() -> None:
    for said in sets(made(Split(first="a", second="b"))).values():
        assert said["HOOKFLASH_ROLE"] == said["HOOKFLASH_TRANSFER"] == ""


def test_a_repeated_split_asks_whether_they_are_parted() -> None:
    again = made(Split(first="a", second="b", repeated=True))
    assert again.unless == ((GetvarCheck(leg="a", variable="BRIDGEPEER", value=""),),)


def test_park() -> None:
    procedure = made(Park(leg="a"))
    assert procedure.steps == (Setvar("a", tuple(AT_EASE.items())), Redirect("a", "park"))
    assert procedure.unless == ()


def together(one: str, other: str) -> tuple[tuple[GetvarCheck, ...], ...]:
    """One of the two bridges itself with the other."""
    return tuple(
        (
            GetvarCheck(leg=leg, variable="EXTEN", value="join"),
            GetvarCheck(leg=leg, variable="HOOKFLASH_PEER", value=f"PJSIP/{peer}-00000001"),
        )
        for leg, peer in ((one, other), (other, one))
    )


def test_a_leg_that_is_being_joined_is_not_parked() -> None:
    procedure = made(Park(leg="b", unless_with=("a", "t")))
    assert procedure.unless == together("b", "a") + together("b", "t")
    # of one who is gone, no name is known: nobody is being joined with it
    gone = procedures(t=KnownParty())
    (facts,) = made(Park(leg="b", unless_with=("t",)), gone).unless
    assert {fact.leg for fact in facts} == {"t"}


@pytest.mark.parametrize(
    ("sound", "step"),
    [
        (Music("jazz"), PlayMusic("a", Music("jazz"))),
        (TONE, PlayMedia("a", TONE)),
        (Recording("ivr/one-moment"), PlayMedia("a", Recording("ivr/one-moment"))),
    ],
)
def test_a_sound_replaces_the_one_before(
    sound: Music | Tone | Recording, step: PlayMedia | PlayMusic
) -> None:
    for command in (
        HoldWithMusic(leg="a", music=sound),
        PlayRingback(leg="a", ringback=sound),
        PlayTone(leg="a", tone=sound),
    ):
        procedure = made(command)
        assert procedure.steps == (StopSounds("a"), step)
        assert procedure.optional == 1  # perhaps nothing played


def test_a_tone_is_not_written_out_without_end() -> None:
    """A request may name any sound that the engine knows."""
    bursts = (Burst((440,), 1), Burst((), 1))
    made(PlayTone(leg="a", tone=Tone(bursts, MOST_BURSTS // 2)))
    made(PlayTone(leg="a", tone=Tone(bursts)))
    for times in (MOST_BURSTS // 2 + 1, 99_999_999):
        with pytest.raises(InputError, match="too many bursts .*at most 1000"):
            made(PlayRingback(leg="a", ringback=Tone(bursts, times)))


def test_dial_calls_through_the_dialplan_and_parks_who_answers() -> None:
    (originate,) = made(DIAL).steps
    assert originate == OriginateChannel(
        leg="t",
        number="1003",
        endpoint="Local/1003@default/n",
        caller='"" <0>',
        timeout_s=20,
        variables=(
            ("HOOKFLASH_TRANSFER", "x1"),
            ("HOOKFLASH_ROLE", "target:t"),
            ("HOOKFLASH_NUMBER", "1003"),
            ("HOOKFLASH_LIMIT_S", "1860"),
        ),
    )


def dialled(command: Dial = DIAL, maker: AsteriskProcedures | None = None) -> OriginateChannel:
    (originate,) = made(command, maker).steps
    assert isinstance(originate, OriginateChannel)
    return originate


def test_dial_shows_the_caller_on_whose_behalf_it_is() -> None:
    maker = procedures(a=KnownParty(number="1001", name="Zoë (desk)"), b=KnownParty(number="1002"))
    assert dialled(DIAL, maker).caller == '"Zo? (desk)" <1001>'
    assert dialled(attrs.evolve(DIAL, on_behalf_of="b"), maker).caller == '"1002" <1002>'
    gone = attrs.evolve(DIAL, on_behalf_of="gone", caller="1004")
    assert dialled(gone, maker).caller == '"1004" <1004>'


def test_dial_carries_the_account_through_the_dialplan() -> None:
    owned = {"__HOOKFLASH_ACCOUNT": "acme", "CHANNEL(accountcode)": "acme"}
    assert variables(dialled(attrs.evolve(DIAL, account="acme"))).items() >= owned.items()
    theirs = AsteriskProcedures(party_of=party_of, account_variable="TENANT")
    assert variables(dialled(attrs.evolve(DIAL, account="acme"), theirs))["__TENANT"] == "acme"
    for account in ("mine", ""):  # never that of the party that it is called for
        dial = attrs.evolve(DIAL, account=account)
        said = variables(dialled(dial, procedures(a=KnownParty(account="acme"))))
        assert said.get("CHANNEL(accountcode)", "") == account


def test_who_is_called_back_gets_its_owner() -> None:
    dial = attrs.evolve(DIAL, account="acme", owner_id="boss", role="transferor")
    assert variables(dialled(dial))["__HOOKFLASH_OWNER"] == "boss"
    theirs = AsteriskProcedures(party_of=party_of, owner_variable="OWNER")
    assert variables(dialled(dial, theirs))["__OWNER"] == "boss"
    for owner in ("", "a b", "${x}"):
        said = variables(dialled(attrs.evolve(dial, owner_id=owner)))
        assert "__HOOKFLASH_OWNER" not in said


def test_dialling_as_the_operator_wants_it() -> None:
    dialling = AsteriskDialling(template="PJSIP/{number}@mytrunk", variables={"SHARED": "1"})
    one = dialled(maker=AsteriskProcedures(party_of=party_of, dialling=dialling))
    assert one.endpoint == "PJSIP/1003@mytrunk"
    assert variables(one)["SHARED"] == "1"
    assert AsteriskDialling(context="inside").endpoint("7") == "Local/7@inside/n"


def test_the_account_of_a_call_decides_where_its_target_is_looked_up() -> None:
    own = {"acme": AsteriskDialling(context="acme-phones", variables={"__CRM": "1"})}
    maker = AsteriskProcedures(party_of=party_of, account_dialling=own)
    one = dialled(attrs.evolve(DIAL, account="acme"), maker)
    assert one.endpoint == "Local/1003@acme-phones/n"
    assert variables(one)["__CRM"] == "1"
    assert dialled(attrs.evolve(DIAL, account="globex"), maker).endpoint == "Local/1003@default/n"
    by_account = AsteriskDialling(template="PJSIP/{number}@{account}")
    maker = AsteriskProcedures(party_of=party_of, dialling=by_account)
    assert dialled(attrs.evolve(DIAL, account="acme"), maker).endpoint == "PJSIP/1003@acme"
    for account in ("", "?", "a/b", "a&b"):
        with pytest.raises(InputError, match="dial string"):
            made(attrs.evolve(DIAL, account=account), maker)


@pytest.mark.parametrize(("asked_s", "told"), [(0.2, 1), (0, 1), (-5, 1), (19.2, 20), (30, 30)])
def test_durations_are_whole_seconds_and_never_too_short(asked_s: float, told: int) -> None:
    assert dialled(attrs.evolve(DIAL, ring_timeout_s=asked_s)).timeout_s == told
    said = variables(dialled(maker=AsteriskProcedures(party_of=party_of, park_limit_s=asked_s)))
    assert said["HOOKFLASH_LIMIT_S"] == str(told)


@pytest.mark.parametrize("asked_s", [math.inf, math.nan, 1e300, 2**31])
def test_a_duration_that_does_not_fit_is_refused(asked_s: float) -> None:
    with pytest.raises(InputError, match="not a valid duration"):
        made(attrs.evolve(DIAL, ring_timeout_s=asked_s))
    with pytest.raises(InputError, match="not a valid duration"):
        made(
            Split(first="a", second="b"),
            AsteriskProcedures(party_of=party_of, park_limit_s=asked_s),
        )


def test_join_and_park_afterwards() -> None:
    procedure = made(JOIN)
    after = {"HOOKFLASH_AFTER": "park", "HOOKFLASH_RESCUE": "", "HOOKFLASH_ARMED": ""}
    assert sets(procedure) == {
        "a": after | {"HOOKFLASH_PEER": "PJSIP/t-00000001"},
        "t": after | {"HOOKFLASH_PEER": "PJSIP/a-00000001"},
    }
    # the second does not come by the extension that takes off the park limit
    assert [step for step in procedure.steps if isinstance(step, RestoreLimit)] == [
        RestoreLimit("t")
    ]
    assert procedure.steps[:2] == (StopSounds("a"), StopSounds("t"))
    *before, redirect = procedure.steps
    assert isinstance(redirect, Redirect)
    assert redirect == attrs.evolve(Redirect("a", "join"), sets=redirect.sets)
    # of a controller that dies in between, a leg that talks would do the new order too early
    assert not any(isinstance(step, Setvar) for step in before)
    assert procedure.steps_when_joined == (*before, *redirect.sets)
    assert (procedure.optional, procedure.unless, procedure.before) == (2, (), ())
    assert procedure.legs == {"a", "t"}


def test_join_and_end_afterwards() -> None:
    procedure = made(attrs.evolve(JOIN, afterwards=Afterwards.END))
    assert [said["HOOKFLASH_AFTER"] for said in sets(procedure).values()] == ["", ""]


def test_join_with_a_rescue_and_disarmed_legs() -> None:
    procedure = made(attrs.evolve(JOIN, rescue="b", disarm=("c", "d")))
    said = sets(procedure)
    assert said["a"]["HOOKFLASH_AFTER"] == "park"  # armed by an order of its own
    assert said["a"]["HOOKFLASH_RESCUE"] == ""
    assert said["t"].items() >= (RESCUES_B | {"HOOKFLASH_AFTER": "rescue"}).items()
    # a disarmed leg parks: its partner may leave before the bridge is ordered
    disarmed = (("HOOKFLASH_AFTER", "park"), ("HOOKFLASH_ARMED", ""))
    assert procedure.before == (Setvar("c", disarmed), Setvar("d", disarmed))
    assert procedure.legs == {"a", "t", "c", "d"}


def test_a_join_asks_whether_the_two_talk_already() -> None:
    """To bridge them once more would end one of them; but one that is on its way out does not."""
    here, there = made(JOIN).joined
    assert here == GetvarCheck(leg="a", variable="BRIDGEPEER", value="PJSIP/t-00000001")
    assert there == GetvarCheck(leg="a", variable="EXTEN", value="park", denied=True)
    assert [there.shown_by(exten) for exten in ("join", "1002", "park")] == [True, True, False]
    assert [here.shown_by(peer) for peer in (here.value, "")] == [True, False]


def test_a_repeated_join_asks_whether_the_one_before_was_taken() -> None:
    assert made(attrs.evolve(JOIN, repeated=True)).unless == together("a", "t")


def acting(*legs: str) -> tuple[tuple[GetvarCheck, ...], ...]:
    """Ask whether one of these legs is at its failsafe."""
    return tuple(
        (GetvarCheck(leg=leg, variable="EXTEN", value=extension),)
        for leg in legs
        for extension in ("T", "rescue")
    )


def test_a_join_of_an_armed_leg_asks_whether_the_failsafe_has_caught() -> None:
    join = attrs.evolve(JOIN, first="b", second="t", disarm=("a", "t"), rescued="b")
    # that the two talk may be left from before
    caught = acting("a", "t") + together("a", "b") + together("t", "b")
    assert made(join).unless == caught
    again = attrs.evolve(join, repeated=True)
    assert made(again).unless == (
        acting("a", "t") + together("b", "t") + together("a", "b") + together("t", "b")
    )


def test_a_takeback_asks_whether_the_failsafe_has_caught_the_transferee() -> None:
    """The transferee is not the first leg of that join, and it is whom they would fetch."""
    join = attrs.evolve(JOIN, first="a", second="b", disarm=("a", "t"), rescued="b")
    assert made(join).unless == acting("a", "t") + together("a", "b") + together("t", "b")
    # a leg that is both armed and rescued fetches nobody
    assert made(attrs.evolve(join, disarm=("b",))).unless == acting("b")
    # who is to be fetched is the first, where nobody says otherwise
    unsaid = attrs.evolve(JOIN, first="b", second="t", disarm=("t",))
    assert made(unsaid).unless == acting("t") + together("t", "b")


def test_arm() -> None:
    assert sets(made(Arm(leg="t", rescue="b"))) == {"t": RESCUES_B | {"HOOKFLASH_ARMED": "yes"}}
    left = Arm(leg="t", rescue="b", when=Trigger.LEFT_ALONE, undisclosed=True)
    armed = RESCUES_B | {"HOOKFLASH_AFTER": "rescue"}
    assert made(left).steps == (
        Setvar("t", (("HOOKFLASH_SHOWN", ""),)),
        Conceal("t", BY),
        Setvar("t", tuple(armed.items())),
    )


def test_release() -> None:
    procedure = made(Release(first="b", second="t"))
    assert sets(procedure) == {"b": AT_EASE, "t": AT_EASE}
    assert procedure.optional == 0  # its answer is the fact


def test_introduce_tells_each_phone_of_the_other() -> None:
    procedure = made(INTRODUCE)
    assert sets(procedure) == {
        "b": shown_as("+4930123", "+4930123"),
        "t": shown_as("1002", "1002"),
    }
    assert list(sets(procedure)["b"])[-1] == "CONNECTEDLINE(num)"  # which tells the phone
    assert procedure.optional == 2  # a phone that can't, or has hung up, is no failure


def shown_as(name: str, number: str) -> dict[str, str]:
    return {
        "CONNECTEDLINE(name,i)": name,
        "CONNECTEDLINE(pres,i)": "allowed",
        "CONNECTEDLINE(num)": number,
    }


def test_introduce_tells_names_where_there_are_some() -> None:
    said = sets(made(INTRODUCE, procedures(b=KnownParty(number="1002", name=" Zoë | (desk)\n"))))
    assert said["t"] == shown_as("Zo? ? (desk)", "1002")


@pytest.mark.parametrize("number", ["", "sip:1002@example.net", "1,2", "1\r\nX: y", "${x}", "ü"])
def test_what_may_not_come_near_the_switch_is_not_shown(number: str) -> None:
    procedure = made(attrs.evolve(INTRODUCE, first_number=number))
    assert sets(procedure).keys() == {"b"}


def test_who_wants_the_number_withheld_is_shown_to_nobody() -> None:
    maker = procedures(b=KnownParty(number="1002", name="Bob", account="acme", withheld=True))
    assert sets(made(INTRODUCE, maker)).keys() == {"b"}
    one = dialled(attrs.evolve(DIAL, on_behalf_of="b", caller="1002"), maker)
    assert one.caller == f'"{WITHHELD}" <{WITHHELD}>'
    assert variables(one)["CALLERID(pres)"] == "prohib"
    assert "1002" not in repr(one)
    assert "Bob" not in repr(one)


def test_who_is_told_nothing_by_the_switch_is_shown_a_number_and_no_name() -> None:
    maker = procedures(b=KnownParty(name="Bob"), t=KnownParty(name="Carol"))
    said = sets(made(attrs.evolve(INTRODUCE, undisclosed=("t",)), maker))
    assert said["t"] == {"HOOKFLASH_SHOWN": "1002", **shown_as("1002", "1002")}
    assert said["b"] == shown_as("Carol", "+4930123")


def test_the_switch_is_kept_from_telling_what_is_not_to_be_disclosed() -> None:
    assert concealed(made(attrs.evolve(JOIN, undisclosed=("t",)))) == {"t"}
    assert concealed(made(Split(first="a", second="b", undisclosed=("b",)))) == {"b"}
    elsewhere = AsteriskProcedures(party_of=party_of, context="other")
    steps = made(Split(first="a", second="b", undisclosed=("a",)), elsewhere).steps
    assert Conceal("a", "other,undisclosed,1") in steps
    assert isinstance(steps[-1], Redirect)


def test_forget_takes_off_all_that_was_ours_and_minds_nobody_gone() -> None:
    procedure = made(Forget(legs=("a", "b")))
    nothing = Setvar("a", tuple(dict.fromkeys(OURS, "").items()))
    # what is noted is read before it is taken off
    assert procedure.steps[:3] == (RestoreLimit("a"), RestoreDisplay("a", BY), nothing)
    assert [step.leg for step in procedure.steps if isinstance(step, Setvar)] == ["a", "b"]
    assert procedure.optional == len(procedure.steps)


def test_forget_thinks_of_the_far_half_that_has_inherited_it_all() -> None:
    maker = procedures(t=KnownParty(channel="Local/1003@default-00000001;1"))
    procedure = made(Forget(legs=("a", "t")), maker)
    assert [*sets(procedure)] == ["a", "t", f"t{FAR_HALF}"]
    # a limit of the operator's on the far half is none of ours
    assert RestoreLimit(f"t{FAR_HALF}") not in procedure.steps
    assert procedure.optional == len(procedure.steps)


@pytest.mark.parametrize(
    ("until", "left"),
    [
        ("", ()),
        ("0", (("TIMEOUT(absolute)", "0"),)),
        ("1700000030.5", (("TIMEOUT(absolute)", "30.500"),)),
        ("1700000000", (("TIMEOUT(absolute)", "0.100"),)),
        ("1600000000", (("TIMEOUT(absolute)", "0.100"),)),
        ("never", ()),
    ],
)
def test_what_is_left_of_a_legs_own_limit(until: str, left: Variables) -> None:
    step = RestoreLimit("a")
    assert step.asked() == ("HOOKFLASH_UNTIL", "EPOCH")
    assert step.amended((until, "1700000000")) == left


def test_an_operators_own_subroutine_is_noted_and_given_back() -> None:
    conceal, restore = Conceal("a", BY), RestoreDisplay("a", BY)
    name, noted = "CONNECTED_LINE_SEND_SUB", "HOOKFLASH_SHOWN_BY"
    assert (conceal.asked(), restore.asked()) == ((name,), (name, noted))
    assert conceal.amended(("mine,s,1",)) == ((noted, "mine,s,1"), (name, BY))
    assert conceal.amended((BY,)) == ()  # a second time: what is noted stays
    assert restore.amended((BY, "mine,s,1")) == ((name, "mine,s,1"),)
    assert restore.amended((BY, "")) == ((name, ""),)
    assert restore.amended(("mine,s,1", "")) == ()


def test_hang_up() -> None:
    assert made(HangUp(leg="a", cause="USER_BUSY")).steps == (HangUpChannel("a", 17),)
    assert made(HangUp(leg="a", cause="NO_SUCH_WORD")).steps == (HangUpChannel("a", 31),)


@pytest.mark.parametrize(
    "command", [WithholdKeys(leg="a", limit_s=3), PassKeys(leg="a"), Look(legs=("a",))]
)
def test_what_this_switch_needs_no_operation_for(command: SwitchCommand) -> None:
    assert procedures().of(command) is None


def test_a_leg_that_is_not_known_can_not_be_named_to_the_dialplan() -> None:
    nobody = AsteriskProcedures(party_of=lambda _: KnownParty())
    for command in (
        JOIN,
        Arm(leg="a", rescue="b"),
        attrs.evolve(JOIN, rescue="b"),
    ):
        with pytest.raises(InputError, match="there is no leg [bt]$"):
            nobody.of(command)


@pytest.mark.parametrize(
    ("mark", "role"),
    [
        ("", ""),
        ("transferor", "transferor"),
        ("target:t", "target"),
        ("target:another", ""),  # inherited
    ],
)
def test_a_role_counts_only_on_the_leg_that_it_names(mark: str, role: str) -> None:
    assert role_on("t", mark) == role


# ------------------------------------------------------- attempts to break out

BREAKOUTS = [
    "1\r\nAction: Command",
    "1\n",
    "\n",
    "\r",
    "1\0",
    "${SHELL(ls)}",
    "$[1+1]",
    "1,2",
    "1&PJSIP/2",
    "1@evil.example",
    "1/n",
    "../1",
    "1|2",
    "1'",
    '1"',
    '1" <2>',
    "1`ls`",
    "1;1",
    "1:2",
    "1^2",
    "1(2)",
    "1[2]",
    "1{2}",
    "1 2",
    " ",
    "1=2",
    "1?x=y",
    "1%2f",
    "1\\",
    "1!",
    "９",
    "é",
    "\u2028",
    "\ud800",
    "\x7f",
    "1" * 151,
    "1" * 100_000,
]

Place = Callable[[str], SwitchCommand]

LEGS: dict[str, Place] = {
    "split.first": lambda text: Split(first=text, second="b"),
    "split.second": lambda text: Split(first="a", second=text),
    "split.repeated": lambda text: Split(first=text, second="b", repeated=True),
    "park.leg": lambda text: Park(leg=text),
    "park.unless_with": lambda text: Park(leg="a", unless_with=(text,)),
    "music.leg": lambda text: HoldWithMusic(leg=text, music=Music()),
    "ringback.leg": lambda text: PlayRingback(leg=text, ringback=TONE),
    "tone.leg": lambda text: PlayTone(leg=text, tone=TONE),
    "dial.leg": lambda text: attrs.evolve(DIAL, leg=text),
    "join.first": lambda text: attrs.evolve(JOIN, first=text),
    "join.second": lambda text: attrs.evolve(JOIN, second=text),
    "join.disarm": lambda text: attrs.evolve(JOIN, disarm=(text,)),
    "join.rescued": lambda text: attrs.evolve(JOIN, disarm=("c",), rescued=text),
    "arm.leg": lambda text: Arm(leg=text, rescue="b"),
    "release.first": lambda text: Release(first=text, second="b"),
    "release.second": lambda text: Release(first="a", second=text),
    "introduce.first": lambda text: attrs.evolve(INTRODUCE, first=text),
    "introduce.second": lambda text: attrs.evolve(INTRODUCE, second=text),
    "forget.legs": lambda text: Forget(legs=("a", text)),
    "hang_up.leg": lambda text: HangUp(leg=text),
}
RESCUED: dict[str, Place] = {
    "join.rescue": lambda text: attrs.evolve(JOIN, rescue=text),
    "arm.rescue": lambda text: Arm(leg="a", rescue=text),
}
PLACES: dict[str, Place] = {
    **LEGS,
    **RESCUED,
    "split.transfer": lambda text: Split(first="a", second="b", transfer=text),
    "split.kind": lambda text: Split(first="a", second="b", kind=text),
    "dial.transfer": lambda text: attrs.evolve(DIAL, transfer=text),
    "dial.target": lambda text: attrs.evolve(DIAL, target=text),
    "dial.caller": lambda text: attrs.evolve(DIAL, caller=text),
}
MAY_BE_EMPTY = {"split.transfer", "split.kind", "dial.transfer", "dial.caller", "join.rescued"}


def values(procedure: AsteriskProcedure) -> Iterator[str]:
    """Whatever it may come to send."""
    for step in (*procedure.before, *procedure.steps):
        yield step.leg
        match step:
            case Setvar():
                yield from (value for _, value in step.variables)
            case Redirect():
                yield step.other
                for one in step.sets:
                    yield one.leg
                    yield from (value for _, value in one.variables)
            case OriginateChannel():
                yield from (step.number, step.endpoint, step.caller)
                yield from (value for _, value in step.variables)
            case _:
                pass
    for facts in procedure.unless:
        for fact in facts:
            yield from (fact.leg, fact.value)


def assert_harmless(procedure: AsteriskProcedure) -> None:
    for value in values(procedure):
        assert value.isascii()
        assert not any(char < " " or char in "$[]{}`\\&|^%!\x7f" for char in value)
        assert len(value) < 240
    for step in procedure.steps:
        if isinstance(step, Setvar):  # the dialplan compares them, in quotes
            assert not any('"' in value for _, value in step.variables)
        if isinstance(step, OriginateChannel):
            assert step.caller.count('"') == 2
            assert step.endpoint == f"Local/{step.number}@default/n"


@pytest.mark.parametrize("text", BREAKOUTS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_breaks_out(place: str, text: str) -> None:
    with pytest.raises(InputError, match="is not allowed") as refused:
        procedures().of(PLACES[place](text))
    assert len(str(refused.value)) < 500  # it is shown to people
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("place", sorted(PLACES.keys() - MAY_BE_EMPTY))
def test_nothing_is_not_a_name(place: str) -> None:
    with pytest.raises(InputError):
        procedures().of(PLACES[place](""))


@pytest.mark.parametrize("text", BREAKOUTS)
def test_no_caller_number_breaks_out(text: str) -> None:
    with pytest.raises(InputError, match="the caller"):
        made(DIAL, procedures(a=KnownParty(number=text)))


@pytest.mark.parametrize("text", BREAKOUTS)
def test_an_account_that_can_t_be_written_is_not_carried_and_refuses_no_call(text: str) -> None:
    one = dialled(attrs.evolve(DIAL, account=text))
    assert_harmless(AsteriskProcedure(steps=(one,)))
    # a domain, or a pair of names, is a usual account
    carried = text in ("1@evil.example", "1:2")
    assert ("CHANNEL(accountcode)" in variables(one)) == carried


@pytest.mark.parametrize("text", [*BREAKOUTS, "Ann O'Hara", ""])
def test_a_caller_name_is_shown_without_what_means_something(text: str) -> None:
    procedure = made(DIAL, procedures(a=KnownParty(number="1001", name=text)))
    (one,) = procedure.steps
    assert isinstance(one, OriginateChannel)
    name = one.caller.split('"')[1]
    assert len(name) <= 64
    assert not set(name) & set(',{}[]|&^;$\n<>"@/')


BAD_CHANNELS = [
    "1",
    "/",
    "PJSIP/",
    "PJSIP/1,F(default^1^1)-00000001",
    "PJSIP/${SHELL(ls)}-00000001",
    "PJSIP/1&PJSIP/2-00000001",
    "PJSIP/1)-00000001",
    'PJSIP/1"-00000001',
    "PJSIP/1\r\nAction: Command",
    "PJSIP/1-00000001<ZOMBIE>",
    "../1",
    "Local/" + "1" * 201,
]


@pytest.mark.parametrize("channel", BAD_CHANNELS)
def test_the_dialplan_reads_no_name_that_is_more_than_a_name(channel: str) -> None:
    """Names of channels hold what was dialled."""
    maker = procedures(b=KnownParty(channel=channel), t=KnownParty(channel=channel))
    for command in (JOIN, Arm(leg="a", rescue="b")):
        with pytest.raises(InputError, match="the channel .* is not allowed"):
            maker.of(command)


@pytest.mark.parametrize(
    "channel",
    ["PJSIP/1001-0000003a", "PJSIP/my.trunk_2-0000003a", "Local/*72+1@from-internal-0000003a;1"],
)
def test_names_of_channels_pass(channel: str) -> None:
    said = sets(made(JOIN, procedures(t=KnownParty(channel=channel))))
    assert said["a"]["HOOKFLASH_PEER"] == channel


texts = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="aA1*#+_-./:;=,%(){}[]|&^'\"`$\\ \n\r\0@!<>?é９", max_size=80),
    st.from_regex(ALLOWED_LEG, fullmatch=True),
    st.from_regex(ALLOWED_NUMBER, fullmatch=True),
    st.from_regex(ALLOWED_ACCOUNT, fullmatch=True),
)
EVERYWHERE: dict[str, Place] = {
    **PLACES,
    "dial.account": lambda text: attrs.evolve(DIAL, account=text),
    "introduce.number": lambda text: attrs.evolve(INTRODUCE, first_number=text),
    "hang_up.cause": lambda text: HangUp(leg="a", cause=text),
}


@given(place=st.sampled_from(sorted(EVERYWHERE)), text=texts)
@example(place="dial.account", text="a@b:c")
def test_what_passes_is_harmless(place: str, text: str) -> None:
    try:
        procedure = made(EVERYWHERE[place](text))
    except InputError:
        return
    assert_harmless(procedure)


@given(number=texts, name=texts, account=texts)
def test_what_passes_of_a_caller_is_harmless(number: str, name: str, account: str) -> None:
    maker = procedures(a=KnownParty(number=number, name=name, account=account))
    try:
        procedure = made(DIAL, maker)
    except InputError:
        return
    assert_harmless(procedure)


@given(name=texts)
def test_what_a_display_shows_is_harmless(name: str) -> None:
    assert_harmless(made(INTRODUCE, procedures(b=KnownParty(name=name), t=KnownParty(name=name))))


@given(place=st.sampled_from(sorted(LEGS)), leg=st.from_regex(ALLOWED_LEG, fullmatch=True))
def test_every_allowed_leg_passes(place: str, leg: str) -> None:
    procedure = made(LEGS[place](leg))
    assert leg in procedure.legs


# ----------------------------------------------------------------- templates


@pytest.mark.parametrize(
    "template",
    [
        "",
        "PJSIP/1001",
        "PJSIP/{nummer}",
        "PJSIP/{number}@{domain}",
        "PJSIP/{}",
        "PJSIP/{number.__class__}",
        "{number}{number.__class__}",
        "{number}{number[0]}",
        "PJSIP/{0}",
        "PJSIP/{number",
        "PJSIP/number}",
        "PJSIP/{number:d}",
        "PJSIP/{number:{width}}",
        "PJSIP/{number!x}",
    ],
)
def test_templates_that_can_not_be_dialled(template: str) -> None:
    with pytest.raises(InputError, match="can't be dialled"):
        AsteriskDialling(template=template)


@pytest.mark.parametrize("template", ["Local/{number}@{context}", "Local/{number}@x/j"])
def test_a_local_without_its_n_would_be_replaced(template: str) -> None:
    with pytest.raises(InputError, match="lacks its /n"):
        AsteriskDialling(template=template)
    assert AsteriskDialling(template="Local/{number}@x/nj").endpoint("1") == "Local/1@x/nj"


@pytest.mark.parametrize("evil", ["a\nb", "a\rb", "a\0b"])
def test_not_even_the_operator_begins_another_line(evil: str) -> None:
    for make in (
        lambda: AsteriskDialling(template=f"PJSIP/{{number}}{evil}"),
        lambda: AsteriskDialling(context=evil),
        lambda: AsteriskDialling(variables={evil: "1"}),
        lambda: AsteriskDialling(variables={"a": evil}),
    ):
        with pytest.raises(InputError, match="line break"):
            make()


REFUSED: dict[str, tuple[SwitchCommand, str]] = {
    "leg": (Park(leg="a b"), "letters, digits and _ . -"),
    "number": (attrs.evolve(DIAL, target="a@b"), "letters, digits and + * # _ -"),
    "kind": (Split(first="a", second="b", kind="a b"), "letters, digits and _ . -, at most 64"),
    "channel": (Arm(leg="a", rescue="strange"), "a technology, a slash, and the channel's name"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_allowed_is_said_in_words(what: str) -> None:
    """A person reads it: no regular expression."""
    command, words = REFUSED[what]
    with pytest.raises(InputError) as refused:
        procedures(strange=KnownParty(channel="no slash")).of(command)
    assert refused.value.hint.startswith(f"allowed: {words}")
    assert not any(sign in refused.value.hint for sign in ("[", "{", "(?", "\\"))


def test_a_sound_for_one_who_talks_is_whispered_for_as_long_as_it_lasts() -> None:
    beeps = Tone((Burst((440,), 300), Burst((), 200)), times=2)
    for sound, limit_s in (
        (beeps, 1.0),
        (Recording("beep"), 30),
        (attrs.evolve(beeps, times=99), 30),
    ):
        made = procedures().of(Announce(leg="a", sound=sound))
        assert made is not None
        assert made.steps == (Whisper("a", sound, limit_s),)
    with pytest.raises(InputError, match="does not end"):
        procedures().of(Announce(leg="a", sound=Music()))


def test_who_takes_part_in_a_conversation() -> None:
    procedure = made(TakePart(leg="b", of="a", unless_with=("a",)))
    stop, redirect = procedure.steps
    assert stop == StopSounds("b")
    assert isinstance(redirect, Redirect)
    assert (redirect.leg, redirect.extension) == ("b", "part")
    assert dict(redirect.sets[0].variables)["HOOKFLASH_PART"].startswith("PJSIP/")
    assert procedure.unless
