"""`hookflash serve`: run the service until a signal stops it."""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import attrs
import trio
from cyclopts import Parameter

from hookflash.cli.terminal import counted
from hookflash.engine.engine import Engine
from hookflash.errors import HookflashError, first_of
from hookflash.events import Direction, LegId
from hookflash.journal import registry
from hookflash.server.config import Config, JournalKeys, Listen, Simulator
from hookflash.server.doors.keeper import open_keeper
from hookflash.server.doors.listening import Addresses
from hookflash.server.logs import LogFormat, log_to_stderr
from hookflash.server.read_config import read_config
from hookflash.server.service import Service, open_service
from hookflash.server.systemd import Reporter, Systemd

NO_SYSTEMD: Final = Systemd()

TURN_S: Final = 0.001
"""How long a worker thread (it parses feature codes, for instance) may keep Python from the calls;
Python's own 5 ms would be felt after each of their steps."""

DEMO_CALLS: Final = (("1001", "1002"), ("1003", "1004"))


@attrs.frozen(kw_only=True)
class Demo:
    """A service to try out: active calls, and commands to paste."""

    config: Config
    switch: str
    """The name of the switch with the calls."""
    account: str = "default"
    """The account of the calls."""
    hints: tuple[str, ...] = ()
    """Additional lines to print."""


def serve(
    *,
    config: Annotated[
        Path | None,
        Parameter(
            help="The configuration, hookflash.toml. Default: a simulated switch with demo calls."
        ),
    ] = None,
    log_format: Annotated[LogFormat, Parameter(help="Format of the log.")] = "text",
) -> int:
    """Run the hookflash service (HTTP and WebSocket APIs).

    SIGTERM (or Ctrl-C) stops it when the transfers in flight have ended. SIGHUP reloads the
    configuration.

    Example: hookflash serve --config hookflash.toml
    """
    log_to_stderr(log_format)
    sys.setswitchinterval(TURN_S)
    failed: BaseException | None = None
    try:
        if config is None:
            with tempfile.TemporaryDirectory(prefix="hookflash-") as folder:
                demo = Demo(config=demo_config(), switch="simulated")
                trio.run(run_demo, demo, Path(folder), log_format)
        else:
            trio.run(_serve, read_config(config), config, config.parent, None, log_format)
    except* HookflashError as errors:
        failed = first_of(errors)
    except* OSError as errors:
        failed = first_of(errors)  # a closed standard output: the caller reports it
    if failed is not None:
        raise failed
    return 0


def demo_config() -> Config:
    """A simulated switch with two calls."""
    return Config(
        listen=Listen(http="127.0.0.1:8080", websocket="127.0.0.1:8081"),
        journal=JournalKeys(file="demo.sqlite"),
        switches={"simulated": Simulator(calls=DEMO_CALLS)},
    )


async def run_demo(demo: Demo, folder: Path, log_format: LogFormat = "text") -> None:
    """Run a demo service until a signal stops it."""
    await _serve(demo.config, None, folder, demo, log_format)


async def _serve(
    config: Config, file: Path | None, beside: Path, demo: Demo | None, log_format: LogFormat
) -> None:
    systemd = Systemd.from_environ()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with (
            open_service(config, beside=beside) as service,
            open_keeper(service, beside=beside, log_format=log_format) as keeper,
            trio.open_nursery() as nursery,
        ):
            addresses = keeper.addresses
            _say(f"HTTP on {addresses.http}", f"WebSocket on {addresses.websocket}")
            systemd.ready()
            nursery.start_soon(Reporter(systemd, service).run)
            if demo is not None:
                await _show_the_demo(service, addresses, demo)
            await obey(signals, service, file, systemd)
            systemd.stopping()
            nursery.start_soon(hurry, signals, service)
            _say(*drain_notice(service))
            _say(stop_notice(await service.drain()))
            nursery.cancel_scope.cancel()


async def obey(
    signals: AsyncIterator[int],
    service: Service,
    file: Path | None,
    systemd: Systemd = NO_SYSTEMD,
) -> None:
    """Reload on SIGHUP; return on a signal to stop."""
    async for number in signals:
        if number != signal.SIGHUP:
            return
        if file is None:
            _say("there is no configuration file to reload")
            continue
        systemd.reloading()
        try:
            service.reload(read_config(file))
        except HookflashError as error:
            _say(f"reload rejected; the previous configuration stays in effect: {error}")
        else:
            _say("configuration reloaded; it applies to calls that begin from now on")
        systemd.ready()


async def hurry(signals: AsyncIterator[int], service: Service) -> None:
    """On a second stop signal, stop waiting for transfers in flight."""
    async for number in signals:
        if number != signal.SIGHUP:
            service.hurry()


def drain_notice(service: Service) -> tuple[str, ...]:
    """Say how many transfers the stop waits for, and for how long."""
    waiting = sum(1 for _ in service.group.transfers())
    if not waiting:
        return ()
    limit_s = service.config.limits.drain_s
    what = counted(waiting, "transfer")
    return (f"waiting up to {limit_s:g} s for {what}; Ctrl-C again ends at once",)


def stop_notice(left: int) -> str:
    """Say how many transfers the stop left to the switches."""
    if left == 0:
        return "stopped; nobody is in a transfer"
    transfers = "1 transfer is" if left == 1 else f"{left} transfers are"
    return f"stopped; {transfers} left to the switches' failsafes"


async def _show_the_demo(service: Service, addresses: Addresses, demo: Demo) -> None:
    """Print a key, and a command to paste for each call."""
    journal = service.journal
    make = partial(registry.make_key, account=demo.account, label="demo", now=journal.now())
    stored, key = await journal.change(make)
    token = service.token_for(stored)
    engine = service.group.engines[demo.switch]
    while len(callers := _callers(engine)) < len(DEMO_CALLS):  # noqa: ASYNC110 - nothing to wait for
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
    """The legs of callers in a conversation, sorted by number."""
    callers = [leg for leg in engine.legs() if leg.peer and leg.direction is Direction.INBOUND]
    return [leg.id for leg in sorted(callers, key=lambda leg: leg.number)]


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
