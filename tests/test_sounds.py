"""Sounds are values; their texts, and what FreeSWITCH makes of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookflash.backends.freeswitch.sounds import path_heard, path_of, sound_at, sound_played
from hookflash.errors import InputError
from hookflash.fsm.policy import Policy
from hookflash.sounds import (
    ASKED_SOUND_PATTERN,
    MAX_BURSTS,
    SILENCE,
    AskedSound,
    Burst,
    Media,
    MediaList,
    Music,
    OtherSound,
    Recording,
    Sound,
    Tone,
    check_sound,
    heard_sound,
    parse_asked_sound,
    parse_sound,
)

RINGBACK = Tone((Burst((440, 480), 2000), Burst((), 4000)))

NAMES = st.from_regex(r"[0-9A-Za-z_./-]{1,200}", fullmatch=True).filter(lambda n: ".." not in n)
BURSTS = st.builds(
    Burst, st.lists(st.integers(1, 9_999), max_size=4).map(tuple), st.integers(1, 999_999)
)
TONES = st.builds(
    Tone,
    st.lists(BURSTS, min_size=1, max_size=MAX_BURSTS).map(tuple),
    st.none() | st.integers(1, 99_999_999),
)
SOUNDS = st.one_of(st.builds(Music, NAMES), st.builds(Recording, NAMES), TONES)


# ------------------------------------------------------------------- our notation


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("music:default", Music()),
        ("music:jazz/8000", Music("jazz/8000")),
        ("tone:440+480/2000,0/4000", RINGBACK),
        ("tone:425/1000", Tone((Burst((425,), 1000),))),
        (
            "tone:480+620/250,0/250*8",
            Tone((Burst((480, 620), 250), Burst((), 250)), times=8),
        ),
        ("file:ivr/one-moment", Recording("ivr/one-moment")),
    ],
)
def test_a_text_and_its_sound(text: str, sound: Sound) -> None:
    assert parse_sound(text) == sound
    assert str(sound) == text


@given(SOUNDS)
def test_every_sound_is_read_back_from_its_text(sound: Sound) -> None:
    assert parse_sound(str(sound)) == sound
    assert heard_sound(str(sound)) == sound


# ----------------------------------------------------- what accounts already have


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("%(2000,4000,440,480)", "tone:440+480/2000,0/4000"),
        ("%(500,500,300);loops=2", "tone:300/500,0/500*2"),
        ("%(400,200,400,450);%(400,2000,400,450)", "tone:400+450/400,0/200,400+450/400,0/2000"),
        ("%(274,0,913.8);%(380,0,1776.7)", "tone:914/274,1777/380"),
        ("%(1000,0,9999.9)", "tone:9999/1000"),
        ("v=-7;%(100,0,350,440);loops=-1", "tone:350+440/100"),
        ("tone_stream://%(2000,4000,440,480);loops=-1", "tone:440+480/2000,0/4000"),
        ("tone_stream://%(250,250,480,620);loops=8", "tone:480+620/250,0/250*8"),
        ("tone_stream://%(300,100,400)", "tone:400/300,0/100*1"),
        ("tone_stream://%(1,2,3)%(4,5,6)", "tone:3/1,0/2,6/4,0/5*1"),
        ("tone_stream://%(0,100,0);loops=-1", "tone:0/100"),
        ("local_stream://moh", "music:default"),
        ("local_stream://default", "music:default"),
        ("local_stream://jazz", "music:jazz"),
        ("local_stream://moh/8000", "music:moh/8000"),
        ("silence_stream://-1", "tone:0/1000"),
        ("silence_stream://0", "tone:0/1000"),
        ("silence_stream://1500,400", "tone:0/1500*1"),
        ("file_string://ivr/one-moment.wav", "file:ivr/one-moment.wav"),
        ("/var/sounds/music_on-hold.wav", "file:/var/sounds/music_on-hold.wav"),
        ("0123456789abcdef0123456789abcdef", "file:0123456789abcdef0123456789abcdef"),
    ],
)
def test_texts_of_freeswitch_and_kazoo_are_read(text: str, ours: str) -> None:
    assert str(parse_sound(text)) == ours


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("", "'' is not a sound", "music:NAME"),
        ("a b", "'a b' is not a sound", "letters, digits and _ . / -"),
        ("a\n", r"'a\n' is not a sound", "letters, digits and _ . / -"),
        ("../secret", "is not a sound", "without '..'"),
        ("music:", "is not a sound", "letters, digits and _ . / -"),
        ("music:a;b", "is not a sound", "letters, digits and _ . / -"),
        ("file:a..b", "is not a sound", "without '..'"),
        ("local_stream://a!b", "is not a sound", "letters, digits and _ . / -"),
        ("file_string://a.wav!b.wav", "is not a sound", "letters, digits and _ . / -"),
        ("tone:440", "is not a sound", "tone:440+480/2000,0/4000"),
        ("tone:440/0", "is not a sound", "ms"),
        ("tone:1+2+3+4+5/100", "is not a sound", "Hz joined by +"),
        ("tone:440/100*0", "is not a sound", "*8"),
        ("tone:" + "1/1," * 16 + "1/1", "is not a sound", "at most 16 bursts"),
        ("%(1,2", "is not a sound", "ms of sound, ms of silence, Hz"),
        ("%(100,0,350+440)", "is not a sound", "ms of sound, ms of silence, Hz"),
        ("tone_stream://%(a)", "is not a sound", "ms of sound, ms of silence, Hz"),
        ("tone_stream://%(1,2,3);loops=0", "is not a sound", ";loops=8"),
        ("%(1,1,440)" * 9, "18 bursts is not allowed", "1 to 16"),
        ("silence_stream://soon", "is not a sound", "milliseconds"),
        ("shell_stream://reboot", "shell_stream: is not allowed", "file:NAME"),
        ("http://example.org/a.wav", "http: is not allowed", "file:NAME"),
        ("system::reboot", "system: is not allowed", "file:NAME"),
        ("other:a", "other: is not allowed", "file:NAME"),
        ("${system(reboot)}", "is not a sound", "music:NAME"),
        ("x" * 40_000, "…", "1 to 200"),
    ],
)
def test_a_refusal_says_where_what_and_what_is_allowed(text: str, what: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_sound(text, "accounts.acme.music")
    assert caught.value.where == "accounts.acme.music"
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert "[0-9" not in str(caught.value)  # no regular expression
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Music(""), "the music name ''"),
        (lambda: Music("a b"), "the music name 'a b'"),
        (lambda: Recording("a..b"), "the recording name 'a..b'"),
        (lambda: Recording("x" * 201), "the recording name"),
        (lambda: Burst((0,), 1), "0 Hz"),
        (lambda: Burst((10_000,), 1), "10000 Hz"),
        (lambda: Burst((1, 2, 3, 4, 5), 1), "5 frequencies"),
        (lambda: Burst((), 0), "0 ms"),
        (lambda: Burst((), 1_000_000), "1000000 ms"),
        (lambda: Tone(()), "0 bursts"),
        (lambda: Tone((Burst((), 1),) * 17), "17 bursts"),
        (lambda: Tone((Burst((), 1),), times=0), "0 times"),
    ],
)
def test_a_value_can_only_be_made_of_what_is_allowed(make: object, what: str) -> None:
    assert callable(make)
    with pytest.raises(InputError, match=what):
        make()


@given(st.text(alphabet="aA1*+_-./:;=,%(){}[]|&^'\"`$\\ \n\r\0!é９tonemusicfl", max_size=80))
@example("tone_stream://%(1,2,3);loops=1")
def test_what_is_read_holds_nothing_but_what_is_allowed(text: str) -> None:
    try:
        sound = parse_sound(text)
    except InputError:
        return
    assert re.fullmatch(r"[0-9A-Za-z+*,:/._-]+", str(sound))
    assert re.fullmatch(r"[0-9A-Za-z+*,:/._%();=-]+", path_of(sound))
    assert ".." not in str(sound)


# ----------------------------------------------------------------- sounds of others


@pytest.mark.parametrize(
    "text", ["http://example.org/a.wav", "say::hello", "a b", "shell_stream://x"]
)
def test_a_sound_of_another_program_is_told_and_never_played(text: str) -> None:
    other = heard_sound(text)
    assert other == OtherSound(text)
    assert heard_sound(str(other)) == other
    with pytest.raises(InputError, match="is not allowed|is not a sound"):
        parse_sound(str(other))


@given(st.text())
def test_whatever_is_reported_is_a_sound_that_can_be_written_down(text: str) -> None:
    sound = heard_sound(text)
    assert heard_sound(str(sound)) == sound
    assert str(sound).isprintable()
    assert len(str(sound)) <= 1_100


def test_a_policy_takes_sounds_and_no_texts() -> None:
    text: Any = "local_stream://moh"
    with pytest.raises(InputError, match="hold_tone: 'local_stream://moh' is not a sound"):
        Policy(hold_tone=text)


# -------------------------------------------------------------------- in FreeSWITCH


@pytest.mark.parametrize(
    ("sound", "path"),
    [
        ("music:default", "local_stream://moh"),
        ("music:jazz", "local_stream://jazz"),
        ("tone:440+480/2000,0/4000", "tone_stream://%(2000,4000,440,480);loops=-1"),
        ("tone:480+620/250,0/250*8", "tone_stream://%(250,250,480,620);loops=8"),
        ("tone:400/300,0/100*1", "tone_stream://%(300,100,400)"),
        ("tone:300/5,400/6,0/7,0/8", "tone_stream://%(5,0,300)%(6,7,400)%(0,8,0);loops=-1"),
        ("tone:0/100,300/5", "tone_stream://%(0,100,0)%(5,0,300);loops=-1"),
        ("tone:0/1000", "silence_stream://-1"),
        ("tone:0/1500*1", "silence_stream://1500"),
        ("file:ivr/one-moment.wav", "ivr/one-moment.wav"),
    ],
)
def test_a_sound_in_the_language_of_freeswitch(sound: str, path: str) -> None:
    assert path_of(parse_sound(sound)) == path
    assert str(sound_at(path)) == sound


@given(SOUNDS.filter(lambda sound: sound != Music("moh")))
@example(SILENCE)
@example(Tone((Burst((), 1),)))
@example(Tone((Burst((), 1000),), times=1))
@example(Tone((Burst((9999,) * 4, 999_999),) * 16, times=99_999_999))
def test_what_freeswitch_reports_is_what_was_ordered(sound: Sound) -> None:
    assert sound_at(path_of(sound)) == sound
    assert path_heard(sound_played(path_of(sound))) == path_of(sound)


def test_freeswitchs_stock_stream_has_two_names_and_is_reported_by_ours() -> None:
    assert path_of(Music("moh")) == path_of(Music())
    assert sound_at(path_of(Music("moh"))) == Music()


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=100))
@example("other:x")
@example("%(500,500,300);loops=2")
@example("local_stream://default")
def test_the_emulator_reports_every_path_as_it_was_given(path: str) -> None:
    assert path_heard(sound_played(path)) == path


def test_a_freeswitch_is_sent_the_same_defaults_as_ever() -> None:
    policy = Policy()
    assert path_of(policy.music) == "local_stream://moh"
    assert path_of(policy.ringback) == "tone_stream://%(2000,4000,440,480);loops=-1"
    assert path_of(policy.fallback_sound) == "tone_stream://%(200,4800,440);loops=-1"
    assert path_of(policy.hold_tone) == "tone_stream://%(100,9900,425);loops=-1"
    assert path_of(policy.failure_tone) == "tone_stream://%(250,250,480,620);loops=8"


# --------------------------------------------------------------------------- lengths


@pytest.mark.parametrize(
    ("text", "lasts_s"),
    [("tone:440/300,0/100", None), ("tone:440/300,0/100*1", 0.4), ("tone:440/300,0/100*3", 1.2)],
)
def test_how_long_a_tone_lasts(text: str, lasts_s: float | None) -> None:
    tone = parse_sound(text)
    assert isinstance(tone, Tone)
    assert tone.lasts_s == pytest.approx(lasts_s)


# ------------------------------------------------------------------------ media lists


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("greeting", Media("greeting")),
        ("media:greeting", Media("greeting")),
        ("0123456789abcdef0123456789abcdef", Media("0123456789abcdef0123456789abcdef")),
        ("/acme/greeting", Media("/acme/greeting")),
        ("media:/sip.acme.example/greeting", Media("/sip.acme.example/greeting")),
        ("greeting.wav", Recording("greeting.wav")),
        ("ivr/greeting", Recording("ivr/greeting")),
        ("/var/sounds/greeting", Recording("/var/sounds/greeting")),
        ("file:greeting", Recording("greeting")),
        ("x" * 65, Recording("x" * 65)),
        ("music:greeting", Music("greeting")),
        ("tone:440+480/2000,0/4000", RINGBACK),
    ],
)
def test_what_is_asked_for(text: str, asked: AskedSound) -> None:
    assert parse_asked_sound(text) == asked
    assert parse_asked_sound(str(asked)) == asked
    assert re.search(ASKED_SOUND_PATTERN, text)


@pytest.mark.parametrize(
    "text", ["media:", "media:a b", "media:a.wav", "media:/a", "/a/b\n", "a\n"]
)
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_asked_sound(text, "$.moh")
    assert caught.value.where == "$.moh"
    assert not re.search(ASKED_SOUND_PATTERN, text)


def test_a_media_list_gives_the_sounds_of_its_account() -> None:
    media = MediaList({"greeting": Recording("a.wav"), "busy": RINGBACK})
    for asked in (Media("greeting"), Media("/acme/greeting"), Recording("a.wav")):
        assert media.sound(asked, "acme") == Recording("a.wav")
    for unknown in (Media("welcome"), Media("/globex/greeting"), Media("/ACME/greeting")):
        with pytest.raises(InputError, match="the IDs are busy, greeting;") as caught:
            media.sound(unknown, "acme", "$.moh")
        assert caught.value.where == "$.moh"
    with pytest.raises(InputError, match="the account's media list is empty"):
        MediaList().sound(Media("greeting"), "acme")


def test_an_id_that_nobody_looked_up_is_no_sound() -> None:
    with pytest.raises(InputError, match="is not a sound"):
        check_sound(Media("greeting"), "music")
