"""A scenario as values: its people, their actions, and the expected result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import attrs

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.faults import Faults
from hookflash.backends.simulator.people import (
    Answers,
    AnswersAndLeaves,
    Behaviour,
    Busy,
    EarlyMedia,
    Manual,
    NeverAnswers,
    Refuses,
    Unreachable,
)
from hookflash.backends.simulator.sounds import FILE_S
from hookflash.engine.legs import Account
from hookflash.scenarios.script import CONTROLLER, SWITCH, ScriptLine, Verb
from hookflash.sounds import Sound

PHONES: Final[Mapping[str, type[Behaviour]]] = {
    "answers": Answers,
    "busy": Busy,
    "refuses": Refuses,
    "never_answers": NeverAnswers,
    "unreachable": Unreachable,
    "early_media": EarlyMedia,
    "leaves": AnswersAndLeaves,
    "manual": Manual,
}
"""The name of a phone's behaviour in a file."""


INSTANT_S: Final = 0.1
"""A party that leaves so soon after the answer races with the switch."""


class Feature(StrEnum):
    """What a scenario may require of the test rig, besides the verbs of its script."""

    FAULTS = "faults"
    RACE = "race"
    MISSING_SOUNDS = "missing sounds"
    SOUND_LENGTH = "sounds of a given length"
    OUTSIDE = "outside lines"
    ACCOUNTS = "accounts"
    LOOPBACK = "calls through a loopback"
    CALLS = "several calls"
    TENANTS = "a context for each account"
    OWNERS = "owners"
    POLICY = "a policy of its own"
    UNREACHABLE = "a phone that is unreachable"


@attrs.frozen(kw_only=True)
class PartyPlan:
    """A person, and a phone."""

    name: str
    number: str
    behaviour: Behaviour
    account: str = ""
    owner_id: str = ""
    outside: bool = False
    is_tenant: bool = False
    """Whether only calls of its own account reach it by its number."""

    @property
    def address(self) -> str:
        """The number, and the context in which it is this party's."""
        return f"{self.number}@{self.account}" if self.is_tenant else self.number


@attrs.frozen(kw_only=True)
class Race:
    """Lines of one instant, in every order."""

    lines: tuple[ScriptLine, ...]
    at_s: float | None = None
    when: str | None = None
    after_s: float = 0.0


@attrs.frozen(kw_only=True)
class Expectation:
    """The expected result. `None`: anything."""

    outcome: tuple[str, ...] | None = None
    outcomes: tuple[str, ...] | None = None
    cause: str | None = None
    states: tuple[str, ...] | None = None
    talk: frozenset[frozenset[str]] | None = None
    gone: frozenset[str] = frozenset()
    heard: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])
    shown: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])
    keys: Mapping[str, str] = attrs.field(factory=dict[str, str])
    refused: str | None = None
    within_s: float = 60.0


@attrs.frozen(kw_only=True)
class Scenario:
    """A call, the actions of its people, and the expected result."""

    name: str
    title: str
    parties: tuple[PartyPlan, ...]
    calls: tuple[tuple[str, str], ...]
    script: tuple[ScriptLine, ...] = ()
    race: Race | None = None
    expect: Expectation = attrs.field(factory=Expectation)
    about: str = ""
    seed: int = 0
    account: Account = attrs.field(factory=Account)
    faults: Faults = attrs.field(factory=Faults)
    missing_sounds: frozenset[Sound] = frozenset()
    """Sounds without a file on the switch."""
    sound_s: float = FILE_S
    """How long a recorded sound plays."""
    dialling: Dialling = DIRECT
    """How targets are called."""
    tenants: bool = False
    """Whether each account has a dialplan context of its own."""
    through: frozenset[tuple[str, str]] = frozenset()
    """Calls that the dialplan places through a loopback."""
    character: Character | None = None
    """The only character of switch for which it is meant; None: any."""
    because: str = ""
    """The reason for that."""
    expect_of: Mapping[Character, Expectation] = attrs.field(factory=dict[Character, Expectation])
    """The expected result on a switch of one character, if it differs."""

    def is_for(self, character: Character) -> bool:
        """Whether it is meant for a switch of this character."""
        return self.character in (None, character)

    def on(self, character: Character) -> Scenario:
        """The scenario with the expected result on a switch of this character."""
        return attrs.evolve(self, expect=self.expect_of.get(character, self.expect))

    @property
    def needs(self) -> frozenset[Verb | Feature]:
        """What it requires of a test rig."""
        race = () if self.race is None else self.race.lines
        asked = {
            Feature.FAULTS: self.faults.bend_commands or self.faults.bend_events,
            Feature.RACE: self.race is not None
            or any(
                isinstance(party.behaviour, AnswersAndLeaves) and party.behaviour.talk_s < INSTANT_S
                for party in self.parties
            ),
            Feature.MISSING_SOUNDS: bool(self.missing_sounds),
            Feature.SOUND_LENGTH: self.sound_s != FILE_S,
            Feature.OUTSIDE: any(party.outside for party in self.parties),
            Feature.ACCOUNTS: any(party.account for party in self.parties),
            Feature.LOOPBACK: bool(self.through),
            Feature.TENANTS: self.tenants,
            Feature.OWNERS: any(party.owner_id for party in self.parties),
            Feature.CALLS: len(self.calls) > 1,
            Feature.POLICY: self.account != Account(),
            Feature.UNREACHABLE: any(
                isinstance(party.behaviour, Unreachable) for party in self.parties
            ),
        }
        features = {feature for feature, is_asked in asked.items() if is_asked}
        return frozenset({line.verb for line in (*self.script, *race)} | features)

    @property
    def is_harsh(self) -> bool:
        """Whether events get lost, or the controller stops: then silence may last longer."""
        return any(line.who in (CONTROLLER, SWITCH) for line in self.script)

    def why_not(self, lacks: Mapping[Verb | Feature, str]) -> str:
        """Why it can't be played on some test rig; empty if it can.

        Args:
            lacks: what the rig lacks, and why.
        """
        return next((why for need, why in lacks.items() if need in self.needs), "")

    def orders(self) -> Iterator[Scenario]:
        """The scenario once for every order of its race, with the race at the end of the script."""
        if self.race is None:
            yield self
            return
        race = self.race
        for order in itertools.permutations(race.lines):
            first = attrs.evolve(order[0], at_s=race.at_s, when=race.when, after_s=race.after_s)
            lines = ", ".join(map(str, order))
            yield attrs.evolve(
                self,
                name=f"{self.name} ({lines})",
                script=(*self.script, first, *order[1:]),
                race=None,
            )
