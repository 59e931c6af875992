"""The protocol as an AsyncAPI document, made from the messages and the table of operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from hookflash.api.answers import EventView
from hookflash.server.operations import OPERATION_OF, OPERATIONS
from hookflash.server.websocket import messages as m
from hookflash.server.websocket.budget import (
    BYTES_PER_S,
    FRAMES_PER_S,
    STRANGER_BYTES,
    STRANGER_FRAMES,
)
from hookflash.server.websocket.listener import HANDSHAKE_S
from hookflash.server.websocket.session import (
    EVENTS_AT_ONCE,
    LAST_WORDS_S,
    MOST_SUBSCRIPTIONS,
    SIGN_IN_S,
)
from hookflash.version import version

_PLACE: Final = "#/components/schemas/{name}"
_OURS: Final = (m.Hello, m.Reply, m.EventBatch)

CLOSE_CODES: Final[Mapping[int, str]] = {
    1000: "Normal closure, by either side.",
    1001: "The service stops. Reconnect, and resume after the last `up_to`.",
    1009: "A message was longer than the service accepts.",
    m.OUT_OF_ORDER: "The history can't be read, or internal error. Reconnect later.",
    m.NOT_SIGNED_IN: "No authentication in time, too much sent before, or the key or token is"
    " invalid, was revoked or has expired. Don't retry with the same.",
    m.TOO_SLOW: "The reader fell too far behind. Reconnect, and resume after the last `up_to`.",
    m.NOT_KEPT: "Events that were to be sent have been deleted meanwhile. Subscribe again: the"
    " refusal names the oldest number that is available.",
}
"""Why the service closes a connection, and what the program should do."""

NOT_LET_IN: Final[Mapping[int, str]] = {
    400: f"subprotocols are offered, but not `{m.PROTOCOL}`",
    403: "the web page is of another host or port, and its origin is not in `listen.origins`",
    404: "the path is not `/v2/events`",
    503: "too many connections are open, or the service stops",
}
"""The HTTP statuses of a refused handshake."""

SESSION_ANSWERS: Final[Mapping[str, str]] = {
    "authenticate": "`account_id`; null for an administrator's key.",
    "subscribe": "`subscription`, its name on this connection, and `after`, the number after which"
    " it begins. Events come after the reply.",
    "unsubscribe": "`subscription`. No event of it comes after the reply.",
}


def answer_in_words(action: str) -> str:
    """What the `data` of a reply is, by the action."""
    if action in SESSION_ANSWERS:
        return f"200: {SESSION_ANSWERS[action]}"
    operation = OPERATION_OF[action]
    if operation.tag == "feature codes":
        return f"{operation.status}: the feature codes that apply, with all defaults spelled out."
    kind = get_args(operation.answer)
    if kind and isinstance(kind[0], type):
        return f"{operation.status}: a list of `{kind[0].__name__}`."
    return f"{operation.status}: `{operation.answer.__name__}`."


def requests() -> dict[str, type[msgspec.Struct]]:
    """All that a program may send, by action."""
    return {**m.SESSION_REQUESTS, **{one.name: one.request for one in OPERATIONS}}


def asyncapi_document() -> dict[str, Any]:
    """The protocol as an AsyncAPI document (version 3.0.0)."""
    asked = requests()
    answers = [one.answer for one in OPERATIONS if one.tag != "feature codes"]
    published = (*_OURS, EventView, *answers)
    _, schemas = msgspec.json.schema_components((*asked.values(), *published), ref_template=_PLACE)
    for action, kind in asked.items():
        _add_head(schemas[kind.__name__], action)
    batch = schemas[m.EventBatch.__name__]["properties"]
    batch["events"]["items"] = {"$ref": _PLACE.format(name=EventView.__name__)}
    named = [(action, kind) for action, kind in asked.items()]
    named += [(str(kind.__struct_config__.tag), kind) for kind in _OURS]
    messages = {kind.__name__: _message(name, kind) for name, kind in named}
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


def _add_head(schema: dict[str, Any], action: str) -> None:
    """Add what every message of a program has."""
    _, head = msgspec.json.schema_components([m.Head])
    fixed = {"action": {"const": action}, "id": head["Head"]["properties"]["id"]}
    schema["properties"] = {**fixed, **schema["properties"]}
    schema["required"] = [*fixed, *schema.get("required", ())]


def _message(name: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": name,
        "title": kind.__name__,
        "summary": (kind.__doc__ or name).partition("\n\n")[0],
        "payload": {"$ref": _PLACE.format(name=kind.__name__)},
    }


def _operations(asked: Mapping[str, type[msgspec.Struct]]) -> dict[str, Any]:
    """What the service does: it receives requests, and sends the rest of its own accord."""
    found: dict[str, Any] = {}
    for action, kind in asked.items():
        found[action] = {
            "action": "receive",
            "channel": _CHANNEL,
            "summary": (kind.__doc__ or action).partition("\n\n")[0],
            "description": f"The reply: {answer_in_words(action)}",
            "messages": [_on_the_channel(kind)],
            "reply": {"channel": _CHANNEL, "messages": [_on_the_channel(m.Reply)]},
        }
    for kind, name in ((m.Hello, "greet"), (m.EventBatch, "publish_events")):
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
Follow and control calls on one connection.

Every message is one JSON object in one text frame. A program's messages have an `action`, which
names the command, and an `id` of the program's choice, which its reply repeats. The service's
messages have a `type`. Replies come in the order of the commands; events come in between. An
unknown field is refused, so that no typing error is dropped silently; programs must ignore unknown
fields of the service's messages.

## Connecting

The subprotocol is `{m.PROTOCOL}`; it also applies if the client offers none. The handshake may take
{HANDSHAKE_S:g} s. It is refused with

{refused}

The service sends `hello`. The program has {SIGN_IN_S:g} s to send `authenticate`, with a token
of the HTTP API or with an API key. Any other message before that is answered with 401, and the
connection is closed; so it is if the program sends more than {STRANGER_FRAMES} frames or
{STRANGER_BYTES} bytes before. A connection ends with its token (close code {m.NOT_SIGNED_IN}),
unless the program sends `authenticate` again in time, with a new token of the same key. One that
signed in with an API key ends when that key is revoked.

After that, a program is read at {FRAMES_PER_S:.0f} frames and {BYTES_PER_S:.0f} bytes a second; as
much may come at once.

## Subscribing, and resuming

The `events` of a subscription come in the order of their numbers. Numbers grow for ever; an account
does not get every number. Nothing that belongs to the subscription is missing between a message's
`after` and its `up_to`, and the `after` of a message is the `up_to` of the previous one (of the
first: the `after` of the reply). A message has at most {EVENTS_AT_ONCE} events, and from time to
time none. A connection may have {MOST_SUBSCRIPTIONS} subscriptions.

To resume after a lost connection, subscribe again with `after` set to the last `up_to` that you
received: you get what you missed, without a gap or a repeat. Without `after`, a subscription begins
with new events. If `after` is ahead of the history, the reply is 409: this is another journal, or
the newest part of it is lost. If the events after it have been deleted, it is 410.

Events about a switch (`switch.*`) go to all accounts; all others only to the account whose calls
they are about.

## Idempotency

Every command that changes something takes an `idempotency_key`. If its reply is lost, send the same
command with the same key again: it is performed once, and the first reply is repeated.

## Limits

A key may send a limited number of messages a second (`limits.requests_per_second`); further ones
are answered with 429. A reader that is more than `limits.websocket_buffer` events behind is
disconnected with {m.TOO_SLOW}, after it has read what was sent; the connection is cut if that takes
more than {LAST_WORDS_S:g} s. Every `limits.heartbeat_s` the service sends a ping, and closes the
connection if no pong comes within the same time.

## Close codes

{codes}

A program that violates the WebSocket protocol (RFC 6455) is disconnected without a code.
"""
