"""Everything that a program may do, in one place, with the rights of whoever asks.

Both doors (`http`, `websocket`) bring what they are asked here, and take an answer or an error of
the one tree (`hookflash.errors`) away. A program sees the calls of its own account, and does not
learn that there are others: what is another's does not exist.

A request is answered when the engine has taken it *and* its step is safe in the journal, so that
no crash can undo what a program was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast

import attrs
import msgspec
import trio

from hookflash.dialling.kazoo_options import options_from_kazoo
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.engine import Engine
from hookflash.engine.group import EngineGroup
from hookflash.engine.legs import Leg
from hookflash.engine.record import Record
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import Forbidden, InputError, NotFound, RequestRefused
from hookflash.events import Kind, LegId
from hookflash.fsm.transfer import Transfer
from hookflash.journal import history, registry
from hookflash.journal.database import JournalError
from hookflash.journal.history import DEFAULT_ACCOUNT, Past
from hookflash.journal.journal import Journal
from hookflash.server.config import Config
from hookflash.server.wire import (
    Channel,
    Moment,
    Taken,
    TransferAsk,
    TransferView,
    channel_of,
    moment_of,
    transfer_in_flight,
    transfer_of_past,
)

NO_CALL: Final = "there is no such call"
NO_TRANSFER: Final = "there is no such transfer"


@attrs.frozen(kw_only=True)
class Caller:
    """A program that has said who it is."""

    key: str
    """The id of its key."""
    account: str | None
    """`None`: an administrator's key, for all accounts."""

    def check(self, account: str) -> None:
        """Let it act for an account, or not.

        Raises:
            Forbidden: it is another's. Whether there is such an account is not told.
        """
        if self.account is not None and self.account != account:
            raise Forbidden

    @property
    def name(self) -> str:
        """What the history says of who asked."""
        return f"key {self.key}"


@attrs.frozen(kw_only=True)
class Page:
    """Which transfers of the history are wanted."""

    outcome: str | None = None
    begun_from: float | None = None
    begun_before: float | None = None
    start_key: str | None = None
    """Where the page before this one ended."""
    size: int = 50


class Desk:
    """What programs may do."""

    def __init__(
        self,
        group: EngineGroup,
        journal: Journal,
        config: Config,
        metaflows: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Begin.

        Args:
            group: the switches.
            journal: what is written down.
            config: what the operator has written.
            metaflows: the feature codes that programs have set, by account.
        """
        self._group = group
        self.journal = journal
        self._config = config
        self._metaflows: dict[str, Mapping[str, Any]] = dict(metaflows)
        self._changing = trio.Lock()

    # ------------------------------------------------------------------ calls

    def channels(self, caller: Caller, account: str) -> list[Channel]:
        """The legs of an account's calls.

        Raises:
            Forbidden: the account is another's.
        """
        caller.check(account)
        return [
            self._channel(switch, line)
            for switch, line in self._group.legs()
            if (line.owner or DEFAULT_ACCOUNT) == account
        ]

    def channel(
        self, caller: Caller, account: str, call: LegId, switch: str | None = None
    ) -> Channel:
        """One leg.

        Raises:
            Forbidden: the account is another's.
            NotFound: the account has no such call.
        """
        engine, line = self._line(caller, account, call, switch)
        return self._channel(self._name_of(engine), line)

    def _channel(self, switch: str, line: Leg) -> Channel:
        board = self._group.engines[switch].switchboard
        other = board.leg(line.peer) if line.peer else None
        own = self._own_transfer_of(board, line.owner or DEFAULT_ACCOUNT, line.id)
        return channel_of(switch, line, other, own)

    def _line(
        self, caller: Caller, account: str, call: LegId, switch: str | None
    ) -> tuple[Engine, Leg]:
        """Find a leg among the account's own: another's is as if there were none."""
        caller.check(account)
        found = [
            (engine, line)
            for name, engine in self._group.engines.items()
            if switch in (None, name)
            and (line := engine.switchboard.leg(call)) is not None
            and (line.owner or DEFAULT_ACCOUNT) == account
        ]
        if not found:
            raise NotFound(NO_CALL)
        if len(found) > 1:
            raise RequestRefused("two switches have a call of this id: name the switch, too")
        return found[0]

    def _name_of(self, engine: Engine) -> str:
        return next(name for name, one in self._group.engines.items() if one is engine)

    # -------------------------------------------------------- what is asked of calls

    async def transfer(
        self,
        caller: Caller,
        account: str,
        call: LegId,
        ask: TransferAsk,
        switch: str | None = None,
        *,
        name: str | None = None,
    ) -> Taken:
        """Transfer the party that this call talks with.

        Args:
            caller: who asks.
            account: whose call it is.
            call: the transferor's leg.
            ask: what is wanted.
            switch: where the call is, should several have one of this id.
            name: the transfer's id; if there is or was one of it, that is the answer.

        Raises:
            RequestRefused: it can't be done; it says why.
            BackendClosed: the switch is away.
        """
        caller.check(account)
        taken = await self._taken_before(account, name) if name is not None else None
        if taken is not None:
            return taken
        engine, _ = self._line(caller, account, call, switch)
        handle = await engine.transfer(
            call,
            ask.target,
            kind=Kind(ask.transfer_type),
            transfer=name,
            options=options_from_kazoo(msgspec.structs.asdict(ask)),
            by=caller.name,
        )
        return await self._taken(account, handle.id, handle.asked)

    async def hold(
        self, caller: Caller, account: str, call: LegId, moh: str | None, switch: str | None = None
    ) -> Taken:
        """Put the party that this call talks with on hold.

        Raises:
            RequestRefused: it can't be done; it says why.
            BackendClosed: the switch is away.
        """
        engine, _ = self._line(caller, account, call, switch)
        options = options_from_kazoo({"moh": moh})
        handle = await engine.transfer(call, "", kind=Kind.HOLD, options=options, by=caller.name)
        return await self._taken(account, handle.id, handle.asked)

    async def take_back_by_call(
        self, caller: Caller, account: str, call: LegId, switch: str | None = None
    ) -> Taken:
        """Have the transferee of the transfer that this call is in back.

        Raises:
            RequestRefused: it can't be done; it says why.
        """
        engine, transfer = self._transfer_of_call(caller, account, call, switch)
        record = await engine.take_back(transfer.id, by=caller.name)
        return await self._taken(account, transfer.id, record)

    async def complete_by_call(
        self, caller: Caller, account: str, call: LegId, switch: str | None = None
    ) -> Taken:
        """Complete the transfer that this call is in.

        Raises:
            RequestRefused: it can't be done; it says why.
        """
        engine, transfer = self._transfer_of_call(caller, account, call, switch)
        record = await engine.complete(transfer.id, by=caller.name)
        return await self._taken(account, transfer.id, record)

    async def hang_up(
        self, caller: Caller, account: str, call: LegId, switch: str | None = None
    ) -> Taken:
        """End this leg.

        Raises:
            NotFound: the account has no such call.
        """
        engine, _ = self._line(caller, account, call, switch)
        record = await engine.hang_up(call, by=caller.name)
        return await self._taken(account, None, record)

    def _transfer_of_call(
        self, caller: Caller, account: str, call: LegId, switch: str | None
    ) -> tuple[Engine, Transfer]:
        engine, _ = self._line(caller, account, call, switch)
        transfer = self._own_transfer_of(engine.switchboard, account, call)
        if transfer is None:
            raise RequestRefused("this call is in no transfer")
        return engine, transfer

    @staticmethod
    def _own_transfer_of(board: Switchboard, account: str, call: LegId) -> Transfer | None:
        """The account's own transfer that a leg is in: one by another is as if there were none."""
        transfer = board.transfer_of(call)
        if transfer is None or (board.owner(transfer.id) or DEFAULT_ACCOUNT) != account:
            return None
        return transfer

    async def _taken_before(self, account: str, transfer: str) -> Taken | None:
        """What was taken under this id, if anything: whoever asked for it may not have heard so."""
        past, timeline = await self._remembered(transfer)
        is_known = past is not None and past.account == account
        if not is_known and self._in_flight(account, transfer) is None:
            return None
        return Taken(
            transfer_id=transfer,
            url=_url(account, transfer),
            number=timeline[0].number if timeline else 0,
        )

    async def _taken(self, account: str, transfer: str | None, record: Record | None) -> Taken:
        number = record.number if record is not None else 0
        await self.journal.settled(number)
        url = _url(account, transfer) if transfer else None
        return Taken(transfer_id=transfer, url=url, number=number)

    # -------------------------------------------------------------- transfers

    def _in_flight(self, account: str, transfer: str) -> tuple[str, Engine, Transfer] | None:
        for name, engine in self._group.engines.items():
            running = engine.switchboard.transfer(transfer)
            owner = engine.switchboard.owner(transfer)
            if running is not None and (owner or DEFAULT_ACCOUNT) == account:
                return name, engine, running
        return None

    async def take_back(self, caller: Caller, account: str, transfer: str) -> Taken:
        """Have a transfer's transferee back.

        Raises:
            NotFound: the account has no such transfer.
            RequestRefused: it is over, or it is too late.
        """
        engine = await self._engine_of(caller, account, transfer)
        record = await engine.take_back(transfer, by=caller.name)
        return await self._taken(account, transfer, record)

    async def complete(self, caller: Caller, account: str, transfer: str) -> Taken:
        """Complete a transfer.

        Raises:
            NotFound: the account has no such transfer.
            RequestRefused: it is over, or it is too early or too late.
        """
        engine = await self._engine_of(caller, account, transfer)
        record = await engine.complete(transfer, by=caller.name)
        return await self._taken(account, transfer, record)

    async def _engine_of(self, caller: Caller, account: str, transfer: str) -> Engine:
        caller.check(account)
        found = self._in_flight(account, transfer)
        if found is not None:
            return found[1]
        past = await self.journal.read(partial(history.find_transfer, transfer=transfer))
        if past is None or past.account != account:
            raise NotFound(NO_TRANSFER)
        raise RequestRefused(f"the transfer is over: {past.outcome}")

    async def transfer_view(self, caller: Caller, account: str, transfer: str) -> TransferView:
        """One transfer, in flight or past, with its timeline.

        Raises:
            NotFound: the account has no such transfer.
        """
        caller.check(account)
        past, timeline = await self._remembered(transfer)
        found = self._in_flight(account, transfer)
        if found is not None:
            switch, engine, running = found
            owner = engine.switchboard.owner(transfer) or ""
            return transfer_in_flight(switch, running, owner, past, timeline)
        if past is None or past.account != account:
            raise NotFound(NO_TRANSFER)
        return transfer_of_past(past, timeline)

    async def _remembered(self, transfer: str) -> tuple[Past | None, tuple[Moment, ...] | None]:
        """What the journal knows of a transfer; nothing, while it can't be read."""
        try:
            past = await self.journal.read(partial(history.find_transfer, transfer=transfer))
            steps = await self.journal.read(partial(history.steps_of, transfer=transfer))
        except JournalError:
            return None, None
        return past, tuple(moment_of(step) for step in steps)

    async def transfers(
        self, caller: Caller, account: str, page: Page
    ) -> tuple[list[TransferView], str | None]:
        """An account's transfers, the newest first.

        Returns:
            A page of them, and where the next page begins.

        Raises:
            Forbidden: the account is another's.
            InputError: no page begins there.
            JournalError: the history can't be read.
        """
        caller.check(account)
        found = await self.journal.read(
            partial(
                history.find_transfers,
                account=account,
                outcome=page.outcome,
                begun_from=page.begun_from,
                begun_before=page.begun_before,
                older_than=_older_than(page.start_key),
                most=page.size + 1,
            )
        )
        shown = found[: page.size]
        more = f"{shown[-1].begun!r}~{shown[-1].id}" if len(found) > page.size else None
        return [self._seen_now(past) for past in shown], more

    def _seen_now(self, past: Past) -> TransferView:
        found = self._in_flight(past.account, past.id)
        if found is None:
            return transfer_of_past(past)
        switch, _, running = found
        return transfer_in_flight(switch, running, past.account, past, None)

    # -------------------------------------------------------------- feature codes

    def metaflows(self, caller: Caller, account: str) -> dict[str, Any]:
        """An account's feature codes, with all defaults spelled out."""
        caller.check(account)
        chosen = self._config.account(account, self._metaflows.get(account))
        return cast("dict[str, Any]", chosen.metaflows.to_document())

    async def set_metaflows(
        self,
        caller: Caller,
        account: str,
        document: Mapping[str, Any] | None,
        *,
        for_calls_that_are_up: bool,
    ) -> dict[str, Any]:
        """Set an account's feature codes.

        Args:
            caller: who asks.
            account: whose.
            document: in Kazoo's shape; `None`: as the config has them.
            for_calls_that_are_up: whether they hold for calls that have begun, too.

        Returns:
            What holds now.

        Raises:
            InputError: they can't be used; the message names the place.
            JournalError: they can't be kept.
        """
        caller.check(account)
        async with self._changing:
            return await self._set_metaflows(caller, account, document, for_calls_that_are_up)

    async def _set_metaflows(
        self,
        caller: Caller,
        account: str,
        document: Mapping[str, Any] | None,
        for_calls_that_are_up: bool,  # noqa: FBT001 - its callers name it
    ) -> dict[str, Any]:
        if document is not None:
            parse_metaflows(document, "data")
        store = partial(
            registry.store_metaflows, account=account, document=document, now=self.journal.now()
        )
        await self.journal.change(store)
        if document is None:
            self._metaflows.pop(account, None)
        else:
            self._metaflows[account] = document
        self.choose(self._config, for_calls_that_are_up=for_calls_that_are_up)
        return self.metaflows(caller, account)

    async def patch_metaflows(
        self,
        caller: Caller,
        account: str,
        patch: Mapping[str, Any],
        *,
        for_calls_that_are_up: bool,
    ) -> dict[str, Any]:
        """Change some of an account's feature codes (JSON merge patch, RFC 7396).

        Raises:
            InputError: what comes of it can't be used.
        """
        async with self._changing:
            changed = cast("dict[str, Any]", merge_patch(self.metaflows(caller, account), patch))
            return await self._set_metaflows(caller, account, changed, for_calls_that_are_up)

    def choose(self, config: Config, *, for_calls_that_are_up: bool = False) -> None:
        """Let a config hold from now on, with the feature codes that programs have set."""
        self._config = config
        self._group.choose(
            config.accounts_chosen(self._metaflows),
            default=config.account(DEFAULT_ACCOUNT, self._metaflows.get(DEFAULT_ACCOUNT)),
            for_calls_that_are_up=for_calls_that_are_up,
        )

    # ------------------------------------------------------------------ health

    def trouble(self) -> dict[str, str]:
        """What is not as it should be, by part: the switches that are away, the journal."""
        found = {f"switch {name}": why for name, why in self._group.away().items()}
        if self.journal.fault is not None:
            found["journal"] = self.journal.fault
        return found


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    told = cast("Mapping[str, Any]", patch)
    old = cast("Mapping[str, Any]", document if isinstance(document, Mapping) else {})
    merged: dict[str, Any] = dict(old)
    for name, value in told.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _older_than(start_key: str | None) -> tuple[float, str] | None:
    if start_key is None:
        return None
    begun, _, transfer = start_key.partition("~")
    try:
        return float(begun), transfer
    except ValueError:
        raise InputError(
            "there is no such page", where="start_key", hint="the next_start_key of a page"
        ) from None


def _url(account: str, transfer: str) -> str:
    return f"/v2/accounts/{account}/transfers/{transfer}"
