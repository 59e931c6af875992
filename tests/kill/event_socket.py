"""Event sockets of the harness's own: what the switch itself says, whoever controls it.

Nothing here is the product's. A `Commands` asks one question at a time. A `Listener` follows the
channels of one switch, keeps what it hears for the stories, and hands each event on.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import attrs
import trio

PASSWORD: Final = "ClueCon"  # noqa: S105 - the stock one, of a switch on this machine

FOLLOWED: Final = (
    "CHANNEL_CREATE",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_ANSWER",
    "CHANNEL_EXECUTE",
    "CHANNEL_PARK",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_DESTROY",
    "DTMF",
)

LATE_S: Final = 0.15
"""The clocks of real switches go in steps of 20 ms, and not quite as ours: what comes sooner than
this is taken to have happened when it came, and only what comes later is dated back."""

SLACK_S: Final = 0.05

KEPT: Final = 60_000
"""How many events are kept for stories: those of some minutes."""


class Framing:
    """Cuts what an event socket sends into messages: headers, and a body."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> tuple[dict[str, str], bytes] | None:
        """The next message that is complete."""
        end = self._buffer.find(b"\n\n")
        if end < 0:
            return None
        lines = self._buffer[:end].decode("utf-8", "replace").split("\n")
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        size = int(headers.get("Content-Length", "0"))
        begin = end + 2
        if len(self._buffer) < begin + size:
            return None
        body = bytes(self._buffer[begin : begin + size])
        del self._buffer[: begin + size]
        return headers, body


class Commands:
    """Asks a switch, one question at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._framing = Framing()
        self._turn = trio.StrictFIFOLock()

    @classmethod
    async def open(cls, host: str, port: int) -> Commands:
        commands = cls(await trio.open_tcp_stream(host, port))
        await commands.receive()
        headers, _ = await commands.ask(f"auth {PASSWORD}")
        if not headers.get("Reply-Text", "").startswith("+OK"):
            raise RuntimeError(f"{host}:{port} refuses the login: {headers}")
        return commands

    async def receive(self) -> tuple[dict[str, str], bytes]:
        while (message := self._framing.next()) is None:
            data = await self.stream.receive_some(262_144)
            if not data:
                raise trio.BrokenResourceError("the switch has closed the event socket")
            self._framing.feed(data)
        return message

    async def ask(self, line: str) -> tuple[dict[str, str], bytes]:
        message: tuple[dict[str, str], bytes] = ({}, b"")
        async with self._turn:
            with trio.CancelScope(shield=True):  # half an answer would be taken for the next one
                await self.stream.send_all(f"{line}\n\n".encode())
                message = await self.receive()
        return message

    async def api(self, command: str) -> str:
        _, body = await self.ask(f"api {command}")
        return body.decode("utf-8", "replace").strip()

    async def rows(self) -> list[dict[str, str]]:
        """The channels that live, by the switch's own list."""
        return cast("list[dict[str, str]]", _json(await self.api("show channels as json"), "rows"))

    async def dump(self, leg: str) -> dict[str, str]:
        """All that the switch knows of a channel; empty if there is none."""
        told = await self.api(f"uuid_dump {leg} json")
        if not told.startswith("{"):
            return {}
        return {name: _text(value) for name, value in json.loads(told).items()}


def _json(text: str, key: str) -> Any:
    return json.loads(text).get(key, []) if text.startswith("{") else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@attrs.frozen
class Heard:
    """One event of a channel."""

    at_s: float
    """When it happened, by the clock of the harness."""
    switch: str
    name: str
    leg: str
    headers: dict[str, str]

    def get(self, header: str) -> str:
        return self.headers.get(header, "")

    def line(self) -> str:
        """The event in a line of a story."""
        told = {
            "CHANNEL_CREATE": f"{self.get('Channel-Name')} from "
            f"{self.get('Caller-Caller-ID-Number')} to {self.get('Caller-Destination-Number')}",
            "CHANNEL_BRIDGE": f"with {self.get('Bridge-B-Unique-ID')}",
            "CHANNEL_EXECUTE": f"{self.get('Application')} {self.get('Application-Data')}",
            "DTMF": self.get("DTMF-Digit"),
            "CHANNEL_HANGUP": self.get("Hangup-Cause"),
            "CHANNEL_HANGUP_COMPLETE": f"{self.get('Hangup-Cause')} "
            f"{self.get('variable_sip_hangup_disposition')}",
        }.get(self.name, "")
        return f"{self.switch} {self.name} {self.leg} {told}".rstrip()


_KEEPS: Final = (
    "Channel-Name",
    "Call-Direction",
    "Caller-Caller-ID-Number",
    "Caller-Destination-Number",
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "Other-Leg-Unique-ID",
    "Application",
    "Application-Data",
    "DTMF-Digit",
    "Hangup-Cause",
    "variable_sip_hangup_disposition",
    "variable_sip_call_id",
    "variable_other_loopback_leg_uuid",
    "variable_hookflash_transfer",
)


class Listener:
    """Follows the channels of one switch."""

    def __init__(self, name: str, *, real_time: bool) -> None:
        self.name = name
        self.heard: deque[Heard] = deque(maxlen=KEPT)
        self.alive: dict[str, None] = {}
        self.partner: dict[str, str] = {}
        """Who is bridged with whom, by the last event of each."""
        self.parked: set[str] = set()
        self.call_ids: dict[str, str] = {}
        """A channel's SIP Call-ID, which its phone's channel has, too."""
        self.on_event: list[Callable[[Heard], None]] = []
        self._offset_s = trio.current_time() - time.time() if real_time else None

    async def follow(
        self, host: str, port: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        commands = await Commands.open(host, port)
        async with commands.stream:
            await commands.ask(f"event json {' '.join(FOLLOWED)}")
            task_status.started()
            while True:
                headers, body = await commands.receive()
                if headers.get("Content-Type") == "text/event-json":
                    self._take(json.loads(body.decode(errors="replace")))  # it need not be text

    def _take(self, event: dict[str, Any]) -> None:
        name, leg = str(event.get("Event-Name", "")), str(event.get("Unique-ID", ""))
        at_s = trio.current_time()
        if self._offset_s is not None:
            told_s = int(event.get("Event-Date-Timestamp", 0)) / 1e6 + self._offset_s
            if at_s - told_s > LATE_S:  # we were busy
                at_s = told_s + SLACK_S
        kept = {header: _text(event[header]) for header in _KEEPS if header in event}
        heard = Heard(at_s, self.name, name, leg, kept)
        self.heard.append(heard)
        if call_id := heard.get("variable_sip_call_id"):
            self.call_ids[leg] = call_id
        self._note(heard)
        for hear in self.on_event:
            hear(heard)

    def _note(self, heard: Heard) -> None:
        leg = heard.leg
        match heard.name:
            case "CHANNEL_CREATE":
                self.alive[leg] = None
            case "CHANNEL_BRIDGE":
                first = heard.get("Bridge-A-Unique-ID") or leg
                second = heard.get("Bridge-B-Unique-ID") or heard.get("Other-Leg-Unique-ID")
                for one, other in ((first, second), (second, first)):
                    self.partner[one] = other
                    self.parked.discard(one)
            case "CHANNEL_UNBRIDGE":
                pair = {heard.get("Bridge-A-Unique-ID"), heard.get("Bridge-B-Unique-ID")}
                if pair == {""} or self.partner.get(leg) in pair:
                    self._part(leg)
            case "CHANNEL_PARK":
                self._part(leg)
                self.parked.add(leg)
            case "CHANNEL_HANGUP" | "CHANNEL_DESTROY":
                self._part(leg)
                self.parked.discard(leg)
                self.alive.pop(leg, None)
            case _:
                pass

    def _part(self, leg: str) -> None:
        other = self.partner.pop(leg, "")
        if self.partner.get(other) == leg:
            del self.partner[other]
