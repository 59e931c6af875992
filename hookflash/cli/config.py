"""`hookflash check-config`, and how commands read what people wrote."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, cast

from cyclopts import Parameter

from hookflash.cli.terminal import USAGE, plain, terminal
from hookflash.dialling.metaflows import (
    SCHEMA,
    Advice,
    Metaflows,
    lint_metaflows,
    metaflows_faults,
    parse_metaflows,
)
from hookflash.errors import InputError
from hookflash.server.read_config import read_config

MAX_CONFIG_BYTES = 1_000_000
"""No config that a person wrote is longer."""


def check_config(
    file: Annotated[
        Path,
        Parameter(help="hookflash.toml; or feature codes: JSON in Kazoo's shape, or TOML."),
    ],
    /,
    *,
    json_output: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object.")
    ] = False,
) -> int:
    """Check a service's config, or an account's feature codes; warn of what will annoy people."""
    faults, advice = _checked(file)
    if json_output:
        print(
            json.dumps(
                {
                    "ok": not faults,
                    "faults": [str(fault) for fault in faults],
                    "advice": [str(one) for one in advice],
                }
            )
        )
        return USAGE if faults else 0
    console = terminal()
    for fault in faults:
        console.print(f"[red]wrong[/red]  {plain(str(fault))}", soft_wrap=True)
    for one in advice:
        console.print(f"[yellow]advice[/yellow] {plain(str(one))}", soft_wrap=True)
    if not faults and not advice:
        console.print(f"{plain(str(file))}: all is well", soft_wrap=True)
    return USAGE if faults else 0


METAFLOWS_KEYS = frozenset(cast("dict[str, object]", SCHEMA["properties"]))
"""By these an account's feature codes are known from a service's config."""


def _checked(file: Path) -> tuple[list[InputError], list[Advice]]:
    """What is wrong with a file, and what is unwise."""
    document = read_document(file)
    keys = cast("dict[str, object]", document).keys() if isinstance(document, dict) else set[str]()
    if keys and not METAFLOWS_KEYS & keys:
        return _service_checked(file)
    written = cast("object", document)
    faults = list(metaflows_faults(written, f"{file}: $"))
    return faults, [] if faults else list(lint_metaflows(parse_metaflows(written), f"{file}: $"))


def _service_checked(file: Path) -> tuple[list[InputError], list[Advice]]:
    try:
        config = read_config(file)
    except InputError as fault:
        return [fault], []
    places = {"defaults": config.defaults} | {
        f"accounts.{name}": keys for name, keys in config.accounts.items()
    }
    return [], [
        one
        for place, keys in places.items()
        if keys.metaflows is not None
        for one in lint_metaflows(parse_metaflows(keys.metaflows), f"{file}: $.{place}.metaflows")
    ]


def read_document(file: Path) -> object:
    """Read a JSON or TOML file.

    Raises:
        InputError: it is none.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"can't be read: {error.strerror}", where=str(file), hint="name a config file"
        ) from error
    if len(text) > MAX_CONFIG_BYTES:
        raise InputError("is too large", where=str(file), hint=f"at most {MAX_CONFIG_BYTES} bytes")
    try:
        if file.suffix == ".toml":
            return tomllib.loads(text.decode("utf-8-sig"))
        return cast("object", json.loads(text, object_pairs_hook=_no_key_twice))
    except InputError as error:
        raise InputError(error.what, where=str(file), hint=error.hint) from error
    except (ValueError, RecursionError) as error:
        kind = "TOML" if file.suffix == ".toml" else "JSON"
        raise InputError(f"is no {kind}: {error}", where=str(file), hint=f"write {kind}") from error


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse what a JSON parser lets pass: the first of two would be lost without a word."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise InputError(f"the key {key!r} is given twice", hint="give it once")
        found[key] = value
    return found


def read_metaflows(file: Path) -> Metaflows:
    """Read an account's feature codes.

    Raises:
        InputError: they can't be used as they are.
    """
    return parse_metaflows(read_document(file), f"{file}: $")
