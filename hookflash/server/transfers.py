"""Operations that read transfers, in flight and past."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from hookflash.api import requests as r
from hookflash.api.answers import TransferPage, TransferView
from hookflash.errors import InputError, NotFound
from hookflash.journal import transfers
from hookflash.journal.transfers import Past, TransferSearch
from hookflash.server.caller import Caller
from hookflash.server.context import Context
from hookflash.server.views import past_transfer, transfer_in_flight


async def get_transfer(
    on: Context, account: str, _: Caller, asked: r.GetTransferRequest
) -> TransferView:
    """Get one transfer, with its timeline."""
    past, timeline = await on.remembered(asked.transfer_id)
    found = on.in_flight(account, asked.transfer_id)
    if found is not None:
        switch, _engine, running = found
        return transfer_in_flight(switch, running, account, past, timeline)
    if past is None or past.account != account:
        raise NotFound("there is no such transfer")
    return past_transfer(past, timeline)


async def list_transfers(
    on: Context, account: str, caller: Caller, asked: r.ListTransfersRequest
) -> TransferPage:
    """List a page of an account's transfers, newest first."""
    search = TransferSearch(
        account=account,
        outcome=asked.outcome,
        begun_from=_seconds(asked.begun_from, "begun_from"),
        begun_before=_seconds(asked.begun_before, "begun_before"),
        older_than=_older_than(asked.start_key),
    )
    most = asked.page_size + 1
    async with on.turns.of(caller.key):
        unwritten = on.journal.unwritten()
        find = partial(transfers.find_transfers, search=search, most=most, unwritten=unwritten)
        found = await on.journal.read(find)
    shown = found[: asked.page_size]
    more = f"{shown[-1].begun!r}~{shown[-1].id}" if len(found) > asked.page_size else None
    return TransferPage(transfers=[_seen_now(on, past) for past in shown], next_start_key=more)


def _seen_now(on: Context, past: Past) -> TransferView:
    found = on.in_flight(past.account, past.id)
    if found is None:
        return past_transfer(past)
    switch, _, running = found
    return transfer_in_flight(switch, running, past.account, past)


def _seconds(text: str | None, field: str) -> float | None:
    """Read a time; without a zone it is in UTC."""
    if text is None:
        return None
    where, hint = f"$.{field}", "such as 2026-11-24T06:00:00Z"
    try:
        read = datetime.fromisoformat(text.replace(" ", "+"))
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except ValueError as error:
        raise InputError("is not a time", where=where, hint=hint) from error
    except (OverflowError, OSError) as error:
        raise InputError("is too far away", where=where, hint=hint) from error


def _older_than(start_key: str | None) -> tuple[float, str] | None:
    if start_key is None:
        return None
    begun, _, transfer = start_key.partition("~")
    try:
        return float(begun), transfer
    except ValueError:
        raise InputError(
            "is not a page", where="$.start_key", hint="use the next_start_key of a page"
        ) from None
