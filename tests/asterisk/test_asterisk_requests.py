"""The operations, as ARI and AMI want them."""

from __future__ import annotations

import json

import attrs
import msgspec
import pytest

from hookflash.backends.asterisk.ari_messages import AriMessage, read_body, read_message
from hookflash.backends.asterisk.manager import ManagerAction
from hookflash.backends.asterisk.manager_wire import render
from hookflash.backends.asterisk.primitives import (
    GetvarCheck,
    HangUpChannel,
    OriginateChannel,
    PlayMedia,
    PlayMusic,
    Redirect,
    Setvar,
)
from hookflash.backends.asterisk.requests import (
    WANTED_EVENTS,
    Request,
    barrier_request,
    fact_action,
    filter_request,
    is_endless,
    is_ok,
    kill_request,
    media_of,
    module_request,
    music_request,
    originate_request,
    play_request,
    redirect_action,
    set_actions,
    stop_music_request,
    stop_request,
)
from hookflash.sounds import SILENCE, Burst, Music, Recording, Tone

BEEP = Tone((Burst((440,), 200), Burst((), 100)))
ORIGINATE = OriginateChannel(
    leg="t",
    number="1003",
    endpoint="Local/1003@default/n",
    caller='"Alice" <1001>',
    timeout_s=20,
    variables=(("HOOKFLASH_ROLE", "target:t"), ("CHANNEL(accountcode)", "acme")),
)


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (module_request("app_stasis.so"), "GET asterisk/modules/app_stasis.so"),
        (barrier_request("a b", "n-1"), "POST events/user/n-1?application=a%20b"),
        (music_request(PlayMusic("a", Music("my/jazz"))), "POST channels/a/moh?mohClass=my/jazz"),
        (stop_music_request("a"), "DELETE channels/a/moh"),
        (stop_request("a-s1-0"), "DELETE playbacks/a-s1-0"),
        (kill_request(HangUpChannel("a.1", 17)), "DELETE channels/a.1?reason_code=17"),
    ],
)
def test_requests_without_a_body(request_: Request, line: str) -> None:
    assert f"{request_.method} {request_.uri}" == line
    message = json.loads(request_.encoded("h1"))
    assert message == {
        "type": "RESTRequest",
        "transaction_id": "h1",
        "request_id": "h1",
        "method": request_.method,
        "uri": request_.uri,
    }


def body_of(request: Request) -> object:
    """What is sent: a text, in which there is JSON."""
    message = json.loads(request.encoded("h1"))
    assert message["content_type"] == "application/json"
    return json.loads(message["message_body"])


def test_events_that_are_not_read_are_not_sent() -> None:
    asked = filter_request("hookflash")
    assert (asked.method, asked.uri) == ("PUT", "applications/hookflash/eventFilter")
    assert body_of(asked) == {"allowed": [{"type": name} for name in WANTED_EVENTS]}
    assert "RESTResponse" in WANTED_EVENTS  # else there are no answers


def test_originate_names_both_halves_of_a_local_pair() -> None:
    asked = originate_request(ORIGINATE, "hookflash")
    assert (asked.method, asked.uri) == ("POST", "channels")
    assert body_of(asked) == {
        "endpoint": "Local/1003@default/n",
        "context": "hookflash",
        "extension": "park",
        "priority": 1,
        "channelId": "t",
        "otherChannelId": "t.far",
        "callerId": '"Alice" <1001>',
        "timeout": 20,
        "variables": {"HOOKFLASH_ROLE": "target:t", "CHANNEL(accountcode)": "acme"},
    }
    direct = attrs.evolve(ORIGINATE, endpoint="PJSIP/1003")
    assert "otherChannelId" not in (originate_request(direct, "hookflash").body or {})


def test_media_go_in_the_body() -> None:
    """In the URI they would be cut at commas."""
    asked = play_request(PlayMedia("a", BEEP), "a-s1-0")
    assert (asked.method, asked.uri) == ("POST", "channels/a/play/a-s1-0")
    assert body_of(asked) == {"media": ["tone:440/200,0/100"]}


@pytest.mark.parametrize(
    ("sound", "media", "endless"),
    [
        (BEEP, "tone:440/200,0/100", True),
        (attrs.evolve(BEEP, times=1), "tone:!440/200,!0/100", False),
        (attrs.evolve(BEEP, times=2), "tone:!440/200,!0/100,!440/200,!0/100", False),
        (SILENCE, "tone:0/1000", True),
        (Recording("ivr/one-moment"), "sound:ivr/one-moment", False),
    ],
)
def test_sounds(sound: Tone | Recording, media: str, *, endless: bool) -> None:
    assert media_of(sound) == media
    assert is_endless(sound) is endless


def test_music_is_endless() -> None:
    assert is_endless(Music())


def test_variables_are_set_one_by_one() -> None:
    step = Setvar("a", (("HOOKFLASH_AFTER", ""), ("TIMEOUT(absolute)", "0")))
    assert [*set_actions(step)] == [
        ManagerAction("Setvar", {"Channel": "a", "Variable": "HOOKFLASH_AFTER", "Value": ""}),
        ManagerAction("Setvar", {"Channel": "a", "Variable": "TIMEOUT(absolute)", "Value": "0"}),
    ]


def test_two_are_redirected_in_one_action() -> None:
    """So that, if one is gone, none moves."""
    one = {"Channel": "a", "Context": "hookflash", "Exten": "park", "Priority": "1"}
    assert redirect_action(Redirect("a", "park"), "hookflash") == ManagerAction("Redirect", one)
    other = {
        "ExtraChannel": "b",
        "ExtraContext": "hookflash",
        "ExtraExten": "park",
        "ExtraPriority": "1",
    }
    both = redirect_action(Redirect("a", "park", "b"), "hookflash")
    assert both == ManagerAction("Redirect", one | other)
    assert render(both.name, "1", both.headers).count(b"\r\n") == 11


def test_a_fact_is_asked_for() -> None:
    asked = fact_action(GetvarCheck(leg="a", variable="BRIDGEPEER", value=""))
    assert asked == ManagerAction("Getvar", {"Channel": "a", "Variable": "BRIDGEPEER"})


@pytest.mark.parametrize(
    ("status", "ok"), [(200, True), (201, True), (204, True), (299, True), (404, False), (0, False)]
)
def test_what_was_carried_out(status: int, *, ok: bool) -> None:
    assert is_ok(AriMessage(status_code=status)) is ok


@pytest.mark.parametrize("text", ["", "[]", '{"channel": {}}', '{"cause": "16"}', b"\xff"])
def test_what_can_not_be_read(text: str | bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_message(text)


def test_what_is_not_read_is_not_decoded() -> None:
    told = read_message('{"type": "Novelty", "channel": null, "more": [{"channel": 1}]}')
    assert told == AriMessage(type="Novelty")
    assert read_body('[{"id": "a", "new": {}}]', list[dict[str, object]]) == [
        {"id": "a", "new": {}}
    ]
