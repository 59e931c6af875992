"""The service: switches, journal and APIs, opened and closed in order.

The service starts even if a switch is unreachable, and keeps reconnecting to it. A stop harms no
call: the service accepts no new transfers, waits for those in flight up to a limit, and closes the
connections. The switches' failsafes complete the rest.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Container, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import structlog
import trio

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.backends.base import Backend, SwitchBackend
from hookflash.engine.found import Unfinished
from hookflash.engine.group import EngineGroup, open_engine_group
from hookflash.engine.record import Record
from hookflash.errors import InputError
from hookflash.journal import registry, transfers
from hookflash.journal.database import JournalError
from hookflash.journal.journal import Journal, JournalSettings, open_journal
from hookflash.journal.registry import Key
from hookflash.journal.threads import InThread, in_thread
from hookflash.promises.names import Promise
from hookflash.promises.production import ProductionWatch
from hookflash.server.addresses import in_folder
from hookflash.server.codes import CodeStore
from hookflash.server.config import Config, Digits
from hookflash.server.context import Context
from hookflash.server.desk import Desk
from hookflash.server.idempotency import IdempotencyStore
from hookflash.server.line.messages import Settings
from hookflash.server.metrics import CurrentMetrics, Metrics
from hookflash.server.stored import StoredCodes, readable_metaflows
from hookflash.server.switches import open_switch
from hookflash.server.tenants import choose_dialling
from hookflash.server.tokens import sign_token, token_for, token_secret
from hookflash.version import version

log = structlog.wrap_logger(logging.getLogger("hookflash.service"))

CHECK_EVERY_S: Final = 1.0
"""How often the promises are checked."""

STOPPING: Final = "the service is about to stop and accepts no new transfers"


@attrs.define(kw_only=True, eq=False)
class Service:
    """A running service. Open it with `open_service`."""

    config: Config
    backends: Mapping[str, Backend]
    desk: Desk
    metrics: Metrics
    secret: bytes = attrs.field(repr=False)
    """Signs the tokens."""
    watches: Mapping[str, ProductionWatch]
    _drain: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    @property
    def group(self) -> EngineGroup:
        """The engines."""
        return self.desk.context.group

    @property
    def journal(self) -> Journal:
        """The journal."""
        return self.desk.context.journal

    def reload(self, config: Config) -> None:
        """Apply a new configuration to calls that begin from now on.

        Raises:
            InputError: it changes settings that need a restart. Nothing is applied.
        """
        for part in ("listen", "journal", "limits", "switches"):
            if getattr(config, part) != getattr(self.config, part):
                raise InputError(
                    "can't change while the service runs",
                    where=f"$.{part}",
                    hint="restart the service; the previous configuration stays in effect",
                )
        self.config = config
        choose_dialling(config, self.backends)
        self.desk.context.codes.apply(config)

    @property
    def is_stopping(self) -> bool:
        """Whether it accepts no new transfers, and is about to stop."""
        return self.desk.is_stopping

    async def drain(self) -> int:
        """Accept no new transfers, and wait for those in flight, up to the limit.

        Returns:
            The number of transfers left to the switches.
        """
        self.desk.is_stopping = True
        self.group.close_to_new_transfers(STOPPING)
        self._drain.deadline = trio.current_time() + self.config.limits.drain_s
        with self._drain:
            while any(True for _ in self.group.transfers()):  # noqa: ASYNC110 - nothing to wait for
                await trio.sleep(0.05)
        left = sum(1 for _ in self.group.transfers())
        await self.desk.say_goodbye()
        return left

    def settings(self, beside: Path | None) -> Settings:
        """What the doors need to know.

        Args:
            beside: the configuration's folder.
        """
        return Settings(
            server=f"hookflash {version()}",
            listen=self.config.listen,
            limits=self.config.limits,
            journal=str(self.journal.settings.file),
            secret=self.secret,
            beside=str(beside) if beside is not None else None,
        )

    def token_for(self, key: Key) -> str:
        """A token for a key, as signing in would give it."""
        expires = self.journal.now() + self.config.limits.token_lifetime_s
        return sign_token(token_for(key, expires=expires), self.secret)

    def hurry(self) -> None:
        """Stop waiting for transfers in flight."""
        self._drain.cancel()


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    beside: Path | None = None,
    backends: Mapping[str, Backend] | None = None,
    now: Callable[[], float] = time.time,
    run: InThread = in_thread,
) -> AsyncGenerator[Service]:
    """Open everything except the doors (see `hookflash.server.doors`).

    Args:
        config: the operator's configuration.
        beside: the configuration's folder; relative paths begin there.
        backends: open backends, in place of those of the configuration.
        now: the time of day, in seconds since 1970.
        run: runs what takes too long for calls to wait.

    Yields:
        The service; it runs until the block is left.

    Raises:
        InputError: the file is not a journal, or another process uses it.
    """
    settings = _journal_settings(config, beside)
    metrics = Metrics()
    watches: dict[str, ProductionWatch] = {}  # filled once there are engines to watch
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(settings, now=now, run=run))
        stored = await _what_is_stored(journal)
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        if backends is None:
            backends = {
                name: await open_switch(stack, nursery, name, keys, beside)
                for name, keys in config.switches.items()
            }
        choose_dialling(config, backends)  # before any transfer goes on
        _warn_of_unknown_switches(stored.unfinished, backends)
        taps = (journal.take, metrics.take, partial(_pass_to_watch, watches))
        opening = _open_group(config, backends, journal, stored, taps)
        group = await stack.enter_async_context(opening)
        _watch(group, backends, metrics, watches)
        codes = CodeStore(group, journal, config, stored.codes, run=run)
        context = Context(group=group, journal=journal, codes=codes)
        metrics.registry.register(CurrentMetrics(context, backends, watches))
        nursery.start_soon(_check_promises, watches)
        yield Service(
            config=config,
            backends=backends,
            desk=Desk(context=context, idempotency=IdempotencyStore(journal)),
            metrics=metrics,
            secret=await token_secret(journal),
            watches=watches,
        )


@attrs.frozen
class _Stored:
    """What earlier runs have left in the journal."""

    codes: StoredCodes
    unfinished: Mapping[str, Mapping[str, Unfinished]]
    """By switch and transfer."""
    ended: Mapping[str, frozenset[str]]
    """By switch."""


async def _what_is_stored(journal: Journal) -> _Stored:
    """What earlier runs have left; nothing while the disk can't be read, so that calls go on."""
    try:
        return await journal.read(_read_stored)
    except JournalError as error:
        log.error("journal.unreadable", why=str(error), effect="transfers in flight are not known")  # noqa: TRY400 - no bug of ours
        return _Stored(StoredCodes({}, {}), {}, {})


def _read_stored(connection: sqlite3.Connection) -> _Stored:
    return _Stored(
        readable_metaflows(registry.stored_metaflows(connection)),
        transfers.unfinished(connection),
        transfers.ended_lately(connection),
    )


def _open_group(
    config: Config,
    backends: Mapping[str, Backend],
    journal: Journal,
    stored: _Stored,
    taps: tuple[Callable[[Record], None], ...],
) -> AbstractAsyncContextManager[EngineGroup]:
    codes = stored.codes.documents
    return open_engine_group(
        backends,
        now=journal.now,
        taps=taps,
        first_number=journal.written + 1,
        default=config.account(DEFAULT_ACCOUNT, codes.get(DEFAULT_ACCOUNT)),
        accounts=config.accounts_chosen(codes),
        unfinished=stored.unfinished,
        ended=stored.ended,
    )


def _journal_settings(config: Config, beside: Path | None) -> JournalSettings:
    return JournalSettings(
        file=in_folder(config.journal.file, beside),
        sync=config.journal.sync,
        keep_days=config.journal.keep_days,
        masks_digits=config.journal.digits is Digits.MASKED,
    )


def _watch(
    group: EngineGroup,
    backends: Mapping[str, Backend],
    metrics: Metrics,
    watches: dict[str, ProductionWatch],
) -> None:
    """Check the promises of each engine, and measure the engine and its switch."""
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


def _pass_to_watch(watches: Mapping[str, ProductionWatch], record: Record) -> None:
    watch = watches.get(record.switch)
    if watch is not None:
        watch.tell(record)


def _broken(switch: str, promise: Promise, how: str) -> None:
    log.error(
        "promise.broken", switch=switch, promise=promise.key, why=how, hint="please report this"
    )


async def _check_promises(watches: Mapping[str, ProductionWatch]) -> None:
    while True:
        await trio.sleep(CHECK_EVERY_S)
        for watch in watches.values():
            watch.look(trio.current_time())
