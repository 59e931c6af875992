"""The WebSocket protocol, version 1: what either side may say.

Every message is one JSON object in one text frame. A program's messages have an `action`, which
names the command, and an `id` of the program's choice, which its reply repeats. The service's
messages have a `type`. Replies come in the order of the commands; events come in between.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from hookflash.journal.history import KINDS
from hookflash.server.wire import RingTimeout, SoundText, TakebackDigits, Target

PROTOCOL: Final = "hookflash.v1"
"""The subprotocol's name (RFC 6455, section 1.9). A client that offers others is refused."""

NOT_SIGNED_IN: Final = 4001
"""Close code: no key or token was shown in time, or one that is none."""
TOO_SLOW: Final = 4008
"""Close code: the reader fell too far behind. It may come back, and go on where it was."""
NOT_KEPT: Final = 4010
"""Close code: steps that were to be told were forgotten meanwhile (a reader of old history that is
overtaken by the end of what is kept)."""
OUT_OF_ORDER: Final = 1011
"""Close code: the history can't be read, or we are at fault (RFC 6455, section 7.4.1)."""
GOING_AWAY: Final = 1001
"""Close code: the service stops (RFC 6455, section 7.4.1)."""

Id: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, description="comes back with the reply")
]
AccountId: TypeAlias = Annotated[
    str, Meta(max_length=64, description="whose; a key of one account may leave it out")
]
CallId: TypeAlias = Annotated[str, Meta(max_length=64, description="one leg of a call")]
TransferId: TypeAlias = Annotated[str, Meta(max_length=64, description="a transfer")]
Switch: TypeAlias = Annotated[
    str, Meta(max_length=64, description="where, if two switches have a call of the same id")
]


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class Ask(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="action",
    tag=_snake,
):
    """What a program asks."""

    id: Id


class Authenticate(Ask, frozen=True, kw_only=True):
    """Say who asks: with a token that HTTP gave, or with the key itself."""

    token: Annotated[str, Meta(max_length=200)] | None = None
    api_key: Annotated[str, Meta(max_length=200)] | None = None


class Subscribe(Ask, frozen=True, kw_only=True):
    """Follow what happens: all of it, or of an account, a call, a transfer, or of some kinds."""

    account_id: AccountId | None = None
    call_id: CallId | None = None
    transfer_id: TransferId | None = None
    kinds: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z_.]{1,40}\*?$")], ...],
        Meta(
            max_length=32,
            description="kinds of events, or the beginning of kinds and a star: "
            + ", ".join(KINDS),
        ),
    ] = ("transfer.*", "call.*", "switch.*", "request.*")
    after: (
        Annotated[
            int, Meta(ge=0, description="go on after this number; left out: only what is new")
        ]
        | None
    ) = None


class Unsubscribe(Ask, frozen=True, kw_only=True):
    """Follow no more."""

    subscription: Annotated[str, Meta(max_length=64)]


class ListCalls(Ask, frozen=True, kw_only=True):
    """The legs of the account's calls."""

    account_id: AccountId | None = None


class GetCall(Ask, frozen=True, kw_only=True):
    """One leg."""

    call_id: CallId
    account_id: AccountId | None = None
    switch: Switch | None = None


class Transfer(Ask, frozen=True, kw_only=True):
    """Transfer the party that this call talks with."""

    call_id: CallId
    target: Target
    transfer_type: Literal["attended", "blind"] = "attended"
    takeback_dtmf: TakebackDigits | None = None
    moh: SoundText | None = None
    ringback: SoundText | None = None
    timeout: RingTimeout | None = None
    account_id: AccountId | None = None
    switch: Switch | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class Hold(Ask, frozen=True, kw_only=True):
    """Put the party that this call talks with on hold."""

    call_id: CallId
    moh: SoundText | None = None
    account_id: AccountId | None = None
    switch: Switch | None = None


class TakeBack(Ask, frozen=True, kw_only=True):
    """Have the transferee back: of this transfer, or of the one that this call is in."""

    transfer_id: TransferId | None = None
    call_id: CallId | None = None
    account_id: AccountId | None = None
    switch: Switch | None = None


class Complete(Ask, frozen=True, kw_only=True):
    """Hand over now: in this transfer, or in the one that this call is in."""

    transfer_id: TransferId | None = None
    call_id: CallId | None = None
    account_id: AccountId | None = None
    switch: Switch | None = None


class HangUp(Ask, frozen=True, kw_only=True):
    """End this leg."""

    call_id: CallId
    account_id: AccountId | None = None
    switch: Switch | None = None


class ListTransfers(Ask, frozen=True, kw_only=True):
    """The account's transfers, the newest first."""

    account_id: AccountId | None = None
    outcome: (
        Literal["running", "transferred", "taken_back", "reconnected", "abandoned", "failed"] | None
    ) = None
    page_size: Annotated[int, Meta(ge=1, le=200)] = 50
    start_key: Annotated[str, Meta(max_length=200)] | None = None


class GetTransfer(Ask, frozen=True, kw_only=True):
    """One transfer, with its timeline."""

    transfer_id: TransferId
    account_id: AccountId | None = None


class GetMetaflows(Ask, frozen=True, kw_only=True):
    """The account's feature codes."""

    account_id: AccountId | None = None


class SetMetaflows(Ask, frozen=True, kw_only=True):
    """Set the account's feature codes (in place of all there were), or change some."""

    metaflows: dict[str, Any] | None
    """Null: as the config has them."""
    patch: bool = False
    """Whether it is a merge patch (RFC 7396)."""
    apply_to: Literal["new", "all"] = "new"
    """Calls that begin from now on, or those that are up as well."""
    account_id: AccountId | None = None


Asked: TypeAlias = (
    Authenticate
    | Subscribe
    | Unsubscribe
    | ListCalls
    | GetCall
    | Transfer
    | Hold
    | TakeBack
    | Complete
    | HangUp
    | ListTransfers
    | GetTransfer
    | GetMetaflows
    | SetMetaflows
)
"""Whatever a program may ask."""


# ------------------------------------------------------------------------- ours


class Hello(Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """The first message: who we are."""

    protocol: str
    server: str


class Fault(Struct, frozen=True, kw_only=True):
    """Why something was not done."""

    message: str
    refusal: str | None = None
    """The same in a word."""
    where: str | None = None
    """The field that is at fault."""


class Reply(Struct, frozen=True, kw_only=True, tag_field="type", tag="reply", omit_defaults=True):
    """What came of what a program asked."""

    id: str | None
    """That of what it answers; null, if none could be read."""
    status: int
    """As HTTP has it: 200, 202 taken, 4xx yours, 5xx ours."""
    data: Any = None
    error: Fault | None = None


class Events(Struct, frozen=True, kw_only=True, tag_field="type", tag="events"):
    """What happened, in order. Nothing is missing between `after` and `up_to`."""

    subscription: str
    after: int
    """The `up_to` of the message before this one, or what was asked for: whoever finds another
    number has missed something."""
    up_to: int
    events: list[msgspec.Raw]
    """Happenings: as many as there are, oldest first. None, from time to time, where nothing that
    is wanted has happened: `up_to` says how far that is true."""


ASKED: Final = msgspec.json.Decoder(Asked)
_ENCODER: Final = msgspec.json.Encoder()


def said(message: Hello | Reply | Events) -> str:
    """A message of ours as text."""
    return _ENCODER.encode(message).decode()
