"""A test rig on a real switch: the scenarios that ship, with real telephones on a real line.

The same scenarios that are played in the simulator and on the emulator, by the same player. They
are played side by side, each in a call of its own, with one engine. A phone that behaves as one
of the lab's does is called by that number; any other is a phone that rings, and does what its
owner's plan says. `LACKS` says what is left out, and why.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from typing import Final, Protocol

import attrs
import trio
from line_rig import Controller, LineRig
from shipped import SCENARIOS

from hookflash.backends.base import Backend
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.people import (
    Answers,
    AnswersAndLeaves,
    Behaviour,
    Busy,
    EarlyMedia,
    NeverAnswers,
    Refuses,
)
from hookflash.commands import HangUp
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.errors import BackendError
from hookflash.events import CallEvent, DigitPressed, LegId, LegProgressed, LegsJoined
from hookflash.promises.heard import HeardLog
from hookflash.scenarios import script
from hookflash.scenarios.check import failures
from hookflash.scenarios.roster import Roster
from hookflash.scenarios.run import Ending, what_came
from hookflash.scenarios.scenario import Feature, PartyPlan, Scenario
from hookflash.scenarios.script import Verb

_NOBODY_LOSES: Final = "a real line loses nothing when it is told to"
_ONE_PROCESS: Final = "the engine of the tests is shared by all calls of the lab (see `make kill`)"

LACKS: Final[Mapping[Verb | Feature, str]] = {
    Feature.FAULTS: _NOBODY_LOSES,
    script.LOSES_EVENT: _NOBODY_LOSES,
    script.LOSES_ORDER: _NOBODY_LOSES,
    script.DIES: _ONE_PROCESS,
    script.RETURNS: _ONE_PROCESS,
    script.IS_SUSPENDED: _ONE_PROCESS,
    script.DEADLINE_PASSES: "no deadline of a real transfer passes before its time",
    script.IS_SENT_TO_MENU: "test_live_handover.py plays it",
    script.ASKS_PARK: "test_live_parking.py plays it",
    script.ASKS_PICK_UP: "test_live_parking.py plays it",
    script.CALLS_SLOT: "test_live_parking.py plays it",
    script.IS_PARKED: "the lab has only one way to take a leg away",
    Feature.RACE: "what is one instant in the simulator is none on a line",
    Feature.POLICY: "the engine of the lab has one policy for all calls",
    Feature.MISSING_SOUNDS: "the lab has every sound",
    Feature.SOUND_LENGTH: "the lab has sounds of its own",
    Feature.OUTSIDE: "the lab's trunk has numbers of its own",
    Feature.TENANTS: "the lab's tenants have numbers of their own",
    Feature.OWNERS: "the lab's owners have numbers of their own",
    Feature.ACCOUNTS: "the lab's accounts have numbers of their own",
    Feature.LOOPBACK: "the lab's ring groups have numbers of their own",
    Feature.UNREACHABLE: "each switch has its own cause for a phone that is unreachable",
    Feature.CALLS: "each scenario has one call of the lab",
}

PHONES: Final[tuple[tuple[Behaviour, str], ...]] = (
    (Answers(), "2600"),
    (NeverAnswers(), "2601"),
    (Busy(), "2602"),
    (Refuses(), "2603"),
    (EarlyMedia(after_s=2), "2604"),
)
"""What the lab's phones do by themselves."""

SLOWER_S: Final = 10.0
"""So much longer than in the simulator a transfer may take."""
AT_ONCE: Final = 16
"""Calls side by side: with more of them, a busy machine loses keys that were pressed."""
ATTEMPTS: Final = 3
"""How often a scenario is played whose keys get lost: by RTP nobody repeats them."""
LONG_S: Final = 60.0
"""A scenario that may take longer is played in the simulator and on the emulator only."""
AGAIN: Final = 6
"""So many scenarios that went wrong are played once more, each by itself: what goes wrong only
beside a hundred others on a busy machine is a lost key. If more went wrong, it is no accident."""
STEP_S: Final = 0.2
"""From the beginning of one call to the next."""
SETTLES_S: Final = 5.0
"""After the last outcome, a tone may still be heard, and a hang-up is on its way."""

_NUMBER: Final = re.compile(r"\d{4}(?=#|$)")
"""The number at the end of what is dialled."""


class PlayableLab(Protocol):
    """A backend on a real switch, and the people at its phones."""

    ringing: str
    """A number that rings until somebody answers or refuses."""

    @property
    def backend(self) -> Backend: ...
    async def call(self) -> tuple[LegId, LegId]: ...
    async def press(self, leg: LegId, digit: str) -> None: ...
    async def hang_up(self, leg: LegId) -> None: ...
    async def answer(self, leg: LegId) -> None: ...
    async def refuse(self, leg: LegId, *, busy: bool = False) -> None: ...
    async def take_away(self, leg: LegId) -> None: ...


class LiveRig(LineRig):
    """One scenario, in a call of its own."""

    lacks = LACKS
    limit_s = LONG_S  # the people of a script whose keys got lost may talk for ever

    def __init__(
        self, scenario: Scenario, lab: PlayableLab, controller: Controller, nursery: trio.Nursery
    ) -> None:
        super().__init__(scenario, controller, nursery)
        self.roster = Roster({})  # several may have the number of one phone of the lab
        self.records: list[Record] = []
        """Those of this call."""
        self.heard = HeardLog(self.roster.names)
        self._lab = lab
        self._keys = 0
        """How many keys were pressed that the engine has not heard."""
        self._transfers: set[str] = set()
        self._transferors: dict[str, LegId] = {}
        """The first leg of each transferor."""
        self.verbs[script.IS_SENT_AWAY] = lambda line: self._at_phone(line.who, lab.take_away)

    async def press(self, who: str, key: str) -> None:
        self._keys += who in self.roster.legs
        await self._at_phone(who, lambda leg: self._lab.press(leg, key))

    async def hang_up(self, who: str) -> None:
        await self._at_phone(who, self._lab.hang_up)

    async def clear(self) -> None:
        """End the calls of this scenario: a hundred that go on would be heard by the next ones."""
        for leg in self.roster.legs.values():
            with suppress(BackendError):  # it may have ended
                await self._lab.backend.perform(HangUp(leg=leg, cause="NORMAL_CLEARING"))

    async def answer(self, who: str) -> None:
        await self._at_phone(who, self._lab.answer)

    async def refuse(self, who: str) -> None:
        await self._at_phone(who, self._lab.refuse)

    async def _at_phone(self, who: str, do: Callable[[LegId], Awaitable[None]]) -> None:
        leg = self.roster.legs.get(who)
        if leg is not None:
            try:
                await do(leg)
            except (BackendError, trio.TooSlowError):
                if self.roster.legs.get(who) == leg:
                    raise  # else the call has ended meanwhile

    # ------------------------------------------------------------------ what happens

    def record(self, record: Record) -> None:
        """Take those records that are about this call."""
        parties = record.parties
        if parties is not None and record.transfer is not None:
            ours = {parties.transferor.leg, parties.transferee.leg} & self.roster.names.keys()
            if ours:
                self._transfers.add(record.transfer)
                self._seat(parties.target.leg, parties.target.number)
                self._seat_again(record.transfer, parties.transferor.leg)
        if record.transfer in self._transfers or self._is_ours(record):
            self.records.append(record)
            self._keys -= isinstance(record.event, DigitPressed)
            self.heard.record(record, self.scenario.account.policy)
            if isinstance(record.event, CallEvent):
                told = self.roster.note(record.event)
                self.heard.fact(record.event)
                self._owners_act(record.event)
                self.player.happens(*told)
            super().record(record)

    def _is_ours(self, record: Record) -> bool:
        legs = (getattr(record.event, name, "") for name in ("leg", "first", "second"))
        return any(leg in self.roster.names for leg in legs)

    def _seat(self, leg: LegId, number: str) -> None:
        """The target is the first party of this number that has not been called yet."""
        if leg in self.roster.names:
            return
        for party in self.scenario.parties:
            if party.number == number and party.name not in self.roster.names.values():
                self.roster.seat([party.name], [leg])
                return

    def _seat_again(self, transfer: str, leg: LegId) -> None:
        """Who is called back has another leg."""
        names = self.roster.names
        before = self._transferors.setdefault(transfer, leg)
        if leg not in names and before in names:
            self.roster.seat([names[before]], [leg])

    def _owners_act(self, fact: CallEvent) -> None:
        for party in self.scenario.parties if isinstance(fact, LegProgressed) else ():
            is_theirs = self.roster.legs.get(party.name) == getattr(fact, "leg", None)
            if is_theirs and party.number == self._lab.ringing:
                self.nursery.start_soon(self._own, party)

    async def _own(self, party: PartyPlan) -> None:
        """Do at a phone that rings what its owner does."""
        match party.behaviour:
            case Answers(after_s=after_s):
                await trio.sleep(after_s)
                await self.answer(party.name)
            case AnswersAndLeaves(after_s=after_s, talk_s=talk_s):
                await trio.sleep(after_s)
                await self.answer(party.name)
                await trio.sleep(talk_s)
                await self.hang_up(party.name)
            case Busy(after_s=after_s):
                await trio.sleep(after_s)
                await self._at_phone(party.name, lambda leg: self._lab.refuse(leg, busy=True))
            case Refuses(after_s=after_s):
                await trio.sleep(after_s)
                await self.refuse(party.name)
            case _:
                pass

    def is_busy(self) -> bool:
        engine = self.controller.engine
        return engine is not None and any(one.id in self._transfers for one in engine.transfers())

    @property
    def has_lost_keys(self) -> bool:
        """Whether keys got lost on the way, as they do on a busy machine."""
        return self._keys > 0

    async def verdict(self) -> tuple[str, ...]:
        """What is not as the scenario expects, when nothing moves any more."""
        names = self.roster.names
        living = [leg for leg in await self._lab.backend.snapshot() if leg.leg in names]
        alone = tuple(
            f"{names[leg.leg]} is forgotten"
            for leg in living
            if leg.peer is None and not leg.elsewhere
        )
        parties = [party.name for party in self.scenario.parties]
        end = Ending(
            living=living,
            heard={who: tuple(self.heard.of(who)) for who in parties},
            shown={},
            keys={},
            at_s=trio.current_time(),
            broken=(*alone, *(["a transfer is still in flight"] if self.is_busy() else [])),
        )
        run = what_came(self.scenario, 0, self.records, names, end)
        return failures(run)


def playable(character: Character, *, direct: bool) -> list[Scenario]:
    """The scenarios that a lab can play; those about the dialplan only if targets go through it."""
    return [
        one.on(character)
        for one in SCENARIOS.values()
        if one.is_for(character)
        and not one.why_not(LACKS)
        and one.expect.within_s <= LONG_S
        and not (direct and one.dialling != DIRECT)
        and all(  # only plain numbers are replaced by those of the lab
            line.target.isalnum() or not line.target for line in one.script
        )
        and not any(line.further for line in one.script)  # its phones are too few to tell apart
    ]


def _dials_nobody(scenario: Scenario) -> bool:
    """Whether somebody dials a number of nobody: each switch has its own cause for that."""
    known = {party.number for party in scenario.parties}
    dialled = (found[0] for line in scenario.script if (found := _NUMBER.search(line.dials or "")))
    return not known.issuperset(dialled)


def with_lab_phones(scenario: Scenario, ringing: str) -> Scenario:
    """The scenario with the numbers of the lab's phones, and without what a lab does not tell."""
    own: dict[Behaviour, str] = dict(PHONES)
    first = {name for call in scenario.calls for name in call}
    numbers: dict[str, str] = {}
    for party in scenario.parties:
        if party.name not in first:
            at = own.get(party.behaviour, ringing)
            numbers[party.number] = ringing if at in numbers.values() else at

    def number(text: str) -> str:
        return _NUMBER.sub(lambda found: numbers.get(found[0], found[0]), text)

    return attrs.evolve(
        scenario,
        parties=tuple(
            attrs.evolve(party, number=numbers.get(party.number, party.number))
            for party in scenario.parties
        ),
        script=tuple(
            attrs.evolve(line, dials=line.dials and number(line.dials), target=number(line.target))
            for line in scenario.script
        ),
        expect=attrs.evolve(
            scenario.expect,
            cause=None if _dials_nobody(scenario) else scenario.expect.cause,
            shown={},
            keys={},
            within_s=scenario.expect.within_s + SLOWER_S,
        ),
    )


async def play_all(lab: PlayableLab, scenarios: Iterable[Scenario]) -> dict[str, tuple[str, ...]]:
    """Play scenarios side by side; what is wrong with each of those that end otherwise."""
    scenarios = tuple(scenarios)
    controller = Controller(lambda: nullcontext(lab.backend), Account())
    async with trio.open_nursery() as engine:
        await engine.start(controller.run)
        wrong = await _play_at_once(lab, controller, scenarios, AT_ONCE)
        if 0 < len(wrong) <= AGAIN:
            again = [scenario for scenario in scenarios if scenario.name in wrong]
            wrong = await _play_at_once(lab, controller, again, 1)
        engine.cancel_scope.cancel()
    return wrong


async def _play_at_once(
    lab: PlayableLab, controller: Controller, scenarios: Iterable[Scenario], most: int
) -> dict[str, tuple[str, ...]]:
    wrong: dict[str, tuple[str, ...]] = {}
    room, placing = trio.CapacityLimiter(most), trio.Lock()

    async def play(scenario: Scenario, attempts: int = ATTEMPTS) -> None:
        async with room, trio.open_nursery() as nursery:
            rig = LiveRig(with_lab_phones(scenario, lab.ringing), lab, controller, nursery)
            async with placing:
                legs = await lab.call()
                rig.roster.seat(scenario.calls[0], legs)
                rig.heard.fact(LegsJoined(first=legs[0], second=legs[1]))  # they do by now
                await trio.sleep(STEP_S)
            await rig.play()
            await trio.sleep(SETTLES_S)
            told = await rig.verdict()
            await rig.clear()
            controller.on_record.remove(rig.record)
            nursery.cancel_scope.cancel()
        if told and rig.has_lost_keys and attempts > 1:
            await play(scenario, attempts - 1)
        elif told:
            wrong[scenario.name] = told

    async with trio.open_nursery() as plays:
        for scenario in scenarios:
            plays.start_soon(play, scenario)
    return wrong
