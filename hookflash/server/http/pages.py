"""The OpenAPI document and its page: rendered once, and sent again only when they have changed."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Final

import attrs

from hookflash.server.http.document import openapi_document
from hookflash.server.http.message import JSON, HttpAnswer, HttpRequest
from hookflash.server.http.page import STYLE, page_of

HTML: Final = "text/html; charset=utf-8"

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

PAGE_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page may have its own style, and nothing else."""


@attrs.frozen
class _Rendered:
    body: bytes
    tag: str


def _rendered(body: bytes) -> _Rendered:
    return _Rendered(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


@cache
def _document() -> _Rendered:
    return _rendered(json.dumps(openapi_document(), separators=(",", ":")).encode())


@cache
def _page() -> _Rendered:
    return _rendered(page_of(openapi_document()).encode())


async def get_document(request: HttpRequest) -> HttpAnswer:
    """The OpenAPI document of this API."""
    return _unless_known(request, _document(), JSON)


async def get_page(request: HttpRequest) -> HttpAnswer:
    """The OpenAPI document as a page for people."""
    return _unless_known(request, _page(), HTML, PAGE_POLICY)


def _unless_known(
    request: HttpRequest, found: _Rendered, content_type: str, policy: str = ""
) -> HttpAnswer:
    headers = {"ETag": found.tag, "Cache-Control": "no-cache"}
    if policy:
        headers["Content-Security-Policy"] = policy
    tags = request.headers.get("if-none-match", "").split(",")
    if {found.tag, "*"} & {one.strip().removeprefix("W/") for one in tags}:
        return HttpAnswer(status=304, headers=headers)
    return HttpAnswer(body=found.body, content_type=content_type, headers=headers)
