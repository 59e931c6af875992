"""Hooks of schemathesis: without them it would ask for calls that nobody makes.

A run of it reads this file (`SCHEMATHESIS_HOOKS`). Where a request is meant to be right, it gets
the id of a call that is up, or of a transfer that there was.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import httpx
import schemathesis
from schemathesis import Case, GenerationMode, HookContext

URL = os.environ["HOOKFLASH_TEST_URL"]
TOKEN = {"X-Auth-Token": os.environ["HOOKFLASH_TEST_TOKEN"]}
_TURNS = itertools.count()


def _ids(what: str, key: str) -> list[str]:
    answered = httpx.get(f"{URL}/v2/accounts/default/{what}", headers=TOKEN)
    return [one[key] for one in answered.json()["data"]]


@schemathesis.hook  # pyright: ignore[reportUnknownMemberType] - its types are loose
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    data = case.body.get("data") if isinstance(case.body, dict) else None
    if isinstance(data, dict) and data.get("action") == "transfer" and next(_TURNS) % 2:
        case.body = {"data": {"action": "transfer", "target": "2600"}}  # one that may begin
    for name, what, key in (
        ("call_id", "channels", "call_id"),
        ("transfer_id", "transfers", "id"),
    ):
        if name in case.path_parameters:
            ids = _ids(what, key)
            case.path_parameters["account_id"] = "default"
            if ids:
                case.path_parameters[name] = ids[next(_TURNS) % len(ids)]
