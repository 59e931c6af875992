"""`hookflash serve`: the service, from its first line to its last."""

from __future__ import annotations

import logging
import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import attrs
import structlog
import trio
from cyclopts import Parameter

from hookflash.engine.engine import Engine
from hookflash.errors import HookflashError, first_of
from hookflash.events import Direction, LegId
from hookflash.journal import registry
from hookflash.server.config import Config, JournalKeys, Listen, Simulator
from hookflash.server.listening import Addresses, listen
from hookflash.server.read_config import read_config
from hookflash.server.service import Service, open_service

LogFormat = Literal["text", "json"]

DEMO_CALLS: Final = (("1001", "1002"), ("1003", "1004"))


@attrs.frozen(kw_only=True)
class Demo:
    """A service to try out: calls that are up, and commands to paste."""

    config: Config
    switch: str
    """The switch that the calls are on."""
    account: str = "default"
    """The account whose calls they are."""
    hints: tuple[str, ...] = ()
    """More lines to print."""


def serve(
    *,
    config: Annotated[
        Path | None,
        Parameter(
            help="The configuration, hookflash.toml. Default: a simulated switch with demo calls."
        ),
    ] = None,
    log_format: Annotated[LogFormat, Parameter(help="How the log is written.")] = "text",
) -> int:
    """Run the hookflash service (HTTP and WebSocket APIs).

    SIGTERM (or Ctrl-C) stops it when the transfers in flight have ended. SIGHUP reloads the
    configuration.

    Example: hookflash serve --config hookflash.toml
    """
    log_to_stderr(log_format)
    failed: BaseException | None = None
    try:
        if config is None:
            with tempfile.TemporaryDirectory(prefix="hookflash-") as folder:
                demo = Demo(config=demo_config(), switch="simulated")
                trio.run(run_demo, demo, Path(folder))
        else:
            trio.run(_serve, read_config(config), config, config.parent, None)
    except* HookflashError as errors:
        failed = first_of(errors)
    except* OSError as errors:
        failed = first_of(errors)  # of the standard output: the caller reports it
    if failed is not None:
        raise failed
    return 0


def log_to_stderr(log_format: LogFormat) -> None:
    """Write the log: one line an event, for people or for machines, never with passwords."""
    renderer = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.add_logger_name,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        # libraries (stamina) get their loggers from here: theirs need a name, too
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("hookflash").setLevel(logging.INFO)
    # hookflash itself reports where it listens
    logging.getLogger("hookflash.hypercorn").setLevel(logging.WARNING)


def demo_config() -> Config:
    """A simulated switch with two calls."""
    return Config(
        listen=Listen(http="127.0.0.1:8080", websocket="127.0.0.1:8081"),
        journal=JournalKeys(file="demo.sqlite"),
        switches={"simulated": Simulator(calls=DEMO_CALLS)},
    )


async def run_demo(demo: Demo, folder: Path) -> None:
    """Run a demo service until a signal stops it."""
    await _serve(demo.config, None, folder, demo)


async def _serve(config: Config, file: Path | None, beside: Path, demo: Demo | None) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with open_service(config, beside=beside) as service, trio.open_nursery() as nursery:
            addresses: Addresses = await nursery.start(partial(listen, service, beside=beside))
            _say(f"HTTP on {addresses.http}", f"WebSocket on {addresses.websocket}")
            if demo is not None:
                await _show_the_demo(service, addresses, demo)
            await obey(signals, service, file)
            nursery.start_soon(hurry, signals, service)
            _say(*patience(service))
            _say(left_behind(await service.drain()))
            nursery.cancel_scope.cancel()


async def obey(signals: AsyncIterator[int], service: Service, file: Path | None) -> None:
    """Reload on SIGHUP; return on a signal to stop."""
    async for number in signals:
        if number != signal.SIGHUP:
            return
        if file is None:
            _say("there is no configuration file to reload")
            continue
        try:
            service.reload(read_config(file))
        except HookflashError as error:
            _say(f"reload rejected; the previous configuration stays in effect: {error}")
        else:
            _say("configuration reloaded; it applies to calls that begin from now on")


async def hurry(signals: AsyncIterator[int], service: Service) -> None:
    """On a second signal to stop, wait no longer for transfers in flight."""
    async for number in signals:
        if number != signal.SIGHUP:
            service.hurry()


def patience(service: Service) -> tuple[str, ...]:
    """The transfers that a stop waits for, in words."""
    waiting = sum(1 for _ in service.group.transfers())
    if not waiting:
        return ()
    transfers = "1 transfer" if waiting == 1 else f"{waiting} transfers"
    limit_s = service.config.limits.drain_s
    return (f"waiting up to {limit_s:g} s for {transfers}; Ctrl-C again ends at once",)


def left_behind(left: int) -> str:
    """How the stop went, in words, and what is left to the switches."""
    if left == 0:
        return "stopped; nobody is in a transfer"
    transfers = "1 transfer is" if left == 1 else f"{left} transfers are"
    return f"stopped; {transfers} left to the switches' failsafes"


async def _show_the_demo(service: Service, addresses: Addresses, demo: Demo) -> None:
    """Print a key, and a command to paste for each of the calls."""
    journal = service.journal
    make = partial(registry.make_key, account=demo.account, label="demo", now=journal.now())
    _, key = await journal.change(make)
    _, token = await service.api.access.sign_in(key, "demo")
    engine = service.group.engines[demo.switch]
    while len(callers := _callers(engine)) < len(DEMO_CALLS):  # noqa: ASYNC110 - a call has no event for onlookers
        await trio.sleep(0.05)
    hookflash = shlex.quote(sys.argv[0])
    act = '{"data": {"action": "transfer", "target": "2600"}}'
    _say(
        "",
        f"{' and '.join(f'{one} with {other}' for one, other in DEMO_CALLS)} talk. Transfer the"
        " first call, from another terminal:",
        "",
        f"  curl {addresses.http}/v2/accounts/{demo.account}/channels/{callers[0]} \\",
        f"    -H 'X-Auth-Token: {token}' -d '{act}'",
        "",
        "and the second, and watch it live:",
        "",
        f"  export HOOKFLASH_URL={addresses.websocket} \\",
        f"    HOOKFLASH_KEY={key}",
        f"  {hookflash} transfer {callers[1]} 2600",
        "",
        "2600 answers, 2601 never does, 2602 is busy, 2603 refuses. Ctrl-C stops.",
        *demo.hints,
    )


def _callers(engine: Engine) -> list[LegId]:
    """The legs of callers who talk, in the order of their numbers."""
    talk = [leg for leg in engine.legs() if leg.peer and leg.direction is Direction.INBOUND]
    return [leg.id for leg in sorted(talk, key=lambda leg: leg.number)]


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
