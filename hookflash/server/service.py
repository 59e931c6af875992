"""The service: switches, journal, desk and doors, put together and taken down in order.

It is up when its doors are open, whether or not every switch can be reached: one that is away is
looked for, and found, while the others work. It stops in the order in which nobody is hurt: no new
transfers, those in flight to their end or to the limit, the readers told, the doors shut. What is
left then is the switch's own safety net to finish.
"""

from __future__ import annotations

import logging
import ssl
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, cast

import attrs
import hypercorn.trio
import structlog
import trio
from hypercorn.config import Config as HypercornConfig
from litestar import Litestar

from hookflash.backends.asterisk.client import AsteriskBackend
from hookflash.backends.base import Backend, Rejected, SwitchBackend
from hookflash.backends.freeswitch.client import FreeSwitchBackend
from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
from hookflash.backends.simulator.lab_phones import lab_phone
from hookflash.backends.simulator.world import World
from hookflash.engine.group import EngineGroup, Entry, open_engine_group
from hookflash.errors import InputError, first_of
from hookflash.journal import history, registry
from hookflash.journal.history import DEFAULT_ACCOUNT
from hookflash.journal.journal import (
    InThread,
    Journal,
    JournalSettings,
    in_thread,
    open_journal,
)
from hookflash.promises.names import Promise
from hookflash.promises.production import ProductionWatch
from hookflash.server.access import Access
from hookflash.server.answers import Answers
from hookflash.server.config import (
    AsteriskKeys,
    Config,
    Digits,
    FreeSwitchKeys,
    Simulator,
    SwitchKeys,
)
from hookflash.server.desk import Desk
from hookflash.server.http.app import build_app
from hookflash.server.hub import Hub
from hookflash.server.metrics import Looked, Metrics
from hookflash.server.read_config import (
    asterisk_settings,
    freeswitch_settings,
    in_folder,
    read_address,
    server_tls,
)
from hookflash.server.stored import readable_metaflows
from hookflash.server.websocket.listener import Listener
from hookflash.server.websocket.session import Doors
from hookflash.version import version

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

LOOK_EVERY_S: Final = 1.0
"""How often it is looked whether a promise is broken."""

LAB_NUMBERS: Final = (*range(1000, 1100), *range(2600, 2700))
"""The phones of a simulated switch."""

STOPPING: Final = "the service is about to stop, and takes no new transfers"


@attrs.frozen(kw_only=True)
class Addresses:
    """Where the doors are."""

    http: str
    websocket: str


class Service:
    """A service that is up. Open it with `open_service`."""

    def __init__(
        self,
        *,
        config: Config,
        group: EngineGroup,
        backends: Mapping[str, Backend],
        doors: Doors,
        app: Litestar,
        listener: Listener,
        watches: Mapping[str, ProductionWatch],
    ) -> None:
        self.config = config
        self.group = group
        self.backends = backends
        self.doors = doors
        self.app = app
        self.listener = listener
        self.watches = watches
        self._patience = trio.CancelScope()

    @property
    def journal(self) -> Journal:
        """What is written down."""
        return self.doors.desk.journal

    def reload(self, config: Config) -> None:
        """Let another config hold, for calls that begin from now on.

        Raises:
            InputError: it differs in what can't change while the service is up. Nothing has.
        """
        for part in ("listen", "journal", "limits", "switches"):
            if getattr(config, part) != getattr(self.config, part):
                raise InputError(
                    "can't change while the service is up",
                    where=f"$.{part}",
                    hint="restart the service; until then the config before holds, as a whole",
                )
        self.config = config
        self.doors.desk.choose(config)

    async def drain(self) -> int:
        """Take no new transfers, and wait for those in flight, up to the limit.

        Returns:
            How many are left to the switches.
        """
        self.app.state.stopping = True
        self.group.close_to_new_transfers(STOPPING)
        self._patience.deadline = trio.current_time() + self.config.limits.drain_s
        with self._patience:
            while any(True for _ in self.group.transfers()):  # noqa: ASYNC110 - nothing tells when the last one has ended
                await trio.sleep(0.05)
        left = sum(1 for _ in self.group.transfers())
        await self.listener.say_goodbye()
        return left

    def hurry(self) -> None:
        """Wait no longer for the transfers in flight: whoever said to stop has said it again."""
        self._patience.cancel()


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    beside: Path | None = None,
    backends: Mapping[str, Backend] | None = None,
    now: Callable[[], float] = time.time,
    run: InThread = in_thread,
    build: Callable[[Doors, Metrics], Litestar] = build_app,
) -> AsyncGenerator[Service]:
    """Put everything together, but for the doors (see `serve_doors`).

    Args:
        config: what the operator has written.
        beside: the folder of the config: files that it names are looked for there.
        backends: ways to switches that are open already, in place of those of the config.
        now: tells the time of day, in seconds since 1970.
        run: how work that waits for a disk is done.
        build: puts the HTTP application together.

    Yields:
        The service, at work until the block is left.

    Raises:
        InputError: the journal is none, or another process has it.
        JournalError: the journal can't be opened.
    """
    settings = JournalSettings(
        file=in_folder(config.journal.file, beside),
        sync=config.journal.sync,
        keep_days=config.journal.keep_days,
        masks_digits=config.journal.digits is Digits.MASKED,
    )
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(settings, now=now, run=run))
        stored = readable_metaflows(await journal.read(registry.stored_metaflows))
        unfinished = await journal.read(history.unfinished)
        ended = await journal.read(history.ended_lately)
        _miss(unfinished, config.switches if backends is None else backends)
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        if backends is None:
            backends = {
                name: await _open_switch(stack, nursery, name, keys, beside)
                for name, keys in config.switches.items()
            }
        watches: dict[str, ProductionWatch] = {}  # filled as soon as there are engines to watch
        group = await stack.enter_async_context(
            open_engine_group(
                backends,
                now=now,
                taps=(journal.take, metrics.take, partial(_tell_watch, watches)),
                first_number=journal.written + 1,
                default=config.account(DEFAULT_ACCOUNT, stored.get(DEFAULT_ACCOUNT)),
                accounts=config.accounts_chosen(stored),
                unfinished=unfinished,
                ended=ended,
            )
        )
        _attend(group, backends, metrics, watches)
        doors = Doors(
            desk=Desk(group, journal, config, stored),
            access=Access(journal, config.limits),
            answers=Answers(journal),
            hub=Hub(journal),
            limits=config.limits,
            server=f"hookflash {version()}",
        )
        looked = Looked(
            group=group,
            backends=dict(backends),
            journal=journal,
            hub=doors.hub,
            access=doors.access,
            watches=watches,
        )
        metrics.registry.register(looked)
        nursery.start_soon(_look, watches, doors.access)
        yield Service(
            config=config,
            group=group,
            backends=backends,
            doors=doors,
            app=build(doors, metrics),
            listener=Listener(doors, config.listen.origins),
            watches=watches,
        )


def _attend(
    group: EngineGroup,
    backends: Mapping[str, Backend],
    metrics: Metrics,
    watches: dict[str, ProductionWatch],
) -> None:
    """Watch over the promises of each engine, and time it and its switch."""
    for name, engine in group.engines.items():
        watches[name] = ProductionWatch(engine.switchboard, partial(_broken, name))
        engine.on_timing = partial(metrics.time_event, name)
        backend = backends[name]
        if isinstance(backend, SwitchBackend):
            backend.on_answer = partial(metrics.time_command, name)


def _miss(unfinished: Mapping[str, Mapping[str, object]], switches: Container[str]) -> None:
    """Say which transfers can't be looked for, because their switch is no longer in the config."""
    for name, transfers in unfinished.items():
        if name not in switches:
            log.warning(
                "transfers in flight are on a switch that the config does not name",
                switch=name,
                transfers=sorted(transfers),
            )


def _tell_watch(watches: Mapping[str, ProductionWatch], entry: Entry) -> None:
    watch = watches.get(entry.switch)
    if watch is not None:
        watch.tell(entry.record)


def _broken(switch: str, promise: Promise, how: str) -> None:
    log.error("a promise is broken; please report it", switch=switch, promise=promise.key, how=how)


async def _look(watches: Mapping[str, ProductionWatch], access: Access) -> None:
    while True:
        await trio.sleep(LOOK_EVERY_S)
        for watch in watches.values():
            watch.look(trio.current_time())
        access.sweep()


# --------------------------------------------------------------------- switches


async def _open_switch(
    stack: AsyncExitStack,
    nursery: trio.Nursery,
    name: str,
    keys: SwitchKeys,
    beside: Path | None,
) -> Backend:
    if isinstance(keys, Simulator):
        backend = await stack.enter_async_context(open_simulator(world=simulated_world(keys.seed)))
        nursery.start_soon(_place_calls, backend, keys)
        return backend
    switch = _switch_backend(keys, name, beside)
    nursery.start_soon(_keep_up, switch, name)
    return switch


def _switch_backend(
    keys: FreeSwitchKeys | AsteriskKeys, name: str, beside: Path | None
) -> SwitchBackend:
    if isinstance(keys, AsteriskKeys):
        return AsteriskBackend(asterisk_settings(keys, name, beside=beside))
    return FreeSwitchBackend(freeswitch_settings(keys, name, beside=beside))


async def _keep_up(switch: SwitchBackend, name: str) -> None:
    """Keep a line to a switch. One that does not let us in is told, and does not stop the rest."""
    try:
        await switch.run()
    except Rejected as rejected:
        log.error("the switch does not let us in", switch=name, why=str(rejected))  # noqa: TRY400 - it is told, and is no fault of ours


def simulated_world(seed: int) -> World:
    """A world with the phones of the lab: 1xxx answers at once, 2602 is busy, and so on."""
    world = World(seed=seed)
    world.switch.name_leg = lambda: str(uuid.uuid4())
    for number in map(str, LAB_NUMBERS):
        behaviour = lab_phone(number)
        if behaviour is not None:
            world.add_phone(number, behaviour)
    return world


async def _place_calls(backend: SimulatedBackend, keys: Simulator) -> None:
    for caller, callee in keys.calls:
        await backend.call(caller, callee, account=keys.account)


# ------------------------------------------------------------------------ doors


async def serve_doors(
    service: Service,
    *,
    beside: Path | None = None,
    task_status: trio.TaskStatus[Addresses] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Open the doors of a service, until cancelled.

    Args:
        service: whose.
        beside: the folder of the config.
        task_status: told where the doors are, once they are open.
    """
    listen = service.config.listen
    tls: ssl.SSLContext | None = None
    if listen.tls_certificate:
        tls = server_tls(listen, where="$.listen", beside=beside)
    host, port = read_address(listen.websocket, where="$.listen.websocket")
    async with trio.open_nursery() as nursery:
        with _told_where("websocket", listen.websocket):
            port = await nursery.start(service.listener.serve, host, port, tls)
        with _told_where("http", listen.http):
            binds: list[str] = await nursery.start(_serve_http, service, beside)
        where = f"[{host}]" if ":" in host else host
        scheme = "wss" if tls else "ws"
        task_status.started(
            Addresses(http=binds[0], websocket=f"{scheme}://{where}:{port}/v2/events")
        )
        await trio.sleep_forever()


@contextmanager
def _told_where(door: str, address: str) -> Generator[None]:
    """Say which door can't be opened.

    Raises:
        InputError: there is no listening there.
    """
    failed: BaseException | None = None
    try:
        yield
    except* OSError as errors:
        failed = first_of(errors)
    if isinstance(failed, OSError):
        raise InputError(
            f"can't listen on {address}: {failed.strerror or failed}",
            where=f"$.listen.{door}",
            hint="stop what listens there, or name another address",
        ) from failed


async def _serve_http(
    service: Service,
    beside: Path | None,
    *,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    # both mean ASGI, each in types of its own
    serve = cast("Callable[..., Awaitable[None]]", hypercorn.trio.serve)
    await serve(
        service.app,
        hypercorn_config(service.config, beside),
        shutdown_trigger=trio.sleep_forever,
        task_status=task_status,
    )


def hypercorn_config(config: Config, beside: Path | None) -> HypercornConfig:
    """How hypercorn is to serve."""
    http = HypercornConfig()
    http.bind = [config.listen.http]
    http.accesslog = None
    http.errorlog = logging.getLogger("hookflash.hypercorn")
    http.loglevel = "WARNING"  # where it listens is said by whoever opened the doors
    http.include_server_header = False
    http.graceful_timeout = 1.0
    http.websocket_max_message_size = 0
    if config.listen.tls_certificate:
        http.certfile = str(in_folder(config.listen.tls_certificate, beside))
        http.keyfile = str(in_folder(config.listen.tls_key, beside))
    return http
