"""Callers without a transferor, live: from a menu to a target, and back if that can't be had."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    LiveLab,
    needs,
    needs_freeswitch,
    open_live_lab,
    settings,
    talking,
    variables,
)

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.called import name_of_fallback
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.errors import RequestRefused
from hookflash.events import Kind, LegId, TransferOptions
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.sounds import parse_sound

pytestmark = needs_freeswitch

MENU, WAITING = "5000", "5001"
MENU_TONE = "tone_stream://%(500,500,350);loops=-1"

both_ways = pytest.mark.parametrize("dialling", [DIALPLAN, DIRECT], ids=["dialplan", "direct"])


@attrs.frozen
class _Scene:
    lab: LiveLab
    engine: Engine
    caller: LegId

    async def give(
        self, target: str, options: TransferOptions | None = None, kind: Kind = Kind.ATTENDED
    ) -> TransferHandle:
        """A program transfers the caller."""
        return await self.engine.transfer(
            self.caller, target, options=options or TransferOptions(), kind=kind
        )

    async def ends(self, transfer: TransferHandle) -> tuple[Outcome, str | None]:
        with trio.fail_after(40):
            end = await transfer.outcome()
        return end.outcome, end.cause

    async def in_state(self, transfer: TransferHandle, state: State) -> None:
        with trio.fail_after(20):
            while (now := self.engine.switchboard.transfer(transfer.id)) and now.state is not state:
                await trio.sleep(0.01)


@asynccontextmanager
async def open_scene(
    dialling: Dialling, extension: str = MENU, **choices: object
) -> AsyncGenerator[_Scene]:
    policy = attrs.evolve(Policy(), **choices)
    account = Account(policy=policy, returns={"waiting": f"{WAITING}@default"})
    async with (
        open_live_lab(settings(dialling)) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        await needs(lab, extension)
        caller = await lab.call_in(extension)
        await known(engine, caller)
        yield _Scene(lab, engine, caller)


async def known(engine: Engine, caller: LegId) -> None:
    with trio.fail_after(10):
        while (leg := engine.switchboard.leg(caller)) is None or not leg.answered:
            await trio.sleep(0.02)


async def plays(lab: LiveLab, leg: LegId) -> str:
    """What a leg hears now; empty if it hears nothing."""
    playing = await lab.variable(leg, "current_application") == "playback"
    return await lab.variable(leg, "current_application_data") if playing else ""


async def hears(lab: LiveLab, leg: LegId, sound: str, within_s: float = 5.0) -> None:
    with trio.fail_after(within_s):
        while await plays(lab, leg) != sound:
            await trio.sleep(0.05)


async def is_back(lab: LiveLab, caller: LegId, within_s: float = 5.0) -> None:
    """The caller hears the menu again, and carries nothing of ours."""
    await hears(lab, caller, MENU_TONE, within_s)
    await trio.sleep(0.3)
    assert await variables(lab, caller) == {"playback_terminators": "#"}
    hops = await lab.variable(caller, "max_forwards")
    assert hops in ("70", "")


@both_ways
@pytest.mark.parametrize("kind", [Kind.ATTENDED, Kind.BLIND], ids=str)
async def test_the_target_gets_the_caller(dialling: Dialling, kind: Kind) -> None:
    async with open_scene(dialling) as at:
        await hears(at.lab, at.caller, MENU_TONE)
        ringback = parse_sound("tone:300/400,0/400")
        transfer = await at.give("2600", TransferOptions(ringback=ringback), kind)
        await at.in_state(transfer, State.PARTIAL)
        await trio.sleep(0.8)
        assert "300" in await plays(at.lab, at.caller)
        assert await at.lab.shown(f"{transfer.id}-target") == ("Alice", "1001")
        assert await at.ends(transfer) == (Outcome.TRANSFERRED, None)
        await talking(at.engine, at.caller, f"{transfer.id}-target")
        await trio.sleep(0.5)
        left = await variables(at.lab, at.caller)
        assert left.pop("playback_terminators") == "#"
        assert set(left.values()) <= {"true", "false"}, left
        await at.lab.hang_up(at.caller)
        with trio.fail_after(10):
            while await at.lab.switch.channels():
                await trio.sleep(0.1)


@both_ways
@pytest.mark.parametrize(
    ("target", "cause"), [("2602", "USER_BUSY"), ("2603", "CALL_REJECTED"), ("2601", "NO_ANSWER")]
)
async def test_who_can_not_be_given_away_is_back_in_the_menu(
    dialling: Dialling, target: str, cause: str
) -> None:
    async with open_scene(dialling, ring_timeout_s=2.0) as at:
        for _ in range(2):  # and may be given away again
            transfer = await at.give(target)
            assert await at.ends(transfer) == (Outcome.RETURNED, cause)
            await is_back(at.lab, at.caller)
        transfer = await at.give("1004")
        assert await at.ends(transfer) == (Outcome.TRANSFERRED, None)


@both_ways
async def test_the_caller_leaves_while_the_target_rings(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        transfer = await at.give("2601")
        await at.in_state(transfer, State.PARTIAL)
        await trio.sleep(0.5)
        await at.lab.hang_up(at.caller)
        assert await at.ends(transfer) == (Outcome.ABANDONED, "TRANSFEREE_LEFT")
        with trio.fail_after(10):
            while await at.lab.switch.channels():
                await trio.sleep(0.1)


@both_ways
async def test_the_next_controller_goes_on(dialling: Dialling) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        await needs(lab, MENU)
        async with open_engine(lab.backend) as engine:
            caller = await lab.call_in(MENU)
            await known(engine, caller)
            at = _Scene(lab, engine, caller)
            transfer = await at.give("2650")
            await at.in_state(transfer, State.PARTIAL)
            await trio.sleep(0.5)
        async with lab.second() as backend, open_engine(backend) as engine:
            with trio.fail_after(10):
                while not engine.transfers():
                    await trio.sleep(0.02)
            assert engine.transfers()[0].kind is Kind.HANDOVER
            await lab.refuse(f"{transfer.id}-target", busy=True)
            await is_back(lab, caller)
            with trio.fail_after(10):
                while engine.transfers():
                    await trio.sleep(0.02)


@both_ways
async def test_the_switch_joins_the_two_while_the_controller_is_dead(dialling: Dialling) -> None:
    async with open_live_lab(settings(dialling)) as lab:
        await needs(lab, MENU)
        async with open_engine(lab.backend) as engine:
            caller = await lab.call_in(MENU)
            await known(engine, caller)
            at = _Scene(lab, engine, caller)
            transfer = await at.give("2650")
            await at.in_state(transfer, State.PARTIAL)
            await trio.sleep(0.5)
        target = f"{transfer.id}-target"
        with trio.fail_after(5):
            while not await scheduled(lab, caller):
                await trio.sleep(0.1)
        await lab.answer(target)
        await trio.sleep(4.0)
        assert await scheduled(lab, caller) == ""
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert living == {caller: target, target: caller}
        async with lab.second() as backend, open_engine(backend) as engine:
            await talking(engine, caller, target)


@both_ways
async def test_the_switch_sends_the_caller_back_while_the_controller_is_dead(
    dialling: Dialling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookflash.fsm.arrange.ALONE_S", 3.0)
    async with open_live_lab(settings(dialling)) as lab:
        await needs(lab, MENU)
        policy = attrs.evolve(Policy(), ring_timeout_s=2.0)
        async with open_engine(lab.backend, account=Account(policy=policy)) as engine:
            caller = await lab.call_in(MENU)
            await known(engine, caller)
            at = _Scene(lab, engine, caller)
            transfer = await at.give("2601")
            await at.in_state(transfer, State.PARTIAL)
            with trio.fail_after(5):
                while not await scheduled(lab, caller):
                    await trio.sleep(0.1)
        await is_back(lab, caller, within_s=10.0)
        async with lab.second() as backend, open_engine(backend) as engine:
            await known(engine, caller)
            assert not engine.transfers()
            again = await engine.transfer(caller, "1004")
            with trio.fail_after(20):
                assert (await again.outcome()).outcome is Outcome.TRANSFERRED


async def scheduled(lab: LiveLab, caller: LegId) -> str:
    """The scheduled return of a caller."""
    tasks = await lab.switch.api("show tasks")
    return "\n".join(line for line in tasks.splitlines() if f"hookflash-return-{caller}" in line)


@both_ways
async def test_where_the_caller_goes_is_chosen(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        with pytest.raises(RequestRefused, match="origin, park, none, waiting"):
            await at.give("2602", TransferOptions(return_to="elsewhere"))
        assert await plays(at.lab, at.caller) == MENU_TONE
        transfer = await at.give("2602", TransferOptions(return_to="waiting"))
        assert await at.ends(transfer) == (Outcome.RETURNED, "USER_BUSY")
        assert await at.lab.variable(at.caller, "destination_number") == WAITING
        assert await at.lab.variable(at.caller, "current_application") == "park"
        await trio.sleep(0.3)
        assert await variables(at.lab, at.caller) == {"playback_terminators": "#"}
        transfer = await at.give("2602", TransferOptions(return_to="park"))
        assert await at.ends(transfer) == (Outcome.RETURNED, "USER_BUSY")
        assert await at.lab.variable(at.caller, "current_application") == "park"
        transfer = await at.give("2602")  # the origin is the park now
        assert await at.ends(transfer) == (Outcome.RETURNED, "USER_BUSY")
        assert await at.lab.variable(at.caller, "current_application") == "park"
        transfer = await at.give("2602", TransferOptions(return_to="none", fallback_target="2600"))
        assert await at.ends(transfer) == (Outcome.FELL_BACK, "USER_BUSY")
        await talking(at.engine, at.caller, name_of_fallback(transfer.id))


@both_ways
async def test_a_bot_that_parks_its_callers_gets_them_again(dialling: Dialling) -> None:
    async with open_scene(dialling, WAITING) as at:
        for _ in range(2):
            transfer = await at.give("2602")
            assert await at.ends(transfer) == (Outcome.RETURNED, "USER_BUSY")
            assert await at.lab.variable(at.caller, "current_application") == "park"
            assert await at.lab.variable(at.caller, "destination_number") == WAITING
            assert await variables(at.lab, at.caller) == {}


async def test_who_was_called_to_an_application_is_not_called_again() -> None:
    """The number in its profile is its own: sent back there, the switch would call it."""
    async with open_live_lab(settings()) as lab, open_engine(lab.backend) as engine:
        await lab.switch.api(
            "originate {origination_uuid=outbound}"
            f"{settings().dialling.dial_string('1002')} &echo()"
        )
        await known(engine, "outbound")
        transfer = await engine.transfer("outbound", "2600")
        with trio.fail_after(20):
            end = await transfer.outcome()
        assert (end.outcome, end.cause) == (Outcome.FAILED, "SPLIT_FAILED")
        assert await lab.variable("outbound", "current_application") == "echo"
        assert await variables(lab, "outbound") == {}
        transfer = await engine.transfer(
            "outbound", "2602", options=TransferOptions(return_to="park")
        )
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.RETURNED


@both_ways
async def test_another_program_takes_the_caller_while_the_target_rings(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        transfer = await at.give("2601", TransferOptions(ring_timeout_s=4.0))
        await at.in_state(transfer, State.PARTIAL)
        await trio.sleep(0.5)
        other = await at.lab.call_in(WAITING, caller="1005")
        await at.lab.switch.api(f"uuid_bridge {at.caller} {other}")
        await talking(at.engine, at.caller, other)
        with trio.fail_after(20):
            await transfer.outcome()
        await trio.sleep(1.0)
        living = {leg.leg: leg.peer for leg in await at.lab.backend.snapshot()}
        assert living == {at.caller: other, other: at.caller}
        assert await scheduled(at.lab, at.caller) == ""


@both_ways
async def test_a_bridged_leg_is_never_treated_as_alone(dialling: Dialling) -> None:
    async with open_scene(dialling) as at:
        other = await at.lab.call_in(WAITING, caller="1005")
        await at.lab.switch.api(f"uuid_bridge {at.caller} {other}")
        await talking(at.engine, at.caller, other)
        leg = at.engine.switchboard.legs[at.caller]
        leg.peer = None  # as if the event had been lost
        at.engine.switchboard.legs[other].peer = None
        transfer = await at.give("2600")
        assert transfer.transfer is not None
        assert transfer.transfer.kind is Kind.ATTENDED
        assert transfer.transfer.transferee.leg == other


@both_ways
@pytest.mark.parametrize("key", ["1", "2"], ids=["accepts", "declines"])
async def test_the_target_is_asked_first(dialling: Dialling, key: str) -> None:
    async with open_scene(dialling, target_accepts=True) as at:
        transfer = await at.give("1004")
        await at.in_state(transfer, State.ACCEPTING)
        await trio.sleep(1.0)
        assert await scheduled(at.lab, at.caller)  # the two are not joined without a controller
        await at.lab.press(f"{transfer.id}-target", key)
        if key == "2":
            assert await at.ends(transfer) == (Outcome.RETURNED, "DECLINED")
            await is_back(at.lab, at.caller)
        else:
            assert await at.ends(transfer) == (Outcome.TRANSFERRED, None)
        with trio.fail_after(5):
            while await scheduled(at.lab, at.caller):
                await trio.sleep(0.1)
