"""`hookflash check-config`: check a service's configuration, or an account's feature codes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Annotated, TypeAlias, cast

from cyclopts import Parameter

from hookflash.cli.terminal import USAGE, plain, terminal
from hookflash.dialling.advice import Advice, lint_metaflows
from hookflash.dialling.metaflows import (
    SCHEMA,
    Metaflows,
    metaflows_faults,
    parse_metaflows,
)
from hookflash.dialling.timing import CodeTiming, explain_timing
from hookflash.document import read_document
from hookflash.engine.account_advice import account_advice
from hookflash.errors import InputError, InputErrors
from hookflash.journal.step import DEFAULT_ACCOUNT
from hookflash.server.read_config import read_config


def check_config(
    file: Annotated[
        Path,
        Parameter(help="hookflash.toml, or feature codes in Kazoo's format (JSON or TOML)."),
    ],
    /,
    *,
    json_output: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object.")
    ] = False,
) -> int:
    """Check a service's configuration, or an account's feature codes; give advice.

    Example: hookflash check-config hookflash.toml
    """
    faults, advice, timing = _checked(file)
    if json_output:
        print(
            json.dumps(
                {
                    "ok": not faults,
                    "faults": [str(fault) for fault in faults],
                    "advice": [str(one) for one in advice],
                    "timing": [
                        {"where": one.where, "code": one.spelled, "acts": one.sentence}
                        for one in timing
                    ],
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
        console.print(f"{plain(str(file))}: ok", soft_wrap=True)
    for where, codes in itertools.groupby(timing, lambda one: one.where):
        console.print(f"feature codes of {plain(where)}", soft_wrap=True)
        for one in codes:
            console.print(f"  {plain(str(one))}", soft_wrap=True)
    return USAGE if faults else 0


METAFLOWS_KEYS = frozenset(cast("dict[str, object]", SCHEMA["properties"]))
"""Keys that tell an account's feature codes from a service's configuration."""


_Checked: TypeAlias = tuple[list[InputError], list[Advice], list[CodeTiming]]
"""The faults of a file, advice, and when its codes act."""


def _checked(file: Path) -> _Checked:
    document = read_document(file)
    keys = cast("dict[str, object]", document).keys() if isinstance(document, dict) else set[str]()
    if keys and not METAFLOWS_KEYS & keys:
        return _service_checked(file)
    written = cast("object", document)
    faults = list(metaflows_faults(written, f"{file}: $"))
    return (faults, [], []) if faults else _examined(parse_metaflows(written), f"{file}: $")


def _examined(metaflows: Metaflows, where: str, numbering_at: str = "") -> _Checked:
    """Examine valid feature codes."""
    advice = lint_metaflows(metaflows, where, numbering_at=numbering_at)
    return [], list(advice), list(explain_timing(metaflows, where))


def _service_checked(file: Path) -> _Checked:
    try:
        config = read_config(file)
    except InputErrors as several:
        return list(several.faults), [], []
    except InputError as fault:
        return [fault], [], []
    places = {DEFAULT_ACCOUNT: ("defaults", config.defaults)} | {
        name: (f"accounts.{name}", keys) for name, keys in config.accounts.items()
    }
    advice: list[Advice] = []
    timing: list[CodeTiming] = []
    for name, (place, keys) in places.items():
        if keys.metaflows is not None or keys.numbering is not None:
            own = "numbering" in (keys.metaflows or {})
            numbering_at = "" if own else f"{file}: $.{place}.numbering"
            where = f"{file}: $.{place}.metaflows"
            examined = _examined(config.account(name).metaflows, where, numbering_at)
            advice += examined[1]
            timing += examined[2]
        advice += account_advice(config.account(name), f"{file}: $.{place}.rules")
    return [], advice, timing
