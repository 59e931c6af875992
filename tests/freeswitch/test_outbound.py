"""Our commands in FreeSWITCH's words: line by line, and what never gets to it."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookflash.backends.freeswitch.outbound import (
    ALLOWED_CAUSE,
    ALLOWED_LEG,
    ALLOWED_NUMBER,
    Caller,
    Dialling,
    Fact,
    Outbound,
    Script,
    sound_for,
)
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
)
from hookflash.errors import InputError

DISARMED = "exec_after_bridge_app=;exec_after_bridge_arg=;execute_on_answer="
PARKS = (
    "park_after_bridge={park};hangup_after_bridge={end};uuid_bridge_park_on_cancel=true;"
    "park_timeout=1860;playback_timeout_sec=1860;"
)
ORDINARY = (
    "park_after_bridge=false;hangup_after_bridge=true;{between}park_timeout=;playback_timeout_sec="
)
DIAL = Dial(leg="t", target="1003", on_behalf_of="a", ring_timeout_s=20, transfer="x1")
JOIN = Join(first="a", second="t", afterwards=Afterwards.PARK)


def lines(command: SwitchCommand) -> tuple[str, ...]:
    return Outbound().script(command).lines


# ------------------------------------------------------------- what is sent


def test_split_marks_both_and_parks_both() -> None:
    script = Outbound().script(Split(first="a", second="b", transfer="x1", kind="attended"))
    assert script == Script(
        lines=(
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
        ),
        spared=3,
    )


def test_park() -> None:
    assert lines(Park(leg="a")) == (
        "uuid_setvar_multi a park_timeout=1860;playback_timeout_sec=1860",
        "uuid_transfer a park inline",
    )


@pytest.mark.parametrize(
    "command",
    [
        HoldWithMusic(leg="a", music="local_stream://moh"),
        PlayRingback(leg="a", ringback="local_stream://moh"),
        PlayTone(leg="a", tone="local_stream://moh"),
    ],
)
def test_a_sound_replaces_the_one_before(command: SwitchCommand) -> None:
    script = Outbound().script(command)
    assert script.lines == ("uuid_break a all", "uuid_broadcast a local_stream://moh aleg")
    assert script.optional == 1  # perhaps nothing played


def test_dial_goes_as_a_job_and_parks_the_target() -> None:
    script = Outbound().script(DIAL)
    assert script.job
    assert script.lines == (
        (
            "originate {origination_uuid=t,origination_caller_id_number=0,"
            "origination_caller_id_name='',originate_timeout=20,ignore_early_media=true,"
            "hookflash_transfer=x1,hookflash_role=target:t,hookflash_kind=,"
            "loopback_bowout=false,loopback_bowout_on_execute=false,"
            "media_mix_inbound_outbound_codecs=true,"
            "export_vars=media_mix_inbound_outbound_codecs}loopback/1003/default &park()"
        ),
    )


def test_dial_shows_the_caller_on_whose_behalf_it_is() -> None:
    callers = {"a": Caller(number="1001", name="Zoë (desk)"), "b": Caller(number="1002")}
    outbound = Outbound(caller_of=callers.__getitem__)
    assert (
        "caller_id_number=1001,origination_caller_id_name='Zo? (desk)',"
        in outbound.script(DIAL).lines[0]
    )
    shown = outbound.script(attrs.evolve(DIAL, on_behalf_of="b")).lines[0]
    assert "caller_id_number=1002,origination_caller_id_name='1002'," in shown


def test_dial_with_a_rescue_intercepts_on_answer() -> None:
    (line,) = lines(attrs.evolve(DIAL, rescue="b"))
    assert line.endswith("}loopback/1003/default &intercept(b)")


def test_dialling_as_the_operator_wants_it() -> None:
    dialling = Dialling(template="sofia/gateway/gw/{number}", variables={"absolute_codec": "PCMA"})
    (line,) = Outbound(dialling=dialling).script(DIAL).lines
    assert line.endswith(",absolute_codec=PCMA}sofia/gateway/gw/1003 &park()")
    inside = Dialling(context="inside").dial_string("7")
    assert inside == "loopback/7/inside"


@pytest.mark.parametrize(
    ("asked_s", "told"), [(0.2, "1"), (0, "1"), (-5, "1"), (19.2, "20"), (30, "30")]
)
def test_durations_are_whole_seconds_and_never_too_short(asked_s: float, told: str) -> None:
    (line,) = lines(attrs.evolve(DIAL, ring_timeout_s=asked_s))
    assert f",originate_timeout={told}," in line
    limits = f"park_timeout={told};playback_timeout_sec={told}"
    assert lines_of_park(asked_s)[0] == f"uuid_setvar_multi a {limits}"


def lines_of_park(park_limit_s: float) -> tuple[str, ...]:
    return Outbound(park_limit_s=park_limit_s).script(Park(leg="a")).lines


@pytest.mark.parametrize("asked_s", [math.inf, math.nan, 1e300, 2**31])
def test_a_duration_that_does_not_fit_is_refused(asked_s: float) -> None:
    with pytest.raises(InputError, match="no usable duration"):
        lines(attrs.evolve(DIAL, ring_timeout_s=asked_s))
    with pytest.raises(InputError, match="no usable duration"):
        lines_of_park(asked_s)


def test_join_and_park_afterwards() -> None:
    told = PARKS.format(park="true", end="false") + DISARMED
    assert lines(JOIN) == (
        f"uuid_setvar_multi a {told}",
        f"uuid_setvar_multi t {told}",
        "uuid_bridge a t",
    )


def test_a_repeated_join_asks_whether_the_one_before_was_taken() -> None:
    first = Outbound().script(attrs.evolve(JOIN, transfer="x1", attempt=3))
    again = Outbound().script(attrs.evolve(JOIN, transfer="x1", attempt=4, repeated=True))
    assert first.unless == ()
    assert first.lines[0].endswith(";hookflash_join=x1.3")
    assert again.lines[0].endswith(";hookflash_join=x1.4")
    assert again.unless == (
        (
            Fact(question="uuid_getvar a hookflash_join", answer="x1.3"),
            Fact(question="uuid_getvar a signal_bond", answer="t"),
        ),
    )


def test_a_repeated_split_asks_whether_they_are_parted() -> None:
    again = Outbound().script(Split(first="a", second="b", repeated=True))
    assert again.unless == ((Fact(question="uuid_getvar a signal_bond", answer="_undef_"),),)
    assert again.spared == len(again.lines)


def test_join_and_end_afterwards() -> None:
    told = f"{ORDINARY.format(between='uuid_bridge_park_on_cancel=true;')};{DISARMED}"
    assert lines(attrs.evolve(JOIN, afterwards=Afterwards.END)) == (
        f"uuid_setvar_multi a {told}",
        f"uuid_setvar_multi t {told}",
        "uuid_bridge a t",
    )


def test_join_with_a_rescue_and_disarmed_legs() -> None:
    script = Outbound().script(attrs.evolve(JOIN, rescue="b", disarm=("c", "d")))
    parks = PARKS.format(park="true", end="false") + DISARMED
    told = PARKS.format(park="false", end="false") + (
        "exec_after_bridge_app=intercept;exec_after_bridge_arg=b;execute_on_answer="
    )
    assert script.before == (  # who is to be disarmed may be gone
        f"uuid_setvar_multi c {DISARMED}",
        "sched_del c",
        f"uuid_setvar_multi d {DISARMED}",
        "sched_del d",
    )
    assert script.lines == (
        f"uuid_setvar_multi a {parks}",  # should t be gone before they are joined
        f"uuid_setvar_multi t {told}",
        "uuid_bridge a t",
    )
    guard = Outbound().guard(attrs.evolve(JOIN, rescue="b"))
    stays = "park_after_bridge=false;hangup_after_bridge=false"
    takes = "exec_after_bridge_app=intercept;exec_after_bridge_arg=b"
    assert guard.lines == (f"uuid_setvar_multi a {stays};{takes}",)
    assert guard.optional == 1


def test_a_join_of_an_armed_leg_asks_whether_the_failsafe_has_caught() -> None:
    together = (Fact(question="uuid_getvar b signal_bond", answer="t"),)
    caught = Fact(question="uuid_getvar t transfer_source", answer="intercept:b", within=True)
    join = attrs.evolve(JOIN, first="b", second="t", disarm=("a", "t"))
    script = Outbound().script(join)
    assert script.unless == (together, (caught,))
    assert script.spared == 1  # the variables of an ordinary call are set all the same
    assert caught.shown_by("1795000000:9c1f:bl_xfer:intercept:b/default/inline\n")
    assert not caught.shown_by("_undef_")
    # what was not joined for all that is bridged at the next attempt
    assert Outbound().script(attrs.evolve(join, repeated=True)).unless == (together,)


def test_arm() -> None:
    assert lines(Arm(leg="t", rescue="b")) == (
        "uuid_setvar_multi t park_after_bridge=false;hangup_after_bridge=true",
        "uuid_setvar t execute_on_answer sched_transfer +1 intercept:b inline",
    )


def test_release() -> None:
    script = Outbound().script(Release(first="b", second="t"))
    told = f"{DISARMED};{ORDINARY.format(between='')}"
    assert script.lines == (
        "sched_del t",
        f"uuid_setvar_multi b {told}",
        f"uuid_setvar_multi t {told}",
    )
    assert script.optional == 1


INTRODUCE = Introduce(first="b", second="t", first_number="1002", second_number="+4930123")


def test_introduce_tells_each_phone_of_the_other() -> None:
    script = Outbound().script(INTRODUCE)
    assert script.lines == (
        "uuid_display b +4930123|+4930123",
        "sched_del hookflash-show-b",
        "sched_api +1 hookflash-show-b uuid_display b +4930123|+4930123",
        "uuid_display t 1002|1002",
        "sched_del hookflash-show-t",
        "sched_api +1 hookflash-show-t uuid_display t 1002|1002",
    )
    assert script.optional == 6  # a phone that can't, or has hung up, is no failure


def test_who_wants_the_number_withheld_is_shown_to_nobody() -> None:
    callers = {"b": Caller(number="1002", name="Bob", withheld=True)}
    outbound = Outbound(caller_of=lambda leg: callers.get(leg, Caller(number="1001")))
    script = outbound.script(INTRODUCE)
    assert {line.split()[-2] for line in script.lines if "uuid_display" in line} == {"b"}
    join = Join(first="b", second="t", afterwards=Afterwards.END)
    one, other, _ = outbound.script(join).lines
    assert "ignore_display_updates" not in one
    assert other.endswith(";ignore_display_updates=true")
    consult = Join(first="a", second="t", afterwards=Afterwards.PARK, rescue="b")
    assert all("ignore_display_updates=true" in line for line in outbound.script(consult).lines[:2])
    dial = outbound.script(attrs.evolve(DIAL, on_behalf_of="b", caller="1002")).lines[0]
    assert "1002" not in dial
    assert "Bob" not in dial
    assert "origination_caller_id_number=anonymous" in dial


def test_introduce_tells_names_where_there_are_some() -> None:
    callers = {"b": Caller(number="1002", name="Zoë | (desk)\n"), "t": Caller(number="1")}
    script = Outbound(caller_of=callers.__getitem__).script(INTRODUCE)
    assert [line for line in script.lines if line.startswith("uuid_display")] == [
        "uuid_display b +4930123|+4930123",
        "uuid_display t Zo? ? (desk)|1002",
    ]


@pytest.mark.parametrize("number", ["", "sip:1002@example.net", "1|2", "1\nhupall", "${x}", "ü"])
def test_what_may_not_come_near_the_switch_is_not_shown(number: str) -> None:
    script = Outbound().script(attrs.evolve(INTRODUCE, first_number=number))
    assert len(script.lines) == 3
    assert script.lines[0] == "uuid_display b +4930123|+4930123"


def test_forget_takes_every_mark_off_and_minds_nobody_gone() -> None:
    script = Outbound().script(Forget(legs=("a", "b")))
    told = "hookflash_transfer=;hookflash_role=;hookflash_kind="
    assert script.lines == (f"uuid_setvar_multi a {told}", f"uuid_setvar_multi b {told}")
    assert script.optional == 2


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
def test_sounds_that_play(sound: str, played: str) -> None:
    assert sound_for(sound) == played


@pytest.mark.parametrize(
    "sound",
    [
        "",
        "shell_stream://rm",
        "http://a/b.wav",
        "system::ls",
        "a.wav!b.wav",
        "%(",
        "%(1,2,3",
        "tone_stream://%(a)",
        "a.wav;loops=-1;x",
        "a.wav both",
        "%(1,2,3);loops=999999999",
        "a" * 40_000,
    ],
)
def test_sounds_that_do_not(sound: str) -> None:
    with pytest.raises(InputError, match="the sound"):
        sound_for(sound)


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
    "music.leg": lambda text: HoldWithMusic(leg=text, music="m"),
    "ringback.leg": lambda text: PlayRingback(leg=text, ringback="m"),
    "tone.leg": lambda text: PlayTone(leg=text, tone="m"),
    "dial.leg": lambda text: attrs.evolve(DIAL, leg=text),
    "dial.transfer": lambda text: attrs.evolve(DIAL, transfer=text),
    "dial.rescue": lambda text: attrs.evolve(DIAL, rescue=text),
    "join.first": lambda text: attrs.evolve(JOIN, first=text),
    "join.second": lambda text: attrs.evolve(JOIN, second=text),
    "join.rescue": lambda text: attrs.evolve(JOIN, rescue=text),
    "join.disarm": lambda text: attrs.evolve(JOIN, disarm=(text,)),
    "arm.leg": lambda text: Arm(leg=text, rescue="b"),
    "arm.rescue": lambda text: Arm(leg="a", rescue=text),
    "release.first": lambda text: Release(first=text, second="b"),
    "release.second": lambda text: Release(first="a", second=text),
    "introduce.first": lambda text: attrs.evolve(INTRODUCE, first=text),
    "introduce.second": lambda text: attrs.evolve(INTRODUCE, second=text),
    "forget.legs": lambda text: Forget(legs=("a", text)),
    "hang_up.leg": lambda text: HangUp(leg=text),
}
PLACES: dict[str, Place] = {
    **LEGS,
    "split.kind": lambda text: Split(first="a", second="b", kind=text),
    "dial.target": lambda text: attrs.evolve(DIAL, target=text),
    "hang_up.cause": lambda text: HangUp(leg="a", cause=text),
}
SOUNDS: dict[str, Place] = {
    "music": lambda text: HoldWithMusic(leg="a", music=text),
    "ringback": lambda text: PlayRingback(leg="a", ringback=text),
    "tone": lambda text: PlayTone(leg="a", tone=text),
}
MAY_BE_EMPTY = {"join.transfer", "split.transfer", "split.kind", "dial.transfer"}
HARMLESS_IN_A_SOUND = {"1;a=b", "1" * 65}  # a parameter; a long file name


def assert_harmless(script: Script) -> None:
    for line in (*script.before, *script.lines):
        assert not any(char < " " or char in '$`\\"\x7f\u2028' for char in line)
        assert line.isascii()
        assert line.count("'") % 2 == 0
        assert "::" not in line
        assert "^^" not in line
        assert line.count("{") == line.count("}") == (1 if script.job else 0)
        assert line.count("&") == (1 if script.job else 0)


@pytest.mark.parametrize("text", BREAKOUTS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_breaks_out(place: str, text: str) -> None:
    with pytest.raises(InputError, match="is not allowed") as refused:
        Outbound().script(PLACES[place](text))
    assert len(refused.value.what) < 400  # it is shown to people


@pytest.mark.parametrize("place", sorted((PLACES | SOUNDS).keys() - MAY_BE_EMPTY))
def test_nothing_is_not_a_name(place: str) -> None:
    with pytest.raises(InputError):
        Outbound().script((PLACES | SOUNDS)[place](""))


@pytest.mark.parametrize("text", [one for one in BREAKOUTS if one not in HARMLESS_IN_A_SOUND])
@pytest.mark.parametrize("place", SOUNDS)
def test_no_sound_breaks_out(place: str, text: str) -> None:
    with pytest.raises(InputError, match="the sound"):
        Outbound().script(SOUNDS[place](text))


@pytest.mark.parametrize("text", BREAKOUTS)
def test_no_caller_number_breaks_out(text: str) -> None:
    with pytest.raises(InputError, match="caller"):
        Outbound(caller_of=lambda _: Caller(number=text)).script(DIAL)


@pytest.mark.parametrize("text", [*BREAKOUTS, "Ann O'Hara", ""])
def test_a_caller_name_is_shown_without_what_means_something(text: str) -> None:
    outbound = Outbound(caller_of=lambda _: Caller(number="1001", name=text))
    script = outbound.script(DIAL)
    assert_harmless(script)
    _, _, rest = script.lines[0].partition("origination_caller_id_name='")
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


@given(place=st.sampled_from(sorted(PLACES | SOUNDS)), text=texts)
@example(place="music", text="%(1,2,3);loops=1")
def test_what_passes_is_harmless(place: str, text: str) -> None:
    try:
        script = Outbound().script((PLACES | SOUNDS)[place](text))
    except InputError:
        return
    assert_harmless(script)


@given(number=texts, name=texts)
def test_what_passes_of_a_caller_is_harmless(number: str, name: str) -> None:
    outbound = Outbound(caller_of=lambda _: Caller(number=number, name=name))
    try:
        script = outbound.script(DIAL)
    except InputError:
        return
    assert_harmless(script)


@given(place=st.sampled_from(sorted(LEGS)), leg=st.from_regex(ALLOWED_LEG, fullmatch=True))
def test_every_allowed_leg_passes(place: str, leg: str) -> None:
    script = Outbound().script(LEGS[place](leg))
    assert any(leg in line for line in (*script.before, *script.lines))


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
    with pytest.raises(InputError, match="is no dial string"):
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
