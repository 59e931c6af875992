"""Renders primitive operations as FreeSWITCH's `api` commands (without the word `api`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from hookflash.backends.freeswitch import primitives as p
from hookflash.backends.freeswitch.sounds import path_of
from hookflash.events import LegId


def line_of(primitive: p.Primitive) -> str:
    """Render one operation."""
    return _LINES[type(primitive)](primitive)


def _originated(originate: p.Originate) -> str:
    # a comma within a value (a list of variables to export) would end it
    escaped = ((name, _quoted(value.replace(",", "\\,"))) for name, value in originate.variables)
    return f"originate {{{_listed(escaped, ',')}}}{originate.dial_string} &park()"


def _quoted(value: str) -> str:
    return f"'{value}'" if " " in value and not value.startswith("'") else value


def _shown(display: p.Display) -> str:
    show = f"uuid_display {display.leg} {display.name}|{display.number}"
    if not display.after_s:
        return show
    return f"sched_api +{display.after_s} {display_group(display.leg)} {show}"


def _killed(kill: p.Kill) -> str:
    line = f"uuid_kill {kill.leg} {kill.cause}"
    if not kill.after_s:
        return line
    return f"sched_api +{kill.after_s} {ringing_group(kill.leg)} {line}"


def _set(step: p.SetVariables) -> str:
    # FreeSWITCH reads `\s` as a space, and two backslashes as one
    escaped = ((name, value.replace("\\", "\\\\")) for name, value in step.variables)
    line = f"uuid_setvar_multi {step.leg} {_listed(escaped, ';')}"
    if not step.after_s:
        return line
    return f"sched_api +{step.after_s} {variables_group(step.leg)} {line}"


def _dropped(drop: p.DropKeys) -> str:
    # it needs four words; an empty mask leaves no variable behind (measured on 1.10.12)
    line = f"uuid_drop_dtmf {drop.leg} {'on' if drop.drop else 'off'} mask_digits ''"
    return line if not drop.after_s else f"sched_api +{drop.after_s} {keys_group(drop.leg)} {line}"


def _sent(step: p.SendTo) -> str:
    # an application and its data each, separated by ^ (`m:^:`)
    steps = [f"set:{name}={value}" if value else f"unset:{name}" for name, value in step.variables]
    to = step.to
    steps.append("park" if to is None else f"transfer:{to.number} {to.dialplan} {to.context}")
    line = f"uuid_transfer {step.leg} 'm:^:{'^'.join(steps)}' inline"
    return f"sched_api +{step.after_s} {return_group(step.leg)} {line}" if step.after_s else line


def return_group(leg: LegId) -> str:
    """The group of the scheduled task that sends a leg back, as a failsafe."""
    return f"hookflash-return-{leg}"


def ringing_group(leg: LegId) -> str:
    """The group of the scheduled task that ends a call that nobody answers."""
    return f"hookflash-rings-{leg}"


def display_group(leg: LegId) -> str:
    """The group of scheduled tasks that update the display of a leg's phone."""
    return f"hookflash-show-{leg}"


def variables_group(leg: LegId) -> str:
    """The group of the scheduled task that restores a leg's variable."""
    return f"hookflash-variables-{leg}"


def keys_group(leg: LegId) -> str:
    """The group of the scheduled task that stops withholding keys, as a failsafe."""
    return f"hookflash-keys-{leg}"


def question_of(fact: p.VariableCheck) -> str:
    """Render the question."""
    return f"uuid_getvar {fact.leg} {fact.variable}"


def _listed(variables: Iterable[tuple[str, str]], separator: str) -> str:
    return separator.join(f"{name}={value}" for name, value in variables)


_LINES: Final[Mapping[type, Callable[[Any], str]]] = {
    p.SetVariables: _set,
    p.SetVariable: lambda one: f"uuid_setvar {one.leg} {one.name} {one.value}".rstrip(),
    p.SendToPark: lambda one: f"uuid_transfer {one.leg} park inline",
    p.SendTo: _sent,
    p.ThreeWay: lambda one: f"uuid_transfer {one.leg} three_way:{one.of},park inline",
    p.Bridge: lambda one: f"uuid_bridge {one.first} {one.second}",
    p.Originate: _originated,
    p.Broadcast: lambda one: f"uuid_broadcast {one.leg} {path_of(one.sound)} aleg",
    p.BreakSounds: lambda one: f"uuid_break {one.leg} all",
    p.Kill: _killed,
    p.Unschedule: lambda one: f"sched_del {one.group}",
    p.Display: _shown,
    p.DropKeys: _dropped,
    p.SendKeys: lambda one: f"uuid_send_dtmf {one.leg} {one.digits}",
}
