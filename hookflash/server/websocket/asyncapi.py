"""The protocol as an AsyncAPI document, made from the messages themselves.

What is written in `messages` is what is decoded and encoded, so that the document can't say
anything else than what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from hookflash.server.websocket import messages as m
from hookflash.server.websocket.listener import HANDSHAKE_S
from hookflash.server.websocket.session import (
    EVENTS_AT_ONCE,
    LAST_WORDS_S,
    MOST_SUBSCRIPTIONS,
    SIGN_IN_S,
)
from hookflash.server.wire import (
    Channel,
    Happening,
    Taken,
    TransferView,
)
from hookflash.version import version

_PLACE: Final = "#/components/schemas/{name}"
_OURS: Final = (m.Hello, m.Reply, m.Events)

CLOSE_CODES: Final[Mapping[int, str]] = {
    1000: "Either side is done.",
    1001: "The service stops. Come back, and go on after the last `up_to`.",
    1009: "A message was longer than the service takes.",
    m.OUT_OF_ORDER: "The history can't be read, or the service is at fault. Come back later.",
    m.NOT_SIGNED_IN: "Nobody said who it is in time, the key or token is none, or it was revoked."
    " Don't come back with the same.",
    m.TOO_SLOW: "The reader fell too far behind. Come back, and go on after the last `up_to`.",
    m.NOT_KEPT: "Steps that were to be told have been forgotten meanwhile. Subscribe again: the"
    " refusal says from where on there are some.",
}
"""With which the service closes a connection, and what a program had best do."""

NOT_LET_IN: Final[Mapping[int, str]] = {
    400: f"a subprotocol is offered, and not `{m.PROTOCOL}`",
    403: "a web page's origin that is not among `listen.origins`",
    404: "another path than `/v2/events`",
    503: "too many connections are open, or the service stops",
}
"""How a handshake is answered that is refused."""

ANSWERS: Final[Mapping[str, str]] = {
    "authenticate": "200: `account_id`; null for an administrator's key.",
    "subscribe": "200: `subscription`, its name on this connection, and `after`, the number after"
    " which it begins. Events come after the reply.",
    "unsubscribe": "200: `subscription`. No event of it comes after the reply.",
    "list_calls": "200: a list of `Channel`.",
    "get_call": "200: a `Channel`.",
    "transfer": "202: `Taken`.",
    "hold": "202: `Taken`.",
    "take_back": "202: `Taken`.",
    "complete": "202: `Taken`.",
    "hang_up": "202: `Taken`.",
    "list_transfers": "200: `transfers`, a list of `TransferView`, and `next_start_key`.",
    "get_transfer": "200: a `TransferView`, with its timeline.",
    "get_metaflows": "200: the account's feature codes, all defaults spelled out.",
    "set_metaflows": "200: what holds now.",
}
"""What the `data` of a reply is, by what was asked."""


def asyncapi_document() -> dict[str, Any]:
    """The protocol as an AsyncAPI document (version 3.0.0)."""
    asked = get_args(m.Asked)
    told = (*_OURS, Happening, Taken, Channel, TransferView)
    _, schemas = msgspec.json.schema_components((*asked, *told), ref_template=_PLACE)
    schemas["Events"]["properties"]["events"]["items"] = {"$ref": _PLACE.format(name="Happening")}
    messages = {kind.__name__: _message(kind) for kind in (*asked, *_OURS)}
    on_the_channel = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "hookflash: event control by WebSocket",
            "version": version(),
            "description": _description(),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8081",
                "protocol": "ws",
                "description": "As `listen.websocket` says; `wss` with a certificate.",
            }
        },
        "channels": {
            "events": {
                "address": "/v2/events",
                "title": "Events and commands, on one connection",
                "messages": on_the_channel,
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": _operations(asked),
        "components": {"messages": messages, "schemas": schemas},
        "x-close-codes": {str(code): what for code, what in CLOSE_CODES.items()},
    }


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    name = kind.__name__
    return {
        "name": str(kind.__struct_config__.tag),
        "title": name,
        "summary": (kind.__doc__ or name).partition("\n\n")[0],
        "payload": {"$ref": _PLACE.format(name=name)},
    }


def _operations(asked: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
    """What the service does: it receives what is asked, and sends the rest of its own accord."""
    found: dict[str, Any] = {}
    for kind in asked:
        tag = str(kind.__struct_config__.tag)
        found[tag] = {
            "action": "receive",
            "channel": _CHANNEL,
            "summary": (kind.__doc__ or tag).partition("\n\n")[0],
            "description": f"The reply: {ANSWERS[tag]}",
            "messages": [_on_the_channel(kind)],
            "reply": {"channel": _CHANNEL, "messages": [_on_the_channel(m.Reply)]},
        }
    for kind, name in ((m.Hello, "greet"), (m.Events, "tell_events")):
        found[name] = {
            "action": "send",
            "channel": _CHANNEL,
            "summary": (kind.__doc__ or name).partition("\n\n")[0],
            "messages": [_on_the_channel(kind)],
        }
    return found


_CHANNEL: Final = {"$ref": "#/channels/events"}


def _on_the_channel(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/channels/events/messages/{kind.__name__}"}


def _description() -> str:
    codes = "\n".join(f"- `{code}`: {what}" for code, what in CLOSE_CODES.items())
    refused = "\n".join(f"- `{status}`: {why}" for status, why in NOT_LET_IN.items())
    return f"""\
Follow what happens, and steer it, on one connection.

Every message is one JSON object in one text frame. A program's messages have an `action`, which
names the command, and an `id` of the program's choice, which its reply repeats. The service's
messages have a `type`. Replies come in the order of the commands; events come in between. An
unknown field is refused, so that no typing error is dropped silently; programs must ignore unknown
fields of the service's messages.

## Beginning

The subprotocol is `{m.PROTOCOL}`; a client that names none is spoken to in it, too. The handshake
may take {HANDSHAKE_S:g} s. It is refused with

{refused}

The service says `hello`. The program has {SIGN_IN_S:g} s to `authenticate`, once, with a token that
HTTP gave or with the key itself; whatever else it asks before that is answered with 401, and the
connection closed.

## Following, and resuming

A subscription's `events` come in the order of their numbers. Numbers grow for ever; not every one
is for everybody. Nothing that the subscription wants is missing between a message's `after` and its
`up_to`, and the `after` of a message is the `up_to` of the one before it (of the first: the `after`
of the reply). A message holds at most {EVENTS_AT_ONCE} events, and from time to time none. A
connection may have {MOST_SUBSCRIPTIONS} subscriptions.

To go on after a cut, subscribe again with `after` set to the last `up_to` that came: what follows
is what an uncut reader would have been told, without a gap or a repeat. Without `after`, a
subscription begins with what is new. If `after` is ahead of the history, the reply is 409: this is
another journal, or a newer one is lost. If what comes after it is not kept any more, it is 410.

A switch that comes or goes (`switch.*`) is told to all accounts; all else, to the account whose
calls it is about.

## Too much, too slow

A key may send so many messages a second (`limits.requests_per_second`); those beyond are answered
with 429. A reader that falls more than `limits.websocket_buffer` events behind is cut off with
{m.TOO_SLOW}, once it has read what was on its way; whoever does not take that within
{LAST_WORDS_S:g} s is hung up on. Every `limits.heartbeat_s` a connection is asked by a ping
whether it is still there, and dropped if it does not say so in as long.

## Close codes

{codes}

Who breaks the WebSocket protocol itself (RFC 6455) is hung up on without a code.
"""
