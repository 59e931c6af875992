"""Primitive operations in FreeSWITCH's words: `api` commands, without the word `api`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from hookflash.backends.freeswitch.primitives import (
    BreakSounds,
    Bridge,
    Broadcast,
    Display,
    Fact,
    Kill,
    Originate,
    Primitive,
    SendToPark,
    SetVariable,
    SetVariables,
    Unschedule,
)
from hookflash.events import LegId


def line_of(primitive: Primitive) -> str:  # noqa: PLR0911 - a table
    """What to send for one operation."""
    match primitive:
        case SetVariables() | SetVariable():
            return _set(primitive)
        case SendToPark(leg):
            return f"uuid_transfer {leg} park inline"
        case Bridge(first, second):
            return f"uuid_bridge {first} {second}"
        case Originate():
            return _called(primitive)
        case Broadcast(leg, sound):
            return f"uuid_broadcast {leg} {sound} aleg"
        case BreakSounds(leg):
            return f"uuid_break {leg} all"
        case Kill(leg, cause):
            return f"uuid_kill {leg} {cause}"
        case Unschedule(group):
            return f"sched_del {group}"
        case Display():
            return _shown(primitive)
        case _:
            assert_never(primitive)


def _set(setting: SetVariables | SetVariable) -> str:
    if isinstance(setting, SetVariable):
        return f"uuid_setvar {setting.leg} {setting.name} {setting.value}"
    return f"uuid_setvar_multi {setting.leg} {_listed(setting.variables, ';')}"


def _called(originate: Originate) -> str:
    app = "park()" if originate.takes is None else f"intercept({originate.takes})"
    # a comma within a value (a list of variables to export) would end it
    escaped = ((name, value.replace(",", "\\,")) for name, value in originate.variables)
    told = _listed(escaped, ",")
    return f"originate {{{told}}}{originate.dial_string} &{app}"


def _shown(display: Display) -> str:
    show = f"uuid_display {display.leg} {display.name}|{display.number}"
    if not display.after_s:
        return show
    return f"sched_api +{display.after_s} {display_group(display.leg)} {show}"


def display_group(leg: LegId) -> str:
    """The group of tasks that tell a leg's phone something later."""
    return f"hookflash-show-{leg}"


def question_of(fact: Fact) -> str:
    """What to ask."""
    return f"uuid_getvar {fact.leg} {fact.variable}"


def _listed(variables: Iterable[tuple[str, str]], separator: str) -> str:
    return separator.join(f"{name}={value}" for name, value in variables)
