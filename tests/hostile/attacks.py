"""What strangers do to the doors. Each attack is one connection's life; a swarm lives many of them.

python tests/hostile/attacks.py '{"http": …, "tokens": …}'    # until it is killed
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias

import attrs
import trio

Place: TypeAlias = tuple[str, int]
Attack: TypeAlias = Callable[[trio.SocketStream], Awaitable[None]]

ADDRESSES: Final = 200
"""Loopback addresses that strangers come from: 127.1.0.1 and so on."""
NICE: Final = 15
"""Strangers have processors of their own: here they get what the service leaves."""
KNOCK: Final = (
    b"GET /v2/events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
H2: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
H2C: Final = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
)
PONG: Final = b"\x8a\x80\x00\x00\x00\x00"
PING: Final = b"\x89\x80\x00\x00\x00\x00"


async def drink(stream: trio.SocketStream, most: int = 100) -> None:
    """Read until it is closed, or for a while."""
    for _ in range(most):
        if not await stream.receive_some(65_536):
            return


async def idle(stream: trio.SocketStream) -> None:
    await drink(stream)


async def pongs(stream: trio.SocketStream) -> None:
    await stream.send_all(KNOCK)
    while True:
        await stream.send_all(random.choice((PONG, PING)) * 10_000)


async def fragments(stream: trio.SocketStream) -> None:
    await stream.send_all(KNOCK + b"\x01\x80\x00\x00\x00\x00")
    while True:
        await stream.send_all(b"\x00\x80\x00\x00\x00\x00" * 10_000)


async def frame_junk(stream: trio.SocketStream) -> None:
    await stream.send_all(KNOCK)
    await stream.send_all(os.urandom(5_000))
    await drink(stream)


async def knocks_and_stays(stream: trio.SocketStream) -> None:
    await stream.send_all(KNOCK)
    await drink(stream)


async def slow_head(stream: trio.SocketStream) -> None:
    await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    while True:
        await stream.send_all(b"X-A: b\r\n")
        await trio.sleep(1)


async def slow_body(stream: trio.SocketStream) -> None:
    await stream.send_all(b"PUT /v2/api_auth HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{")
    while True:
        await stream.send_all(b" ")
        await trio.sleep(1)


async def never_reads(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)


async def http_2(stream: trio.SocketStream) -> None:
    await stream.send_all(random.choice((H2, H2C)) + bytes(1_000))
    await drink(stream)


async def junk(stream: trio.SocketStream) -> None:
    await stream.send_all(os.urandom(random.randrange(1, 20_000)))
    await drink(stream)


async def smuggle(stream: trio.SocketStream) -> None:
    await stream.send_all(
        b"POST /v2/api_auth HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"
    )
    await drink(stream)


async def guesses_tokens(stream: trio.SocketStream) -> None:
    while True:
        token = os.urandom(20).hex()
        await stream.send_all(
            b"GET /v2/accounts/acme/channels HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\n\r\n"
            % token.encode()
        )
        if not await stream.receive_some(65_536):
            return


async def guesses_keys(stream: trio.SocketStream) -> None:
    while True:
        body = b'{"data": {"api_key": "hookflash_0a1b2c3d4e5f_%s"}}' % os.urandom(8).hex().encode()
        await stream.send_all(
            b"PUT /v2/api_auth HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        if not await stream.receive_some(65_536):
            return


async def asks_without_end(stream: trio.SocketStream) -> None:
    while True:
        for path in (b"/", b"/metrics", b"/openapi.json", b"/readyz", b"/\xff\xfe"):
            await stream.send_all(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            if not await stream.receive_some(65_536):
                return


class Replays:
    """Somebody has got hold of tokens, and tries what they are still good for."""

    def __init__(self, tokens: Mapping[str, str], let_in: Callable[[str], None]) -> None:
        """Replay tokens.

        Args:
            tokens: by what is wrong with them.
            let_in: called with what was wrong with a token that was accepted.
        """
        self._tokens = tuple(tokens.items())
        self._let_in = let_in

    async def replays_on_http(self, stream: trio.SocketStream) -> None:
        while True:
            wrong, token = random.choice(self._tokens)
            await stream.send_all(
                b"GET /v2/accounts/acme/channels HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\n\r\n"
                % token.encode()
            )
            answer = await stream.receive_some(65_536)
            if not answer:
                return
            if not answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")):
                self._let_in(f"{wrong}, on HTTP")

    async def replays_on_websocket(self, stream: trio.SocketStream) -> None:
        wrong, token = random.choice(self._tokens)
        requests = (
            {"action": "authenticate", "id": "a", "token": token},
            {"action": "list_calls", "id": "l", "account_id": "acme"},
            {"action": "subscribe", "id": "s", "account_id": "acme", "after": 0},
        )
        await stream.send_all(KNOCK + b"".join(_text_frame(one) for one in requests))
        answers = b""
        while chunk := await stream.receive_some(65_536):
            answers += chunk
            if b'"id":"l","status":200' in answers or b'"id":"s","status":200' in answers:
                self._let_in(f"{wrong}, on WebSocket")
                return


def _text_frame(said: object) -> bytes:
    """A masked frame, as a client sends it; the mask is zero."""
    text = json.dumps(said).encode()
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text


ON_HTTP: Final[tuple[Attack, ...]] = (
    slow_head,
    slow_body,
    never_reads,
    http_2,
    junk,
    smuggle,
    guesses_tokens,
    guesses_keys,
    asks_without_end,
)
ON_WEBSOCKET: Final[tuple[Attack, ...]] = (pongs, fragments, frame_junk, knocks_and_stays, junk)

LET_IN: Final = "LET IN"
"""Begins the name under which a stranger is counted who got what they must not have."""


@attrs.define
class Swarm:
    """Many strangers."""

    lives: dict[str, int] = attrs.field(factory=dict[str, int])
    """How many connections each attack has lived."""

    def count(self, name: str) -> None:
        """One more."""
        self.lives[name] = self.lives.get(name, 0) + 1

    async def live(self, attack: Attack, place: Place, pause_s: float) -> None:
        """Attack again and again."""
        name = attack.__name__
        while True:
            source = f"127.1.0.{random.randrange(1, ADDRESSES)}"
            with suppress(OSError, trio.BrokenResourceError):
                stream = await trio.open_tcp_stream(*place, local_address=source)
                self.count(name)
                async with stream:
                    with trio.move_on_after(20):
                        await attack(stream)
            await trio.sleep(random.uniform(0, 2 * pause_s))


async def attack_all(
    http: Place, websocket: Place, tokens: Mapping[str, str], *, crowd: int, waiting: int
) -> None:
    """Attack both doors until cancelled.

    Args:
        http: the HTTP door.
        websocket: the WebSocket door.
        tokens: that somebody got hold of, and that are good for nothing, by what is wrong.
        crowd: how many strangers make each attack.
        waiting: how many connections do nothing, at each door.
    """
    swarm = Swarm()
    replays = Replays(tokens, lambda wrong: swarm.count(f"{LET_IN} with a token that is {wrong}"))
    async with trio.open_nursery() as nursery:
        for place, attacks in (
            (http, (*ON_HTTP, replays.replays_on_http)),
            (websocket, (*ON_WEBSOCKET, replays.replays_on_websocket)),
        ):
            for attack in attacks:
                for _ in range(crowd):
                    nursery.start_soon(swarm.live, attack, place, 0.2)
            for _ in range(waiting):
                nursery.start_soon(swarm.live, idle, place, 5.0)
        while True:
            await trio.sleep(1)
            sys.stdout.write(json.dumps(swarm.lives) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    os.nice(NICE)
    told = json.loads(sys.argv[1])
    trio.run(
        partial(
            attack_all,
            tuple(told["http"]),
            tuple(told["websocket"]),
            told["tokens"],
            crowd=told["crowd"],
            waiting=told["waiting"],
        ),
    )
