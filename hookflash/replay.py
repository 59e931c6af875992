"""Replay: feeds a recorded event-socket session through the code that handles a live one.

The bytes from the switch pass the wire parser, the normalization, the feature codes and the
machine; the clock is the recording's. Commands of the replayed machine are not sent: the recorded
controller sent its own, and the machine sees their effects. So a field failure can be examined step
by step, as often as necessary.

Two things are not in the switch's bytes, and are taken from the rest of the recording:

* the id of the target's leg (a live engine chooses it): the id in the recorded `originate`;
* a transfer that was requested by a program and not by a feature code: the note about it.
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterable, Iterator

import attrs

from hookflash import events as e
from hookflash.backends.freeswitch.inbound import Inbound
from hookflash.backends.freeswitch.recording import RecordedLine, Way, read_recording
from hookflash.backends.freeswitch.wire import Wire, WireError
from hookflash.called import name_of_target
from hookflash.commands import CancelTimer, Release, SetTimer
from hookflash.dialling.metaflows import DEFAULT_METAFLOWS
from hookflash.engine.legs import Account
from hookflash.engine.record import Record, states_of
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import InputError
from hookflash.fsm.transfer import Outcome, State

DIGIT_TIMEOUT_S = 1.0
"""The pause that ends a code: that of the recorded controller (and of Asterisk)."""

MAX_CHARACTERS = 256_000_000
"""Characters of a recording: about 40,000 events. A longer one has to be cut down to a call."""

LINE_CHARACTERS = 64
"""What an empty line counts as: it takes memory too."""

MAX_SPAN_S = 7 * 24 * 3600.0
"""Time from the first line to the last. A deadline that is set again every five seconds fires
throughout."""

_ASKED = re.compile(r"transfer to (?P<target>\S+?):|dial with ")
_ORIGINATE = re.compile(r"originate \{(?P<options>[^}]*)\}\S*?/(?P<number>[0-9A-Za-z+*#]+)(?:@|\s)")
_SPLIT = re.compile(r"uuid_transfer (?P<leg>\S+) (?:-both )?park")
_WHOLE = re.compile(r"[0-9]{1,9}")
_OPTION = re.compile(r"(?:^|,)(?P<name>\w+)=(?P<value>[^,]*)")


@attrs.frozen(kw_only=True)
class Replay:
    """The result of a replay."""

    records: tuple[Record, ...]
    transfer: str | None
    """The transfer that was requested, if any."""
    outcome: Outcome | None
    cause: str | None
    states: tuple[State, ...]
    """The states in the order in which they were entered, `idle` first."""
    skipped: int
    """How many frames could not be used."""


@attrs.frozen(kw_only=True)
class _Dial:
    """A call to a target, as the recording's controller made it."""

    at_s: float
    leg: e.LegId
    number: str
    ring_timeout_s: float | None


def replay_recording(path: str | os.PathLike[str], *, account: Account | None = None) -> Replay:
    """Replay one recording.

    Args:
        path: the recording, JSON lines, gzipped or not.
        account: the feature codes and the policy; by default those of the recorded account.

    Raises:
        InputError: the recording is invalid; the message names the line.
    """
    account = account or Account(
        metaflows=attrs.evolve(
            DEFAULT_METAFLOWS,
            digit_timeout_s=DIGIT_TIMEOUT_S,
            incomplete_timeout_s=DIGIT_TIMEOUT_S,
        )
    )
    by_digits = _Session(path, account).run(heed_notes=False)
    if by_digits.transfer is not None:
        return by_digits
    return _Session(path, account).run(heed_notes=True)


class _Session:
    """One pass through a recording."""

    def __init__(self, path: str | os.PathLike[str], account: Account) -> None:
        self._path = os.fspath(path)
        self._entries = list(_measured(path))
        self._dials = list(_dials(self._entries))
        self._wire = Wire()
        self._inbound = Inbound()
        self._now_s = 0.0
        self._timers: list[tuple[float, int, str]] = []
        self._pending: dict[str, int] = {}
        self._count = 0
        self._records: list[Record] = []
        self._switchboard = Switchboard(account=account, target_leg=self._target_leg)

    def run(self, *, heed_notes: bool) -> Replay:
        asked = False
        for index, entry in enumerate(self._entries):
            self._let_time_pass(entry.at_s)
            if entry.direction is Way.RECV:
                self._receive(entry)
            elif heed_notes and entry.direction is Way.NOTE and not asked:
                request = self._request(entry, self._entries[index:])
                asked = request is not None
                if request is not None:
                    self._handle(request)
        return self._result()

    def _result(self) -> Replay:
        about = [record for record in self._records if record.transfer is not None]
        transfer = about[0].transfer if about else None
        about = [record for record in about if record.transfer == transfer]
        last = about[-1] if about else None
        ended = next((record for record in about if record.outcome is not None), last)
        return Replay(
            records=tuple(self._records),
            transfer=transfer,
            outcome=ended.outcome if ended else None,
            cause=ended.cause if ended else None,
            states=tuple(states_of(about)) or (State.IDLE,),
            skipped=self._inbound.skipped,
        )

    def _receive(self, entry: RecordedLine) -> None:
        try:
            self._wire.receive(entry.raw())
            for frame in self._wire.frames():
                for event in self._inbound.receive(frame):
                    self._handle(event)
        except WireError as error:
            raise InputError(
                error.what, where=f"{self._path}:{entry.line}", hint=error.hint
            ) from error

    def _handle(self, event: e.Event) -> None:
        records = self._switchboard.handle(event, self._now_s)
        self._records += records
        for record in records:
            for command in record.commands:
                if isinstance(command, SetTimer):
                    self._count += 1
                    self._pending[command.timer] = self._count
                    due = (self._now_s + command.after_s, self._count, command.timer)
                    heapq.heappush(self._timers, due)
                elif isinstance(command, CancelTimer):
                    self._pending.pop(command.timer, None)
                elif isinstance(command, Release):  # its fact is the reply, which is not recorded
                    self._handle(e.LegsReleased(first=command.first, second=command.second))

    def _let_time_pass(self, until_s: float) -> None:
        while self._timers and self._timers[0][0] <= until_s:
            self._now_s, number, timer = heapq.heappop(self._timers)
            if self._pending.get(timer) == number:
                del self._pending[timer]
                self._handle(e.TimerFired(timer=timer))
        self._now_s = until_s

    def _target_leg(self, transfer: str) -> e.LegId:
        dial = self._next_dial()
        return dial.leg if dial else name_of_target(transfer)

    def _next_dial(self) -> _Dial | None:
        return next((dial for dial in self._dials if dial.at_s >= self._now_s), None)

    def _request(
        self, note: RecordedLine, following: list[RecordedLine]
    ) -> e.TransferRequested | None:
        """The transfer of a note: the transferor is the party whose call was then split."""
        asked = _ASKED.match(note.data)
        if asked is None:
            return None
        splits = (_SPLIT.search(entry.data) for entry in following if entry.direction is Way.SEND)
        split = next(filter(None, splits), None)
        dial = self._next_dial()
        if split is None or dial is None:
            return None
        return e.TransferRequested(
            leg=split["leg"],
            transfer="transfer-1",
            target=asked["target"] or dial.number,
            by="note",
            options=e.TransferOptions(ring_timeout_s=dial.ring_timeout_s),
        )


def _measured(path: str | os.PathLike[str]) -> Iterator[RecordedLine]:
    """Read a recording, up to the limits on its length."""
    characters = 0
    began_s: float | None = None
    for entry in read_recording(path):
        began_s = entry.at_s if began_s is None else began_s
        characters += len(entry.data) + LINE_CHARACTERS
        where = f"{os.fspath(path)}:{entry.line}"
        if characters > MAX_CHARACTERS:
            what, hint = "the recording is too long", f"at most {MAX_CHARACTERS} characters"
            raise InputError(what, where=where, hint=f"{hint}: cut out the calls that matter")
        if entry.at_s - began_s > MAX_SPAN_S:
            what, hint = "the recording lasts too long", f"at most {MAX_SPAN_S:.0f} seconds"
            raise InputError(what, where=where, hint=f"{hint}: cut out the calls that matter")
        yield entry


def _dials(entries: Iterable[RecordedLine]) -> Iterator[_Dial]:
    for entry in entries:
        found = _ORIGINATE.search(entry.data) if entry.direction is Way.SEND else None
        if found is None:
            continue
        options = {m["name"]: m["value"] for m in _OPTION.finditer(found["options"])}
        leg = options.get("origination_uuid")
        timeout = options.get("originate_timeout", "")
        if leg:
            yield _Dial(
                at_s=entry.at_s,
                leg=leg,
                number=found["number"],
                ring_timeout_s=float(timeout) if _WHOLE.fullmatch(timeout) else None,
            )


_CAST = ("alice", "bob", "carol", "dave", "erin")


def names_in(records: Iterable[Record]) -> dict[e.LegId, str]:
    """Name the legs of a replay in order of appearance: alice, bob, carol and so on."""
    legs = dict.fromkeys(r.event.leg for r in records if isinstance(r.event, e.LegCreated))
    return dict(zip(legs, _CAST, strict=False))
