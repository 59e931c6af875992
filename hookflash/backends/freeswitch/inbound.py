"""Translates the switch's events: frames in, facts out.

FreeSWITCH reports everything, with 141 headers on average; a transfer needs a dozen kinds of fact
with one or two headers each. So only what is used is parsed: of a JSON event, msgspec decodes the
headers named in `_EventHeaders` and skips the others; in a plain one, the few headers that its kind
needs are searched for, and only those are unquoted. (After splitting, never before: two events in
three contain an SDP, and with it `%0A`.)

The only state is what the rules in `hookflash.events` require: the *stage* of a leg, which is
"called", "waiting", "answered" or "gone".

* **A leg's last fact is `LegHungUp`, and it comes once.** The switch reports it up to four times:
  in CHANNEL_HANGUP, CHANNEL_HANGUP_COMPLETE, CHANNEL_DESTROY (the only one, if the leg never
  reached a phone) and the failed `originate` job. The first one counts. Later events of the leg
  (its sound stops, its bridge ends) are dropped. A CHANNEL_CREATE begins a new leg under the same
  id.
* **Who ended a SIP leg** shows in its first event already (measured on 1.10.12). Before the switch
  hangs a leg up because of a SIP message, it sets `sip_term_status`: 200 for a BYE, 487 for a
  CANCEL, the status of a refusal. A SIP leg without it was hung up by the switch.
  (`sip_hangup_disposition` says the same in words, but `recv_bye`, `send_bye` and `send_cancel`
  only in CHANNEL_HANGUP_COMPLETE, which waits for the switch's CDRs.)
* **A leg that we call may be parked while it rings** (`return_ring_ready`). That is no news before
  its answer, which then proves both. The switch reports an answer twice, the second time as the new
  state of the call, so that it is known if one of the events is lost.
* **A failed `originate` of a leg that has answered is not a failure.** When the switch itself
  completes a transfer (`execute_on_answer='intercept …'`), the job reports -ERR ORIGINATOR_CANCEL
  while the leg is talking.

Replies (`command/reply`, `api/response`) belong to the commands; they give no facts.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote

import msgspec

from hookflash import events as e
from hookflash.backends.freeswitch.names import is_usable
from hookflash.backends.freeswitch.primitives import PART, PICK_UP
from hookflash.backends.freeswitch.procedures import (
    DEFAULT_ACCOUNT_VARIABLE,
    DEFAULT_OWNER_VARIABLE,
)
from hookflash.backends.freeswitch.sounds import sound_at
from hookflash.causes import UNSPECIFIED
from hookflash.sounds import Conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hookflash.backends.freeswitch.wire import Frame

MAY_TRANSFER_VARIABLE: Final = "hookflash_may_transfer"
"""The channel variable by which an operator sets whether a leg may transfer."""

DEFAULT_OUTSIDE_CONTEXTS: Final = frozenset({"public"})
"""The dialplan contexts of calls from outside in FreeSWITCH's default configuration."""

DEFAULT_OUTSIDE_PROFILES: Final = frozenset({"external"})
"""The SIP profiles for carriers in FreeSWITCH's default configuration."""

DEFAULT_MAX_FATES: Final = 16_384
"""How many legs' fates are remembered, some 3 MB. Needed are those of the last second (a job's end
follows its leg's answer or end by milliseconds); this is 16 s at FreeSWITCH's 1000 calls/s."""

UNKNOWN_CAUSE: Final = UNSPECIFIED
"""The cause of a leg that ended without one (an originate over a missing profile)."""

_OF_AN_END: Final = ("leg", "cause", "sip_call", "term_status", "disposition", "other_half")

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "CHANNEL_CREATE": (
        "leg",
        "direction",
        "caller",
        "caller_name",
        "withheld",
        "called",
        "context",
        "gateway",
        "profile",
        "may_transfer",
        "other_half",
        "called_for",
    ),
    "CHANNEL_PROGRESS": ("leg",),
    "CHANNEL_PROGRESS_MEDIA": ("leg",),
    "CHANNEL_ANSWER": ("leg",),
    "CHANNEL_CALLSTATE": ("leg", "answer_state"),
    "CHANNEL_PARK": ("leg", "answer_state", "direction", "pick_up"),
    "CHANNEL_BRIDGE": ("first", "second"),
    "CHANNEL_UNBRIDGE": ("first", "second"),
    "PLAYBACK_START": ("leg", "sound"),
    "PLAYBACK_STOP": ("leg", "sound"),
    "MEDIA_BUG_START": ("leg", "bug", "part"),
    "MEDIA_BUG_STOP": ("leg", "bug", "part"),
    "DTMF": ("leg", "digit", "serial"),
    "CHANNEL_HANGUP": _OF_AN_END,
    "CHANNEL_HANGUP_COMPLETE": _OF_AN_END,
    "CHANNEL_DESTROY": _OF_AN_END,
    "BACKGROUND_JOB": ("job", "argument"),
}
"""For each kind of event, the headers to look up, by their names in `_EventHeaders`."""

EVENT_NAMES: Final = tuple(_NEEDS)
"""The events to subscribe to (`event json`). No others are read."""

_KEYS: Final = frozenset("0123456789ABCD*#")
_MAX_SERIAL_DIGITS: Final = 18
_REFUSAL: Final = re.compile(r"[3-6][0-9]{2}")
_ORIGINATION_UUID: Final = re.compile(r"[{<\[,]origination_uuid='?([^,'}>\]]+)")
_FAILED: Final = re.compile(r"-ERR\s+([A-Z][A-Z0-9_]*)\s*\Z")
_NOTHING: Final[tuple[e.CallEvent, ...]] = ()


class _EventHeaders(msgspec.Struct, frozen=True, gc=False):
    """The headers that are used. A missing one is empty."""

    name: str = msgspec.field(default="", name="Event-Name")
    leg: str = msgspec.field(default="", name="Unique-ID")
    direction: str = msgspec.field(default="", name="Call-Direction")
    caller: str = msgspec.field(default="", name="Caller-Caller-ID-Number")
    caller_name: str = msgspec.field(default="", name="Caller-Caller-ID-Name")
    withheld: str = msgspec.field(default="", name="Caller-Privacy-Hide-Number")
    called: str = msgspec.field(default="", name="Caller-Destination-Number")
    context: str = msgspec.field(default="", name="Caller-Context")
    gateway: object = msgspec.field(default="", name="variable_sip_gateway_name")
    profile: object = msgspec.field(default="", name="variable_sofia_profile_name")
    may_transfer: object = msgspec.field(default="", name=f"variable_{MAY_TRANSFER_VARIABLE}")
    other_half: object = msgspec.field(default="", name="variable_other_loopback_leg_uuid")
    called_for: object = msgspec.field(default="", name="variable_originating_leg_uuid")
    answer_state: str = msgspec.field(default="", name="Answer-State")
    first: str = msgspec.field(default="", name="Bridge-A-Unique-ID")
    second: str = msgspec.field(default="", name="Bridge-B-Unique-ID")
    sound: str = msgspec.field(default="", name="Playback-File-Path")
    bug: str = msgspec.field(default="", name="Media-Bug-Function")
    part: object = msgspec.field(default="", name=f"variable_{PART}")
    pick_up: object = msgspec.field(default="", name=f"variable_{PICK_UP}")
    digit: str = msgspec.field(default="", name="DTMF-Digit")
    serial: str = msgspec.field(default="", name="Event-Sequence")
    cause: str = msgspec.field(default="", name="Hangup-Cause")
    sip_call: object = msgspec.field(default="", name="variable_sip_call_id")
    term_status: object = msgspec.field(default="", name="variable_sip_term_status")
    disposition: object = msgspec.field(default="", name="variable_sip_hangup_disposition")
    job: str = msgspec.field(default="", name="Job-Command")
    argument: str = msgspec.field(default="", name="Job-Command-Arg")
    result: str = msgspec.field(default="", name="_body")
    account: object = ""  # a channel variable, and such may be lists; named by each `Inbound`
    owner_id: object = ""  # the same


_HEADERS: Final = {field.name: field.encode_name for field in msgspec.structs.fields(_EventHeaders)}
_NEEDLES: Final = {
    name: tuple((field, f"\n{_HEADERS[field]}: ".encode()) for field in fields)
    for name, fields in _NEEDS.items()
}


class _LegStage(Enum):
    CALLED = "called"
    WAITING = "called, and parked already"
    ANSWERED = "answered"
    GONE = "gone"


_RINGING: Final = frozenset({_LegStage.CALLED, _LegStage.WAITING})


class _UnusableEventError(Exception):
    """The event lacks what its kind must have."""


class Inbound:
    """Turns the frames of one connection into facts."""

    __slots__ = (
        "_account_needle",
        "_decode",
        "_fates",
        "_max_fates",
        "_on_unusable",
        "_outside_contexts",
        "_outside_profiles",
        "_owner_needle",
        "_readers",
        "_unidentified",
        "skipped",
    )

    skipped: int
    """Invalid events: not JSON, or without a header that their kind must have."""

    def __init__(
        self,
        *,
        account_variable: str = DEFAULT_ACCOUNT_VARIABLE,
        owner_variable: str = DEFAULT_OWNER_VARIABLE,
        outside_contexts: Collection[str] = DEFAULT_OUTSIDE_CONTEXTS,
        outside_profiles: Collection[str] = DEFAULT_OUTSIDE_PROFILES,
        max_fates: int = DEFAULT_MAX_FATES,
        on_unusable: Callable[[e.LegId], None] = lambda _leg: None,
    ) -> None:
        """Begin without known legs; legs that are older than the connection are accepted.

        Args:
            account_variable: the channel variable that holds a leg's account.
            owner_variable: the channel variable that holds a leg's owner.
            outside_contexts: the dialplan contexts in which outside parties call in.
            outside_profiles: the SIP profiles on which outside parties are called.
            max_fates: for how many legs to remember the stage; the oldest are forgotten first.
            on_unusable: called with a new leg whose name can't stand in an order (see `names`).
        """
        self.skipped = 0
        account_header = f"variable_{account_variable}"
        self._account_needle = f"\n{account_header}: ".encode()
        owner_header = f"variable_{owner_variable}"
        self._owner_needle = f"\n{owner_header}: ".encode()
        self._decode = _decoder(account_header, owner_header).decode
        self._outside_contexts = outside_contexts
        self._outside_profiles = outside_profiles
        self._fates: OrderedDict[e.LegId, _LegStage] = OrderedDict()
        self._max_fates = max_fates
        self._on_unusable = on_unusable
        self._unidentified: dict[e.LegId, tuple[str, str]] = {}
        """Living legs that were created without an account or an owner, and what they had."""
        self._readers: dict[str, Callable[[_EventHeaders], tuple[e.CallEvent, ...]]] = {
            "CHANNEL_CREATE": self._created,
            "CHANNEL_PROGRESS": self._rang,
            "CHANNEL_PROGRESS_MEDIA": self._played_early_media,
            "CHANNEL_ANSWER": self._answered,
            "CHANNEL_CALLSTATE": self._call_changed,
            "CHANNEL_PARK": self._parked,
            "CHANNEL_BRIDGE": self._joined,
            "CHANNEL_UNBRIDGE": self._separated,
            "PLAYBACK_START": self._sound_started,
            "PLAYBACK_STOP": self._sound_stopped,
            "MEDIA_BUG_START": self._took_part,
            "MEDIA_BUG_STOP": self._left_part,
            "DTMF": self._digit_pressed,
            "CHANNEL_HANGUP": self._hung_up,
            "CHANNEL_HANGUP_COMPLETE": self._hung_up,
            "CHANNEL_DESTROY": self._hung_up,
            "BACKGROUND_JOB": self._job_ended,
        }

    def receive(self, frame: Frame) -> tuple[e.CallEvent, ...]:
        """Translate a frame.

        Args:
            frame: any frame; only events have a meaning here.

        Returns:
            The facts, in order; usually at most one. An invalid event gives no facts, and is
            counted in `skipped`.
        """
        try:
            if frame.content_type == "text/event-json":
                event = self._decode(frame.body)
            elif frame.content_type == "text/event-plain":
                event = self._read_plain(frame.body)
            else:
                return _NOTHING
            reader = self._readers.get(event.name)
            if reader is not None:
                return reader(event)
            if not event.name:
                self.skipped += 1
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _UnusableEventError):
            self.skipped += 1
        return _NOTHING

    def _read_plain(self, body: bytes) -> _EventHeaders:
        """Look up the headers that this kind of event needs, in the form of `_EventHeaders`."""
        name = _plain_name(body)
        # A job has its result after the empty line. The others end there: no search is needed.
        is_job = name == "BACKGROUND_JOB"
        end = body.find(b"\n\n") if is_job or not body.endswith(b"\n\n") else len(body)
        values = {
            field: _plain_value(body, needle, end) for field, needle in _NEEDLES.get(name, ())
        }
        if name in ("CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_CALLSTATE"):
            values["account"] = _plain_value(body, self._account_needle, end)
            values["owner_id"] = _plain_value(body, self._owner_needle, end)
        elif is_job and end >= 0:
            values["result"] = body[end + 2 :].decode("utf-8", "replace")
        return _EventHeaders(name, **values)

    # --- one reader for each kind of event ---

    def _created(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        leg = _needed(event.leg)
        if not is_usable(leg):
            self._on_unusable(leg)
            return _NOTHING
        direction = _direction(event.direction)
        self._remember(leg, _LegStage.CALLED)  # an id may be used again, for a new leg
        calls = direction is e.Direction.INBOUND
        number = event.caller if calls else event.called
        account, owner_id = _text(event.account), _text(event.owner_id)
        if not (account and owner_id):
            self._unidentified[leg] = (account, owner_id)
        created = e.LegCreated(
            leg=leg,
            number=number,
            direction=direction,
            account=account,
            owner_id=owner_id,
            outside=is_outside(
                direction,
                event.context,
                event.gateway,
                event.profile,
                outside_contexts=self._outside_contexts,
                outside_profiles=self._outside_profiles,
            ),
            may_transfer=may_transfer(event.may_transfer),
            # of who is called, it says only the caller's
            name=event.caller_name if calls else "",
            withheld=calls and event.withheld == "true",
            other_half=_text(event.other_half),
            called_for=_text(event.called_for),
        )
        return (created,)

    def _rang(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        return self._news(e.LegProgressed(leg=event.leg))

    def _played_early_media(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        return self._news(e.LegProgressed(leg=event.leg, early_media=True))

    def _answered(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        news = self._news(e.LegAnswered(leg=event.leg))
        if not news:
            return news
        if self._fates.get(event.leg) is _LegStage.WAITING:
            news += self._news(e.LegParked(leg=event.leg))
        self._remember(event.leg, _LegStage.ANSWERED)
        had = self._unidentified.pop(event.leg, None)
        if had is None:
            return news
        # the dialplan has set what its creation event could not know
        account, owner_id = had[0] or _text(event.account), had[1] or _text(event.owner_id)
        if (account, owner_id) == had:
            return news
        return (e.LegIdentified(leg=event.leg, account=account, owner_id=owner_id), *news)

    def _call_changed(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        """A second event of an answer: no park follows where the first was lost."""
        waited = self._fates.get(event.leg) is _LegStage.WAITING
        return self._answered(event) if waited and event.answer_state == "answered" else _NOTHING

    def _parked(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        news = self._news(e.LegParked(leg=event.leg, pick_up=_text(event.pick_up)))
        rings = event.answer_state in ("ringing", "early")
        if news and rings and event.direction == "outbound":
            self._remember(event.leg, _LegStage.WAITING)
            return _NOTHING
        rang = self._fates.get(event.leg) in _RINGING
        if not (news and rang and event.answer_state == "answered"):
            return news
        # the event of its answer was lost, but this one proves it
        self._remember(event.leg, _LegStage.ANSWERED)
        return (e.LegAnswered(leg=event.leg), *news)

    def _joined(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        return self._news_of_pair(e.LegsJoined(first=event.first, second=event.second))

    def _separated(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        return self._news_of_pair(e.LegsSeparated(first=event.first, second=event.second))

    def _sound_started(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        return self._news(e.SoundStarted(leg=event.leg, sound=sound_at(_needed(event.sound))))

    def _sound_stopped(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        return self._news(e.SoundStopped(leg=event.leg, sound=sound_at(_needed(event.sound))))

    def _took_part(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        who = _part_in(event)
        return self._news(e.SoundStarted(leg=who, sound=Conversation(event.leg))) if who else ()

    def _left_part(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        who = _part_in(event)
        return self._news(e.SoundStopped(leg=who, sound=Conversation(event.leg))) if who else ()

    def _digit_pressed(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        digit = event.digit.upper()
        if digit not in _KEYS:
            raise _UnusableEventError
        return self._news(e.DigitPressed(leg=event.leg, digit=digit, serial=_serial(event.serial)))

    def _hung_up(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        by = _ended_by(event)
        ended = e.LegHungUp(
            leg=event.leg,
            cause=event.cause or UNKNOWN_CAUSE,
            sip_status=_refusal(event),
            ended_by=by,
        )
        news = self._news(ended)
        self._unidentified.pop(event.leg, None)
        # Again for each of the up to three events, so that the last of them sets its age.
        self._remember(event.leg, _LegStage.GONE)
        return news

    def _job_ended(self, event: _EventHeaders) -> tuple[e.CallEvent, ...]:
        if _needed(event.job) != "originate" or not event.result.startswith("-"):
            return _NOTHING
        asked = _ORIGINATION_UUID.search(event.argument)
        if asked is None or asked[1] in self._fates:
            return _NOTHING  # not our job; or the leg lives, or its end is reported elsewhere
        failed = _FAILED.match(event.result)
        self._remember(asked[1], _LegStage.GONE)
        return (e.LegHungUp(leg=asked[1], cause=failed[1] if failed else UNKNOWN_CAUSE),)

    # --- stages ---

    def lives(self, leg: e.LegId) -> bool:
        """Whether a leg has begun, and has not ended."""
        return self._fates.get(leg, _LegStage.GONE) is not _LegStage.GONE

    def note_gone(self, leg: e.LegId) -> None:
        """Note that a leg has ended, as learned in another way: late events are dropped."""
        self._remember(leg, _LegStage.GONE)

    def note_living(self, leg: e.LegId, *, answered: bool) -> None:
        """Note that a leg lives, as learned in another way. An end that was reported is newer."""
        stage = self._fates.get(leg)
        if stage is _LegStage.GONE:
            return
        if answered:
            self._remember(leg, _LegStage.ANSWERED)
        elif stage is not _LegStage.WAITING:
            self._remember(leg, _LegStage.CALLED)

    def note_waiting(self, leg: e.LegId) -> None:
        """Note that a leg rings and is parked already, as learned in another way.

        Events may have said more since.
        """
        if self._fates.get(leg, _LegStage.CALLED) is _LegStage.CALLED:
            self._remember(leg, _LegStage.WAITING)

    def _news(self, fact: e.LegFact) -> tuple[e.CallEvent, ...]:
        """Drop facts about a leg that has ended, or that does not exist for us."""
        return (fact,) if self._may_be_reported(_needed(fact.leg)) else _NOTHING

    def _news_of_pair(self, fact: e.PairFact) -> tuple[e.CallEvent, ...]:
        """Drop facts about a pair if one of the two has ended: its hang-up was reported."""
        first, second = _needed(fact.first), _needed(fact.second)
        both = self._may_be_reported(first) and self._may_be_reported(second)
        return (fact,) if both else _NOTHING

    def _may_be_reported(self, leg: e.LegId) -> bool:
        fate = self._fates.get(leg)
        return is_usable(leg) if fate is None else fate is not _LegStage.GONE

    def _remember(self, leg: e.LegId, fate: _LegStage) -> None:
        self._fates[leg] = fate
        self._fates.move_to_end(leg)
        if len(self._fates) > self._max_fates:
            self._fates.popitem(last=False)


def is_outside(
    direction: e.Direction,
    context: str,
    gateway: object,
    profile: object = "",
    *,
    outside_contexts: Collection[str],
    outside_profiles: Collection[str] = (),
) -> bool:
    """Whether a party is outside.

    It is if it called in a context for such calls, or is called by a gateway, or on a SIP profile
    for carriers. (An outbound leg has the context of its caller, which says nothing about the
    callee.)
    """
    if direction is e.Direction.INBOUND:
        return context in outside_contexts
    return bool(gateway) or _text(profile) in outside_profiles


def _part_in(event: _EventHeaders) -> e.LegId:
    """Who takes part in a leg's conversation by a media bug of it; empty if it is another bug."""
    who = _text(event.part)
    return who if event.bug == "eavesdrop" and who and is_usable(_needed(event.leg)) else ""


def _ended_by(event: _EventHeaders) -> e.EndedBy | None:
    """Who ended a leg; None if it is not one of SIP (see the head of this module)."""
    disposition = _text(event.disposition)
    if disposition.startswith("send_"):
        return e.EndedBy.SWITCH
    if disposition.startswith("recv_") or _text(event.term_status):
        return e.EndedBy.PARTY
    is_sip = bool(_text(event.sip_call)) and not _text(event.other_half)
    return e.EndedBy.SWITCH if is_sip else None


def _refusal(event: _EventHeaders) -> int | None:
    """The SIP status of a refusal. A BYE has one too, 200, and so has a CANCEL, 487."""
    found = _REFUSAL.fullmatch(_text(event.term_status))
    refused = _text(event.disposition) == "recv_refuse"
    return int(found[0]) if found and refused else None


def _text(variable: object) -> str:
    """A channel variable that is one text; empty if it is a list or missing."""
    return variable if isinstance(variable, str) else ""


def may_transfer(variable: object) -> bool | None:
    """Read an operator's setting of a leg's rights; None if it is not a word for yes or no."""
    return {"true": True, "false": False}.get(variable) if isinstance(variable, str) else None


@lru_cache(maxsize=8)
def _decoder(account_header: str, owner_header: str) -> msgspec.json.Decoder[_EventHeaders]:
    """Build a decoder of events in which these headers hold the account and the owner."""
    event = msgspec.defstruct(
        "_ToldWithAccount",
        [
            ("account", object, msgspec.field(default="", name=account_header)),
            ("owner_id", object, msgspec.field(default="", name=owner_header)),
        ],
        bases=(_EventHeaders,),
        frozen=True,
        gc=False,
    )
    return msgspec.json.Decoder(cast("type[_EventHeaders]", event))


def _plain_name(body: bytes) -> str:
    """Read the event's name, which is its first header (for CUSTOM, after its subclass)."""
    if body.startswith(b"Event-Name: "):
        return body[12 : body.find(b"\n", 12)].decode("utf-8", "replace")
    return _plain_value(body, b"\nEvent-Name: ", len(body))


def _plain_value(body: bytes, needle: bytes, end: int) -> str:
    """Read the first matching header of a plain event; empty if there is none before `end`."""
    place = body.find(needle, 0, end)
    if place < 0:
        return ""
    start = place + len(needle)
    return unquote(body[start : body.find(b"\n", start)].decode("utf-8", "replace"))


def _needed(value: str) -> str:
    if not value:
        raise _UnusableEventError
    return value


def _direction(value: str) -> e.Direction:
    try:
        return e.Direction(value)
    except ValueError:
        raise _UnusableEventError from None


def _serial(value: str) -> int:
    """Read `Event-Sequence`; 0 if it is not a number."""
    usable = value.isascii() and value.isdigit() and len(value) <= _MAX_SERIAL_DIGITS
    return int(value) if usable else 0
