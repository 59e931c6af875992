"""The scenario file: TOML, read into values; every fault is reported with its place.

    title = "Carol is busy: Alice has Bob back"

    [parties]
    alice = {number = "1001"}
    bob   = {number = "1002"}
    carol = {number = "2602", phone = "busy"}

    [[do]]
    who = "alice"
    at_s = 1
    dials = "*22602"

    [expect]
    outcome = "reconnected"
    talk = [["alice", "bob"]]

Every key, its unit and its default are in `hookflash/specs/scenario.schema.json`, from which the
reference in docs/ is generated.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from cattrs import Converter

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.simulator.build import TENANTS
from hookflash.backends.simulator.character import Character
from hookflash.backends.simulator.executor import DIRECT
from hookflash.backends.simulator.faults import Faults, parse_faults
from hookflash.backends.simulator.sounds import FILE_S
from hookflash.codec import teach_values
from hookflash.dialling.metaflows import DEFAULT_METAFLOWS, parse_metaflows
from hookflash.dialling.numbers import NumberRules, parse_rewrites
from hookflash.document import faults_of, faults_of_numbers, load_schema, meant, place_in
from hookflash.engine.legs import Account
from hookflash.engine.rules import Rules
from hookflash.errors import InputError
from hookflash.events import Kind
from hookflash.fsm.policy import SOUND_CHOICES, Policy
from hookflash.fsm.transfer import State
from hookflash.scenarios.roster import HAPPENINGS
from hookflash.scenarios.scenario import PHONES, Expectation, PartyPlan, Race, Scenario
from hookflash.scenarios.script import VERBS, ScriptLine
from hookflash.sounds import MediaList, Sound, parse_asked_sound, parse_optional_sound, parse_sound

NO_PARTIES = frozenset(verb.doer for verb in VERBS if verb.doer)
"""Names that no party may have: those of the clock, the controller and the switch."""

MAX_FILE_BYTES = 1_000_000
"""No scenario that a person wrote is longer."""


def load_scenario(file: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        InputError: it can't be read, or is invalid; the message names the file, the place, and what
            is allowed.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"can't be read: {error.strerror}", where=str(file), hint="name a scenario file"
        ) from error
    if len(text) > MAX_FILE_BYTES:
        raise InputError(
            "is too large for a scenario", where=str(file), hint=f"at most {MAX_FILE_BYTES} bytes"
        )
    return parse_scenario(text, where=str(file), name=file.stem)


def parse_scenario(text: bytes, *, where: str, name: str) -> Scenario:
    """Read a scenario's text.

    Args:
        text: TOML, in UTF-8.
        where: its name in errors.
        name: the scenario's name.

    Raises:
        InputError: as for `load_scenario`.
    """
    try:
        document = tomllib.loads(text.decode("utf-8-sig"))
    except ValueError as error:  # not UTF-8 or TOML, or a number too long for Python
        raise InputError(
            f"is not valid TOML: {error}", where=where, hint="see docs/reference/scenario.md"
        ) from error
    except RecursionError as error:
        raise InputError("is nested too deeply", where=where, hint="use fewer levels") from error
    place = f"{where}: $"
    schema = load_schema("specs/scenario.schema.json")
    for fault in (*faults_of_numbers(document, place), *faults_of(document, schema, place)):
        raise fault
    return _Reader(document, where).scenario(name)


_CONVERTER = Converter()
"""Builds values from a document that the schema has accepted."""
teach_values(_CONVERTER)


class _Reader:
    """Turns a valid document into a scenario, and finds the faults that a schema can't."""

    def __init__(self, document: dict[str, Any], where: str) -> None:
        self._document = document
        self._where = f"{where}: $"
        self._names = frozenset(document["parties"])

    def scenario(self, name: str) -> Scenario:
        document = self._document
        parties = self._parties()
        calls = document.get("calls") or [{"from": parties[0].name, "to": parties[1].name}]
        return Scenario(
            name=name,
            title=document["title"],
            about=document.get("about", ""),
            seed=document.get("seed", 0),
            parties=parties,
            calls=tuple(self._call(call, "calls", i) for i, call in enumerate(calls)),
            script=tuple(self._line(d, "do", i) for i, d in enumerate(document.get("do", ()))),
            race=self._race(),
            expect=self._expectation(document["expect"], "expect"),
            character=Character(document["character"]) if "character" in document else None,
            because=document.get("because", ""),
            expect_of={
                Character(character): self._expectation(
                    document["expect"] | expect, "expect_of", character
                )
                for character, expect in document.get("expect_of", {}).items()
            },
            account=self._account(),
            faults=self._faults(),
            missing_sounds=self._missing_sounds(),
            sound_s=document.get("sound_s", FILE_S),
            dialling=self._dialling(),
            tenants="contexts" in document,
            through=frozenset((c["from"], c["to"]) for c in calls if "through" in c),
        )

    def _dialling(self) -> Dialling:
        way: str = self._document.get("dialling", "direct")
        if "contexts" in self._document:
            return TENANTS[way]
        return Dialling() if way == "dialplan" else DIRECT

    def _known(self, who: str, *place: object) -> str:
        if who not in self._names:
            raise InputError(
                f"unknown party {who!r}",
                where=place_in(self._where, place),
                hint="parties are " + ", ".join(sorted(self._names)),
            )
        return who

    def _parties(self) -> tuple[PartyPlan, ...]:
        taken: dict[str, str] = {}
        for name, plan in self._document["parties"].items():
            number: str = plan["number"]
            if name in NO_PARTIES:
                raise InputError(
                    f"{name} is reserved, and can't be a party",
                    where=place_in(self._where, ["parties", name]),
                    hint="give the party another name",
                )
            address = f"{number}@{plan.get('account')}" if "contexts" in self._document else number
            if address in taken:
                raise InputError(
                    f"{taken[address]} has the number {number} already",
                    where=place_in(self._where, ["parties", name, "number"]),
                    hint="give each phone a number of its own",
                )
            taken[address] = name
        return tuple(self._party(who, plan) for who, plan in self._document["parties"].items())

    def _call(self, call: dict[str, str], *place: object) -> tuple[str, str]:
        caller = self._known(call["from"], *place, "from")
        called = self._known(call["to"], *place, "to")
        if caller == called:
            raise InputError(
                "a party can't call itself",
                where=place_in(self._where, place),
                hint="name two parties",
            )
        return caller, called

    def _happening(self, event: str, *place: object) -> None:
        """A `when` that never comes would silently skip the rest of the scenario."""
        names = sorted(self._names)
        verbs = tuple(HAPPENINGS.values())
        possible = {f"{name} {verb}" for name in names for verb in verbs}
        possible |= {f"{one} and {other} talk" for one, other in itertools.permutations(names, 2)}
        possible |= {f"the transfer is {state.value}" for state in State}
        if event not in possible:
            raise InputError(
                f"{event!r} never happens",
                where=place_in(self._where, place),
                hint=meant(event, sorted(possible))
                + f"NAME {', NAME '.join(verbs)}, NAME and NAME talk, or the transfer is STATE",
            )

    def _party(self, name: str, plan: dict[str, Any]) -> PartyPlan:
        phone = PHONES[plan.get("phone", "answers")]
        choices = [field.name for field in attrs.fields(phone) if field.name in plan]
        return PartyPlan(
            name=name,
            number=plan["number"],
            behaviour=phone(**{key: plan[key] for key in choices}),
            account=plan.get("account", ""),
            owner_id=plan.get("owner", ""),
            outside=plan.get("outside", False),
            is_tenant="account" in plan and "contexts" in self._document,
        )

    def _line(self, line: dict[str, Any], *place: object) -> ScriptLine:
        if line.get("asks") == "number" and not line.get("target"):
            raise InputError(
                "the number is missing",
                where=place_in(self._where, place),
                hint='target = "2600"',
            )
        self._moment(line, *place)
        kind = Kind(line["kind"]) if "kind" in line else Kind.ATTENDED
        further = tuple(line.get("further", ()))
        fields: dict[str, Any] = {**line, "kind": kind, "further": further}
        if "sounds" in line:
            where = place_in(self._where, [*place, "sounds"])
            fields["sounds"] = tuple(
                (name, parse_optional_sound(text, place_in(where, [name])))
                for name, text in line["sounds"].items()
            )
        read = ScriptLine(**fields)
        self._doer(read, *place)
        return read

    def _doer(self, line: ScriptLine, *place: object) -> None:
        """Each verb has its own actors: a party, the clock, the controller, the switch."""
        own = [verb for verb in VERBS if verb.doer and verb.doer == line.who]
        if not own:
            self._known(line.who, *place, "who")
        if line.verb not in own and (own or line.verb.doer):
            may = (f"{verb.key} = {word!r}" for verb in own for word in verb.words)
            raise InputError(
                f"{line.who} can't do that",
                where=place_in(self._where, place),
                hint=", or ".join(may) or "leave that to clock, controller or switch",
            )

    def _moment(self, line: dict[str, Any], *place: object) -> None:
        if "at_s" in line and "when" in line:
            raise InputError(
                "at_s and when exclude each other",
                where=place_in(self._where, place),
                hint="give one of them",
            )
        if "when" in line:
            self._happening(line["when"], *place, "when")

    def _race(self) -> Race | None:
        race = self._document.get("race")
        if race is None:
            return None
        self._moment(race, "race")
        lines = tuple(self._line(d, "race", "do", i) for i, d in enumerate(race["do"]))
        moment = {key: value for key, value in race.items() if key != "do"}
        return Race(lines=lines, **moment)

    def _account(self) -> Account:
        media = self._media()
        metaflows = self._document.get("metaflows")
        account = Account(
            metaflows=DEFAULT_METAFLOWS
            if metaflows is None
            else parse_metaflows(metaflows, place_in(self._where, ["metaflows"])),
            policy=self._policy(media),
            media=media,
            numbers=self._numbers(),
        )
        written: dict[str, dict[str, Any]] = self._document.get("owners", {})
        owners = {name: self._owner(account, name, keys) for name, keys in written.items()}
        return attrs.evolve(account, owners=owners)

    def _owner(self, account: Account, name: str, keys: Mapping[str, Any]) -> Account:
        rules = {key: keys[key] for key in keys.keys() - {"metaflows", "move_to"}}
        where = place_in(self._where, ["owners", name, "metaflows"])
        own = keys.get("metaflows")
        return attrs.evolve(
            account,
            metaflows=account.metaflows if own is None else parse_metaflows(own, where),
            rules=_CONVERTER.structure(rules, Rules),
            move_to=tuple(keys.get("move_to", ())),
        )

    def _numbers(self) -> NumberRules:
        numbers: dict[str, list[str]] = self._document.get("numbers", {})
        where = place_in(self._where, ["numbers", "rewrites"])
        return NumberRules(
            domains=tuple(numbers.get("domains", ())),
            rewrites=parse_rewrites(numbers.get("rewrites", ()), where),
        )

    def _media(self) -> MediaList:
        written: dict[str, str] = self._document.get("media", {})
        place = partial(place_in, self._where)
        return MediaList(
            {name: parse_sound(text, place(["media", name])) for name, text in written.items()}
        )

    def _policy(self, media: MediaList) -> Policy:
        policy: dict[str, Any] = dict(self._document.get("policy", {}))
        for name in SOUND_CHOICES & policy.keys():
            place = place_in(self._where, ["policy", name])
            sound = media.sound(parse_asked_sound(policy[name], place), DEFAULT_ACCOUNT, place)
            policy[name] = str(sound)
        return _CONVERTER.structure(policy, Policy)

    def _missing_sounds(self) -> frozenset[Sound]:
        written: list[str] = self._document.get("missing_sounds", [])
        return frozenset(
            parse_sound(text, place_in(self._where, ["missing_sounds", i]))
            for i, text in enumerate(written)
        )

    def _faults(self) -> Faults:
        text = self._document.get("faults", "")
        try:
            return parse_faults(text)
        except InputError as error:
            where = place_in(self._where, ["faults"])
            raise InputError(error.what, where=where, hint=error.hint) from error

    def _expectation(self, given: Mapping[str, Any], *place: str) -> Expectation:
        expect = dict(given)
        outcome = expect.get("outcome")
        if outcome is not None:
            expect["outcome"] = (outcome,) if isinstance(outcome, str) else tuple(outcome)
        for key in ("outcomes", "states"):
            if key in expect:
                expect[key] = tuple(expect[key])
        if "talk" in expect:
            for i, pair in enumerate(expect["talk"]):
                for who in pair:
                    self._known(who, *place, "talk", i)
            expect["talk"] = frozenset(frozenset(pair) for pair in expect["talk"])
        expect["gone"] = frozenset(
            self._known(who, *place, "gone", i) for i, who in enumerate(expect.get("gone", ()))
        )
        heard = expect.get("heard", {})
        for who in heard:
            self._known(who, *place, "heard", who)
        expect["heard"] = {who: tuple(sounds) for who, sounds in heard.items()}
        shown = expect.get("shown", {})
        for who in shown:
            self._known(who, *place, "shown", who)
        expect["shown"] = {who: tuple(numbers) for who, numbers in shown.items()}
        for who in expect.get("keys", {}):
            self._known(who, *place, "keys", who)
        return Expectation(**expect)
