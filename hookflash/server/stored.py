"""Feature codes that programs have stored through older releases.

Sounds were once texts for FreeSWITCH, in which `http://…` was allowed. Journals may still contain
such documents. They are used without the unreadable sounds; the policy's sounds are played instead.
Nothing is lost, because FreeSWITCH could never play them. The stored documents are not changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import structlog

from hookflash.dialling.kazoo_options import KAZOO_SOUNDS
from hookflash.document import place_in
from hookflash.errors import InputError
from hookflash.sounds import parse_sound

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))


def readable_metaflows(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Remove unreadable sounds from feature codes, and log each.

    Args:
        stored: the feature codes that programs have set, by account.
    """
    return {account: _readable(account, document) for account, document in stored.items()}


def _readable(account: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    faults = [*_unreadable(document)]
    if not faults:
        return document
    usable = deepcopy(dict(document))
    for part, dialled, key, fault in faults:
        del usable[part][dialled]["data"][key]
        log.warning(
            "sound.unreadable",
            account=account,
            where=place_in("$", [part, dialled, "data", key]),
            why=fault.what,
            hint=f"set its feature codes again: POST or PATCH /v2/accounts/{account}/metaflows",
        )
    return usable


def _unreadable(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, InputError]]:
    for part in ("numbers", "patterns"):
        for dialled, entry in document.get(part, {}).items():
            data = entry.get("data", {})
            for key in KAZOO_SOUNDS:
                try:
                    if key in data:
                        parse_sound(str(data[key]))
                except InputError as fault:
                    yield part, dialled, key, fault
