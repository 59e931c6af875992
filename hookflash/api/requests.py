"""What a program may ask: one frozen value an operation, the same by HTTP, WebSocket and client.

Over WebSocket, the fields are the message's keys. Over HTTP they are in the path, in the query and
in the body; `hookflash.server.operations` says where. An unknown field is refused, so that no
typing error is dropped silently. The first sentence of a docstring is the summary in the documents.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from hookflash.accounts import ACCOUNT_PATTERN
from hookflash.called import MOST_RECALLS, MOST_TARGETS
from hookflash.dialling.numbers import MAX_WRITTEN, NUMBER_PATTERN
from hookflash.parking import SLOT_PATTERN
from hookflash.returns import NAME_PATTERN
from hookflash.sounds import ASKED_SOUND_PATTERN, OPTIONAL_SOUND_PATTERN
from hookflash.transfer_context import (
    DEEPEST,
    HEADER_PATTERN,
    LONGEST_NAME,
    LONGEST_VALUE,
    MOST_DATA_BYTES,
    MOST_PAIRS,
    VARIABLE_PATTERN,
)

NOTHING_FOLLOWS: Final = r"(?![\s\S])"
"""How an expression ends: in some languages a $ lets a line end pass."""

AccountId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{ACCOUNT_PATTERN}{NOTHING_FOLLOWS}",
        description="Account ID; `default` if the switch does not report accounts. Over WebSocket,"
        " a key of one account may leave it out.",
        examples=["default"],
    ),
]
CallId: TypeAlias = Annotated[
    str, Meta(max_length=256, description="ID of one leg of a call, as the switch names it.")
]
TransferId: TypeAlias = Annotated[str, Meta(max_length=64, description="ID of a transfer.")]
Switch: TypeAlias = Annotated[
    str,
    Meta(max_length=64, description="Name of the switch, if two switches have a leg of this ID."),
]
IdempotencyKey: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="A repeat with the same key does nothing and gets the first answer again.",
    ),
]
Target: TypeAlias = Annotated[
    str,
    Meta(
        pattern=NUMBER_PATTERN,
        max_length=MAX_WRITTEN,
        description="The number to call, such as 2600, +49 (30) 12345, tel:+49-30-12345, or"
        " sip:2600@example.org if the account has that domain.",
        examples=["2600", "+49 30 123-45", "tel:+49-30-12345", "sip:2600"],
    ),
]
TransferType: TypeAlias = Annotated[
    Literal["attended", "blind", "move"],
    Meta(
        description="Attended: the transferor talks with the target first. Move: it takes the call"
        " along to another device of its own, and the two talk on until that answers."
    ),
]
HeldSound: TypeAlias = Annotated[
    str,
    Meta(
        pattern=ASKED_SOUND_PATTERN,
        description="What the held party hears: music on hold, a tone, a recording, or the ID of an"
        " entry in the account's media list.",
        examples=["greeting", "music:default", "tone:440+480/2000,0/4000", "file:ivr/one-moment"],
    ),
]
RingbackSound: TypeAlias = Annotated[
    str,
    Meta(
        pattern=ASKED_SOUND_PATTERN,
        description="What the waiting party hears while the target rings: a sound, or the ID of an"
        " entry in the account's media list.",
        examples=["tone:440+480/2000,0/4000"],
    ),
]
KEYS: Final = rf"^[0-9A-D*#]{{0,8}}{NOTHING_FOLLOWS}"
"""What a code in a transfer consists of."""

TakebackDigits: TypeAlias = Annotated[
    str,
    Meta(
        pattern=KEYS,
        description="What the transferor dials to take the transferee back; empty: nothing.",
        examples=["*1"],
    ),
]
SwapDigits: TypeAlias = Annotated[
    str,
    Meta(
        pattern=KEYS,
        description="What the transferor dials to change between transferee and target; empty:"
        " nothing.",
        examples=["*4"],
    ),
]
ThreeWayDigits: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9A-D*#]{{0,8}}{NOTHING_FOLLOWS}",
        description="What the transferor dials to bring all three into one conversation, and to"
        " leave it; empty: nothing.",
        examples=["*3"],
    ),
]
CompleteDigits: TypeAlias = Annotated[
    str,
    Meta(
        pattern=KEYS,
        description="What the transferor dials to hand over without hanging up; empty: nothing.",
        examples=["*5"],
    ),
]
TargetAccepts: TypeAlias = Annotated[
    bool,
    Meta(
        description="Whether the target must accept, by a key or by `accept`, before it is"
        " connected with anybody."
    ),
]
AcceptDigits: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9A-D*#]{{1,8}}{NOTHING_FOLLOWS}",
        description="What the target presses to accept.",
        examples=["1"],
    ),
]
DeclineDigits: TypeAlias = Annotated[
    str,
    Meta(
        pattern=KEYS,
        description="What the target presses to decline; empty: nothing.",
        examples=["2"],
    ),
]
AcceptPrompt: TypeAlias = Annotated[
    str,
    Meta(
        pattern=ASKED_SOUND_PATTERN,
        description="What the target hears until it accepts: a sound, or the ID of an entry in the"
        " account's media list.",
        examples=["file:ivr/press-1-to-accept"],
    ),
]
Briefing: TypeAlias = Annotated[
    str,
    Meta(
        pattern=OPTIONAL_SOUND_PATTERN,
        description="What the target hears, alone, before it gets the transferee of a transferor"
        " who has left: a sound, or the ID of an entry in the account's media list; empty: none.",
        examples=["file:briefings/4711.wav"],
    ),
]
Announcement: TypeAlias = Annotated[
    str,
    Meta(
        pattern=OPTIONAL_SOUND_PATTERN,
        description="What the transferee hears once, before the music: a sound, or the ID of an"
        " entry in the account's media list; empty: none.",
        examples=["file:ivr/you-are-being-transferred.wav"],
    ),
]
FailureSound: TypeAlias = Annotated[
    str,
    Meta(
        pattern=OPTIONAL_SOUND_PATTERN,
        description="What the transferor hears, alone, when the target has failed, before it has"
        " the transferee again: a sound, or the ID of an entry in the account's media list; empty:"
        " none.",
        examples=["tone:480+620/500,0/500*3"],
    ),
]
RefusalTone: TypeAlias = Annotated[
    str,
    Meta(
        pattern=OPTIONAL_SOUND_PATTERN,
        description="What the transferor hears in a conversation if a code is refused that belongs"
        " to this transfer: a sound, or the ID of an entry in the account's media list; empty:"
        " none.",
        examples=["tone:480+620/100,0/50*2"],
    ),
]
ConnectedSound: TypeAlias = Annotated[
    str,
    Meta(
        pattern=OPTIONAL_SOUND_PATTERN,
        description="What transferee and target hear as soon as they talk with each other: a sound"
        " that ends, or the ID of an entry in the account's media list; empty: none.",
        examples=["file:ivr/you-are-connected.wav"],
    ),
]
AcceptLimit: TypeAlias = Annotated[
    float, Meta(gt=0, le=86_400, description="How long the target may take to accept, in seconds.")
]
RingTimeout: TypeAlias = Annotated[
    float, Meta(gt=0, le=86_400, description="How long the target may ring, in seconds.")
]


class ListedTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target after the first one."""

    target: Target
    timeout: RingTimeout | None = None


FurtherTargets: TypeAlias = Annotated[
    list[ListedTarget],
    Meta(
        max_length=MOST_TARGETS - 1,
        description="Targets after the first one, each with its ring timeout: the next is called if"
        " the one before can't be had.",
        examples=[[{"target": "2601", "timeout": 15}, {"target": "2602"}]],
    ),
]
RingsAll: TypeAlias = Annotated[
    bool,
    Meta(
        description="Whether all targets ring at once, and the first answer wins; otherwise they"
        " ring one after the other."
    ),
]
RecallAttempts: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=MOST_RECALLS,
        description="How many times a transferor who left is called back if the transfer fails.",
    ),
]
FallbackTarget: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"{NUMBER_PATTERN}|^{NOTHING_FOLLOWS}",
        max_length=MAX_WRITTEN,
        description="The number that gets a transferee whom nobody else can have any more; empty:"
        " none.",
        examples=["800"],
    ),
]
ReturnTo: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{NAME_PATTERN}{NOTHING_FOLLOWS}",
        description="Where a caller who talked with nobody goes if the transfer fails: `origin`,"
        " the extension where it was; `park`; `none`; or one of the account's names. Without effect"
        " if the leg talks with somebody.",
        examples=["origin", "bot"],
    ),
]
HoldLimit: TypeAlias = Annotated[
    float, Meta(gt=0, le=86_400, description="How long the other party may be held, in seconds.")
]
AtHoldLimit: TypeAlias = Annotated[
    Literal["back", "fallback"],
    Meta(
        description="Who gets a party that was on hold for too long: `back`, the party that held"
        " it; `fallback`, the fallback target."
    ),
]
Slot: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{SLOT_PATTERN}{NOTHING_FOLLOWS}",
        description="A slot of the account, under whose number a call is parked. To park a call, it"
        " may be left out: the first free one.",
        examples=["701"],
    ),
]
ParkingLimit: TypeAlias = Annotated[
    float,
    Meta(
        gt=0,
        le=86_400,
        description="How long the call may be parked until the transferor is called back, in"
        " seconds.",
    ),
]
CallerNumber: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9A-Za-z+*#_-]{{0,64}}{NOTHING_FOLLOWS}",
        description="The number that the target sees calling: one that the account may show; empty:"
        " the transferor's.",
        examples=["+4930123450"],
    ),
]
CallerName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9A-Za-z .()+*#_-]{{0,64}}{NOTHING_FOLLOWS}",
        description="The name that the target sees calling; empty: the transferor's.",
        examples=["Support"],
    ),
]
_Value: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST_VALUE)]
Variables: TypeAlias = Annotated[
    dict[
        Annotated[
            str, Meta(pattern=rf"^{VARIABLE_PATTERN}{NOTHING_FOLLOWS}", max_length=LONGEST_NAME)
        ],
        _Value,
    ],
    Meta(
        max_length=MOST_PAIRS,
        description="Channel variables for the target's leg, as far as the account allows them.",
        examples=[{"crm_ticket": "4711"}],
    ),
]
Headers: TypeAlias = Annotated[
    dict[
        Annotated[
            str, Meta(pattern=rf"^{HEADER_PATTERN}{NOTHING_FOLLOWS}", max_length=LONGEST_NAME)
        ],
        _Value,
    ],
    Meta(
        max_length=MOST_PAIRS,
        description="SIP headers for the target's call, as far as the account allows them.",
        examples=[{"X-Ticket": "4711"}],
    ),
]
OwnData: TypeAlias = Annotated[
    dict[str, Any],
    Meta(
        description="An object of the program's own, which comes back in every event and answer of"
        f" the transfer, and goes nowhere else: at most {MOST_DATA_BYTES} bytes, {DEEPEST} levels.",
        examples=[{"ticket": 4711}],
    ),
]
Outcome: TypeAlias = Annotated[
    Literal[
        "running",
        "transferred",
        "taken_back",
        "reconnected",
        "abandoned",
        "recalled",
        "fell_back",
        "returned",
        "failed",
    ],
    Meta(description="Only transfers with this outcome; `running`: those in flight."),
]
Time: TypeAlias = Annotated[
    str, Meta(max_length=40, description="A time (RFC 3339), such as `2026-11-24T06:00:00Z`.")
]
PageSize: TypeAlias = Annotated[
    int, Meta(ge=1, le=200, description="The largest number of transfers on a page.")
]
StartKey: TypeAlias = Annotated[
    str, Meta(max_length=200, description="The `next_start_key` of the previous page.")
]
FeatureCodes: TypeAlias = Annotated[
    dict[str, Any], Meta(description="Feature codes (a Kazoo metaflows document).")
]
CodesPatch: TypeAlias = Annotated[
    dict[str, Any],
    Meta(description="A JSON merge patch (RFC 7396) of the feature codes; null removes a key."),
]
ApplyTo: TypeAlias = Annotated[
    Literal["new", "all"],
    Meta(description="Apply to calls that begin from now on, or to `all` calls."),
]


class ApiRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every request has."""

    account_id: AccountId | None = None


class ApiCommand(ApiRequest, frozen=True, kw_only=True):
    """A request that changes something."""

    idempotency_key: IdempotencyKey | None = None


# ------------------------------------------------------------------------ calls


class ListCallsRequest(ApiRequest, frozen=True, kw_only=True):
    """List the legs of the account's calls."""


class GetCallRequest(ApiRequest, frozen=True, kw_only=True):
    """Get one leg."""

    call_id: CallId
    switch: Switch | None = None


class TransferRequest(ApiCommand, frozen=True, kw_only=True):
    """Transfer the party that this leg talks with, or the leg itself if it talks with nobody.

    A leg in a menu, a queue or a bot, or a parked one, is a caller without a transferor: it waits
    while the target is called, and goes back where it came from if the target can't be had.

    What is left out is as the account has chosen. Without a target, the transferor is asked for the
    number: it hears a dial tone and presses keys, or `give_number` gives it. A call that is moved
    without a target goes to the owner's other devices (`move_to`), or to the number of the leg.
    """

    call_id: CallId
    target: Target | None = None
    transfer_type: TransferType = "attended"
    takeback_dtmf: TakebackDigits | None = None
    swap_dtmf: SwapDigits | None = None
    three_way_dtmf: ThreeWayDigits | None = None
    complete_dtmf: CompleteDigits | None = None
    moh: HeldSound | None = None
    ringback: RingbackSound | None = None
    timeout: RingTimeout | None = None
    further_targets: FurtherTargets | None = None
    rings_all: RingsAll = False
    recall_attempts: RecallAttempts | None = None
    fallback_target: FallbackTarget | None = None
    target_accepts: TargetAccepts | None = None
    accept_dtmf: AcceptDigits | None = None
    decline_dtmf: DeclineDigits | None = None
    accept_prompt: AcceptPrompt | None = None
    accept_limit: AcceptLimit | None = None
    briefing: Briefing | None = None
    announcement: Announcement | None = None
    failure_sound: FailureSound | None = None
    refusal_tone: RefusalTone | None = None
    connected_sound: ConnectedSound | None = None
    return_to: ReturnTo | None = None
    caller_id_number: CallerNumber | None = None
    caller_id_name: CallerName | None = None
    variables: Variables | None = None
    headers: Headers | None = None
    data: OwnData | None = None
    switch: Switch | None = None


class HoldRequest(ApiCommand, frozen=True, kw_only=True):
    """Put the party that this leg talks with on hold."""

    call_id: CallId
    moh: HeldSound | None = None
    hold_limit: HoldLimit | None = None
    at_hold_limit: AtHoldLimit | None = None
    fallback_target: FallbackTarget | None = None
    data: OwnData | None = None
    switch: Switch | None = None


class ParkRequest(ApiCommand, frozen=True, kw_only=True):
    """Park the party that this leg talks with.

    It waits in a slot, with music, and this leg is hung up. Any phone of the account can pick up
    the call by the slot's number. The answer says the slot.
    """

    call_id: CallId
    slot: Slot | None = None
    moh: HeldSound | None = None
    parking_limit: ParkingLimit | None = None
    recall_attempts: RecallAttempts | None = None
    fallback_target: FallbackTarget | None = None
    data: OwnData | None = None
    switch: Switch | None = None


class PickUpRequest(ApiCommand, frozen=True, kw_only=True):
    """Give this leg the call that is parked in a slot.

    The leg talks with nobody: it is parked, or in an application of the switch. It must belong to
    the account, and not be an outside party's.
    """

    call_id: CallId
    slot: Slot
    switch: Switch | None = None


class HangUpRequest(ApiCommand, frozen=True, kw_only=True):
    """Hang up this leg."""

    call_id: CallId
    switch: Switch | None = None


# -------------------------------------------------------------------- transfers


class TransferCommand(ApiCommand, frozen=True, kw_only=True):
    """What is asked of a transfer in flight, which is named by its ID or by a leg that is in it."""

    transfer_id: TransferId | None = None
    call_id: CallId | None = None
    switch: Switch | None = None


class TakeBackRequest(TransferCommand, frozen=True, kw_only=True):
    """Take the transferee back.

    The target is released; transferor and transferee talk again. Ends a hold as well.
    """


class CompleteRequest(TransferCommand, frozen=True, kw_only=True):
    """Complete the transfer now.

    Transferee and target talk with each other, as if the transferor had hung up.
    """


class GiveNumberRequest(TransferCommand, frozen=True, kw_only=True):
    """Give the number of a transfer that was requested without one.

    The transfer then goes on as if it had been requested with this number.
    """

    target: Target


class SwapRequest(TransferCommand, frozen=True, kw_only=True):
    """Change between transferee and target.

    The transferor talks with the other one. The third party hears music, or keeps ringing.
    """


class AcceptRequest(TransferCommand, frozen=True, kw_only=True):
    """Accept the call in the place of a target that is asked to.

    The target is then connected, as if it had pressed the key.
    """


class DeclineRequest(TransferCommand, frozen=True, kw_only=True):
    """Decline the call in the place of a target that is asked to accept.

    A program does so if it hears that a machine has answered. The transfer has then failed, with
    the cause DECLINED.
    """


class ThreeWayRequest(TransferCommand, frozen=True, kw_only=True):
    """Bring transferor, transferee and target into one conversation.

    Asked again, the transferor talks with the target alone, and the transferee hears music.
    """


class ListTransfersRequest(ApiRequest, frozen=True, kw_only=True):
    """List the account's transfers, in flight and past, newest first."""

    outcome: Outcome | None = None
    begun_from: Time | None = None
    begun_before: Time | None = None
    page_size: PageSize = 50
    start_key: StartKey | None = None


class GetTransferRequest(ApiRequest, frozen=True, kw_only=True):
    """Get one transfer, in flight or past, with its timeline."""

    transfer_id: TransferId


# ---------------------------------------------------------------- feature codes


class GetMetaflowsRequest(ApiRequest, frozen=True, kw_only=True):
    """Get the account's feature codes, with all defaults spelled out."""


class SetMetaflowsRequest(ApiCommand, frozen=True, kw_only=True):
    """Replace all of the account's feature codes."""

    metaflows: FeatureCodes
    apply_to: ApplyTo = "new"


class PatchMetaflowsRequest(ApiCommand, frozen=True, kw_only=True):
    """Change some of the account's feature codes."""

    metaflows: CodesPatch
    apply_to: ApplyTo = "new"


class ResetMetaflowsRequest(ApiCommand, frozen=True, kw_only=True):
    """Remove the stored feature codes; those of the configuration apply again."""

    apply_to: ApplyTo = "new"


def name_of(request: type[ApiRequest]) -> str:
    """The operation's name: the `action` of a WebSocket message, and the client's method."""
    name = request.__name__.removesuffix("Request")
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")
