"""HTTP requests and answers as values, and their way through ASGI."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote

import attrs

from hookflash.errors import HookflashError, InputError
from hookflash.server.invalid import decode_json

AsgiMessage: TypeAlias = MutableMapping[str, Any]
AsgiReceive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
AsgiSend: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[AsgiMessage, AsgiReceive, AsgiSend], Awaitable[None]]

ALLOWED_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z_.:-]{1,64}")
JSON: Final = "application/json"
SIGNED_IN: Final = "hookflash.signed_in"
"""The server's extension of ASGI: called with the ID of the key that a request comes from."""


class BodyTooLarge(HookflashError):
    """A request whose body is over the limit."""

    http_status = 413


@attrs.frozen(kw_only=True)
class HttpAnswer:
    """An answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.define(kw_only=True, eq=False)
class HttpRequest:
    """A request."""

    id: str
    """Its ID in the logs, and in the answer."""
    method: str
    path: bytes
    """As it came: its parts are decoded one by one, so that an ID may contain a slash."""
    query: bytes
    headers: Mapping[str, str]
    """By name in lower case; repeated ones are joined."""
    address: str
    """The client's IP address."""
    is_secure: bool
    most_body_bytes: int
    _receive: AsgiReceive = attrs.field(alias="receive")
    on_signed_in: Callable[[str], None]
    """Called with the key's ID once its token was found valid: before that, a full door may close
    its connection."""
    fields: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """The variable parts of the path."""
    operation: str = "none"
    """Its name in the metrics."""

    async def body(self) -> bytes:
        """Read the body.

        Raises:
            BodyTooLarge: it is over the limit. It is not read further.
        """
        length = self.headers.get("content-length", "")
        self._check_length(int(length) if length.isascii() and length.isdecimal() else 0)
        read = bytearray()
        while True:
            message = await self._receive()
            read += message.get("body", b"")
            self._check_length(len(read))
            if not message.get("more_body", False):
                return bytes(read)

    def _check_length(self, length: int) -> None:
        if length > self.most_body_bytes:
            raise BodyTooLarge(f"the body is larger than {self.most_body_bytes} bytes")

    async def json(self) -> Any:
        """Read the body as JSON, whatever its label says.

        Raises:
            InputError: it is missing, or is not JSON.
            BodyTooLarge: it is over the limit.
        """
        body = await self.body()
        if not body.strip():
            raise InputError("is missing", where="$.data", hint="a body of JSON")
        return decode_json(body)

    def parameters(self) -> list[tuple[str, str]]:
        """Read the query.

        Raises:
            InputError: it is not text.
        """
        try:
            return parse_qsl(self.query.decode("ascii"), keep_blank_values=True, errors="strict")
        except ValueError as error:
            raise InputError("is not UTF-8", where="$.query", hint="percent-encode it") from error


def request_of(scope: AsgiMessage, receive: AsgiReceive, *, most_body_bytes: int) -> HttpRequest:
    """The request of an ASGI scope."""
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    given = headers.get("x-request-id", "")
    return HttpRequest(
        id=given if ALLOWED_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex,
        method=scope["method"],
        path=scope["raw_path"],
        query=scope["query_string"],
        headers=headers,
        address=scope["client"][0] if scope.get("client") else "",
        is_secure=scope["scheme"] == "https",
        most_body_bytes=most_body_bytes,
        receive=receive,
        on_signed_in=scope.get("extensions", {}).get(SIGNED_IN, _nobody_asks),
    )


def _nobody_asks(_: str) -> None:
    """Stands in for a server without the extension."""


def parts_of(path: bytes) -> tuple[str, ...]:
    """The parts of a path, decoded. A slash at its end makes no difference.

    Raises:
        InputError: it is not text.
    """
    try:
        whole = path.decode("ascii").strip("/")
        return tuple(unquote(part, errors="strict") for part in whole.split("/"))
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", where="$.path", hint="percent-encode it") from error


async def send_answer(send: AsgiSend, request: HttpRequest, answer: HttpAnswer) -> None:
    """Send an answer; after HEAD, without its body."""
    lines = [
        (name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()
    ]
    if answer.body:
        lines.append((b"content-type", answer.content_type.encode()))
        lines.append((b"content-length", b"%d" % len(answer.body)))
    body = b"" if request.method == "HEAD" else answer.body
    await send({"type": "http.response.start", "status": answer.status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
