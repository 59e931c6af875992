"""The stage: people with names at the phones of a simulation, who do what they are told.

It turns facts into *happenings* in the words of a scenario (`carol rings`, `alice and bob talk`,
`the transfer is dialing`), on which whoever directs may act.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.simulator.channel import ToSound
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.sounds import FILE_S
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.events import (
    CallEvent,
    CompleteRequested,
    Direction,
    Event,
    HangUpRequested,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    SoundStarted,
    SoundStopped,
    TakebackRequested,
    TransferRequested,
)
from hookflash.promises.run import RunWatch
from hookflash.scenarios.format import CLOCK, CONTROLLER, Deed, PartyPlan
from hookflash.scenarios.simulation import Simulation
from hookflash.sounds import Recording, Sound

VERB_FOR: Mapping[type, str] = {
    LegProgressed: "rings",
    LegAnswered: "answers",
    LegParked: "is parked",
    LegHungUp: "hangs up",
    SoundStarted: "hears a sound",
    SoundStopped: "hears it no more",
}
"""What a fact is called in a scenario's `when`: the `VERBS` of the format."""

CALL_UP_S = 5.0
"""By then every call of a scenario is up: the called party answers after 1.5 s unless told."""

SILENCE_LIMIT_S = 2.0
"""How long anybody may wait without hearing anything: the switch's own delays, and a margin."""

FAULTY_SILENCE_LIMIT_S = 60.0
"""The same where commands get lost or late, and are tried again at the next deadline."""

ORDERS_IN_SILENCE = 4
"""So many orders may lie between a sound and the next: a question, a park, a second question or a
join, the sound. A switch that takes long for each may leave a party in silence for all of them."""


class Stage:
    """People, calls, and a switchboard that controls them."""

    def __init__(
        self,
        parties: Iterable[PartyPlan],
        *,
        seed: int = 0,
        faults: Faults | None = None,
        account: Account | None = None,
        missing_sounds: Iterable[Sound] = (),
        sound_s: float = FILE_S,
        dialling: Dialling = DIRECT,
        through: Collection[tuple[str, str]] = (),
        harsh: bool = False,
        character: Character = Character.FREESWITCH,
    ) -> None:
        """Put everybody in their places.

        Args:
            parties: the people and their phones.
            seed: fixes everything that chance decides.
            faults: what goes wrong between switch and switchboard.
            account: feature codes and policy.
            missing_sounds: sounds of which the switch has no file.
            sound_s: how long a sound from a file plays.
            dialling: how targets are called.
            through: calls that the dialplan places through a loopback.
            harsh: whether events get lost, or the controller stops: then silence may last longer.
            character: whose habits the switch has.
        """
        self.simulation = Simulation(
            seed=seed,
            faults=faults,
            account=account,
            missing_sounds=missing_sounds,
            sound_s=sound_s,
            dialling=dialling,
            character=character,
        )
        self._through = through
        self.world = self.simulation.world
        self.parties = {party.name: party for party in parties}
        self.legs: dict[str, LegId] = {}
        self.on_happening: Callable[[str], None] = lambda _happening: None
        bent = harsh or self.world.faults.bend_commands or self.world.faults.bend_events
        slow_s = ORDERS_IN_SILENCE * self.world.faults.command_latency_s[1]
        limit_s = max(FAULTY_SILENCE_LIMIT_S, slow_s) if bent else SILENCE_LIMIT_S
        self.watch = RunWatch(self.simulation, silence_limit_s=limit_s)
        self._names = {party.number: party.name for party in self.parties.values()}
        self._requests = 0
        self._asked_by: dict[str, str] = {}
        self.simulation.on_record = self._recorded
        self.world.on_fact = self._happened
        for party in self.parties.values():
            self.world.add_phone(party.number, party.behaviour, party.name, outside=party.outside)

    def call(self, caller: str, called: str) -> None:
        """Have one party call another. It takes some time until they talk."""
        one, other = self.parties[caller], self.parties[called]
        legs = self.world.call(
            one.number,
            other.number,
            account=one.account,
            callee_account=other.account,
            through_loopback=(caller, called) in self._through,
        )
        for name, leg in zip((caller, called), legs, strict=True):
            self.legs[name] = leg
            self.simulation.names[leg] = name

    def perform(self, deed: Deed) -> None:
        """Let somebody do something, now. Of keys, only the first is pressed."""
        if deed.dials is not None:
            self.press(deed.who, deed.dials[0])
        elif deed.asks is not None:
            self._ask(deed)
        elif deed.loses is not None:
            self.world.lose(deed.loses)
        elif deed.who == CLOCK:
            self.simulation.let_the_deadline_pass()
        elif deed.who == CONTROLLER:
            self._control(deed.does)
        else:
            self._act(deed)

    def _control(self, does: str | None) -> None:
        match does:
            case "dies":
                self.simulation.die()
            case "returns":
                self.simulation.return_()
            case "is suspended":
                self.simulation.suspend()
            case _:
                self.simulation.resume()

    def press(self, who: str, digit: str) -> None:
        """Let somebody press a key, if they are on the phone."""
        if who in self.legs:
            self.world.press(self.legs[who], digit)

    def _act(self, deed: Deed) -> None:
        leg = self.legs.get(deed.who)
        if leg is None:
            return  # nobody has called yet, or it has hung up already
        match deed.does:
            case "hangs up":
                self.world.hang_up(leg)
            case "answers":
                self.world.answer(leg)
            case "is sent to an announcement":
                self.world.move(leg, ToSound(Recording("announcement.wav")))
            case "is parked by another program":
                self.world.park(leg)
            case _:
                self.world.refuse(leg)

    def _ask(self, deed: Deed) -> None:
        leg = self.legs.get(deed.who, "")
        in_flight = self._asked_by.get(deed.who, "")
        match deed.asks:
            case "transfer" | "hold":
                self._requests += 1
                hold = deed.asks == "hold"
                request: Event = TransferRequested(
                    leg=leg,
                    transfer=f"request-{self._requests}",
                    target="" if hold else deed.target,
                    kind=Kind.HOLD if hold else deed.kind,
                    by="program",
                )
            case "takeback":
                request = TakebackRequested(transfer=in_flight, by="program")
            case "complete":
                request = CompleteRequested(transfer=in_flight, by="program")
            case _:
                request = HangUpRequested(leg=leg, by="program")
        self.simulation.handle(request)

    def _happened(self, fact: CallEvent) -> None:
        """A fact, in the moment in which it becomes one (the switchboard may learn it later)."""
        if isinstance(fact, LegCreated) and fact.number in self._names and not is_far_half(fact):
            name = self._names[fact.number]
            self.legs[name] = fact.leg
            self.simulation.names[fact.leg] = name
        self.watch.fact(fact)
        for happening in self._words(fact):
            self.on_happening(happening)
        if isinstance(fact, LegHungUp):
            name = self.simulation.names.get(fact.leg, "")
            if self.legs.get(name) == fact.leg:
                del self.legs[name]

    def _words(self, fact: CallEvent) -> tuple[str, ...]:
        """The happening in the words of a scenario's `when`."""
        name = self.simulation.names.get
        if isinstance(fact, LegsJoined):
            one, other = name(fact.first), name(fact.second)
            return (f"{one} and {other} talk", f"{other} and {one} talk")
        verb = VERB_FOR.get(type(fact))
        leg = getattr(fact, "leg", None)
        return (f"{name(leg)} {verb}",) if verb and leg else ()

    def _recorded(self, record: Record) -> None:
        self.watch.record(record)
        if isinstance(record.event, TransferRequested) and not record.refused:
            who = self.simulation.names.get(record.event.leg, "")
            self._asked_by[who] = record.event.transfer
        if record.after is not None and record.after is not record.before:
            self.on_happening(f"the transfer is {record.after.value}")


def is_far_half(leg: LegCreated) -> bool:
    """Whether it shows the caller's number, and is only the switch that calls itself."""
    return bool(leg.other_half) and leg.direction is Direction.INBOUND
