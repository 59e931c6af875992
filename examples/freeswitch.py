"""A whole controller for one FreeSWITCH, to run as a service: it logs what happens, as JSON.

What it needs to know stands in the environment: HOOKFLASH_HOST, HOOKFLASH_PORT, HOOKFLASH_PASSWORD,
and how targets are called, HOOKFLASH_DIAL (`loopback/{number}/{context}` by default). See
docs/how-to/freeswitch.md, and hookflash-freeswitch.service beside this file.
"""

import os
import sys
import uuid
from typing import cast

import structlog
import trio

from hookflash import (
    BackendError,
    Dialling,
    FreeSwitch,
    InputError,
    Record,
    open_engine,
    open_freeswitch,
)

log = structlog.get_logger()


def settings() -> FreeSwitch:
    """Where the switch is, and how targets are called."""
    dial = os.environ.get("HOOKFLASH_DIAL")
    return FreeSwitch(
        host=os.environ.get("HOOKFLASH_HOST", "127.0.0.1"),
        port=int(os.environ.get("HOOKFLASH_PORT", "8021")),
        password=os.environ.get("HOOKFLASH_PASSWORD", "ClueCon"),
        dialling=Dialling(template=dial) if dial else Dialling(),
    )


def new_id() -> str:
    """Name a transfer. What is marked on the switch outlives this process: no name comes twice."""
    return uuid.uuid4().hex


def tell(record: Record) -> None:
    """Log a step of a transfer, and whatever was refused."""
    if record.transfer is None and not record.refused:
        return
    states = [state.value for state in (record.before, record.after) if state]
    step = " → ".join(states) or "no transfer"
    facts = {
        "transfer": record.transfer,
        "on": type(record.event).__name__,
        "outcome": record.outcome,
        "cause": record.cause,
        "why": record.why,
    }
    log.info(step, **{name: fact for name, fact in facts.items() if fact})


async def main() -> None:
    """Open the switch, open an engine on it, and follow it for as long as it runs."""
    async with (
        open_freeswitch(settings()) as switch,
        open_engine(switch, new_id=new_id) as engine,
        engine.follow() as records,
    ):
        async for record in records:
            tell(record)


def reason(error: BaseException) -> str:
    """Find what was wrong: each nursery that an error leaves wraps it in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return str(error)


def run() -> str | None:
    """Run until somebody ends it.

    Returns:
        What must be fixed before another try can succeed; `None` if all went well.
    """
    wrong: str | None = None
    try:
        trio.run(main)
    except* (BackendError, InputError) as errors:
        wrong = reason(errors)
    except* KeyboardInterrupt:
        pass
    return wrong


if __name__ == "__main__":
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    )
    if wrong := run():
        print(wrong, file=sys.stderr)
        sys.exit(os.EX_CONFIG)
