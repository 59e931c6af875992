"""The OpenAPI document, as exact as the checks are.

The framework makes it from the handlers. Of the shapes it says less than is checked: not that a key
that is not known is refused, not that a number must be more than nought. So they are taken from
what does the checking: msgspec, and, for feature codes, the core's own schema.
"""

from __future__ import annotations

import json
from typing import Any, Final, cast

import msgspec
from litestar import Litestar

from hookflash.dialling.metaflows import SCHEMA
from hookflash.server.http.channels import Act
from hookflash.server.http.envelope import ErrorAnswer
from hookflash.server.http.health import Alive, Ready
from hookflash.server.http.metaflows import MetaflowsBody, MetaflowsPatch
from hookflash.server.http.sign_in import SignedInAnswer, SignIn
from hookflash.server.wire import Channel, Taken, TransferView

_SHAPES: Final = (
    Act,
    Alive,
    Channel,
    ErrorAnswer,
    MetaflowsBody,
    MetaflowsPatch,
    Ready,
    SignIn,
    SignedInAnswer,
    Taken,
    TransferView,
)
_PLACE: Final = "#/components/schemas/"
_FEATURE_CODES: Final = "Metaflows"
_HOLDS_FEATURE_CODES: Final = ("MetaflowsBody", "Answer_dict_str_typing.Any_")
"""The shapes whose `data` are feature codes; the second is the framework's name for an answer."""


def document_of(app: Litestar) -> dict[str, Any]:
    """Make the OpenAPI document of the application."""
    document = app.openapi_schema.to_schema()
    shapes = cast("dict[str, Any]", document["components"]["schemas"])
    _, exact = msgspec.json.schema_components(_SHAPES, ref_template=_PLACE + "{name}")
    shapes.update(exact)
    shapes[_FEATURE_CODES] = _feature_codes()
    for name in _HOLDS_FEATURE_CODES:
        shapes[name]["properties"]["data"] = {"$ref": _PLACE + _FEATURE_CODES}
    return document


def _feature_codes() -> dict[str, Any]:
    """The core's schema of feature codes, moved to where it stands in this document."""
    inside = {key: value for key, value in SCHEMA.items() if key not in ("$schema", "$id")}
    text = json.dumps(inside).replace('"#/$defs/', f'"{_PLACE}{_FEATURE_CODES}/$defs/')
    return cast("dict[str, Any]", json.loads(text))
