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

import attrs
import structlog

from hookflash.dialling.kazoo_options import KAZOO_SOUNDS, read_kazoo_sound
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.document import place_in
from hookflash.errors import InputError

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))


@attrs.frozen
class StoredCodes:
    """Feature codes that programs have set, by account."""

    documents: Mapping[str, Mapping[str, Any]]
    faults: Mapping[str, str]
    """What is wrong with those that can't be used."""


def readable_metaflows(stored: Mapping[str, Mapping[str, Any]]) -> StoredCodes:
    """Leave out unreadable sounds, and documents that are no feature codes; log each.

    An account without its own codes has those of the configuration. One account's bad codes must
    not keep the service from starting.

    Args:
        stored: the feature codes that programs have set, by account.
    """
    documents: dict[str, Mapping[str, Any]] = {}
    faults: dict[str, str] = {}
    for account, document in stored.items():
        try:
            usable = _readable(account, document)
            parse_metaflows(usable, "metaflows")
        except Exception as error:  # noqa: BLE001 - not even shaped like codes
            faults[account] = str(error)
            hint = f"set them again: POST /v2/accounts/{account}/metaflows"
            log.warning("feature_codes.unreadable", account=account, why=str(error), hint=hint)
        else:
            documents[account] = usable
    return StoredCodes(documents, faults)


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
                        read_kazoo_sound(key, str(data[key]))
                except InputError as fault:
                    yield part, dialled, key, fault
