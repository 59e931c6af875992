"""One connection to the emulator's event socket: bytes in, bytes out.

It reads packets as `mod_event_socket` does: a command in the first line, headers below it, an empty
line, and a body if there is a `Content-Length`. It guarantees:

1. **Answers come in the order of the commands**, one for each.
2. **Events wait while a command is executed**: the events that it causes come after its answer, as
   on the real socket, where one thread does both. `api originate` takes as long as the phone rings;
   until then neither events nor answers are sent, and nothing more is read.
3. **Memory is bounded**: packets and waiting data have limits. A client that sends a larger packet,
   or reads too slowly, is disconnected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from hookflash.emulator.api import NO_REPLY, ApiCommands
from hookflash.emulator.apps import Applications
from hookflash.emulator.event_bus import EventBus
from hookflash.emulator.events import (
    FreeSwitchEvent,
    Header,
    read_event_name,
)
from hookflash.emulator.host import Host
from hookflash.emulator.legs import EmulatedLeg
from hookflash.emulator.parsing import atoi, read_cause
from hookflash.emulator.subscription import EventSelection
from hookflash.events import LegId


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """The memory limits of a connection."""

    packet_bytes: int = 65_536
    """Of a command and its headers. FreeSWITCH itself accepts 10 MB, which no program needs."""
    body_bytes: int = 1_048_576
    """Of a body."""
    backlog_bytes: int = 16_777_216
    """Of data waiting to be sent: about 2,500 events, four seconds of a busy switch."""
    sessions: int = 256
    """How many clients may be connected at once."""


DEFAULT_LIMITS: Final = ConnectionLimits()

_GREETING: Final = b"Content-Type: auth/request\n\n"
_GOODBYE: Final = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
_KILLED: Final = "killed listener because of lost events\n"
_NO_SESSION: Final = "-ERR not controlling a session"
_LEVELS: Final = ("CONSOLE", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG")
_DEBUG: Final = len(_LEVELS) - 1
_END: Final = re.compile(rb"\n\r*\n")
_MOST_LENGTH_DIGITS: Final = 18


@attrs.frozen(kw_only=True)
class Packet:
    """A command with its headers and its body."""

    line: str
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    """By name, in lower case."""
    given: tuple[Header, ...] = ()
    """The same, as received."""
    body: str = ""


class EventSocketSession:
    """A connection. Feed it received bytes, and send what `take` returns, until `is_over`."""

    def __init__(
        self,
        *,
        host: Host,
        bus: EventBus,
        api: ApiCommands,
        apps: Applications,
        legs: Mapping[LegId, EmulatedLeg],
        password: str,
        limits: ConnectionLimits,
    ) -> None:
        """Begin with the greeting.

        Args:
            host: holds the switch.
            bus: sends events.
            api: executes the commands of `api` and `bgapi`.
            apps: runs the applications of `sendmsg`.
            legs: the current legs.
            password: the password for `auth`.
            limits: of this connection.
        """
        self._host = host
        self._bus = bus
        self._api_commands = api
        self._apps = apps
        self._legs = legs
        self._password = password
        self._limits = limits
        self._received = bytearray()
        self._body_bytes: int | None = None
        self._head = b""
        self._out = bytearray(_GREETING)
        self._held: list[FreeSwitchEvent] = []
        self._held_bytes = 0
        self._carrying_out = False
        self._paused = False
        self._authed = False
        self.has_spoken = False
        """Whether the client has sent its first command."""
        self.is_over = False
        """No more input is read; close the connection once `take` returns nothing."""
        self.is_cut_off = False
        """The client does not read: close the connection at once."""
        self.on_output: Callable[[], None] = _nothing
        """Called when there is new data to send, or the session has ended."""
        self.on_ready: Callable[[], None] = _nothing
        """Called when the session reads again."""
        self._subscription = EventSelection()
        self._logging = False
        self._lingers_s: int | None = None
        self._commands = self._table()

    def _table(self) -> tuple[tuple[str, Callable[[Packet, str], str | None]], ...]:
        """The commands, by their first word."""
        return (
            ("filter ", self._filter),
            ("myevents ", self._myevents),
            ("divert_events", self._divert_events),
            ("sendmsg", self._sendmsg),
            ("sendevent", self._sendevent),
            ("api ", self._api),
            ("bgapi ", self._bgapi),
            ("log", self._log),
            ("linger", self._linger),
            ("nolinger", self._nolinger),
            ("nolog", self._nolog),
            ("event", self._event),
            ("nixevent", self._nixevent),
            ("noevents", self._noevents),
        )

    # ---- bytes

    @property
    def is_busy(self) -> bool:
        """Whether a command is being executed, so that nothing is read."""
        return self._carrying_out or self._paused

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the client, split anywhere. After the session's end they are dropped."""
        if self.is_over:
            return
        self._received += data
        self._proceed()

    def take(self) -> bytes:
        """Return and clear the data to send."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def close(self) -> None:
        """End the session: the connection is closed, by either side."""
        self.is_over = True
        self._received.clear()
        self._bus.remove(self)

    def _proceed(self) -> None:
        """Execute the received commands, one after the other."""
        while not self.is_busy and not self.is_over:
            packet = self._next_packet()
            if packet is None:
                return
            self.has_spoken = True
            self._carry_out(packet)

    def _next_packet(self) -> Packet | None:
        if self._body_bytes is None and not self._take_head():
            return None
        size = self._body_bytes or 0
        if len(self._received) < size:
            return None
        body = bytes(self._received[:size])
        del self._received[:size]
        self._body_bytes = None
        return _read_packet(self._head, body)

    def _take_head(self) -> bool:
        received = self._received
        stray = len(received) - len(received.lstrip(b"\r\n"))
        del received[:stray]
        found = _END.search(received)
        if (found.start() if found else len(received)) > self._limits.packet_bytes:
            self._disconnect()
            return False
        if found is None:
            return False
        self._head = bytes(received[: found.start()])
        del received[: found.end()]
        self._body_bytes = _body_size(self._head)
        if self._body_bytes > self._limits.body_bytes:
            self._disconnect()
            return False
        return True

    def _send(self, text: str | bytes) -> None:
        self._out += text.encode("utf-8", "replace") if isinstance(text, str) else text
        if len(self._out) + self._held_bytes > self._limits.backlog_bytes:
            self._cut_off()
        self.on_output()

    def _reply(self, text: str) -> None:
        self._send(f"Content-Type: command/reply\nReply-Text: {text}\n\n")

    def _cut_off(self) -> None:
        """Disconnect a client that does not read."""
        self.is_cut_off = True
        self._held.clear()
        self._held_bytes = 0
        self._out.clear()
        self.close()

    def _disconnect(self, *, why: str = _GOODBYE) -> None:
        self._send(f"Content-Type: text/disconnect-notice\nContent-Length: {len(why)}\n\n{why}")
        self.close()
        self.on_output()

    # ---- events

    def wants(self, name: str) -> bool:
        """Whether events of this name may be sent; `offer` checks the filters too."""
        return not self.is_over and self._subscription.wants(name)

    def offer(self, event: FreeSwitchEvent) -> None:
        """Send an event, unless the subscription excludes it."""
        if not self._subscription.passes(event):
            return
        if self._carrying_out:
            self._held.append(event)
            self._held_bytes += len(event.plain())
            if self._held_bytes > self._limits.backlog_bytes:
                self._cut_off()
                self.on_output()
        else:
            self._send_event(event)

    def _send_event(self, event: FreeSwitchEvent) -> None:
        form = self._subscription.format
        data = event.json() if form == "json" else event.plain()
        head = f"Content-Length: {len(data)}\nContent-Type: text/event-{form}\n\n"
        self._send(head.encode() + data)

    def leg_ended(self, leg: LegId, name: str) -> None:
        """End the session if it follows this leg, unless it lingers."""
        if not self._subscription.follows or leg != self._subscription.leg:
            return
        if self._lingers_s is None:
            self._host.world.after(_LAST_WORDS_S, self._end)
            return
        self._send(
            "Content-Type: text/disconnect-notice\n"
            f"Controlled-Session-UUID: {leg}\n"
            "Content-Disposition: linger\n"
            f"Channel-Name: {name}\n"
            f"Linger-Time: {self._lingers_s}\n"
            "Content-Length: 0\n\n"
        )
        if self._lingers_s >= 0:
            self._host.world.after(self._lingers_s, self._end)

    def _end(self) -> None:
        if not self.is_over:
            self._disconnect()

    # ---- commands

    def _carry_out(self, packet: Packet) -> None:
        self._host.before()
        line = packet.line
        folded = line.lower()
        if folded.startswith(("exit", "...")):
            self._reply("+OK bye")
            self._disconnect()
        elif not self._authed:
            self._authenticate(line, folded)
        else:
            self._begin(packet)
        self._host.afterwards()

    def _authenticate(self, line: str, folded: str) -> None:
        if folded.startswith("auth "):
            self._authed = line[len("auth ") :] == self._password
            self._reply("+OK accepted" if self._authed else "-ERR invalid")
            if not self._authed:
                self._disconnect()
        elif folded.startswith("userauth "):
            self._reply("-ERR invalid")  # there is no directory of users
            self._disconnect()
        else:
            self._reply("-ERR command not found")

    def _begin(self, packet: Packet) -> None:
        """Execute a command; the events that it causes wait for its answer."""
        self._carrying_out = True
        folded = packet.line.lower()
        for prefix, carry_out in self._commands:
            if folded.startswith(prefix):
                reply = carry_out(packet, packet.line[len(prefix) :])
                break
        else:
            reply = "-ERR command not found"
        if reply is not None:
            self._reply(reply)
            self._finish()

    def _finish(self) -> None:
        """Send what was waiting for the answer."""
        self._carrying_out = False
        held, self._held = self._held, []
        self._held_bytes = 0
        for event in held:
            self._send_event(event)

    def _api(self, _packet: Packet, rest: str) -> None:
        command, _, argument = rest.partition(" ")
        reply = self._api_commands.execute(command, argument)
        if isinstance(reply, str):
            self._answer(reply)
        else:
            reply.then(self._answer_later)

    def _answer(self, text: str) -> None:
        data = (text or NO_REPLY).encode("utf-8", "replace")
        head = f"Content-Type: api/response\nContent-Length: {len(data)}\n\n"
        self._send(head.encode() + data)
        self._finish()

    def _answer_later(self, text: str) -> None:
        if not self.is_over:
            self._answer(text)
            # The switch is busy with it: the next command must wait until it ends.
            self._paused = True
            self._host.world.after(0.0, self._go_on)

    def _go_on(self) -> None:
        self._paused = False
        self._proceed()
        self.on_ready()

    def _bgapi(self, packet: Packet, rest: str) -> None:
        command, _, argument = rest.partition(" ")
        job = packet.headers.get("job-uuid") or self._host.make_id()
        self._reply(f"+OK Job-UUID: {job}\nJob-UUID: {job}")
        reply = self._api_commands.execute(command, argument)
        headers: list[Header] = [("Job-UUID", job), ("Job-Command", command)]
        if argument:
            headers.append(("Job-Command-Arg", argument))

        def fire(text: str) -> None:
            self._bus.fire("BACKGROUND_JOB", lambda: headers, text)

        if isinstance(reply, str):
            fire(reply)
        else:
            reply.then(fire)
        self._finish()

    def _event(self, _packet: Packet, rest: str) -> str:
        reply = self._subscription.add(rest.partition(" ")[2].split(" "))
        if reply.startswith("+OK"):
            self._bus.on_subscription()
        return reply

    def _nixevent(self, _packet: Packet, rest: str) -> str:
        return self._subscription.remove(rest.partition(" ")[2].split(" "))

    def _noevents(self, _packet: Packet, _rest: str) -> str:
        return self._subscription.clear()

    def _filter(self, _packet: Packet, rest: str) -> str:
        return self._subscription.filter(rest)

    def _myevents(self, _packet: Packet, rest: str) -> str:
        if self._subscription.follows:
            return "-ERR aready enabled."
        leg, _, form = rest.partition(" ")
        found = self._host.world.switch.find(leg)
        if found is None and form:
            return "-ERR invalid uuid"
        return self._subscription.follow(None if found is None else leg, form)

    def _divert_events(self, _packet: Packet, rest: str) -> str:
        if self._subscription.leg is None:
            return f"{_NO_SESSION}."
        match rest.strip(" ").lower():
            case "":
                return "-ERR missing value."
            case "on":
                return "+OK events diverted"
            case _:
                return "+OK events not diverted"

    def _linger(self, _packet: Packet, rest: str) -> str:
        if self._subscription.leg is None:
            return _NO_SESSION
        seconds = rest.strip(" ")
        if not rest.startswith(" ") or not seconds:
            self._lingers_s = -1
            return "+OK will linger"
        self._lingers_s = atoi(seconds)
        return f"+OK will linger {self._lingers_s} seconds"

    def _nolinger(self, _packet: Packet, _rest: str) -> str:
        if self._subscription.leg is None:
            return _NO_SESSION
        self._lingers_s = None
        return "+OK will not linger"

    def _log(self, _packet: Packet, rest: str) -> str:
        level = rest.lstrip(" ").partition(" ")[0]
        number = _DEBUG
        if level.isdecimal():
            number = int(level[:2])
        elif level:
            number = _LEVELS.index(level.upper()) if level.upper() in _LEVELS else len(_LEVELS)
        if number > _DEBUG:
            return "-ERR invalid log level"
        self._logging = True
        return f"+OK log level {level} [{number}]"

    def _nolog(self, _packet: Packet, _rest: str) -> str:
        was_logging, self._logging = self._logging, False
        return "+OK no longer logging" if was_logging else "-ERR not loging"

    def _sendevent(self, packet: Packet, rest: str) -> str:
        event_id = self._host.make_id()
        name = read_event_name(rest.strip(" \t")) or "CLONE"
        headers = [*packet.given, ("Event-UUID", event_id)]
        self._bus.fire(name, lambda: headers, packet.body or None)
        return f"+OK {event_id}"

    def _sendmsg(self, packet: Packet, rest: str) -> str:
        wanted = (
            rest.strip(" ")
            or packet.headers.get("session-id", "")
            or (self._subscription.leg or "")
        )
        leg = self._legs.get(wanted)
        if leg is None or leg.cause:
            return f"-ERR invalid session id [{wanted}]"
        match packet.headers.get("call-command", "").lower():
            case "hangup":
                cause = read_cause(packet.headers.get("hangup-cause", ""))
                self._api_commands.execute("uuid_kill", f"{leg.id} {cause}")
            case "execute":
                app = packet.headers.get("execute-app-name", "").lower()
                argument = packet.headers.get("execute-app-arg", "")
                if not argument and packet.headers.get("content-type") == "text/plain":
                    argument = packet.body
                run = packet.headers.get("event-uuid", "")
                if not self._apps.execute(leg, app, argument, run):
                    return f"-ERR application {app} is not emulated"
            case command:
                return f"-ERR call-command {command} is not emulated"
        return "+OK"


_LAST_WORDS_S: Final = 0.050
"""A leg's last events come within two ticks after its hang-up."""


def _nothing() -> None:
    return


def _read_packet(head: bytes, body: bytes) -> Packet:
    lines = [line for line in re.split(r"[\r\n]+", head.decode("utf-8", "replace")) if line]
    given: list[Header] = []
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            given.append((name, value.lstrip(" ")))
            headers.setdefault(name.lower(), value.lstrip(" "))
    return Packet(
        line=lines[0],
        headers=headers,
        given=tuple(given),
        body=body.decode("utf-8", "replace"),
    )


def _body_size(head: bytes) -> int:
    """Read the first `Content-Length`; text that is not a number counts as 0, as in C's `atoi`."""
    found = re.search(rb"[\r\n]content-length: *([0-9]+)", head, re.IGNORECASE)
    return int(found[1][:_MOST_LENGTH_DIGITS]) if found else 0
