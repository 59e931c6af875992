"""Reads a dialplan's text into extensions and their steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from hookflash.errors import InputError

_CONTEXT: Final = re.compile(r"\[([^]]+)\]")
_EXTEN: Final = re.compile(r"exten\s*=>\s*(?P<exten>[^,]+),1,(?P<step>.*)")
_SAME: Final = re.compile(r"same\s*=>\s*n(?:\((?P<label>\w+)\))?,(?P<step>.*)")
_STEP: Final = re.compile(r"(?P<app>\w+)\((?P<text>.*)\)")


@attrs.frozen
class DialplanStep:
    """One application with its arguments."""

    app: str
    text: str


@attrs.frozen
class Extension:
    """The steps of an extension."""

    steps: tuple[DialplanStep, ...]
    labels: Mapping[str, int]
    """The labels, with the index of their step, from 0."""


@attrs.frozen
class DialplanPlace:
    """A position in a dialplan: the next step."""

    context: str
    exten: str
    step: int = 0


def read_extensions(text: str) -> tuple[str, Mapping[str, Extension]]:
    """Read a dialplan with one context.

    Returns:
        The context's name, and its extensions.

    Raises:
        InputError: a line is invalid.
    """
    context, exten = "", ""
    steps: dict[str, list[DialplanStep]] = {}
    labels: dict[str, dict[str, int]] = {}
    for number, whole in enumerate(text.splitlines(), 1):
        line = whole.strip()
        if not line or line.startswith(";"):
            continue
        if found := _CONTEXT.fullmatch(line):
            context = found[1]
        elif found := _EXTEN.fullmatch(line):
            exten = found["exten"]
            steps[exten], labels[exten] = [_step(found["step"], number)], {}
        elif exten and (found := _SAME.fullmatch(line)):
            if found["label"]:
                labels[exten][found["label"]] = len(steps[exten])
            steps[exten].append(_step(found["step"], number))
        else:
            raise InputError(f"{line!r} is not understood", where=f"line {number}")
    read = {name: Extension(tuple(steps[name]), labels[name]) for name in steps}
    return context, read


def _step(text: str, number: int) -> DialplanStep:
    found = _STEP.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{text!r} is not an application", where=f"line {number}")
    return DialplanStep(found["app"], found["text"])


def place_of(text: str, here: DialplanPlace, extensions: Mapping[str, Extension]) -> DialplanPlace:
    """The position in a `Goto`: `label`, `exten,1`, `context,exten,1`."""
    context, exten, priority = here.context, here.exten, text
    match text.split(","):
        case [exten, priority]:
            pass
        case [context, exten, priority]:
            pass
        case _:
            pass
    if priority.isdecimal():
        return DialplanPlace(context, exten, int(priority) - 1)
    return DialplanPlace(context, exten, extensions[exten].labels[priority])
