"""A scenario as the file that replays it: the result of a failed search."""

from __future__ import annotations

from typing import Any

import attrs
import tomli_w

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.dialling.numbers import NumberRules
from hookflash.engine.legs import Account
from hookflash.events import Kind
from hookflash.fsm.policy import SOUND_CHOICES, Policy
from hookflash.scenarios.scenario import PHONES, PartyPlan, Scenario
from hookflash.scenarios.script import ScriptLine

THROUGH = Dialling().template

_WORD_FOR = {phone: word for word, phone in PHONES.items()}


def scenario_text(scenario: Scenario) -> str:
    """Render a scenario as TOML: its script, policy and faults; it expects only the promises.

    Reading it again gives the same run.
    """
    document: dict[str, Any] = {
        "title": scenario.title,
        "seed": scenario.seed,
        "faults": str(scenario.faults),
        "parties": {party.name: _party(party) for party in scenario.parties},
        "calls": [_call(scenario, *call) for call in scenario.calls],
        "dialling": "dialplan" if scenario.dialling.template == THROUGH else "direct",
        "contexts": "accounts" if scenario.tenants else "",
        "sound_s": scenario.sound_s,
        "policy": _policy(scenario.account.policy),
        "media": {name: str(one) for name, one in scenario.account.media.entries.items()},
        "numbers": _numbers(scenario.account.numbers),
        "metaflows": scenario.account.metaflows.to_document(),
        "owners": {name: _owner(one) for name, one in scenario.account.owners.items()},
        "missing_sounds": sorted(map(str, scenario.missing_sounds)),
        "do": [_line(line) for line in scenario.script],
        "expect": {"within_s": scenario.expect.within_s},
        "character": "" if scenario.character is None else scenario.character.value,
        "because": scenario.because,
    }
    return tomli_w.dumps({key: value for key, value in document.items() if value not in ({}, "")})


def _party(party: PartyPlan) -> dict[str, Any]:
    plan = attrs.asdict(party.behaviour)
    phone = _WORD_FOR[type(party.behaviour)]
    account = {"account": party.account} if party.account else {}
    owner = {"owner": party.owner_id} if party.owner_id else {}
    outside = {"outside": True} if party.outside else {}
    return {"number": party.number, "phone": phone, **plan, **account, **owner, **outside}


def _owner(settings: Account) -> dict[str, Any]:
    return {
        "metaflows": settings.metaflows.to_document(),
        "may_pick_up": settings.rules.may_pick_up,
        "may_transfer": settings.rules.may_transfer.value,
        **({"move_to": list(settings.move_to)} if settings.move_to else {}),
        "kinds_allowed": [kind.value for kind in settings.rules.kinds_allowed],
        "targets_denied": list(settings.rules.targets_denied),
    }


def _call(scenario: Scenario, caller: str, called: str) -> dict[str, str]:
    through = {"through": "dialplan"} if (caller, called) in scenario.through else {}
    return {"from": caller, "to": called, **through}


def _policy(policy: Policy) -> dict[str, Any]:
    """The settings that differ from the defaults."""
    differs = {
        field.name: getattr(policy, field.name)
        for field in attrs.fields(Policy)
        if getattr(policy, field.name) != field.default
    }
    return {name: str(value) if name in SOUND_CHOICES else value for name, value in differs.items()}


def _numbers(numbers: NumberRules) -> dict[str, list[str]]:
    written = {
        "domains": list(numbers.domains),
        "rewrites": [rule.text for rule in numbers.rewrites],
    }
    return {key: value for key, value in written.items() if value}


def _line(line: ScriptLine) -> dict[str, Any]:
    written: dict[str, Any] = {"who": line.who}
    for field in attrs.fields(ScriptLine)[1:]:
        value = getattr(line, field.name)
        if value != field.default:
            written[field.name] = value.value if isinstance(value, Kind) else value
    if line.sounds:
        written["sounds"] = {name: str(sound) for name, sound in line.sounds}
    if line.asks == "transfer":
        written["kind"] = line.kind.value
    return written
