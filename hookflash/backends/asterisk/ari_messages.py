"""ARI's events, responses, channels and bridges, with the fields that are used.

An ordinary call has 66 events; fields that are not used are not decoded.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

import msgspec


class AriCaller(msgspec.Struct, frozen=True, gc=False):
    """The name and number of a caller."""

    name: str = ""
    number: str = ""


class AriDialplan(msgspec.Struct, frozen=True, gc=False):
    """A channel's position in the dialplan."""

    context: str = ""
    exten: str = ""
    app_name: str = ""
    app_data: str = ""


class AriChannel(msgspec.Struct, frozen=True):
    """A channel."""

    id: str
    name: str = ""
    state: str = ""
    caller: AriCaller = AriCaller()
    accountcode: str = ""
    dialplan: AriDialplan = AriDialplan()
    channelvars: dict[str, str] = {}


class AriBridge(msgspec.Struct, frozen=True):
    """A bridge and its channels."""

    id: str
    technology: str = ""
    channels: list[str] = []


class AriPlayback(msgspec.Struct, frozen=True, gc=False):
    """A sound that plays."""

    id: str
    media_uri: str = ""
    target_uri: str = ""


class AriMessage(msgspec.Struct, frozen=True):
    """A message: an event, or the response to a request."""

    type: str = ""
    channel: AriChannel | None = None
    caller: AriChannel | None = None
    peer: AriChannel | None = None
    bridge: AriBridge | None = None
    playback: AriPlayback | None = None
    digit: str = ""
    cause: int = 0
    tech_cause: int = 0
    soft: bool = False
    dialstatus: str = ""
    args: list[str] = []
    eventname: str = ""
    request_id: str = ""
    status_code: int = 0
    reason_phrase: str = ""
    message_body: str = ""

    @property
    def channels(self) -> list[AriChannel]:
        """The channels that it is about."""
        return [one for one in (self.channel, self.caller, self.peer) if one is not None]

    @property
    def begins(self) -> str:
        """The channel that this event creates; empty if none."""
        return self.channel.id if self.type == "ChannelCreated" and self.channel else ""


_DECODER = msgspec.json.Decoder(AriMessage)


def read_message(text: str | bytes) -> AriMessage:
    """Read a message.

    Raises:
        msgspec.DecodeError: the bytes are not a message.
    """
    with _nested_too_deeply():
        return _DECODER.decode(text)


_Body = TypeVar("_Body")


def read_body(text: str, kind: type[_Body]) -> _Body:
    """Read the body of a response.

    Raises:
        msgspec.DecodeError: the body is of another kind.
    """
    with _nested_too_deeply():
        return msgspec.json.decode(text, type=kind)


@contextmanager
def _nested_too_deeply() -> Generator[None]:
    try:
        yield
    except RecursionError as error:
        raise msgspec.DecodeError("it is nested too deeply") from error
