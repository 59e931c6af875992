"""A test rig in the simulator: people at simulated phones, and programs that send requests.

Lines are performed at once; time passes only while the world runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from hookflash import events as e
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.simulator.channel import ToSound
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.sounds import FILE_S
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.promises.run import RunWatch
from hookflash.scenarios import script
from hookflash.scenarios.roster import Roster, words_of
from hookflash.scenarios.scenario import PartyPlan
from hookflash.scenarios.script import Perform, ScriptLine, Verb
from hookflash.scenarios.simulation import Simulation
from hookflash.sounds import Recording, Sound, parse_sound

CALL_UP_S = 5.0
"""By then every call of a scenario is up: the called party answers after 1.5 s by default."""

SILENCE_LIMIT_S = 2.0
"""How long a party may wait in silence: the switch's own delays, and a margin."""

FAULTY_SILENCE_LIMIT_S = 60.0
"""The same if commands get lost or late, and are repeated at the next deadline."""

QUESTION_S = 15.0
"""What injected faults add: the longest deadline, that of a briefing, takes the 60 s alone, and
before an order is repeated the switch is asked."""

ORDERS_IN_SILENCE = 4
"""The most orders between a sound and the next: a question, a park, a second question or a join,
the sound. A slow switch may leave a party in silence for all of them."""


class Handsets(Protocol):
    """The phones of a simulated switch, by leg: a `World` or an `Emulator`."""

    def press(self, leg: e.LegId, digits: str, /) -> None:
        """Press keys."""
        ...

    def hang_up(self, leg: e.LegId, /) -> None:
        """Hang up."""
        ...

    def answer(self, leg: e.LegId, /) -> None:
        """Answer."""
        ...

    def refuse(self, leg: e.LegId, /) -> None:
        """Decline."""
        ...


class SimulatedPhones:
    """People at simulated phones. A party without a leg does nothing."""

    def __init__(self, handsets: Handsets, legs: Mapping[str, e.LegId]) -> None:
        """Begin.

        Args:
            handsets: the phones.
            legs: the leg of each party.
        """
        self._handsets = handsets
        self._legs = legs

    def press(self, who: str, key: str) -> None:
        """Press one key."""
        if who in self._legs:
            self._handsets.press(self._legs[who], key)

    def hang_up(self, who: str) -> None:
        """Hang up."""
        if who in self._legs:
            self._handsets.hang_up(self._legs[who])

    def answer(self, who: str) -> None:
        """Answer a ringing phone."""
        if who in self._legs:
            self._handsets.answer(self._legs[who])

    def refuse(self, who: str) -> None:
        """Decline a ringing call."""
        if who in self._legs:
            self._handsets.refuse(self._legs[who])


class SimulatedRig:
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
        """Set up phones and controller, without calls.

        Args:
            parties: the people and their phones.
            seed: the seed of all random numbers.
            faults: the faults between switch and switchboard.
            account: feature codes and policy.
            missing_sounds: sounds without a file on the switch.
            sound_s: how long a recorded sound plays.
            dialling: how targets are called.
            through: calls that the dialplan places through a loopback.
            harsh: whether events get lost, or the controller stops: then silence may last longer.
            character: the switch to imitate.
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
        self.roster = Roster({party.address: party.name for party in self.parties.values()})
        self.simulation.names = self.roster.names
        self.on_happening: Callable[..., None] = _ignore
        self._harsh = harsh
        self.watch = RunWatch(self.simulation, silence_limit_s=self._silence_limit_s)
        self._verbs = self._all_verbs()
        self._requests = 0
        self._asked_by: dict[str, str] = {}
        self.simulation.on_record = self._recorded
        self.world.on_fact = self._happened
        for party in self.parties.values():
            self.world.add_phone(party.address, party.behaviour, party.name, outside=party.outside)

    def _silence_limit_s(self) -> float:
        """How long a party may wait in silence."""
        faults = self.world.faults
        if faults.bend_commands or faults.bend_events:
            # A controller may stop while an order is under way, or before it repeats a lost one.
            slow_s = ORDERS_IN_SILENCE * faults.command_latency_s[1]
            return FAULTY_SILENCE_LIMIT_S + QUESTION_S + slow_s + self.simulation.away_s
        return FAULTY_SILENCE_LIMIT_S if self._harsh else SILENCE_LIMIT_S

    def _all_verbs(self) -> dict[Verb, Perform[None]]:
        """The performer of each verb."""
        world, simulation, legs = self.world, self.simulation, self.roster.legs
        announcement = ToSound(Recording("announcement.wav"))
        menu = ToSound(parse_sound("tone:350/500,0/500"))
        return {
            **script.verbs_of_phones(SimulatedPhones(world, legs)),
            **script.verbs_of_requests(self),
            script.IS_SENT_AWAY: lambda line: self._move(
                line.who, lambda leg: world.move(leg, announcement)
            ),
            script.IS_SENT_TO_MENU: lambda line: self._move(
                line.who, lambda leg: world.move(leg, menu)
            ),
            script.IS_PARKED: lambda line: self._move(line.who, world.park),
            script.CALLS_SLOT: self._call_slot,
            script.DEADLINE_PASSES: lambda _line: simulation.let_the_deadline_pass(),
            script.DIES: lambda _line: simulation.die(),
            script.RETURNS: lambda _line: simulation.return_(),
            script.IS_SUSPENDED: lambda _line: simulation.suspend(),
            script.IS_RESUMED: lambda _line: simulation.resume(),
            script.LOSES_EVENT: lambda line: world.lose(line.loses or ""),
            script.LOSES_ORDER: lambda line: world.lose(line.loses or ""),
        }

    def _move(self, who: str, move: Callable[[e.LegId], None]) -> None:
        if who in self.roster.legs:
            move(self.roster.legs[who])

    # ---------------------------------------------------------------- the player's interface

    @property
    def now_s(self) -> float:
        """The world's time."""
        return self.world.now_s

    def after(self, delay_s: float, do: Callable[[], None], /) -> None:
        """Schedule a callback after some seconds."""
        self.world.after(delay_s, do)

    def perform(self, line: ScriptLine, done: Callable[[], None] | None = None) -> None:
        """Perform a line now."""
        self._verbs[line.verb](line)
        if done is not None:
            done()

    # -------------------------------------------------------------------------- the calls

    def call(self, caller: str, called: str) -> None:
        """Let one party call another. It takes some time until they talk."""
        one, other = self.parties[caller], self.parties[called]
        legs = self.world.call(
            one.address,
            other.address,
            account=one.account,
            callee_account=other.account,
            through_loopback=(caller, called) in self._through,
            owner_id=one.owner_id,
        )
        self.roster.seat((caller, called), legs)

    def ask_transfer(
        self, who: str, target: str, kind: e.Kind, options: e.TransferOptions = e.NO_OPTIONS
    ) -> None:
        """Ask for a transfer."""
        self._requests += 1
        self.simulation.handle(
            e.TransferRequested(
                leg=self.roster.legs.get(who, ""),
                transfer=f"request-{self._requests}",
                target=target,
                kind=kind,
                options=options,
                by="program",
            )
        )

    def ask_pick_up(self, who: str, slot: str) -> None:
        """Ask to give a party a parked call."""
        leg = self.roster.legs.get(who, "")
        self.simulation.handle(e.PickUpRequested(leg=leg, slot=slot, by="program"))

    def _call_slot(self, line: ScriptLine) -> None:
        party = self.parties[line.who]
        leg = self.world.call_slot(
            party.address, line.slot, account=party.account, owner_id=party.owner_id
        )
        self.roster.seat((line.who,), (leg,))

    def ask_takeback(self, who: str) -> None:
        """Ask for the takeback of a party's latest transfer."""
        transfer = self._asked_by.get(who, "")
        self.simulation.handle(e.TakebackRequested(transfer=transfer, by="program"))

    def ask_complete(self, who: str) -> None:
        """Ask for the completion of a party's latest transfer."""
        transfer = self._asked_by.get(who, "")
        self.simulation.handle(e.CompleteRequested(transfer=transfer, by="program"))

    def ask_number(self, who: str, target: str) -> None:
        """Give the number of a party's latest transfer."""
        transfer = self._asked_by.get(who, "")
        self.simulation.handle(e.NumberGiven(transfer=transfer, target=target, by="program"))

    def ask_swap(self, who: str) -> None:
        """Ask that a party change between transferee and target."""
        transfer = self._asked_by.get(who, "")
        self.simulation.handle(e.SwapRequested(transfer=transfer, by="program"))

    def ask_accept(self, who: str) -> None:
        """Accept the call for the target of a party's latest transfer."""
        transfer = self._asked_by.get(who, "")
        self.simulation.handle(e.AcceptRequested(transfer=transfer, by="program"))

    def ask_decline(self, who: str) -> None:
        """Decline the call for the target of a party's latest transfer."""
        transfer = self._asked_by.get(who, "")
        self.simulation.handle(e.DeclineRequested(transfer=transfer, by="program"))

    def ask_three_way(self, who: str) -> None:
        """Ask to bring all three into one conversation."""
        transfer = self._asked_by.get(who, "")
        self.simulation.handle(e.ThreeWayRequested(transfer=transfer, by="program"))

    def ask_hangup(self, who: str) -> None:
        """Ask to hang up a party's leg."""
        leg = self.roster.legs.get(who, "")
        self.simulation.handle(e.HangUpRequested(leg=leg, by="program"))

    # ------------------------------------------------------------------------ events

    def _happened(self, fact: e.CallEvent) -> None:
        """Handle a fact when it becomes true (the switchboard may receive it later)."""
        words = self.roster.note(fact)
        self.watch.fact(fact)
        self.on_happening(*words)

    def _recorded(self, record: Record) -> None:
        self.watch.record(record)
        if isinstance(record.event, e.TransferRequested) and not record.refused:
            who = self.roster.names.get(record.event.leg, "")
            self._asked_by[who] = record.event.transfer
        self.on_happening(*words_of(record))


def _ignore(*_happenings: str) -> None:
    return
