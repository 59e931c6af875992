"""Reads WebSocket messages: requests of the table, and of the connection."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from hookflash.errors import InputError
from hookflash.server.invalid import input_error
from hookflash.server.operations import OPERATION_OF, Operation
from hookflash.server.websocket import messages as m

MOST_ID_CHARS: Final = 64
Asked: TypeAlias = tuple[str, Operation | None, Any]
"""The message's ID, the operation (`None`: a request of the connection), and the request."""


def read_message(text: str | bytes) -> Asked:
    """Read a message of a program.

    Raises:
        InputError: it is invalid.
    """
    if isinstance(text, bytes):
        raise InputError("is a binary frame", where="$", hint="one JSON object in a text frame")
    kind: type[Struct] | None = m.Head
    try:
        head = m.HEAD.decode(text)
        operation = OPERATION_OF.get(head.action)
        kind = operation.request if operation is not None else m.SESSION_REQUESTS.get(head.action)
        if kind is None:
            known = ", ".join((*m.SESSION_REQUESTS, *OPERATION_OF))
            what = f"{head.action[:40]!r} is not an action"
            raise InputError(what, where="$.action", hint=f"one of {known}")
        fields: dict[str, Any] = msgspec.json.decode(text)
        del fields["action"], fields["id"]
        return head.id, operation, msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise input_error(error, kind or m.Head) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", where="$", hint="one JSON object") from error


def id_in(text: str | bytes) -> str | None:
    """The ID of an invalid message, so that the reply can be matched to it."""
    if isinstance(text, bytes):
        return None
    try:
        found = msgspec.json.decode(text, type=dict[str, Any]).get("id")
    except (msgspec.DecodeError, RecursionError):
        return None
    return found[:MOST_ID_CHARS] if isinstance(found, str) else None
