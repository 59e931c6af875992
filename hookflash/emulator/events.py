"""FreeSWITCH's events as bytes: a name, headers in order, and sometimes a body.

In `text/event-plain` each value is percent-encoded (all but letters, digits and some signs: two
events in three hold an SDP, and with it `%0D%0A`), and a list is `ARRAY::one|:two`. In
`text/event-json` every value is a string, a list is a list, the body is `_body`; a header that
comes twice comes twice there too, as `Hangup-Cause` does in every CHANNEL_HANGUP_COMPLETE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from json import JSONEncoder
from json.encoder import encode_basestring
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote

Value: TypeAlias = str | tuple[str, ...]
"""A header's value; several for a variable that is a list."""

Header: TypeAlias = tuple[str, Value]

EVENT_NAMES: Final = frozenset(
    """
    CUSTOM CLONE CHANNEL_CREATE CHANNEL_DESTROY CHANNEL_STATE CHANNEL_CALLSTATE CHANNEL_ANSWER
    CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HOLD
    CHANNEL_UNHOLD CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA
    CHANNEL_OUTGOING CHANNEL_PARK CHANNEL_UNPARK CHANNEL_APPLICATION CHANNEL_ORIGINATE
    CHANNEL_UUID API LOG INBOUND_CHAN OUTBOUND_CHAN STARTUP SHUTDOWN PUBLISH UNPUBLISH TALK NOTALK
    SESSION_CRASH MODULE_LOAD MODULE_UNLOAD DTMF MESSAGE PRESENCE_IN NOTIFY_IN PRESENCE_OUT
    PRESENCE_PROBE MESSAGE_WAITING MESSAGE_QUERY ROSTER CODEC BACKGROUND_JOB DETECTED_SPEECH
    DETECTED_TONE PRIVATE_COMMAND HEARTBEAT TRAP ADD_SCHEDULE DEL_SCHEDULE EXE_SCHEDULE
    RE_SCHEDULE RELOADXML NOTIFY PHONE_FEATURE PHONE_FEATURE_SUBSCRIBE SEND_MESSAGE RECV_MESSAGE
    REQUEST_PARAMS CHANNEL_DATA GENERAL COMMAND SESSION_HEARTBEAT CLIENT_DISCONNECTED
    SERVER_DISCONNECTED SEND_INFO RECV_INFO RECV_RTCP_MESSAGE SEND_RTCP_MESSAGE CALL_SECURE NAT
    RECORD_START RECORD_STOP PLAYBACK_START PLAYBACK_STOP CALL_UPDATE FAILURE SOCKET_DATA
    MEDIA_BUG_START MEDIA_BUG_STOP CONFERENCE_DATA_QUERY CONFERENCE_DATA CALL_SETUP_REQ
    CALL_SETUP_RESULT CALL_DETAIL DEVICE_STATE TEXT SHUTDOWN_REQUESTED ALL
    """.split()  # noqa: SIM905 - a hundred quoted strings read worse
)
"""Every event name that FreeSWITCH 1.10.12 knows, and so accepts in a subscription."""

PUBLISHED: Final = frozenset(
    """
    CHANNEL_CREATE CHANNEL_STATE CHANNEL_CALLSTATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA
    CHANNEL_ANSWER CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PARK CHANNEL_UNPARK CHANNEL_HOLD
    CHANNEL_UNHOLD CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP
    CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY DTMF PLAYBACK_START PLAYBACK_STOP BACKGROUND_JOB
    """.split()  # noqa: SIM905 - a hundred quoted strings read worse
)
"""The events that the emulator itself publishes; others come from a client's `sendevent`."""

_LONGEST_PREFIX: Final = len("SWITCH_EVENT_")
_SAFE: Final = "!$'()*,/"
"""Besides letters, digits and `_.-~`: what FreeSWITCH does not encode."""


def read_event_name(word: str) -> str:
    """Read an event's name, in any case, with or without `SWITCH_EVENT_`; empty if it is unknown.

    FreeSWITCH skips the first 13 letters without looking at them.
    """
    name = word.upper()
    for candidate in (name, name[_LONGEST_PREFIX:]):
        if candidate in EVENT_NAMES:
            return candidate
    return ""


class Origin(NamedTuple):
    """The place in FreeSWITCH's sources where an event is fired."""

    file: str
    function: str
    line: str


ORIGINS: Final = {
    "CHANNEL_CREATE": Origin("switch_core_state_machine.c", "switch_core_session_run", "626"),
    "CHANNEL_PROGRESS": Origin(
        "switch_channel.c", "switch_channel_perform_mark_ring_ready_value", "3505"
    ),
    "CHANNEL_PROGRESS_MEDIA": Origin(
        "switch_channel.c", "switch_channel_perform_mark_pre_answered", "3560"
    ),
    "CHANNEL_ANSWER": Origin("switch_channel.c", "switch_channel_perform_mark_answered", "3846"),
    "CHANNEL_BRIDGE": Origin("switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", "1689"),
    "CHANNEL_UNBRIDGE": Origin("switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", "1879"),
    "CHANNEL_PARK": Origin("switch_ivr.c", "switch_ivr_park", "1002"),
    "CHANNEL_UNPARK": Origin("switch_ivr.c", "switch_ivr_park", "1213"),
    "CHANNEL_HANGUP": Origin("switch_channel.c", "switch_channel_perform_hangup", "3445"),
    "CHANNEL_HANGUP_COMPLETE": Origin(
        "switch_core_state_machine.c", "switch_core_session_reporting_state", "943"
    ),
    "CHANNEL_DESTROY": Origin(
        "switch_core_session.c", "switch_core_session_perform_destroy", "1584"
    ),
    "CHANNEL_EXECUTE": Origin("switch_core_session.c", "switch_core_session_exec", "2944"),
    "CHANNEL_EXECUTE_COMPLETE": Origin("switch_core_session.c", "switch_core_session_exec", "2967"),
    "CHANNEL_STATE": Origin("switch_channel.c", "switch_channel_perform_set_running_state", "2408"),
    "CHANNEL_CALLSTATE": Origin("switch_channel.c", "switch_channel_perform_set_callstate", "301"),
    "CHANNEL_HOLD": Origin("switch_ivr.c", "switch_ivr_hold", "1558"),
    "CHANNEL_UNHOLD": Origin("switch_ivr.c", "switch_ivr_unhold", "1638"),
    "CHANNEL_DATA": Origin("mod_commands.c", "uuid_dump_function", "6468"),
    "DTMF": Origin("switch_channel.c", "switch_channel_dequeue_dtmf", "677"),
    "PLAYBACK_START": Origin("switch_ivr_play_say.c", "switch_ivr_play_file", "1646"),
    "PLAYBACK_STOP": Origin("switch_ivr_play_say.c", "switch_ivr_play_file", "2020"),
    "MEDIA_BUG_START": Origin(
        "switch_core_media_bug.c", "switch_core_media_bug_add_function", "1017"
    ),
    "MEDIA_BUG_STOP": Origin("switch_core_media_bug.c", "switch_core_media_bug_close", "1307"),
    "BACKGROUND_JOB": Origin("mod_event_socket.c", "api_exec", "1572"),
}
_SENT_BY_A_CLIENT: Final = Origin("mod_event_socket.c", "parse_command", "2257")


def origin(name: str) -> Origin:
    """Return the place where an event of this name is fired."""
    return ORIGINS.get(name, _SENT_BY_A_CLIENT)


class FreeSwitchEvent:
    """One event. It is serialized once for all subscribers."""

    __slots__ = ("_json", "_plain", "body", "headers", "name")

    def __init__(self, name: str, headers: Sequence[Header], body: str | None = None) -> None:
        """Build an event.

        Args:
            name: of the event; the headers contain it too.
            headers: all headers, in order.
            body: the text after the headers.
        """
        self.name = name
        self.body = body
        size = () if body is None else (("Content-Length", str(len(body.encode()))),)
        self.headers: tuple[Header, ...] = (*headers, *size)
        self._plain: bytes | None = None
        self._json: bytes | None = None

    def get(self, name: str) -> str:
        """Return the first header of this name, in any case; empty if it is missing."""
        wanted = name.lower()
        for header, value in self.headers:
            if header.lower() == wanted:
                return _array(value)
        return ""

    def plain(self, *, encoded: bool = True) -> bytes:
        """The event as `text/event-plain`.

        Args:
            encoded: whether the values are percent-encoded (only `uuid_dump … plain` is not).
        """
        if not encoded:
            return self._lines(lambda value: value)
        if self._plain is None:
            self._plain = self._lines(percent_encoded)
        return self._plain

    def _lines(self, write: Callable[[str], str]) -> bytes:
        lines = [f"{name}: {write(_array(value))}\n" for name, value in self.headers]
        return ("".join(lines) + "\n" + (self.body or "")).encode("utf-8", "replace")

    def json(self) -> bytes:
        """The event as `text/event-json`."""
        if self._json is None:
            body = () if self.body is None else (("_body", self.body),)
            self._json = _json((*self.headers, *body)).encode("utf-8", "replace")
        return self._json


def percent_encoded(value: str) -> str:
    """Encode a value as FreeSWITCH does."""
    return quote(value, safe=_SAFE, errors="replace")


def _array(value: Value) -> str:
    return value if isinstance(value, str) else "ARRAY::" + "|:".join(value)


def _json(members: Sequence[Header]) -> str:
    named = dict(members)
    if len(named) == len(members):
        return _ENCODE(named)
    return "{" + ",".join(f"{encode_basestring(name)}:{_value(v)}" for name, v in members) + "}"


def _value(value: Value) -> str:
    return encode_basestring(value) if isinstance(value, str) else _ENCODE(value)


# cJSON leaves letters beyond ASCII as they are
_ENCODE: Final = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
