"""A real FreeSWITCH, and a second one as the telephones: what the live tests stand on.

HOOKFLASH_FREESWITCH=127.0.0.1:8021/127.0.0.1:8022 names the event sockets of the two. The first
has a dialplan that sends 1xxx and 26xx to the second, whose phones behave by number: 1xxx answers
at once, 2600 after 1.5 s, 2601 never, 2602 is busy, 2603 refuses, 2604 sends early media first,
2605 answers and hangs up after 2.5 s. No call but the tests' own may be up.

Where the first has a gateway `trunk` to the second, and a phone of the second is registered with it
as 1003, domain its address, these are called, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from hookflash.backends.freeswitch.client import FreeSwitch, FreeSwitchBackend, open_freeswitch
from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.engine.engine import Engine
from hookflash.events import Direction, LegId

NAMED = os.environ.get("HOOKFLASH_FREESWITCH", "")
SWITCH, _, PHONES = NAMED.partition("/")
HOST = SWITCH.partition(":")[0]
"""Of both, for SIP too: a second pair on another address of the loopback disturbs nobody."""

needs_freeswitch = [
    pytest.mark.freeswitch,
    pytest.mark.skipif(not PHONES, reason="HOOKFLASH_FREESWITCH names no switch and phones"),
    # one switch for all of them: they take turns
    pytest.mark.xdist_group("freeswitch"),
]


class Socket:
    """A plain event socket: asks, and gets answers."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._wire = Wire()

    @classmethod
    async def open(cls, address: str) -> Socket:
        host, _, port = address.partition(":")
        socket = cls(await trio.open_tcp_stream(host, int(port)))
        await socket.frame()
        await socket.ask("auth ClueCon")
        return socket

    async def frame(self) -> Frame:
        while (frame := self._wire.next_frame()) is None:
            self._wire.receive(await self.stream.receive_some(65536))
        return frame

    async def ask(self, line: str) -> Frame:
        await self.stream.send_all(f"{line}\n\n".encode())
        return await self.frame()

    async def api(self, command: str) -> str:
        return (await self.ask(f"api {command}")).text().strip()

    async def channels(self) -> list[dict[str, str]]:
        return json.loads(await self.api("show channels as json")).get("rows", [])


class LiveLab:
    """A call on the real switch, and the people at its phones."""

    answering, busy, never = "2600", "2602", "2601"
    music = "tone_stream://%(500,500,300);loops=-1"

    def __init__(self, backend: FreeSwitchBackend, switch: Socket, phones: Socket) -> None:
        self.backend = backend
        self.switch = switch
        self.phones = phones
        self._calls = 0

    async def call(self, number: str = "1002", *, privacy: str = "no") -> tuple[LegId, LegId]:
        """1001 calls a number, and they talk."""
        self._calls += 1
        known = {leg.leg for leg in await self.backend.snapshot()}
        await self.phones.api(
            "originate {origination_caller_id_number=1001,origination_caller_id_name=Alice,"
            f"origination_privacy={privacy},origination_uuid=alice-{self._calls}}}"
            f"sofia/internal/{number}@{HOST}:5060 &park()"
        )
        with trio.fail_after(10):
            while True:
                legs = [leg for leg in await self.backend.snapshot() if leg.leg not in known]
                if len(legs) == 2 and all(leg.peer and leg.answered for leg in legs):
                    break
                await trio.sleep(0.05)
        caller, called = sorted(legs, key=lambda leg: leg.direction is Direction.OUTBOUND)
        return caller.leg, called.leg

    async def phone(self, leg: LegId) -> str:
        """The phone's side of a leg; for a leg through the dialplan, the phone that was reached."""
        call = await self.switch.api(f"uuid_getvar {leg} sip_call_id")
        with trio.fail_after(5):
            while True:  # the list of channels lags behind a little
                rows = await self.phones.channels()
                for row in rows:
                    if await self.phones.api(f"uuid_getvar {row['uuid']} sip_call_id") == call:
                        return row["uuid"]
                reached = [row["uuid"] for row in rows if row["dest"].startswith("26")]
                if call.startswith(("_undef_", "-ERR")) and reached:
                    return reached[0]
                await trio.sleep(0.1)

    async def hang_up(self, leg: LegId) -> None:
        await self.phones.api(f"uuid_kill {await self.phone(leg)}")

    async def press(self, leg: LegId, digit: str) -> None:
        await self.phones.api(f"uuid_send_dtmf {await self.phone(leg)} {digit}")

    async def shown(self, leg: LegId) -> tuple[str, str]:
        """The name and the number that the phone shows."""
        phone = json.loads(await self.phones.api(f"uuid_dump {await self.phone(leg)} json"))
        return phone["Caller-Caller-ID-Name"], phone["Caller-Caller-ID-Number"]

    async def silence(self) -> None:
        """Nobody is left on the line, on either side."""
        for side in (self.phones, self.switch):
            await side.api("hupall")
        with trio.fail_after(10):
            while await self.switch.channels() or await self.phones.channels():
                await trio.sleep(0.05)


@asynccontextmanager
async def open_live_lab(settings: FreeSwitch | None = None) -> AsyncGenerator[LiveLab]:
    """A backend on the real switch, with nobody on it before and after."""
    host, _, port = SWITCH.partition(":")
    switch, phones = await Socket.open(SWITCH), await Socket.open(PHONES)
    async with (
        switch.stream,
        phones.stream,
        open_freeswitch(settings or FreeSwitch(host=host, port=int(port))) as backend,
    ):
        lab = LiveLab(backend, switch, phones)
        await lab.silence()
        yield lab
        await lab.silence()


async def both_known(engine: Engine, legs: tuple[LegId, LegId]) -> None:
    """Wait until the engine knows that the two talk."""
    with trio.fail_after(10):
        while any(
            (line := engine.switchboard.line(leg)) is None or line.peer is None for leg in legs
        ):
            await trio.sleep(0.02)
