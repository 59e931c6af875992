r"""A real FreeSWITCH, and a second one as the telephones: what the live tests stand on.

HOOKFLASH_FREESWITCH=127.0.0.1:8021/127.0.0.1:8022 names the event sockets of the two. The first
has a dialplan that sends 1xxx and 26xx to the second, whose phones behave by number: 1xxx answers
at once, 2600 after 1.5 s, 2601 never, 2602 is busy, 2603 refuses, 2604 sends early media first,
2605 answers and hangs up after 2.5 s, 2650 rings until it is answered by command. No call but the
tests' own may be up.

What follows is for some tests only. Each asks for what it needs, and is skipped where that is not
there: a gateway `trunk` of the first switch to the second; a phone of the second that is registered
with the first as 1003, domain its address, and that user in the directory of the first, whose dial
string is its `sofia_contact`; and these numbers in the dialplan of the first, context
`default`, each an extension of its own with a condition `^6(…)$` and so on:

* 6N calls N through the dialplan, as a ring group or a follow-me does:
  `bridge` to `{loopback_bowout=false}loopback/N/default`;
* 7N calls N, with the account `acme` (`hookflash_account`) on the caller's leg alone (`set`);
* 8N calls N, with that account on both legs (`export`);
* 9N calls N through the gateway `trunk`, as an outside number;
* 3N and 4N: `export` of the account `tenant-a` or `tenant-b`, `set` of `hookflash_owner` to the
  caller's number, and `transfer` of N into the context of that name. There, N calls the phone N;
  but in `tenant-b` 1001 calls the phone 1601, 2600 the phone 1600, and 2602 the phone 1602;
* 5000 is a menu: `answer`, `set playback_terminators=#`, and an endless
  `playback tone_stream://%(500,500,350);loops=-1`;
* 5001 is where a program takes calls: `answer`, `park`;
* 701 to 729, `^(7[0-2]\d)$`, pick up parked calls: `answer`, `set hookflash_pick_up=$1`,
  `set park_timeout=10`, `park`.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio

from hookflash.backends.base import Backend
from hookflash.backends.freeswitch.client import FreeSwitchBackend, open_freeswitch
from hookflash.backends.freeswitch.primitives import CHANGED, OURS
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.engine.engine import Engine
from hookflash.engine.handles import Follower, TransferHandle
from hookflash.engine.record import Record
from hookflash.events import Direction, LegId
from hookflash.sounds import parse_sound
from hookflash.testing import Lab

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

DIRECT = Dialling(template=f"sofia/internal/{{number}}@{HOST}:5090")
"""Straight to the phone: a target's leg is one channel."""
DIALPLAN = Dialling()
"""Through the dialplan: three channels, of which one stands for all."""


class Socket:
    """A plain event socket: asks, and gets answers."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._wire = Wire()
        self._asking = trio.Lock()

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
        async with self._asking:
            await self.stream.send_all(f"{line}\n\n".encode())
            return await self.frame()

    async def api(self, command: str) -> str:
        return (await self.ask(f"api {command}")).text().strip()

    async def channels(self) -> list[dict[str, str]]:
        return json.loads(await self.api("show channels as json")).get("rows", [])


class LiveLab(Lab):
    """A call on the real switch, and the people at its phones."""

    answering, busy, never = "2600", "2602", "2601"
    ringing = "2650"
    music = parse_sound("tone:300/500,0/500")
    caller, called = "1001", "1002"
    early_media = "2604"
    calls_at_once = 12
    prompt_s = 5.0  # the machine may be busy

    def __init__(
        self,
        backend: FreeSwitchBackend,
        switch: Socket,
        phones: Socket,
        keys: list[dict[str, str]],
    ) -> None:
        self.backend: FreeSwitchBackend = backend  # pyright: ignore[reportIncompatibleVariableOverride]
        self.switch = switch
        self.phones = phones
        self._keys = keys
        """What the phones have heard."""
        self._calls = 0
        self._call_ids: dict[str, str] = {}
        self._phones: dict[LegId, str] = {}
        """The phones that were found, so that who is to hang up soon does so at once."""

    async def call(
        self, number: str = "1002", *, caller: str = "1001", privacy: str = "no"
    ) -> tuple[LegId, LegId]:
        """1001, or whoever has the caller's number, calls a number, and they talk."""
        self._calls += 1
        known = {leg.leg for leg in await self.backend.snapshot()}
        await self.phones.api(
            f"originate {{origination_caller_id_number={caller},origination_caller_id_name=Alice,"
            f"origination_privacy={privacy},origination_uuid=alice-{self._calls}}}"
            f"sofia/internal/{number}@{HOST}:5060 &park()"
        )
        with trio.fail_after(10):
            while True:
                # targets may be called meanwhile: but it is a caller, and whoever it talks with
                legs = {leg.leg: leg for leg in await self.backend.snapshot()}
                new = [leg for leg in legs.values() if leg.leg not in known and leg.answered]
                callers = [leg for leg in new if leg.direction is Direction.INBOUND and leg.peer]
                if callers and legs[callers[0].peer or ""].answered:
                    calls, called = callers[0], legs[callers[0].peer or ""]
                    break
                await trio.sleep(0.05)
        self._phones[calls.leg] = f"alice-{self._calls}"
        self._phones[called.leg] = await self.phone(called.leg)
        return calls.leg, called.leg

    async def call_in(self, number: str, *, caller: str = "1001") -> LegId:
        """1001, or the party with the caller's number, calls an extension that is no phone."""
        self._calls += 1
        known = {leg.leg for leg in await self.backend.snapshot()}
        await self.phones.api(
            f"originate {{origination_caller_id_number={caller},origination_caller_id_name=Alice,"
            f"origination_uuid=alice-{self._calls}}}sofia/internal/{number}@{HOST}:5060 &park()"
        )
        with trio.fail_after(10):
            while True:
                legs = [leg for leg in await self.backend.snapshot() if leg.leg not in known]
                if legs and legs[0].answered:
                    self._phones[legs[0].leg] = f"alice-{self._calls}"
                    return legs[0].leg
                await trio.sleep(0.05)

    async def phone(self, leg: LegId) -> str:
        """The phone's side of a leg; for a leg through the dialplan, the phone that was reached."""
        with trio.fail_after(10):
            while True:  # the list of channels lags behind a little
                behind = (await self.chain(leg))[-1]
                call = await self.variable(behind, "sip_call_id")
                for row in await self.phones.channels() if call else ():
                    if await self._call_id(row["uuid"]) == call:
                        return row["uuid"]
                await trio.sleep(0.1)

    async def _call_id(self, phone: str) -> str:
        """The Call-ID of a phone's leg: it never changes."""
        if phone not in self._call_ids:
            self._call_ids[phone] = await self.phones.api(f"uuid_getvar {phone} sip_call_id")
        return self._call_ids[phone]

    async def variable(self, leg: LegId, name: str) -> str:
        """What a leg has for a variable; empty, where it has none or lives no more."""
        value = await self.switch.api(f"uuid_getvar {leg} {name}")
        return "" if value.startswith(("_undef_", "-ERR")) else value

    async def chain(self, leg: LegId) -> list[LegId]:
        """The channels from a leg to the one that its phone is on: one, unless it is a loopback's.

        The far half of a loopback knows the leg that it calls as the one whose calling it began.
        """
        chain = [leg]
        while far := await self.variable(chain[-1], "other_loopback_leg_uuid"):
            called = await self.variable(far, "originate_signal_bond")
            called = called or await self.variable(far, "bridge_to")
            chain += [far, called] if called else [far]
            if not called:
                break
        return chain

    async def hang_up(self, leg: LegId) -> None:
        phone = self._phones.get(leg) or await self.phone(leg)
        await self.phones.api(f"uuid_kill {phone}")

    async def press(self, leg: LegId, digit: str) -> None:
        await self.phones.api(f"uuid_send_dtmf {await self.phone(leg)} {digit}")

    async def answer(self, leg: LegId) -> None:
        await self.phones.api(f"uuid_answer {await self.phone(leg)}")

    async def refuse(self, leg: LegId, *, busy: bool = False) -> None:
        cause = "USER_BUSY" if busy else "CALL_REJECTED"
        await self.phones.api(f"uuid_kill {await self.phone(leg)} {cause}")

    async def number_shown(self, leg: LegId) -> str:
        return (await self.shown(leg))[1]

    async def keys_heard(self, leg: LegId) -> str:
        phone = self._phones.get(leg) or await self.phone(leg)
        return "".join(key["DTMF-Digit"] for key in self._keys if key["Unique-ID"] == phone)

    async def take_away(self, leg: LegId) -> None:
        await self.switch.api(f"uuid_transfer {leg} echo inline")

    async def cut_line(self) -> None:
        self.backend.break_line()

    def second(self) -> AbstractAsyncContextManager[Backend]:
        return open_freeswitch(self.backend.settings)

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
        hearing(PHONES, "DTMF") as keys,
    ):
        lab = LiveLab(backend, switch, phones, keys)
        await lab.silence()
        yield lab
        await lab.silence()


async def both_known(engine: Engine, legs: tuple[LegId, LegId]) -> None:
    """Wait until the engine knows that the two talk."""
    with trio.fail_after(10):
        while any(
            (line := engine.switchboard.leg(leg)) is None or line.peer is None for leg in legs
        ):
            await trio.sleep(0.02)


def settings(dialling: Dialling = DIRECT, port: int | None = None) -> FreeSwitch:
    """The first switch, and how targets are called on it."""
    return FreeSwitch(host=HOST, port=port or int(SWITCH.partition(":")[2] or 0), dialling=dialling)


async def variables(lab: LiveLab, leg: LegId) -> dict[str, str]:
    """Those of a leg that a transfer adds or changes."""
    dump = json.loads(await lab.switch.api(f"uuid_dump {leg} json"))
    names = (*CHANGED, *OURS, "drop_dtmf")
    return {name: dump[f"variable_{name}"] for name in names if f"variable_{name}" in dump}


async def talking(engine: Engine, one: LegId, other: LegId) -> None:
    """Wait until the engine knows that the two talk."""
    with trio.fail_after(20):
        while (line := engine.switchboard.leg(one)) is None or line.peer != other:
            await trio.sleep(0.02)


async def consult(engine: Engine, leg: LegId, number: str = "2600") -> tuple[TransferHandle, LegId]:
    """Ask for a transfer, and wait until transferor and target talk."""
    transfer = await engine.transfer(leg, number)
    target = f"{transfer.id}-target"
    await talking(engine, leg, target)
    await trio.sleep(0.5)
    return transfer, target


@asynccontextmanager
async def hearing(address: str, *names: str) -> AsyncGenerator[list[dict[str, str]]]:
    """All events of these names from now on, in a list that grows, straight from a switch."""
    heard: list[dict[str, str]] = []

    async def listen(socket: Socket) -> None:
        while True:
            frame = await socket.frame()
            if frame.content_type == "text/event-json":
                heard.append(json.loads(frame.text()))

    socket = await Socket.open(address)
    async with socket.stream, trio.open_nursery() as nursery:
        await socket.ask("event json " + " ".join(names))
        nursery.start_soon(listen, socket)
        yield heard
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def noting(engine: Engine) -> AsyncGenerator[list[Record]]:
    """All records from now on, in a list that grows."""
    records: list[Record] = []

    async def note(follower: Follower) -> None:
        async for record in follower:
            records.append(record)  # noqa: PERF401 - as it goes, and not at the end

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note, engine.follow())
        yield records
        nursery.cancel_scope.cancel()


async def needs(lab: LiveLab, number: str) -> None:
    """Skip the test where the dialplan does not know this kind of number."""
    found = await lab.switch.api("xml_locate dialplan context name default")
    wanted = f"^{number}$" if number in ("5000", "5001") else f"^{number[0]}("
    wanted = r"^(7[0-2]\d)$" if number == "701" else wanted
    if wanted not in found:
        pytest.skip(f"the dialplan has no {number} or its like: see live.py")
