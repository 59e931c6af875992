"""The emulator beside a real FreeSWITCH: the same commands, the same answers and events.

One script is played to both, in real time. What is compared is each answer, and for each leg the
names of its events in their order; between legs any order may occur, on the real switch too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import unquote

import pytest
import trio
from live import HOST, PHONES, SWITCH, Socket, needs_freeswitch

from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.emulator.server import open_emulator

pytestmark = needs_freeswitch

EVENTS = (
    "CHANNEL_CREATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_BRIDGE"
    " CHANNEL_UNBRIDGE CHANNEL_PARK CHANNEL_UNPARK CHANNEL_HOLD CHANNEL_UNHOLD CHANNEL_HANGUP"
    " CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY DTMF PLAYBACK_START PLAYBACK_STOP BACKGROUND_JOB"
)
SOUND = "tone_stream://%(300,200,300);loops=-1"
PARKS = "park_after_bridge=true;hangup_after_bridge=false;uuid_bridge_park_on_cancel=true"
ENDS = "park_after_bridge=false;hangup_after_bridge=true;uuid_bridge_park_on_cancel="
PAUSE_S = 0.35

STORIES = {
    "a transfer": (
        "api uuid_exists A",
        "api uuid_setvar_multi A playback_terminators=none;colour=red",
        "api uuid_getvar A colour",
        "api uuid_transfer A -both park inline",
        f"api uuid_broadcast A {SOUND} aleg",
        f"api uuid_broadcast B {SOUND} aleg",
        f"bgapi originate {{origination_uuid=l-carol}}sofia/internal/2600@HOST &park()\n{2.0}",
        f"api uuid_setvar_multi A {PARKS}",
        f"api uuid_setvar_multi l-carol {PARKS}",
        "api uuid_bridge A l-carol",
        "api uuid_kill A",
        f"api uuid_setvar_multi B {ENDS}",
        f"api uuid_setvar_multi l-carol {ENDS}",
        "api uuid_bridge B l-carol",
        "api uuid_kill l-carol",
    ),
    "a takeback": (
        "api uuid_transfer A -both park inline",
        "bgapi originate {origination_uuid=l-carol}sofia/internal/2601@HOST &park()",
        "api uuid_kill l-carol ORIGINATOR_CANCEL",
        "api uuid_bridge A B",
        "api uuid_kill B USER_BUSY",
    ),
    "failed calls": (
        "bgapi originate {origination_uuid=l-1}sofia/internal/2602@HOST &park()\n0.8",
        "bgapi originate {origination_uuid=l-2}sofia/internal/2603@HOST &park()\n1.3",
        "bgapi originate {origination_uuid=l-3}sofia/internal/7777@HOST &park()",
        "bgapi originate {origination_uuid=l-4}sofia/nosuch/1@HOST &park()",
        "bgapi originate {origination_uuid=l-5}nosuch/1 &park()",
        (
            "bgapi originate {origination_uuid=l-6,originate_timeout=1}sofia/internal/2601@HOST"
            " &park()\n1.6"
        ),
    ),
    "the park": (
        "api uuid_transfer A park inline",
        "api uuid_transfer A park inline",
        f"api uuid_broadcast A {SOUND} aleg",
        "api uuid_transfer A park inline",
        "api uuid_recv_dtmf A 12#",
        "api uuid_send_dtmf A 3",
        "api uuid_hold A",
        "api uuid_hold off A",
        (
            "sendmsg A\ncall-command: execute\nexecute-app-name: playback\n"
            "execute-app-arg: tone_stream://%(200,0,300)"
        ),
        "sendmsg A\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: foo=bar",
        "api uuid_getvar A foo",
        "sendmsg A\ncall-command: hangup\nhangup-cause: 17",
    ),
    "legs apart": (
        "api uuid_transfer A -bleg park inline",
        "api uuid_exists A",
        "api uuid_park B",
        "api uuid_kill B BOGUS",
    ),
    "out of a bridge": (
        "api uuid_transfer A -both park inline",
        (
            "bgapi originate {origination_uuid=l-carol,park_after_bridge=true}"
            "sofia/internal/1372@HOST &park()"
        ),
        f"api uuid_setvar_multi A {PARKS}",
        "api uuid_bridge A l-carol",
        "api uuid_bridge A B",
        "api uuid_bridge A nobody",
        "api uuid_kill l-carol",
        "api uuid_kill A",
    ),
    "the failsafe": (
        "api uuid_transfer A -both park inline",
        "bgapi originate {origination_uuid=l-carol}sofia/internal/1372@HOST &park()",
        (
            "api uuid_setvar_multi l-carol"
            " exec_after_bridge_app=intercept;exec_after_bridge_arg=B;park_after_bridge=false"
        ),
        "api uuid_setvar_multi A park_after_bridge=true",
        "api uuid_bridge A l-carol",
        "api uuid_kill A",
        "api uuid_kill B",
    ),
    "a target that takes the transferee": (
        "api uuid_transfer A -both park inline",
        "api uuid_kill A",
        "bgapi originate {origination_uuid=l-carol}sofia/internal/1372@HOST &intercept(B)",
        "api uuid_getvar l-carol execute_on_answer",
        "api uuid_getvar l-carol hangup_after_bridge",
        "api uuid_kill B",
    ),
    "a target that takes the transferee, through the dialplan": (
        "api uuid_transfer A -both park inline",
        "api uuid_kill A",
        (
            "bgapi originate {origination_uuid=l-carol,loopback_bowout=false,"
            "loopback_bowout_on_execute=false,media_mix_inbound_outbound_codecs=true,"
            "export_vars=media_mix_inbound_outbound_codecs}loopback/2600/default &intercept(B)\n2.0"
        ),
        "api uuid_getvar l-carol execute_on_answer",
        "api uuid_kill B",
    ),
    "a leg that calls": (
        (
            "bgapi originate {origination_uuid=l-1}sofia/internal/1372@HOST"
            " &bridge({origination_uuid=l-2}sofia/internal/1373@HOST)\n0.8"
        ),
        "api uuid_kill l-1",
        "bgapi originate {origination_uuid=l-3}sofia/internal/1372@HOST &hangup(USER_BUSY)",
        "bgapi originate {origination_uuid=l-4}sofia/internal/2604@HOST &park()",
        "api uuid_kill l-4",
        (
            "bgapi originate {origination_uuid=l-5}sofia/internal/1372@HOST"
            " &playback(tone_stream://%(200,0,300\n1.0"
        ),
    ),
}
"""Commands; a number on a line of its own behind one is how long to wait after it."""


class Script:
    """One event socket, to which a story is played."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._wire = Wire()
        self._replies, self._answered = trio.open_memory_channel[str](100)
        self.events: list[dict[str, str]] = []

    async def read(self) -> None:
        while data := await self._stream.receive_some(65536):
            self._wire.receive(data)
            for frame in self._wire.frames():
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.content_type == "text/event-plain":
            head = frame.text().partition("\n\n")[0]
            pairs = (line.split(": ", 1) for line in head.split("\n"))
            self.events.append({name: unquote(value) for name, value in pairs})
        elif frame.content_type == "api/response":
            self._replies.send_nowait(frame.text())
        elif frame.content_type == "command/reply":
            self._replies.send_nowait(frame.header("Reply-Text"))

    async def ask(self, line: str) -> str:
        await self._stream.send_all(f"{line}\n\n".encode())
        with trio.fail_after(10):
            return await self._answered.receive()

    async def legs(self, caller: str) -> tuple[str, str]:
        """Wait until a caller talks."""
        with trio.fail_after(10):
            while True:
                for event in self.events:
                    joined = event["Event-Name"] == "CHANNEL_BRIDGE"
                    if joined and event["Caller-Orig-Caller-ID-Number"] == caller:
                        return event["Bridge-A-Unique-ID"], event["Bridge-B-Unique-ID"]
                await trio.sleep(0.05)


@asynccontextmanager
async def open_script(address: str) -> AsyncGenerator[Script]:
    host, _, port = address.rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream, trio.open_nursery() as nursery:
        script = Script(stream)
        nursery.start_soon(script.read)
        assert await script.ask("auth ClueCon") == "+OK accepted"
        await script.ask(f"event plain {EVENTS}")
        yield script
        nursery.cancel_scope.cancel()


async def play(script: Script, story: tuple[str, ...], legs: tuple[str, str]) -> list[object]:
    """Play a story; its answers, and the events of each leg."""
    names = dict(zip(legs, "AB", strict=True))

    def anonymous(text: str) -> str:
        for leg, name in names.items():
            text = text.replace(leg, name)
        return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)

    answers: list[str] = []
    for place, line in enumerate(story):
        command, _, pause = line.rpartition("\n") if line[-2:-1] == "." else (line, "", "")
        for leg, name in names.items():
            command = re.sub(rf"(?<=[ =(]){name}\b", leg, command)
        command = command.replace("@HOST", f"@{HOST}:5090")
        if command.startswith("bgapi"):
            command += f"\nJob-UUID: job-{place}"
        answers.append(anonymous(await script.ask(command)))
        await trio.sleep(float(pause) if pause else PAUSE_S)
    await trio.sleep(PAUSE_S)
    told: dict[str, list[str]] = {}
    for event in script.events:
        leg = event.get("Unique-ID", event.get("Job-UUID", ""))
        if leg in names or leg.startswith(("l-", "job-")):
            told.setdefault(names.get(leg, leg), []).append(event["Event-Name"])
    return [answers, told]


@pytest.mark.parametrize("story", STORIES)
async def test_the_emulator_does_as_the_real_one(story: str) -> None:
    async with open_script(SWITCH) as real:
        phones = await Socket.open(PHONES)
        async with phones.stream:
            await phones.api(
                "originate {origination_caller_id_number=1370,origination_uuid=phone-1370}"
                f"sofia/internal/1371@{HOST}:5060 &park()"
            )
            expected = await play(real, STORIES[story], await real.legs("1370"))
            await phones.api("uuid_kill phone-1370")
    async with open_emulator() as listening, open_script(f"127.0.0.1:{listening.port}") as own:
        legs = listening.emulator.call("1370", "1371")
        await own.legs("1370")
        assert await play(own, STORIES[story], legs) == expected
