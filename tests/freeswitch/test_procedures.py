"""Our commands in FreeSWITCH's words: line by line, and what never gets to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookflash.backends.freeswitch.names import ALLOWED_LEG, is_usable
from hookflash.backends.freeswitch.primitives import Procedure, VariableCheck, restored
from hookflash.backends.freeswitch.procedures import (
    ALLOWED_CAUSE,
    ALLOWED_NUMBER,
    CallerId,
    Dialling,
    Procedures,
)
from hookflash.backends.freeswitch.text import line_of, question_of
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
from hookflash.sounds import Music, OtherSound, Recording, parse_sound

TAKES_B = (
    "exec_after_bridge_app=execute_extension;"
    r"exec_after_bridge_arg=sched_transfer:+2\\sintercept:b\\sinline,park inline"
)
DISARMED = (
    "exec_after_bridge_app=;exec_after_bridge_arg=;execute_on_answer=;api_before_bridge_hookflash="
)
PARKS = (
    "park_after_bridge={park};hangup_after_bridge={end};uuid_bridge_park_on_cancel=true;"
    "park_timeout=1860;playback_timeout_sec=1860;"
)
ORDINARY = (
    "park_after_bridge=false;hangup_after_bridge=true;{between}park_timeout=;playback_timeout_sec="
)
DIAL = Dial(leg="t", target="1003", on_behalf_of="a", ring_timeout_s=20, transfer="x1")
JOIN = Join(first="a", second="t", afterwards=Afterwards.PARK)


DIRECTLY = Procedures(dialling=Dialling(template="user/{number}"))


def sent(procedure: Procedure) -> tuple[str, ...]:
    """The lines of its steps."""
    return tuple(map(line_of, procedure.steps))


def lines(command: SwitchCommand) -> tuple[str, ...]:
    return sent(Procedures().of(command))


def dialled(procedure: Procedure) -> str:
    """The line that calls somebody: it comes last."""
    return sent(procedure)[-1]


# ------------------------------------------------------------- what is sent


def test_split_marks_both_and_parks_both() -> None:
    procedure = Procedures().of(Split(first="a", second="b", transfer="x1", kind="attended"))
    assert sent(procedure) == (
        (
            "uuid_setvar_multi a playback_terminators=none;"
            "park_after_bridge=true;hangup_after_bridge=false;park_timeout=1860;"
            "playback_timeout_sec=1860;"
            "hookflash_transfer=x1;hookflash_role=transferor;hookflash_kind=attended"
        ),
        (
            "uuid_setvar_multi b playback_terminators=none;"
            "park_after_bridge=true;hangup_after_bridge=false;park_timeout=1860;"
            "playback_timeout_sec=1860;"
            "hookflash_transfer=x1;hookflash_role=transferee;hookflash_kind=attended"
        ),
        "uuid_transfer a park inline",
    )
    assert procedure.spared == 3
    assert procedure.remember == ("a", "b")  # what they said before is kept on them first


def test_park() -> None:
    assert lines(Park(leg="a")) == (
        "uuid_setvar_multi a park_timeout=1860;playback_timeout_sec=1860",
        "uuid_transfer a park inline",
    )


def test_a_leg_that_is_being_joined_is_not_parked() -> None:
    procedure = Procedures().of(Park(leg="b", unless_with=("a", "t")))
    assert procedure.unless == (together("b", "a"), together("b", "t"))
    assert procedure.spared == len(procedure.steps)
    assert Procedures().of(Park(leg="b")).unless == ()


def together(one: str, other: str) -> tuple[VariableCheck, ...]:
    """The switch says of both that each is, or is about to be, with the other."""
    return (
        VariableCheck(leg=one, variable="signal_bond", value=other),
        VariableCheck(leg=other, variable="signal_bond", value=one),
    )


@pytest.mark.parametrize(
    "command",
    [
        HoldWithMusic(leg="a", music=Music()),
        PlayRingback(leg="a", ringback=Music()),
        PlayTone(leg="a", tone=Music()),
    ],
)
def test_a_sound_replaces_the_one_before(command: SwitchCommand) -> None:
    procedure = Procedures().of(command)
    assert sent(procedure) == ("uuid_break a all", "uuid_broadcast a local_stream://moh aleg")
    assert procedure.optional == 1  # perhaps nothing played


def test_dial_goes_as_a_job() -> None:
    assert sent(Procedures().of(DIAL)) == (
        (
            "originate {origination_uuid=t,origination_caller_id_number=0,"
            "origination_caller_id_name='',originate_timeout=20,ignore_early_media=true,"
            "hookflash_transfer=x1,hookflash_role=target:t,hookflash_kind=,"
            "hookflash_before=nothing,"
            "loopback_bowout=false,loopback_bowout_on_execute=false,"
            "media_mix_inbound_outbound_codecs=true,"
            "export_vars=media_mix_inbound_outbound_codecs}loopback/1003/default &park()"
        ),
    )


def test_dial_parks_a_target_while_it_rings_unless_the_dialplan_calls_it() -> None:
    """The far half of a loopback leg inherits variables: the dialplan's `bridge` would end, too."""
    assert "return_ring_ready" not in dialled(Procedures().of(DIAL))
    *before, originate = sent(DIRECTLY.of(DIAL))
    assert before == [
        "sched_del hookflash-rings-t",
        "sched_api +20 hookflash-rings-t uuid_kill t NO_ANSWER",
    ]
    waits = "return_ring_ready=true,api_on_answer_hookflash='sched_del hookflash-rings-t',"
    assert waits in str(originate)


def test_dial_shows_the_caller_on_whose_behalf_it_is() -> None:
    callers = {"a": CallerId(number="1001", name="Zoë (desk)"), "b": CallerId(number="1002")}
    procedures = Procedures(caller_of=callers.__getitem__)
    assert "caller_id_number=1001,origination_caller_id_name='Zo? (desk)'," in dialled(
        procedures.of(DIAL)
    )
    shown = dialled(procedures.of(attrs.evolve(DIAL, on_behalf_of="b")))
    assert "caller_id_number=1002,origination_caller_id_name='1002'," in shown


def test_dial_carries_the_account_through_the_dialplan() -> None:
    told = ",export_vars=media_mix_inbound_outbound_codecs\\,hookflash_account,"
    line = dialled(Procedures().of(attrs.evolve(DIAL, account="acme")))
    assert f"{told}hookflash_account=acme}}loopback" in line
    theirs = Procedures(account_variable="tenant").of(attrs.evolve(DIAL, account="acme"))
    assert "\\,tenant,tenant=acme}" in dialled(theirs)


def test_who_is_called_back_gets_its_owner_through_the_dialplan() -> None:
    dial = attrs.evolve(DIAL, account="acme", owner_id="boss", role="transferor")
    line = dialled(Procedures().of(dial))
    assert "\\,hookflash_account\\,hookflash_owner," in line
    assert "hookflash_account=acme,hookflash_owner=boss}loopback" in line
    line = dialled(Procedures(owner_variable="user_name").of(dial))
    assert ",user_name=boss}loopback" in line
    for owner in ("", "a b", "${x}"):  # it may come from another switch
        assert "hookflash_owner" not in lines(attrs.evolve(dial, owner_id=owner))[-1]
    assert "hookflash_owner" not in lines(attrs.evolve(dial, account=""))[-1]
    with pytest.raises(InputError, match="'user_name' is not allowed"):
        Procedures(owner_variable="user_name").of(
            attrs.evolve(dial, variables=(("user_name", "boss"),))
        )


def test_a_leg_never_gets_the_account_of_the_party_that_it_is_called_for() -> None:
    """Who is called back for a caller of another account has no right there."""
    line = lines(attrs.evolve(DIAL, account="", role="transferor"))[-1]
    assert "hookflash_account" not in line


def test_dialling_as_the_operator_wants_it() -> None:
    dialling = Dialling(template="sofia/gateway/gw/{number}", variables={"absolute_codec": "PCMA"})
    line = dialled(Procedures(dialling=dialling).of(DIAL))
    assert line.endswith(",absolute_codec=PCMA}sofia/gateway/gw/1003 &park()")
    inside = Dialling(context="inside").dial_string("7")
    assert inside == "loopback/7/inside"


ACME = attrs.evolve(DIAL, account="acme")


def test_the_account_of_a_call_decides_where_its_target_is_looked_up() -> None:
    maker = Procedures(account_dialling={"acme": Dialling(context="acme-phones")})
    assert "}loopback/1003/acme-phones &park()" in dialled(maker.of(ACME))
    for other in ("globex", ""):
        dial = attrs.evolve(DIAL, account=other)
        assert "}loopback/1003/default &park()" in dialled(maker.of(dial))


def test_an_account_may_stand_in_the_dial_string() -> None:
    maker = Procedures(dialling=Dialling(template="user/{number}@{account}"))
    assert "}user/1003@acme &park()" in dialled(maker.of(ACME))
    maker = Procedures(dialling=Dialling(context="{account}"))
    assert "}loopback/1003/acme &park()" in dialled(maker.of(ACME))


@pytest.mark.parametrize(
    "account", ["", "?", "a/b", "a@b", "a:b", "a b", "-a", "a,b", "a|b", "a&b", "${x}", "a" * 129]
)
def test_an_account_that_would_change_the_dial_string_is_refused(account: str) -> None:
    maker = Procedures(dialling=Dialling(context="{account}"))
    with pytest.raises(InputError, match="dial string"):
        maker.of(attrs.evolve(DIAL, account=account))


def test_the_variables_of_an_account_go_through_the_dialplan() -> None:
    maker = Procedures(account_dialling={"acme": Dialling(variables={"crm": "1, 2"})})
    line = dialled(maker.of(ACME))
    assert "\\,hookflash_account\\,crm," in line
    assert ",crm='1\\, 2'}loopback" in line
    line = dialled(maker.of(DIAL))
    assert "crm" not in line
    with pytest.raises(InputError, match="'crm' is not allowed"):
        maker.of(attrs.evolve(ACME, variables=(("crm", "3"),)))


@pytest.mark.parametrize(
    ("template", "context"),
    [("user/{number}", "{number}"), ("user/{number}", "{"), ("user/{account}", "default")],
)
def test_a_template_or_context_that_can_not_be_filled_in(template: str, context: str) -> None:
    with pytest.raises(InputError, match="is not a dial string"):
        Dialling(template=template, context=context)


@pytest.mark.parametrize(
    ("asked_s", "told"), [(0.2, "1"), (0, "1"), (-5, "1"), (19.2, "20"), (30, "30")]
)
def test_durations_are_whole_seconds_and_never_too_short(asked_s: float, told: str) -> None:
    _, end, line = sent(DIRECTLY.of(attrs.evolve(DIAL, ring_timeout_s=asked_s)))
    assert end.startswith(f"sched_api +{told} ")
    assert f",originate_timeout={told}," in line
    limits = f"park_timeout={told};playback_timeout_sec={told}"
    assert lines_of_park(asked_s)[0] == f"uuid_setvar_multi a {limits}"


def lines_of_park(park_limit_s: float) -> tuple[str, ...]:
    return sent(Procedures(park_limit_s=park_limit_s).of(Park(leg="a")))


@pytest.mark.parametrize("asked_s", [math.inf, math.nan, 1e300, 2**31])
def test_a_duration_that_does_not_fit_is_refused(asked_s: float) -> None:
    with pytest.raises(InputError, match="not a valid duration"):
        lines(attrs.evolve(DIAL, ring_timeout_s=asked_s))
    with pytest.raises(InputError, match="not a valid duration"):
        lines_of_park(asked_s)


def test_join_and_park_afterwards() -> None:
    told = PARKS.format(park="true", end="false") + DISARMED
    assert lines(JOIN) == (
        f"uuid_setvar_multi a {told}",
        f"uuid_setvar_multi t {told}",
        "uuid_break a all",
        "uuid_break t all",
        "uuid_bridge a t",
    )


def test_a_repeated_join_asks_whether_the_one_before_was_taken() -> None:
    first = Procedures().of(attrs.evolve(JOIN, transfer="x1", attempt=3))
    again = Procedures().of(attrs.evolve(JOIN, transfer="x1", attempt=4, repeated=True))
    assert first.unless == ()
    assert sent(first)[0].endswith(";hookflash_join=x1.3")
    assert sent(again)[0].endswith(";hookflash_join=x1.4")
    assert again.unless == (
        (
            VariableCheck(leg="a", variable="hookflash_join", value="x1.3"),
            *together("a", "t"),
        ),
    )


def test_a_repeated_split_asks_whether_they_are_parted() -> None:
    again = Procedures().of(Split(first="a", second="b", repeated=True))
    assert again.unless == ((VariableCheck(leg="a", variable="signal_bond", value="_undef_"),),)
    assert again.spared == len(again.steps)


def test_join_and_end_afterwards() -> None:
    told = f"{ORDINARY.format(between='uuid_bridge_park_on_cancel=true;')};{DISARMED}"
    assert lines(attrs.evolve(JOIN, afterwards=Afterwards.END)) == (
        f"uuid_setvar_multi a {told}",
        f"uuid_setvar_multi t {told}",
        "uuid_break a all",
        "uuid_break t all",
        "uuid_bridge a t",
    )


def test_join_with_a_rescue_and_disarmed_legs() -> None:
    procedure = Procedures().of(attrs.evolve(JOIN, rescue="b", disarm=("c", "d")))
    parks = PARKS.format(park="true", end="false") + DISARMED
    told = PARKS.format(park="false", end="false") + (
        f"{TAKES_B};execute_on_answer=;api_before_bridge_hookflash="
    )
    # a disarmed leg parks: its partner may leave before the bridge is ordered
    disarmed = f"park_after_bridge=true;hangup_after_bridge=false;{DISARMED}"
    assert tuple(map(line_of, procedure.before)) == (  # who is to be disarmed may be gone
        f"uuid_setvar_multi c {disarmed}",
        "sched_del c",
        f"uuid_setvar_multi d {disarmed}",
        "sched_del d",
    )
    assert sent(procedure) == (
        f"uuid_setvar_multi a {parks}",  # should t be gone before they are joined
        f"uuid_setvar_multi t {told}",
        "uuid_break a all",
        "uuid_break t all",
        "uuid_bridge a t",
    )
    arm = Arm(leg="a", rescue="b", when=Trigger.LEFT_ALONE)
    stays = "park_after_bridge=false;hangup_after_bridge=false"
    assert lines(arm) == (f"uuid_setvar_multi a {stays};{TAKES_B}",)


def test_a_join_of_an_armed_leg_asks_whether_the_failsafe_has_caught() -> None:
    caught = VariableCheck(leg="t", variable="transfer_source", value="intercept:b", within=True)
    left = VariableCheck(leg="a", variable="transfer_source", value="intercept:b", within=True)
    join = attrs.evolve(JOIN, first="b", second="t", disarm=("a", "t"), rescued="b")
    procedure = Procedures().of(join)
    assert procedure.unless == (
        together("b", "t"),
        together("a", "b"),
        (left,),
        together("t", "b"),
        (caught,),
    )
    assert procedure.spared == 3  # the variables of an ordinary call are set all the same
    assert caught.shown_by("1795000000:9c1f:bl_xfer:intercept:b/default/inline\n")
    assert not caught.shown_by("_undef_")
    # what was not joined for all that is bridged at the next attempt
    assert Procedures().of(attrs.evolve(join, repeated=True)).unless == (
        together("b", "t"),
        together("a", "b"),
        together("t", "b"),
    )


def test_a_takeback_asks_whether_the_failsafe_has_caught_the_transferee() -> None:
    """The transferee is not the first leg of that join, and it is whom they would fetch."""
    join = attrs.evolve(JOIN, first="a", second="b", disarm=("a", "t"), rescued="b")
    asked = {(fact.leg, fact.value) for facts in Procedures().of(join).unless for fact in facts}
    assert {("t", "b"), ("t", "intercept:b"), ("a", "intercept:b")} <= asked
    # a leg that is both armed and rescued may fetch the other one
    alone = attrs.evolve(JOIN, first="a", second="b", disarm=("b",), rescued="b")
    assert Procedures().of(alone).unless[0] == together("a", "b")
    ((fact,),) = Procedures().of(alone).unless[1:]
    assert (fact.leg, fact.value) == ("b", "intercept:a")
    # who is to be fetched is the first, where nobody says otherwise
    unsaid = attrs.evolve(JOIN, first="b", second="t", disarm=("t",))
    assert together("t", "b") in Procedures().of(unsaid).unless


def test_arm() -> None:
    assert lines(Arm(leg="t", rescue="b")) == (
        (
            "uuid_setvar_multi t park_after_bridge=false;hangup_after_bridge=true;"
            "api_before_bridge_hookflash=sched_del hookflash-return-b"
        ),
        "uuid_setvar t execute_on_answer sched_transfer +2 intercept:b inline",
    )


def test_release() -> None:
    procedure = Procedures().of(Release(first="b", second="t"))
    told = f"{DISARMED};{ORDINARY.format(between='')}"
    assert sent(procedure) == (
        "sched_del t",
        f"uuid_setvar_multi b {told}",
        f"uuid_setvar_multi t {told}",
    )
    assert procedure.optional == 1


INTRODUCE = Introduce(first="b", second="t", first_number="1002", second_number="+4930123")


def test_introduce_tells_each_phone_of_the_other() -> None:
    procedure = Procedures().of(INTRODUCE)
    assert sent(procedure) == (
        "uuid_display b +4930123|+4930123",
        "sched_del hookflash-show-b",
        "sched_api +1 hookflash-show-b uuid_display b +4930123|+4930123",
        "uuid_display t 1002|1002",
        "sched_del hookflash-show-t",
        "sched_api +1 hookflash-show-t uuid_display t 1002|1002",
    )
    assert procedure.optional == 6  # a phone that can't, or has hung up, is no failure


def test_who_wants_the_number_withheld_is_shown_to_nobody() -> None:
    callers = {"b": CallerId(number="1002", name="Bob", withheld=True)}
    procedures = Procedures(caller_of=lambda leg: callers.get(leg, CallerId(number="1001")))
    procedure = procedures.of(INTRODUCE)
    assert {line.split()[-2] for line in sent(procedure) if "uuid_display" in line} == {"b"}
    dial = dialled(procedures.of(attrs.evolve(DIAL, on_behalf_of="b", caller="1002")))
    assert "1002" not in dial
    assert "Bob" not in dial
    assert "origination_caller_id_number=anonymous" in dial


def test_the_switch_is_kept_from_telling_what_is_not_to_be_disclosed() -> None:
    one, other, *_ = lines(attrs.evolve(JOIN, undisclosed=("t",)))
    assert "ignore_display_updates" not in one
    assert other.endswith(";ignore_display_updates=true")
    both = lines(attrs.evolve(JOIN, undisclosed=("a", "t")))[:2]
    assert all(line.endswith(";ignore_display_updates=true") for line in both)


def test_an_outside_party_is_told_nothing_by_the_switch_from_the_parting_on() -> None:
    split = Split(first="a", second="b", undisclosed=("b",))
    _, one, other, _ = lines(split)
    assert "ignore_display_updates" not in one
    assert other.endswith(";ignore_display_updates=true")


def test_who_is_told_nothing_by_the_switch_is_shown_a_number_and_no_name() -> None:
    callers = {"b": CallerId(number="1002", name="Bob"), "t": CallerId(number="1", name="Carol")}
    hidden = attrs.evolve(INTRODUCE, undisclosed=("t",))
    said = sent(Procedures(caller_of=callers.__getitem__).of(hidden))
    assert said[0] == "uuid_display b Carol|+4930123"
    assert said[3:] == (
        "uuid_setvar_multi t ignore_display_updates=",  # else it would not be told this either
        "uuid_display t 1002|1002",
        # the failsafe of the consultation joins without an order of ours, and tells what it likes
        "uuid_setvar_multi t ignore_display_updates=true",
    )


def test_keys_are_withheld_with_a_net_and_passed_on_again() -> None:
    withhold = Procedures().of(WithholdKeys(leg="b", limit_s=29.5))
    assert sent(withhold) == (
        "sched_del hookflash-keys-b",
        "sched_api +30 hookflash-keys-b uuid_drop_dtmf b off mask_digits ''",
        "uuid_drop_dtmf b on mask_digits ''",
    )
    assert withhold.optional == 1
    again = ("uuid_drop_dtmf b off mask_digits ''", "sched_del hookflash-keys-b")
    variable = "uuid_setvar b drop_dtmf"
    assert lines(PassKeys(leg="b")) == (*again, variable)
    missed = Procedures().of(PassKeys(leg="b", digits="*9"))
    assert sent(missed) == (*again, variable, "uuid_send_dtmf b *9")
    assert missed.optional == 4  # a leg that has hung up misses nothing


def test_introduce_tells_names_where_there_are_some() -> None:
    callers = {"b": CallerId(number="1002", name="Zoë | (desk)\n"), "t": CallerId(number="1")}
    procedure = Procedures(caller_of=callers.__getitem__).of(INTRODUCE)
    assert [line for line in sent(procedure) if line.startswith("uuid_display")] == [
        "uuid_display b +4930123|+4930123",
        "uuid_display t Zo? ? (desk)|1002",
    ]


@pytest.mark.parametrize("number", ["", "sip:1002@example.net", "1|2", "1\nhupall", "${x}", "ü"])
def test_what_may_not_come_near_the_switch_is_not_shown(number: str) -> None:
    procedure = Procedures().of(attrs.evolve(INTRODUCE, first_number=number))
    assert len(sent(procedure)) == 3
    assert sent(procedure)[0] == "uuid_display b +4930123|+4930123"


def test_forget_takes_every_mark_off_and_minds_nobody_gone() -> None:
    procedure = Procedures().of(Forget(legs=("a", "b")))
    assert sent(procedure) == (  # failsafes that wait for their time
        "sched_del a",
        "sched_del hookflash-return-a",
        "sched_del b",
        "sched_del hookflash-return-b",
    )
    assert procedure.optional == 4
    assert procedure.restore == ("a", "b")  # by which the marks go, too: see `restored`


def test_hang_up() -> None:
    assert lines(HangUp(leg="a", cause="USER_BUSY")) == ("uuid_kill a USER_BUSY",)


# ---------------------------------------------------------------- the sounds


@pytest.mark.parametrize(
    ("sound", "played"),
    [
        ("%(2000,4000,440,480)", "tone_stream://%(2000,4000,440,480);loops=-1"),
        ("%(500,500,300);loops=2", "tone_stream://%(500,500,300);loops=2"),
        ("tone_stream://%(500,500,300);loops=-1", "tone_stream://%(500,500,300);loops=-1"),
        ("tone_stream://%(1,2,3)%(4,5,6)", "tone_stream://%(1,2,3)%(4,5,6)"),
        ("local_stream://moh", "local_stream://moh"),
        ("silence_stream://-1", "silence_stream://-1"),
        ("ivr/ivr-on_hold.wav", "ivr/ivr-on_hold.wav"),
        ("/sounds/music.wav", "/sounds/music.wav"),
    ],
)
def test_what_accounts_had_plays_as_it_did(sound: str, played: str) -> None:
    _, broadcast = lines(HoldWithMusic(leg="a", music=parse_sound(sound)))
    assert broadcast == f"uuid_broadcast a {played} aleg"


# ------------------------------------------------------- attempts to break out

BREAKOUTS = [
    "1\n\napi system ls",
    "1\n",
    "\n",
    "1\r\n2",
    "1\0",
    "${system(ls)}",
    "$${domain}",
    "1${x}",
    "1,2",
    "1,origination_uuid=2",
    "{a=b}1",
    "1}",
    "[a=b]1",
    "1|2",
    "1&bridge(2)",
    "^^:a=b:1",
    "1'",
    '1"',
    "'1'",
    "1`ls`",
    "1;a=b",
    "1::2",
    "1 2",
    " ",
    "1 &system(ls)",
    "1\\n2",
    "1/2/3/../%",
    "1@evil.example",
    ":_:",
    "1)",
    "1=2",
    "1<2>",
    "(1)",
    "!1",
    "~1",
    "?1",
    "９",
    "é",
    "\u2028",
    "\ud800",
    "\x7f",
    "1" * 65,
    "1" * 100_000,
]

Place = Callable[[str], SwitchCommand]

LEGS: dict[str, Place] = {
    "split.first": lambda text: Split(first=text, second="b"),
    "split.second": lambda text: Split(first="a", second=text),
    "join.transfer": lambda text: attrs.evolve(JOIN, transfer=text),
    "split.transfer": lambda text: Split(first="a", second="b", transfer=text),
    "park.leg": lambda text: Park(leg=text),
    "park.unless_with": lambda text: Park(leg="a", unless_with=(text,)),
    "music.leg": lambda text: HoldWithMusic(leg=text, music=Recording("m")),
    "ringback.leg": lambda text: PlayRingback(leg=text, ringback=Recording("m")),
    "tone.leg": lambda text: PlayTone(leg=text, tone=Recording("m")),
    "dial.leg": lambda text: attrs.evolve(DIAL, leg=text),
    "dial.transfer": lambda text: attrs.evolve(DIAL, transfer=text),
    "join.first": lambda text: attrs.evolve(JOIN, first=text),
    "join.second": lambda text: attrs.evolve(JOIN, second=text),
    "join.rescue": lambda text: attrs.evolve(JOIN, rescue=text),
    "join.disarm": lambda text: attrs.evolve(JOIN, disarm=(text,)),
    "join.rescued": lambda text: attrs.evolve(JOIN, disarm=("c",), rescued=text),
    "arm.leg": lambda text: Arm(leg=text, rescue="b"),
    "arm.rescue": lambda text: Arm(leg="a", rescue=text),
    "release.first": lambda text: Release(first=text, second="b"),
    "release.second": lambda text: Release(first="a", second=text),
    "introduce.first": lambda text: attrs.evolve(INTRODUCE, first=text),
    "introduce.second": lambda text: attrs.evolve(INTRODUCE, second=text),
    "withhold_keys.leg": lambda text: WithholdKeys(leg=text, limit_s=30.0),
    "pass_keys.leg": lambda text: PassKeys(leg=text),
    "forget.legs": lambda text: Forget(legs=("a", text)),
    "hang_up.leg": lambda text: HangUp(leg=text),
}
PLACES: dict[str, Place] = {
    **LEGS,
    "split.kind": lambda text: Split(first="a", second="b", kind=text),
    "dial.target": lambda text: attrs.evolve(DIAL, target=text),
    "pass_keys.digits": lambda text: PassKeys(leg="a", digits=text),
    "hang_up.cause": lambda text: HangUp(leg="a", cause=text),
}
SOUNDS: dict[str, Place] = {
    "music": lambda text: HoldWithMusic(leg="a", music=parse_sound(text)),
    "ringback": lambda text: PlayRingback(leg="a", ringback=parse_sound(text)),
    "tone": lambda text: PlayTone(leg="a", tone=parse_sound(text)),
}
MAY_BE_EMPTY = {
    "join.transfer",
    "join.rescued",
    "split.transfer",
    "split.kind",
    "dial.transfer",
    "pass_keys.digits",
}
HARMLESS_IN_A_SOUND = {"1;a=b", "1" * 65}  # a parameter; a long file name


def all_lines(procedure: Procedure) -> tuple[str, ...]:
    """Whatever it may come to send: operations, and questions."""
    questions = [fact for facts in procedure.unless for fact in facts]
    restored_ones = [
        step
        for leg in procedure.restore
        for step in restored(leg, ("_undef_", f"{leg}-far", "_undef_"))
    ]
    operations = (*procedure.before, *procedure.steps, *restored_ones)
    return (*map(line_of, operations), *map(question_of, questions))


def assert_harmless(procedure: Procedure) -> None:
    for whole in all_lines(procedure):
        job = whole.startswith("originate ")
        # the one comma within a value, of our own making
        line = whole.replace("_codecs\\,hookflash_account,", "", 1) if job else whole
        # the spaces within a word of an armed leg, likewise
        line = line.replace(r"\\sin", "")
        assert not any(char < " " or char in '$`\\"\x7f\u2028' for char in line)
        assert line.isascii()
        assert line.count("'") % 2 == 0
        assert "ARRAY::" not in line
        assert ":_:" not in line
        assert "^^" not in line
        assert line.count("{") == line.count("}") == (1 if job else 0)
        assert line.count("&") == (1 if job else 0)


NAMES = sorted(place for place in LEGS if not place.endswith(".transfer"))
"""Where the name of a leg stands."""


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (place, text)
        for place in PLACES
        for text in BREAKOUTS
        if place not in NAMES or not is_usable(text)
    ],
)
def test_nothing_breaks_out(place: str, text: str) -> None:
    with pytest.raises(InputError, match="is not allowed") as refused:
        Procedures().of(PLACES[place](text))
    assert len(refused.value.what) < 400  # it is shown to people


@pytest.mark.parametrize("place", sorted((PLACES | SOUNDS).keys() - MAY_BE_EMPTY))
def test_nothing_is_not_a_name(place: str) -> None:
    with pytest.raises(InputError):
        Procedures().of((PLACES | SOUNDS)[place](""))


@pytest.mark.parametrize("text", [one for one in BREAKOUTS if one not in HARMLESS_IN_A_SOUND])
@pytest.mark.parametrize("place", SOUNDS)
def test_no_sound_breaks_out(place: str, text: str) -> None:
    with pytest.raises(InputError, match="is not a sound"):
        Procedures().of(SOUNDS[place](text))


@pytest.mark.parametrize("sound", ["shell_stream://x", OtherSound("shell_stream://x"), None])
def test_what_is_not_a_sound_of_ours_is_never_sent(sound: Any) -> None:
    for command in (HoldWithMusic(leg="a", music=sound), PlayTone(leg="a", tone=sound)):
        with pytest.raises(InputError, match="is not a sound .a Music, a Tone or a Recording"):
            Procedures().of(command)


@pytest.mark.parametrize("text", BREAKOUTS)
def test_no_caller_number_breaks_out(text: str) -> None:
    with pytest.raises(InputError, match="caller"):
        Procedures(caller_of=lambda _: CallerId(number=text)).of(DIAL)


@pytest.mark.parametrize("text", [*BREAKOUTS, ":_:", "a:_:b", "a::b", "Sales Berlin"])
def test_an_account_that_can_t_be_written_is_not_carried_and_refuses_no_call(text: str) -> None:
    procedure = Procedures().of(attrs.evolve(DIAL, account=text))
    assert_harmless(procedure)
    if text != "1@evil.example":  # a domain is a usual name of an account
        assert "hookflash_account" not in dialled(procedure)


@pytest.mark.parametrize("text", [*BREAKOUTS, "Ann O'Hara", ""])
def test_a_caller_name_is_shown_without_what_means_something(text: str) -> None:
    procedures = Procedures(caller_of=lambda _: CallerId(number="1001", name=text))
    procedure = procedures.of(DIAL)
    assert_harmless(procedure)
    _, _, rest = dialled(procedure).partition("origination_caller_id_name='")
    name, _, _ = rest.partition("'")
    assert len(name) <= 64
    assert not set(name) & set(",{}[]|&^;$\n")


texts = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="aA1*#+_-./:;=,%(){}[]|&^'\"`$\\ \n\r\0@!é９", max_size=80),
    st.from_regex(ALLOWED_LEG, fullmatch=True),
    st.from_regex(ALLOWED_NUMBER, fullmatch=True),
    st.from_regex(ALLOWED_CAUSE, fullmatch=True),
)


EVERYWHERE: dict[str, Place] = {
    **PLACES,
    **SOUNDS,
    "dial.account": lambda text: attrs.evolve(DIAL, account=text),
}


@given(place=st.sampled_from(sorted(EVERYWHERE)), text=texts)
@example(place="music", text="%(1,2,3);loops=1")
@example(place="dial.account", text=":_:")
def test_what_passes_is_harmless(place: str, text: str) -> None:
    try:
        procedure = Procedures().of(EVERYWHERE[place](text))
    except InputError:
        return
    assert_harmless(procedure)


@given(number=texts, name=texts, account=texts, prefix=texts)
def test_what_passes_of_a_caller_is_harmless(
    number: str, name: str, account: str, prefix: str
) -> None:
    caller = CallerId(number=number, name=name)
    procedures = Procedures(caller_of=lambda _: caller)
    try:
        procedure = procedures.of(attrs.evolve(DIAL, account=account, caller_prefix=prefix))
    except InputError:
        return
    assert_harmless(procedure)


@given(place=st.sampled_from(NAMES), leg=st.from_regex(ALLOWED_LEG, fullmatch=True))
def test_every_allowed_leg_passes(place: str, leg: str) -> None:
    procedure = Procedures().of(LEGS[place](leg))
    assert any(leg in line for line in all_lines(procedure))


# ----------------------------------------------------------------- templates


@pytest.mark.parametrize(
    "template",
    [
        "",
        "user/1001",
        "user/{nummer}",
        "user/{number}@{domain}",
        "user/{}",
        "user/{number.__class__}",
        "{number}{number.__class__}",
        "{number}{number[0]}",
        "user/{0}",
        "user/{number",
        "user/number}",
        "user/{number:d}",
        "user/{number:{width}}",
        "user/{number!x}",
    ],
)
def test_templates_that_are_no_dial_strings(template: str) -> None:
    with pytest.raises(InputError, match="is not a dial string"):
        Dialling(template=template)


@pytest.mark.parametrize("evil", ["a\nb", "a\rb", "a\0b"])
def test_not_even_the_operator_begins_another_line(evil: str) -> None:
    for make in (
        lambda: Dialling(template=f"user/{{number}}{evil}"),
        lambda: Dialling(context=evil),
        lambda: Dialling(variables={evil: "1"}),
        lambda: Dialling(variables={"a": evil}),
    ):
        with pytest.raises(InputError, match="line break"):
            make()


REFUSED: dict[str, tuple[SwitchCommand, str]] = {
    "leg": (Park(leg="a b"), "letters, digits and - . ! % * _ + ~ : / "),
    "transfer": (attrs.evolve(JOIN, transfer="a:b"), "letters, digits and _ . -"),
    "number": (attrs.evolve(DIAL, target="a@b"), "letters, digits and + * # _ -"),
    "cause": (HangUp(leg="a", cause="busy"), "capital letters and _"),
    "keys": (PassKeys(leg="a", digits="x"), "the keys 0-9, A-D, * and #"),
    "kind": (Split(first="a", second="b", kind="A"), "small letters and _"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_allowed_is_said_in_words(what: str) -> None:
    """A person reads it: no regular expression."""
    command, words = REFUSED[what]
    with pytest.raises(InputError) as refused:
        Procedures().of(command)
    assert refused.value.hint.startswith(f"allowed: {words}")
    assert not any(sign in refused.value.hint for sign in ("{", "(?", "\\", "[0-9"))


def test_who_takes_part_in_a_conversation_and_leaves_it() -> None:
    """The leg of the conversation names the party: the switch's events don't."""
    assert lines(TakePart(leg="b", of="a")) == (
        "uuid_setvar_multi a hookflash_part=b",
        "uuid_setvar_multi b park_timeout=1860;playback_timeout_sec=1860",
        "uuid_transfer b three_way:a,park inline",
    )
    assert lines(Park(leg="b", part_of="a")) == (
        "uuid_setvar_multi a hookflash_part=",
        "uuid_setvar_multi b park_timeout=1860;playback_timeout_sec=1860",
        "uuid_transfer b park inline",
    )


def test_a_leg_that_the_switch_is_joining_does_not_take_part() -> None:
    procedure = Procedures().of(TakePart(leg="b", of="a", unless_with=("a", "c")))
    assert [{fact.leg for fact in facts} for facts in procedure.unless] == [{"a", "b"}, {"b", "c"}]
    assert procedure.spared == 2
