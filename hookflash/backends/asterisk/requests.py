"""Renders primitive operations for ARI and AMI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs
import msgspec

from hookflash.backends.asterisk import primitives as p
from hookflash.backends.asterisk.ari_messages import AriMessage
from hookflash.backends.asterisk.manager import ManagerAction
from hookflash.backends.asterisk.procedures import FAR_HALF
from hookflash.events import LegId
from hookflash.sounds import Recording, Sound, Tone

_OK: Final = range(200, 300)

WANTED_EVENTS: Final = (
    "ApplicationReplaced",
    "ChannelCreated",
    "ChannelDestroyed",
    "ChannelDtmfReceived",
    "ChannelEnteredBridge",
    "ChannelLeftBridge",
    "ChannelHangupRequest",
    "ChannelStateChange",
    "ChannelUserevent",
    "Dial",
    "PlaybackFinished",
    "PlaybackStarted",
    "RESTResponse",
    "StasisEnd",
    "StasisStart",
)
"""The messages to subscribe to; the others, two in three, are not sent. (Responses pass the same
filter, so their name must be in the list.)"""


@attrs.frozen(kw_only=True)
class Request:
    """A request to ARI."""

    method: str
    uri: str
    body: Mapping[str, Any] | None = None

    def encoded(self, request_id: str) -> str:
        """The message that carries it over the WebSocket.

        The query goes into the body: Asterisk cuts queries in the URI at commas.
        """
        message: dict[str, Any] = {
            "type": "RESTRequest",
            "transaction_id": request_id,
            "request_id": request_id,
            "method": self.method,
            "uri": self.uri,
        }
        if self.body is not None:
            message["content_type"] = "application/json"
            message["message_body"] = msgspec.json.encode(self.body).decode()
        return msgspec.json.encode(message).decode()


PING: Final = Request(method="GET", uri="asterisk/ping")
"""The cheapest sign of life."""


def is_ok(reply: AriMessage) -> bool:
    """Whether a response confirms the request."""
    return reply.status_code in _OK


def filter_request(application: str) -> Request:
    """Subscribe to the events that are used, and no others."""
    allowed = [{"type": name} for name in WANTED_EVENTS]
    return Request(
        method="PUT",
        uri=f"applications/{quote(application)}/eventFilter",
        body={"allowed": allowed},
    )


def barrier_request(application: str, name: str) -> Request:
    """Let the switch send an event that comes after all earlier ones."""
    return Request(method="POST", uri=f"events/user/{name}?application={quote(application)}")


def module_request(name: str) -> Request:
    """Ask for a module."""
    return Request(method="GET", uri=f"asterisk/modules/{quote(name)}")


def channel_request(leg: LegId) -> Request:
    """Ask for a channel."""
    return Request(method="GET", uri=f"channels/{quote(leg)}")


# ------------------------------------------------------------------ by ARI


def originate_request(step: p.OriginateChannel, context: str) -> Request:
    """Call a party, and send it to the extension `park` when it answers."""
    far = {"otherChannelId": f"{step.leg}{FAR_HALF}"} if step.endpoint.startswith("Local/") else {}
    return Request(
        method="POST",
        uri="channels",
        body={
            "endpoint": step.endpoint,
            "context": context,
            "extension": "park",
            "priority": 1,
            "channelId": step.leg,
            "callerId": step.caller,
            "timeout": step.timeout_s,
            "variables": dict(step.variables),
            **far,
        },
    )


def play_request(step: p.PlayMedia, playback: str) -> Request:
    """Play a tone or a recorded sound."""
    media = [media_of(step.sound)]
    return Request(
        method="POST", uri=f"channels/{quote(step.leg)}/play/{playback}", body={"media": media}
    )


def snoop_request(leg: LegId, snoop: str, application: str) -> Request:
    """Create a channel that a leg hears, and its partner does not."""
    return Request(
        method="POST",
        uri=f"channels/{quote(leg)}/snoop/{quote(snoop)}",
        body={"app": application, "whisper": "out", "spy": "none"},
    )


def music_request(step: p.PlayMusic) -> Request:
    """Play music on hold."""
    name = quote(step.sound.name)
    return Request(method="POST", uri=f"channels/{quote(step.leg)}/moh?mohClass={name}")


def stop_music_request(leg: LegId) -> Request:
    """Stop music on hold."""
    return Request(method="DELETE", uri=f"channels/{quote(leg)}/moh")


def stop_request(playback: str) -> Request:
    """Stop a sound."""
    return Request(method="DELETE", uri=f"playbacks/{quote(playback)}")


def kill_request(step: p.HangUpChannel) -> Request:
    """Hang up."""
    return Request(method="DELETE", uri=f"channels/{quote(step.leg)}?reason_code={step.cause}")


def media_of(sound: Tone | Recording) -> str:
    """A sound in the syntax of ARI's `media`."""
    if isinstance(sound, Recording):
        return f"sound:{sound.name}"
    if sound.times is None:
        return f"tone:{','.join(map(str, sound.bursts))}"
    # `!` plays a part once, so repetitions are written out
    return f"tone:{','.join(f'!{burst}' for burst in sound.bursts * sound.times)}"


def is_endless(sound: Sound) -> bool:
    """Whether it plays until it is stopped."""
    return not isinstance(sound, Recording) and getattr(sound, "times", None) is None


# ------------------------------------------------------------------ by AMI


def set_actions(step: p.Setvar) -> Iterator[ManagerAction]:
    """Set variables."""
    for name, value in step.variables:
        yield ManagerAction("Setvar", {"Channel": step.leg, "Variable": name, "Value": value})


def redirect_action(step: p.Redirect, context: str) -> ManagerAction:
    """Send a leg, or two, to an extension."""
    headers: dict[str, str] = {
        "Channel": step.leg,
        "Context": context,
        "Exten": step.extension,
        "Priority": "1",
    }
    if step.other:
        headers |= {
            "ExtraChannel": step.other,
            "ExtraContext": context,
            "ExtraExten": step.extension,
            "ExtraPriority": "1",
        }
    return ManagerAction("Redirect", headers)


def fact_action(fact: p.GetvarCheck) -> ManagerAction:
    """Ask for a variable."""
    return ManagerAction("Getvar", {"Channel": fact.leg, "Variable": fact.variable})
