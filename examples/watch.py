"""Follow the transfers of a service: a line a step, and the sentence that says why.

    HOOKFLASH_KEY=… python examples/watch.py [TRANSFERS]

It begins where the history begins, goes on with what happens now, comes back by itself when the
line is cut, and ends when so many transfers have ended; without a number, never. HOOKFLASH_URL says
where the service is, unless it is on this machine.
"""

import os
import sys
from typing import Any

import trio

from hookflash.client import connect

URL = os.environ.get("HOOKFLASH_URL", "ws://127.0.0.1:8081/v2/events")
KINDS = ("transfer.*", "request.refused")


def tell(event: dict[str, Any]) -> None:
    """Print a line."""
    what = event.get("outcome") or event.get("state") or event.get("refusal")
    print(f"{event['kind']:<18}  {what}\n    {event['why']}", flush=True)


async def main(transfers: int | None) -> None:
    """Follow, until so many transfers have ended."""
    async with connect(URL, api_key=os.environ["HOOKFLASH_KEY"]) as service:
        async for event in service.events(kinds=KINDS, after=0):
            tell(event)
            if transfers is not None and event["kind"] == "transfer.ended":
                transfers -= 1
                if transfers == 0:
                    return


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else None)
