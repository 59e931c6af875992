"""Programs on a real FreeSWITCH, many at a time, with a second one as the telephones.

Each program has its own numbers, by which its phones are told apart, and its own leg ids. All share
two connections to each of the two: one asks, one hears. The phones are silent; they ring until they
are told what to do.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from fidelity_outcome import AtRest, Names, Outcome, Told
from fidelity_programs import IVR, WATCHED, Program, Step
from fidelity_simulated import NONE, PHONE, primitive_of

from hookflash.backends.freeswitch.inbound import EVENT_NAMES, Inbound
from hookflash.backends.freeswitch.primitives import Originate
from hookflash.backends.freeswitch.text import line_of
from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.events import LegId

PASSWORD = "ClueCon"  # noqa: S105 - as it is installed
QUIET_S = 10.0


class Socket:
    """A plain event socket: asks, and gets answers, one at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._wire = Wire()
        self._turn = trio.StrictFIFOLock()

    @classmethod
    async def open(cls, address: str) -> Socket:
        host, _, port = address.partition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        stream.setsockopt(6, 1, 1)  # TCP_NODELAY
        socket = cls(stream)
        await socket.frame()
        await socket.ask(f"auth {PASSWORD}")
        return socket

    async def frame(self) -> Frame:
        while (frame := self._wire.next_frame()) is None:
            self._wire.receive(await self.stream.receive_some(262144))
        return frame

    async def ask(self, line: str) -> Frame:
        async with self._turn:
            await self.stream.send_all(f"{line}\n\n".encode())
            return await self.frame()

    async def api(self, command: str) -> str:
        return (await self.ask(f"api {command}")).text().strip()

    async def channels(self) -> list[dict[str, str]]:
        return json.loads(await self.api("show channels as json")).get("rows", [])

    async def hear(self, take: Callable[[Frame, dict[str, Any]], None]) -> None:
        """Hear events for ever."""
        await self.ask("event json " + " ".join(EVENT_NAMES))
        while True:
            frame = await self.frame()
            if frame.content_type == "text/event-json":
                take(frame, json.loads(frame.text()))  # its bytes need not be text


class Live:
    """One life of a program."""

    def __init__(self, lab: Lab, program: Program, number: str) -> None:
        self.lab = lab
        self.program = program
        self.number = number
        self.alice = f"phone-{lab.name}-{number}"
        self.names = Names({})
        self.told = Told(self.names)
        self.called: set[str] = set()
        """For whom a phone has rung already."""
        self.phones: dict[str, LegId] = {}
        """The phones' own legs, by the name of ours."""
        self.sent_ms: list[float] = []

    def caller_of(self, name: str) -> str:
        """The number that a leg's phone sees calling."""
        return f"{self.number}{'ABCDE'.index(name)}"

    def leg_id(self, name: str) -> LegId:
        return f"{name.lower()}-{self.lab.name}-{self.number}"

    @property
    def talks(self) -> bool:
        return any(fact.startswith("joins") for fact in self.told.facts.get("A", ()))

    async def run(self) -> Outcome:
        lab, host = self.lab, self.lab.host
        who = f"origination_caller_id_number={self.caller_of('A')},origination_uuid={self.alice}"
        call = f"originate {{{who}}}sofia/internal/{PHONE}@{host}:5060 &park()"
        await lab.phones.ask(f"bgapi {call}")
        await lab.until(lambda: "B" in self.phones)
        await lab.phones.api(f"uuid_answer {self.phones['B']}")
        await lab.until(lambda: self.talks)
        await trio.sleep(0.3)
        self.phones["A"] = self.alice
        self.told.facts.clear()
        began_s = trio.current_time()
        for step in self.program.steps:
            await trio.sleep_until(began_s + step.at_ms / 1000)
            if step.does in ("answers", "refuses"):
                with trio.move_on_after(1):
                    await lab.until(lambda leg=step.leg: leg in self.phones)
            self.sent_ms.append(round((trio.current_time() - began_s) * 1000, 1))
            await self._do(step)
        late_s = max(0.0, max(self.sent_ms, default=0) / 1000 - self.program.steps[-1].at_ms / 1000)
        await trio.sleep_until(began_s + late_s + self.program.lasts_ms / 1000)
        outcome = self.told.outcome(await self._rest())
        outcome = Outcome.from_json(json.loads(json.dumps(outcome.as_json())))
        await self._end()
        return outcome

    async def _do(self, step: Step) -> None:
        lab, host = self.lab, self.lab.host
        ids = self.names.by_name
        leg = ids.get(step.leg, NONE)
        if step.does == "dial":
            self.names.by_leg[self.leg_id(step.leg)] = step.leg
        primitive = primitive_of(
            step,
            ids,
            leg=self.leg_id(step.leg) if step.does == "dial" else "",
            caller=self.caller_of(step.leg) if step.does == "dial" else "",
            direct=f"sofia/internal/{PHONE}@{host}:5090",
            loopback=f"loopback/{PHONE}/default",
        )
        if isinstance(primitive, Originate):
            await lab.switch.ask(f"bgapi {line_of(primitive)}")
        elif primitive is not None:
            await lab.switch.api(line_of(primitive))
        elif step.does in ("answers", "refuses", "hangs up", "presses"):
            phone = self.phones.get(step.leg.removesuffix(".p"), NONE)
            verbs = {
                "answers": f"uuid_answer {phone}",
                "refuses": f"uuid_kill {phone} USER_BUSY",
                "hangs up": f"uuid_kill {phone}",
                "presses": f"uuid_send_dtmf {phone} {step.what}",
            }
            await lab.phones.api(verbs[step.does])
        else:
            sound = IVR.replace(",", "\\,")
            others = {
                "ivr": f"uuid_transfer {leg} 'playback:{sound}' inline",
                "phone": f"uuid_transfer {leg} {PHONE} XML default",
                "park both": f"uuid_transfer {leg} -both park inline",
                "park in place": f"uuid_park {leg}",
            }
            await lab.switch.api(others[step.does])

    async def _rest(self) -> dict[str, AtRest]:
        rest: dict[str, AtRest] = {}
        for leg, name in self.names.by_leg.items():
            dump = await self.lab.switch.api(f"uuid_dump {leg} json")
            if dump.startswith("-ERR"):
                continue
            said = json.loads(dump)
            told = ((one, said.get(f"variable_{one}")) for one in WATCHED)
            variables = tuple(
                sorted((one, self.names.in_text(value)) for one, value in told if value)
            )
            rest[name] = AtRest(self.names.of(said.get("variable_bridge_to", "")), variables)
        return rest

    async def _end(self) -> None:
        for leg in (*self.names.by_leg,):
            await self.lab.switch.api(f"uuid_kill {leg}")
        for phone in self.phones.values():
            await self.lab.phones.api(f"uuid_kill {phone}")


class Lab:
    """The two switches, and every program that runs on them."""

    def __init__(self, switch: Socket, phones: Socket, host: str) -> None:
        self.switch = switch
        self.phones = phones
        self.host = host
        self.name = f"f{time.time_ns() // 1_000_000 % 10**8}"
        self.lives: dict[str, Live] = {}
        """By number; those of the last minute at most."""
        self._by_leg: dict[LegId, Live] = {}
        self._inbound = Inbound()
        self._ringing: dict[LegId, tuple[Live, str]] = {}
        self._news = trio.Event()
        self._numbers = 0

    async def until(self, is_so: Callable[[], bool]) -> None:
        with trio.fail_after(QUIET_S):
            while not is_so():
                await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def take(self, frame: Frame, said: dict[str, Any]) -> None:
        """Hear an event of the switch."""
        if said.get("Event-Name") == "CHANNEL_CREATE":
            self._learn(said)
        for fact in self._inbound.receive(frame):
            leg = getattr(fact, "leg", None) or getattr(fact, "first", "")
            life = self._by_leg.get(leg)
            if life is None and (life := self._life_of_asked(leg)) is None:
                continue
            life.told.hear(fact)
        self._tell()

    def _life_of_asked(self, leg: LegId) -> Live | None:
        number = leg.rpartition("-")[2]
        life = self.lives.get(number) if f"-{self.name}-" in leg else None
        if life is not None and leg in life.names.by_leg:
            self._by_leg[leg] = life
            return life
        return None

    def _learn(self, said: dict[str, Any]) -> None:
        leg = said["Unique-ID"]
        caller = said.get("Caller-Caller-ID-Number", "")
        other = said.get("variable_other_loopback_leg_uuid", "")
        called_for = (
            said.get("Other-Leg-Unique-ID", "") if said.get("Other-Type") == "originator" else ""
        )
        life = self._by_leg.get(other) or self._by_leg.get(called_for) or self._life_of_asked(leg)
        if life is None and (life := self._life_of_asked(other)) is None:
            life = self.lives.get(caller[:-1])
            if life is None or said["Call-Direction"] != "inbound" or caller[-1:] != "0":
                return
            life.names.by_leg[leg] = "A"
        elif life.names.by_leg.get(called_for) == "A" and "B" not in life.names.by_name:
            life.names.by_leg[leg] = "B"
        else:
            life.names.learn(leg, other, called_for)
        self._by_leg[leg] = life

    def take_of_phones(self, _frame: Frame, said: dict[str, Any]) -> None:
        """Hear an event of the phones: which one rings for whom, and can be told something."""
        leg = said.get("Unique-ID", "")
        if said.get("Event-Name") == "CHANNEL_CREATE" and said["Call-Direction"] == "inbound":
            caller = said.get("Caller-Caller-ID-Number", "")
            life = self.lives.get(caller[:-1])
            if life is not None and caller[-1:].isdigit() and int(caller[-1]) < len("ABCDE"):
                self._ringing[leg] = (life, "ABCDE"[int(caller[-1])])
        elif said.get("Event-Name") == "CHANNEL_PARK" and leg in self._ringing:
            life, name = self._ringing.pop(leg)
            if name in life.called:
                return  # somebody else, whom another program had called
            life.called.add(name)
            life.phones["B" if name == "A" else name] = leg
            self._tell()

    async def live(self, program: Program) -> tuple[Outcome, list[float]]:
        """Let a program run once."""
        self._numbers += 1
        number = f"{self._numbers:05d}"
        life = self.lives[number] = Live(self, program, number)
        try:
            return await life.run(), life.sent_ms
        finally:
            self.lives.pop(number, None)
            for leg in life.names.by_leg:
                self._by_leg.pop(leg, None)

    async def silence(self) -> None:
        """Nobody is left on the line, on either side."""
        for side in (self.phones, self.switch):
            await side.api("hupall")
        with trio.fail_after(QUIET_S):
            while await self.switch.channels() or await self.phones.channels():
                await trio.sleep(0.05)


@asynccontextmanager
async def open_lab(named: str) -> AsyncGenerator[Lab]:
    """Open the pair that HOOKFLASH_FREESWITCH names."""
    at_switch, _, at_phones = named.partition("/")
    sockets = [await Socket.open(address) for address in (at_switch, at_phones) * 2]
    lab = Lab(sockets[0], sockets[1], at_switch.partition(":")[0])
    await lab.silence()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sockets[2].hear, lab.take)
        nursery.start_soon(sockets[3].hear, lab.take_of_phones)
        await trio.sleep(0.1)
        yield lab
        nursery.cancel_scope.cancel()
    await lab.silence()
    for socket in sockets:
        await socket.stream.aclose()
