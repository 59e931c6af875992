"""Operations on calls, and on the transfers that their legs are in."""

from __future__ import annotations

from functools import partial

import msgspec

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.api import requests as r
from hookflash.api.answers import Accepted, LegView
from hookflash.dialling.kazoo_options import options_from_kazoo
from hookflash.engine.engine import Engine
from hookflash.engine.legs import Leg
from hookflash.errors import InputError, NotFound, RequestRefused
from hookflash.events import Kind
from hookflash.journal import transfers
from hookflash.server.caller import Caller
from hookflash.server.context import Context, own_transfer_of
from hookflash.server.idempotency import transfer_id_for
from hookflash.server.views import leg_view


async def list_calls(on: Context, account: str, _: Caller, __: r.ListCallsRequest) -> list[LegView]:
    """List the legs of an account's calls."""
    return [
        _view(on, account, switch, leg)
        for switch, leg in on.group.legs()
        if (leg.responsible or DEFAULT_ACCOUNT) == account
    ]


async def get_call(on: Context, account: str, _: Caller, asked: r.GetCallRequest) -> LegView:
    """Get one leg."""
    switch, _engine, leg = on.find_leg(account, asked.call_id, asked.switch)
    return _view(on, account, switch, leg)


def _view(on: Context, account: str, switch: str, leg: Leg) -> LegView:
    board = on.group.engines[switch].switchboard
    other = board.leg(leg.peer) if leg.peer else None
    return leg_view(switch, leg, other, own_transfer_of(board, account, leg.id))


async def transfer(on: Context, account: str, caller: Caller, asked: r.TransferRequest) -> Accepted:
    """Transfer the party that a leg talks with."""
    return await _begin(on, account, caller, asked)


async def hold(on: Context, account: str, caller: Caller, asked: r.HoldRequest) -> Accepted:
    """Put the party that a leg talks with on hold."""
    return await _begin(on, account, caller, asked)


async def park(on: Context, account: str, caller: Caller, asked: r.ParkRequest) -> Accepted:
    """Park the party that a leg talks with."""
    return await _begin(on, account, caller, asked)


async def pick_up(on: Context, account: str, caller: Caller, asked: r.PickUpRequest) -> Accepted:
    """Give a leg a parked call."""
    _, engine, _leg = on.find_leg(account, asked.call_id, asked.switch)
    record = await engine.pick_up(asked.call_id, asked.slot, by=caller.name)
    return await on.accept(account, record.transfer, record)


async def _begin(
    on: Context,
    account: str,
    caller: Caller,
    asked: r.TransferRequest | r.HoldRequest | r.ParkRequest,
) -> Accepted:
    name = transfer_id_for(caller, asked)
    before = await on.accepted_before(account, name) if name is not None else None
    if before is not None:
        return before
    _, engine, _leg = on.find_leg(account, asked.call_id, asked.switch)
    match asked:
        case r.HoldRequest():
            target, kind = "", Kind.HOLD
        case r.ParkRequest():
            target, kind = "", Kind.PARK
        case _:
            target, kind = asked.target or "", Kind(asked.transfer_type)
    handle = await engine.transfer(
        asked.call_id,
        target,
        kind=kind,
        transfer=name,
        options=options_from_kazoo(msgspec.to_builtins(asked)),
        by=caller.name,
    )
    return await on.accept(account, handle.id, handle.asked)


async def hang_up(on: Context, account: str, caller: Caller, asked: r.HangUpRequest) -> Accepted:
    """Hang up a leg."""
    _, engine, _leg = on.find_leg(account, asked.call_id, asked.switch)
    record = await engine.hang_up(asked.call_id, by=caller.name)
    return await on.accept(account, None, record)


async def take_back(
    on: Context, account: str, caller: Caller, asked: r.TakeBackRequest
) -> Accepted:
    """Take a transfer's transferee back."""
    engine, name = await _transfer_in(on, account, asked)
    return await on.accept(account, name, await engine.take_back(name, by=caller.name))


async def complete(on: Context, account: str, caller: Caller, asked: r.CompleteRequest) -> Accepted:
    """Complete a transfer."""
    engine, name = await _transfer_in(on, account, asked)
    return await on.accept(account, name, await engine.complete(name, by=caller.name))


async def give_number(
    on: Context, account: str, caller: Caller, asked: r.GiveNumberRequest
) -> Accepted:
    """Give the number of a transfer that was requested without one."""
    engine, name = await _transfer_in(on, account, asked)
    record = await engine.give_number(name, asked.target, by=caller.name)
    return await on.accept(account, name, record)


async def swap(on: Context, account: str, caller: Caller, asked: r.SwapRequest) -> Accepted:
    """Let a transferor change between transferee and target."""
    engine, name = await _transfer_in(on, account, asked)
    return await on.accept(account, name, await engine.swap(name, by=caller.name))


async def accept(on: Context, account: str, caller: Caller, asked: r.AcceptRequest) -> Accepted:
    """Accept the call in the target's place."""
    engine, name = await _transfer_in(on, account, asked)
    return await on.accept(account, name, await engine.accept(name, by=caller.name))


async def decline(on: Context, account: str, caller: Caller, asked: r.DeclineRequest) -> Accepted:
    """Decline the call in the target's place."""
    engine, name = await _transfer_in(on, account, asked)
    return await on.accept(account, name, await engine.decline(name, by=caller.name))


async def three_way(
    on: Context, account: str, caller: Caller, asked: r.ThreeWayRequest
) -> Accepted:
    """Bring all three into one conversation."""
    engine, name = await _transfer_in(on, account, asked)
    return await on.accept(account, name, await engine.three_way(name, by=caller.name))


async def _transfer_in(on: Context, account: str, asked: r.TransferCommand) -> tuple[Engine, str]:
    """Find the transfer in flight that a command names, by its ID or by one of its legs.

    Raises:
        InputError: it names both, or neither.
        NotFound: the account has no such transfer, or no such leg.
        RequestRefused: the transfer is over, or the leg is in no transfer.
    """
    if (asked.transfer_id is None) == (asked.call_id is None):
        raise InputError(
            "give either transfer_id or call_id", where="$.transfer_id", hint="not both"
        )
    if asked.call_id is not None:
        _, engine, _leg = on.find_leg(account, asked.call_id, asked.switch)
        own = own_transfer_of(engine.switchboard, account, asked.call_id)
        if own is None:
            raise RequestRefused("this call is in no transfer")
        return engine, own.id
    name = str(asked.transfer_id)
    found = on.in_flight(account, name)
    if found is not None:
        return found[1], name
    past = await on.journal.read(partial(transfers.find_transfer, transfer=name))
    if past is None or past.account != account:
        raise NotFound("there is no such transfer")
    raise RequestRefused(f"the transfer is over: {past.outcome}")
