"""The WebSocket protocol, version 1: messages of the connection, and of the service.

Every message is one JSON object in one text frame. A program's messages have an `action`, which
names the command, and an `id` of the program's choice, which its reply repeats. The service's
messages have a `type`. Replies come in the order of the commands; events come in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from hookflash.api.requests import AccountId, CallId, TransferId
from hookflash.journal.step import KINDS
from hookflash.server.tokens import LONGEST_TOKEN

PROTOCOL: Final = "hookflash.v1"
"""The subprotocol's name (RFC 6455, section 1.9). A client that offers others is refused."""

NOT_SIGNED_IN: Final = 4001
"""Close code: no valid key or token came in time."""
TOO_SLOW: Final = 4008
"""Close code: the reader fell too far behind. It may reconnect and resume."""
NOT_KEPT: Final = 4010
"""Close code: the next events have been deleted meanwhile (a slow reader of old events)."""
OUT_OF_ORDER: Final = 1011
"""Close code: the history can't be read, or internal error (RFC 6455, section 7.4.1)."""
GOING_AWAY: Final = 1001
"""Close code: the service stops (RFC 6455, section 7.4.1)."""

Id: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, description="Chosen by the program; the reply has it.")
]


class Head(Struct, frozen=True, kw_only=True):
    """The fields of every message of a program."""

    action: str
    id: Id


class Authenticate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sign in, with a token of the HTTP API or with an API key."""

    token: Annotated[str, Meta(max_length=LONGEST_TOKEN)] | None = None
    api_key: Annotated[str, Meta(max_length=200)] | None = None


class Subscribe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Subscribe to events: all, or those of an account, a call, a transfer, or of some kinds."""

    account_id: AccountId | None = None
    call_id: CallId | None = None
    transfer_id: TransferId | None = None
    kinds: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z_.]{1,40}\*?$")], ...],
        Meta(
            max_length=32,
            description="Kinds of events; `transfer.*` matches all that begin so. There are "
            + ", ".join(KINDS)
            + ".",
        ),
    ] = ("transfer.*", "call.*", "switch.*", "request.*")
    after: (
        Annotated[
            int, Meta(ge=0, description="Resume after this number; left out: only new events")
        ]
        | None
    ) = None


class Unsubscribe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a subscription."""

    subscription: Annotated[str, Meta(max_length=64)]


SESSION_REQUESTS: Final[Mapping[str, type[Struct]]] = {
    "authenticate": Authenticate,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
}
"""The actions of the connection. All others are operations of the table."""


class Hello(Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """The first message: the protocol and the service's version."""

    protocol: str
    server: str


class Fault(Struct, frozen=True, kw_only=True):
    """Why a request failed."""

    message: str
    refusal: str | None = None
    """The key of the reason."""
    where: str | None = None
    """The invalid field."""


class Reply(Struct, frozen=True, kw_only=True, tag_field="type", tag="reply", omit_defaults=True):
    """The reply to a message of the program."""

    id: str | None
    """The ID of the message that it answers; null if that could not be read."""
    status: int
    """As in HTTP: 200 success, 202 accepted, 4xx the program's fault, 5xx the service's."""
    data: Any = None
    error: Fault | None = None


class EventBatch(Struct, frozen=True, kw_only=True, tag_field="type", tag="events"):
    """Events of a subscription, in order. Nothing is missing between `after` and `up_to`."""

    subscription: str
    after: int
    """The `up_to` of the previous message, or the requested `after`. Any other number means that
    events are missing."""
    up_to: int
    events: list[msgspec.Raw]
    """The events, oldest first; empty from time to time, to report progress."""


HEAD: Final = msgspec.json.Decoder(Head)
_ENCODER: Final = msgspec.json.Encoder()


def said(message: Hello | Reply | EventBatch) -> str:
    """A message of the service as text."""
    return _ENCODER.encode(message).decode()
