"""Honest readers of the history, and some that never read; by WebSocket.

python tests/hostile/readers.py '{"websocket": …, "key": …, "honest": 480, "deaf": 20}'

Prints a line each second: how many readers have how many events, and how many gaps were seen.
"""

from __future__ import annotations

import json
import random
import sys
from contextlib import aclosing, suppress
from typing import Any

import trio
from trio_websocket import ConnectionClosed, HandshakeError, open_websocket_url

from hookflash.client import connect
from hookflash.errors import HookflashError

START_S = 10.0
KINDS = ("transfer.ended",)


class Readers:
    """What the honest have heard."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key
        self.heard: dict[int, list[int]] = {}
        self.failed: list[str] = []

    async def listen(self, name: int) -> None:
        """Hear everything from the beginning, and come back by itself."""
        heard = self.heard[name] = []
        await trio.sleep(random.uniform(0, START_S))
        while True:
            try:
                async with (
                    connect(self._url, api_key=self._key) as client,
                    aclosing(client.events(after=heard[-1] if heard else 0, kinds=KINDS)) as events,
                ):
                    async for event in events:
                        heard.append(event["number"])  # noqa: PERF401 - it does not end
            except* (HookflashError, OSError) as errors:
                self.failed.append(repr(errors.exceptions[0]))
            await trio.sleep(random.uniform(1, 5))

    async def be_deaf(self) -> None:
        """Subscribe to everything, and never read."""
        while True:
            with suppress(ConnectionClosed, HandshakeError, OSError):
                async with open_websocket_url(self._url, message_queue_size=1) as socket:
                    for request in (
                        {"action": "authenticate", "id": "a", "api_key": self._key},
                        {"action": "subscribe", "id": "s", "after": 0},
                    ):
                        await socket.send_message(json.dumps(request))
                    await trio.sleep(120)
            await trio.sleep(1)

    def report(self) -> dict[str, Any]:
        """What they have heard until now."""
        lists: list[list[int]] = list(self.heard.values())
        longest = max(lists, key=len, default=list[int]())
        return {
            "readers": len(lists),
            "events": len(longest),
            "last": longest[-1] if longest else 0,
            "complete": sum(one == longest for one in lists),
            "wrong": sum(one != longest[: len(one)] for one in lists),
            "failed": self.failed[-3:],
        }


async def read_all(told: dict[str, Any]) -> None:
    readers = Readers(told["websocket"], told["key"])
    async with trio.open_nursery() as nursery:
        for name in range(told["honest"]):
            nursery.start_soon(readers.listen, name)
        for _ in range(told["deaf"]):
            nursery.start_soon(readers.be_deaf)
        while True:
            await trio.sleep(1)
            sys.stdout.write(json.dumps(readers.report()) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    trio.run(read_all, json.loads(sys.argv[1]))
