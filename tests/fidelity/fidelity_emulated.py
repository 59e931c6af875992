"""A program on the emulator: the simulated switch behind an event socket, in FreeSWITCH's words.

Orders go in as lines, and facts come out of the events that our own parser reads. With the same
seed it is the same life as that of the simulated switch, and must come to the same.
"""

from __future__ import annotations

import json
from functools import partial

from fidelity_outcome import AtRest, Outcome
from fidelity_programs import IVR, WATCHED, Program
from fidelity_simulated import PHONE, Simulated

from hookflash.backends.freeswitch.inbound import EVENT_NAMES, Inbound
from hookflash.backends.freeswitch.primitives import Originate, Primitive
from hookflash.backends.freeswitch.text import line_of
from hookflash.backends.freeswitch.wire import Frame, Wire
from hookflash.backends.simulator.world import World
from hookflash.emulator.emulator import STOCK_PASSWORD, Emulator
from hookflash.events import LegId


class _Socket:
    """An event socket of the emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.session = emulator.connect()
        self.wire = Wire()
        self.frames()
        self.ask(f"auth {STOCK_PASSWORD}")

    def frames(self) -> list[Frame]:
        self.wire.receive(self.session.take())
        return list(iter(self.wire.next_frame, None))

    def ask(self, line: str) -> str:
        self.session.receive(f"{line}\n\n".encode())
        return "".join(frame.text() for frame in self.frames())


class Emulated(Simulated):
    """One life of a program, by way of the event socket."""

    def _begin(self, world: World) -> None:
        self.emulator = Emulator(world=world)
        self.asks = _Socket(self.emulator)
        self.hears = _Socket(self.emulator)
        self.hears.ask("event json " + " ".join(EVENT_NAMES))
        self.inbound = Inbound()

    def _connect(self) -> None:
        self.hears.frames()
        self.world.on_event = lambda _event: self._take()

    def _take(self) -> None:
        for frame in self.hears.frames():
            for fact in self.inbound.receive(frame):
                self._hear(fact)

    def _order(self, primitive: Primitive) -> None:
        by = "bgapi" if isinstance(primitive, Originate) else "api"
        self.asks.ask(f"{by} {line_of(primitive)}")

    def _other_program(self, does: str, leg: LegId) -> None:
        sound = IVR.replace(",", "\\,")
        orders = {
            "ivr": f"uuid_transfer {leg} 'playback:{sound}' inline",
            "phone": f"uuid_transfer {leg} {PHONE} XML default",
            "park both": f"uuid_transfer {leg} -both park inline",
            "park in place": f"uuid_park {leg}",
        }
        self.asks.ask(f"api {orders[does]}")

    def _rest(self) -> dict[str, AtRest]:
        self._take()
        rest: dict[str, AtRest] = {}
        for channel in self.world.switch.channels():
            said = json.loads(self.asks.ask(f"api uuid_dump {channel.id} json"))
            get = partial(said.get)
            told = ((name, get(f"variable_{name}")) for name in WATCHED)
            variables = tuple(
                sorted((name, self.names.in_text(value)) for name, value in told if value)
            )
            peer = self.names.of(said.get("variable_bridge_to", ""))
            rest[self.names.of(channel.id)] = AtRest(peer, variables)
        return rest


def emulate(program: Program, seed: int, sent_ms: list[float] | None = None) -> Outcome:
    """Let a program run once; the same seed gives the same outcome."""
    return Emulated(program, seed, sent_ms).run()
