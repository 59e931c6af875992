"""The service: switches, journal and APIs, opened and closed in order.

It is up when it listens, whether or not every switch can be reached: it reconnects to one that is
away while the others work. It stops without hurting a call: it accepts no new transfers, waits for
those in flight up to the limit, and closes the connections. What is left then is completed by the
switch's own failsafe.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Container, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import trio
from litestar import Litestar

from hookflash.backends.base import Backend, SwitchBackend
from hookflash.engine.group import EngineGroup, open_engine_group
from hookflash.engine.record import Record
from hookflash.errors import InputError
from hookflash.journal import registry, transfers
from hookflash.journal.journal import InThread, Journal, JournalSettings, in_thread, open_journal
from hookflash.journal.step import DEFAULT_ACCOUNT
from hookflash.promises.names import Promise
from hookflash.promises.production import ProductionWatch
from hookflash.server.access import Access
from hookflash.server.api import ServiceApi
from hookflash.server.codes import CodeStore
from hookflash.server.config import Config, Digits
from hookflash.server.context import Context
from hookflash.server.http.app import build_app
from hookflash.server.idempotency import IdempotencyStore
from hookflash.server.metrics import Looked, Metrics
from hookflash.server.publisher import Publisher
from hookflash.server.read_config import in_folder
from hookflash.server.stored import readable_metaflows
from hookflash.server.switches import open_switch
from hookflash.server.websocket.listener import Listener
from hookflash.version import version

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

CHECK_EVERY_S: Final = 1.0
"""How often the promises are checked."""

STOPPING: Final = "the service is about to stop and accepts no new transfers"


class Service:
    """A service that is up. Open it with `open_service`."""

    def __init__(
        self,
        *,
        config: Config,
        group: EngineGroup,
        backends: Mapping[str, Backend],
        api: ServiceApi,
        app: Litestar,
        listener: Listener,
        watches: Mapping[str, ProductionWatch],
    ) -> None:
        self.config = config
        self.group = group
        self.backends = backends
        self.api = api
        self.app = app
        self.listener = listener
        self.watches = watches
        self._drain = trio.CancelScope()

    @property
    def journal(self) -> Journal:
        """The journal."""
        return self.api.context.journal

    def reload(self, config: Config) -> None:
        """Apply another configuration to calls that begin from now on.

        Raises:
            InputError: it changes what can't change while the service runs. Nothing is applied.
        """
        for part in ("listen", "journal", "limits", "switches"):
            if getattr(config, part) != getattr(self.config, part):
                raise InputError(
                    "can't change while the service runs",
                    where=f"$.{part}",
                    hint="restart the service; the previous configuration stays in effect",
                )
        self.config = config
        self.api.context.codes.apply(config)

    async def drain(self) -> int:
        """Accept no new transfers, and wait for those in flight, up to the limit.

        Returns:
            The number of transfers that are left to the switches.
        """
        self.app.state.stopping = True
        self.group.close_to_new_transfers(STOPPING)
        self._drain.deadline = trio.current_time() + self.config.limits.drain_s
        with self._drain:
            while any(True for _ in self.group.transfers()):  # noqa: ASYNC110 - nothing tells when the last one has ended
                await trio.sleep(0.05)
        left = sum(1 for _ in self.group.transfers())
        await self.listener.say_goodbye()
        return left

    def hurry(self) -> None:
        """Wait no longer for the transfers in flight."""
        self._drain.cancel()


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    beside: Path | None = None,
    backends: Mapping[str, Backend] | None = None,
    now: Callable[[], float] = time.time,
    run: InThread = in_thread,
    build: Callable[[ServiceApi, Metrics], Litestar] = build_app,
) -> AsyncGenerator[Service]:
    """Open everything except the network addresses (see `hookflash.server.listening`).

    Args:
        config: the operator's configuration.
        beside: the configuration's folder; relative paths begin there.
        backends: open backends, in place of those of the configuration.
        now: the time, in seconds since 1970.
        run: runs work that waits for a disk.
        build: builds the HTTP application.

    Yields:
        The service, at work until the block is left.

    Raises:
        InputError: the file is not a journal, or another process uses it.
        JournalError: the journal can't be opened.
    """
    settings = _journal_settings(config, beside)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(settings, now=now, run=run))
        stored = readable_metaflows(await journal.read(registry.stored_metaflows))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        unfinished = await journal.read(transfers.unfinished)
        _warn_of_unknown_switches(unfinished, config.switches if backends is None else backends)
        if backends is None:
            backends = {
                name: await open_switch(stack, nursery, name, keys, beside)
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
                ended=await journal.read(transfers.ended_lately),
            )
        )
        _watch(group, backends, metrics, watches)
        codes = CodeStore(group, journal, config, stored)
        api = _api(Context(group=group, journal=journal, codes=codes), config)
        metrics.registry.register(_looked(api, backends, watches))
        nursery.start_soon(_check_promises, watches, api.access)
        yield Service(
            config=config,
            group=group,
            backends=backends,
            api=api,
            app=build(api, metrics),
            listener=Listener(api, config.listen.origins),
            watches=watches,
        )


def _journal_settings(config: Config, beside: Path | None) -> JournalSettings:
    return JournalSettings(
        file=in_folder(config.journal.file, beside),
        sync=config.journal.sync,
        keep_days=config.journal.keep_days,
        masks_digits=config.journal.digits is Digits.MASKED,
    )


def _api(context: Context, config: Config) -> ServiceApi:
    return ServiceApi(
        context=context,
        access=Access(context.journal, config.limits),
        idempotency=IdempotencyStore(context.journal),
        publisher=Publisher(context.journal),
        limits=config.limits,
        server=f"hookflash {version()}",
    )


def _looked(
    api: ServiceApi, backends: Mapping[str, Backend], watches: dict[str, ProductionWatch]
) -> Looked:
    return Looked(
        group=api.context.group,
        backends=dict(backends),
        journal=api.context.journal,
        publisher=api.publisher,
        access=api.access,
        watches=watches,
    )


def _watch(
    group: EngineGroup,
    backends: Mapping[str, Backend],
    metrics: Metrics,
    watches: dict[str, ProductionWatch],
) -> None:
    """Check the promises of each engine, and measure it and its switch."""
    for name, engine in group.engines.items():
        watches[name] = ProductionWatch(engine.switchboard, partial(_broken, name))
        engine.on_timing = partial(metrics.time_event, name)
        backend = backends[name]
        if isinstance(backend, SwitchBackend):
            backend.on_answer = partial(metrics.time_command, name)


def _warn_of_unknown_switches(
    unfinished: Mapping[str, Mapping[str, object]], switches: Container[str]
) -> None:
    """Log the transfers in flight whose switch is no longer in the configuration."""
    for name, left in unfinished.items():
        if name not in switches:
            log.warning(
                "switch.not_configured",
                why="transfers in flight are on a switch that is not in the configuration",
                switch=name,
                transfers=sorted(left),
            )


def _tell_watch(watches: Mapping[str, ProductionWatch], record: Record) -> None:
    watch = watches.get(record.switch)
    if watch is not None:
        watch.tell(record)


def _broken(switch: str, promise: Promise, how: str) -> None:
    log.error(
        "promise.broken", switch=switch, promise=promise.key, why=how, hint="please report this"
    )


async def _check_promises(watches: Mapping[str, ProductionWatch], access: Access) -> None:
    while True:
        await trio.sleep(CHECK_EVERY_S)
        for watch in watches.values():
            watch.look(trio.current_time())
        access.sweep()
