"""The recorded stories, live: real SIP, real RTP, real digits. See `live` for what it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial

import attrs
import pytest
import trio
import trustme
from certificates import showing, trusting
from crowd import run_crowd
from live import SWITCH, LiveLab, both_known, needs_freeswitch, open_live_lab
from live_rig import play_all, playable

from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.backends.simulator.character import Character
from hookflash.commands import Afterwards, Arm, Dial, HangUp, Join, Split
from hookflash.engine.engine import open_engine
from hookflash.engine.handles import Follower
from hookflash.events import LegAnswered, LegHungUp, LegId, LegsJoined
from hookflash.fsm.transfer import Outcome, State
from hookflash.testing import check_backend

pytestmark = needs_freeswitch

HOST, _, PORT = SWITCH.partition(":")
DIRECT = Dialling(template=f"sofia/internal/{{number}}@{HOST}:5090")
S = State

CROWD = int(os.environ.get("HOOKFLASH_CROWD", "20"))
"""How many transfers at once. 200 want a machine to themselves."""


@pytest.mark.parametrize("dialling", [Dialling(), DIRECT], ids=["dialplan", "direct"])
async def test_the_real_switch_keeps_every_promise_of_a_backend(dialling: Dialling) -> None:
    settings = FreeSwitch(host=HOST, port=int(PORT), dialling=dialling)
    report = await check_backend(partial(open_live_lab, settings))
    assert len(report.unchecked) <= 2, report


@pytest.mark.parametrize("dialling", [Dialling(), DIRECT], ids=["dialplan", "direct"])
async def test_the_scenarios_that_ship(dialling: Dialling) -> None:
    """All of them at once, with real digits, and what is expected in the simulator."""
    scenarios = playable(Character.FREESWITCH, direct=dialling is DIRECT)
    settings = FreeSwitch(host=HOST, port=int(PORT), dialling=dialling)
    async with open_live_lab(settings) as lab:
        assert await play_all(lab, scenarios) == {}


@pytest.mark.parametrize("end", ["complete", "takeback", "partial"])
@pytest.mark.parametrize("side", ["caller", "called"])
@pytest.mark.parametrize("dialling", [Dialling(), DIRECT], ids=["dialplan", "direct"])
async def test_every_phone_shows_whom_it_talks_with(
    dialling: Dialling, side: str, end: str
) -> None:
    settings = FreeSwitch(host=HOST, port=int(PORT), dialling=dialling)
    async with open_live_lab(settings) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        alice, bob = legs if side == "caller" else legs[::-1]
        named = [("Alice", "1001"), ("1002", "1002")]
        shows_alice, shows_bob = named if side == "caller" else named[::-1]
        shows_carol = ("2600", "2600")
        transfer = await engine.transfer(alice, "2600", transfer="shown")
        carol = "shown-target"
        if end == "partial":
            await trio.sleep(1.0)
        else:
            await trio.sleep(3.0)
            assert await lab.shown(alice) == shows_carol
            assert await lab.shown(carol) == shows_alice
        await (lab.press(alice, "*1") if end == "takeback" else lab.hang_up(alice))
        await transfer.outcome()
        await trio.sleep(2.5)  # the switch's own word may come after ours, which comes twice
        other, shows_other = (alice, shows_alice) if end == "takeback" else (carol, shows_carol)
        assert await lab.shown(bob) == shows_other
        assert await lab.shown(other) == shows_bob


@pytest.mark.parametrize("dialling", [Dialling(), DIRECT], ids=["dialplan", "direct"])
async def test_a_number_that_is_withheld_is_shown_to_nobody(dialling: Dialling) -> None:
    settings = FreeSwitch(host=HOST, port=int(PORT), dialling=dialling)
    async with open_live_lab(settings) as lab, open_engine(lab.backend) as engine:
        caller, called = await lab.call(privacy="hide_name:hide_number")
        await both_known(engine, (caller, called))
        transfer = await engine.transfer(called, "2600", transfer="hidden")
        await trio.sleep(3.0)
        assert await lab.shown("hidden-target") == ("1002", "1002")
        await lab.hang_up(called)
        assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        await trio.sleep(2.0)
        assert await lab.shown("hidden-target") == ("1002", "1002")


async def _everybody_talks(lab: LiveLab) -> None:
    """Promise 1: nobody is left behind."""
    with trio.fail_after(5):
        while any(leg.peer is None for leg in await lab.backend.snapshot()):
            await trio.sleep(0.1)


CONTROLLER = f"""
import sys, trio
from hookflash.backends.freeswitch.client import open_freeswitch
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.engine.engine import open_engine

async def main():
    settings = FreeSwitch(host={HOST!r}, port={PORT or 0})
    async with open_freeswitch(settings) as backend, open_engine(backend) as engine:
        follower = engine.follow()
        if len(sys.argv) > 1:
            while not any(leg.id == sys.argv[1] and leg.peer for leg in engine.legs()):
                await trio.sleep(0.02)
            await engine.transfer(sys.argv[1], sys.argv[2], transfer="killed")
        async for record in follower:
            if record.transfer:
                print(record.after.value, type(record.event).__name__, record.outcome, flush=True)

trio.run(main)
"""

KILLED: dict[str, tuple[str, str, str, str, str]] = {
    # what is done · number · killed when it says · meanwhile · what the next controller says
    "the transferor leaves the consultation": (
        "2600",
        "consulting LegsJoined",
        "transferor",
        "alone: transferee and target",
        "completing TransferFound None",
    ),
    "the target leaves the consultation": (
        "2600",
        "consulting LegsJoined",
        "target",
        "alone: transferor and transferee",
        "idle TransferFound reconnected",
    ),
    "nothing happens in the consultation": (
        "2600",
        "consulting LegsJoined",
        "",
        "",
        "consulting TransferFound None",
    ),
    "the target answers a partial transfer": (
        "2600",
        "partial LegHungUp",
        "",
        "alone: transferee and target",
        "completing TransferFound None",
    ),
    "the target answers": (
        "2600",
        "dialing LegProgressed",
        "",
        "",
        "consulting TransferFound None",
    ),
    "the target rings on": (
        "2601",
        "dialing LegProgressed",
        "",
        "",
        "dialing TransferFound None",
    ),
}


@pytest.mark.parametrize("what", KILLED)
async def test_the_controller_is_killed(what: str) -> None:
    number, when, leaver, _meanwhile, found = KILLED[what]
    async with open_live_lab() as lab:
        transferor, transferee = await lab.call()
        await _run_and_kill(lab, transferor, number, when)
        if leaver:
            leg = transferor if leaver == "transferor" else "killed-target"
            await lab.hang_up(leg)
        await trio.sleep(6.0)  # the target answers after 1.5 s, and a failsafe waits up to 2.5 s
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        assert transferee in living, "the transferee was lost"
        if _meanwhile == "alone: transferee and target":
            assert living[transferee] == "killed-target"
        elif _meanwhile:
            assert living[transferee] == transferor
        assert await _first_word_of_the_next(lab) == found
        if not found.startswith(("dialing", "consulting")):
            await _everybody_talks(lab)


async def _run_and_kill(lab: LiveLab, leg: LegId, number: str, when: str) -> None:
    """Let a controller begin a transfer, and kill it at a certain word."""
    controller = await _start(leg, number)
    said = b""
    gone = False
    with trio.fail_after(30):
        while not any(line.startswith(when) for line in said.decode().splitlines()):
            assert controller.stdout is not None
            said += await controller.stdout.receive_some()
            if "partial" in when and b"dialing LegProgressed" in said and not gone:
                gone = True
                await lab.hang_up(leg)
    await trio.sleep(0.25)  # its last orders are out
    controller.send_signal(signal.SIGKILL)
    await controller.wait()


async def _start(*arguments: str) -> trio.Process:
    command = [sys.executable, "-c", CONTROLLER, *arguments]
    return await trio.lowlevel.open_process(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


async def _first_word_of_the_next(lab: LiveLab) -> str:
    controller = await _start()
    assert controller.stdout is not None
    said = b""
    with trio.fail_after(20):
        while b"TransferFound" not in said or not said.endswith(b"\n"):
            said += await controller.stdout.receive_some()
    await trio.sleep(1.0)
    controller.kill()
    await controller.wait()
    return next(line for line in said.decode().splitlines() if "TransferFound" in line)


async def test_nobody_is_held_for_ever_when_no_controller_comes_back() -> None:
    settings = FreeSwitch(host=HOST, port=int(PORT), park_limit_s=3.0)
    async with open_live_lab(settings) as lab:
        async with open_engine(lab.backend) as engine:
            legs = await lab.call()
            await both_known(engine, legs)
            await engine.transfer(legs[0], "2601")
            await trio.sleep(0.5)
        with trio.fail_after(15):
            while {leg.leg for leg in await lab.backend.snapshot()} & set(legs):
                await trio.sleep(0.2)


async def test_the_line_breaks_in_the_middle_and_everything_is_learned() -> None:
    async with open_live_lab() as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        follower = engine.follow()
        transfer = await engine.transfer(legs[0], "2600")
        async for record in follower:
            if record.after is S.CONSULTING and isinstance(record.event, LegsJoined):
                break
        lab.backend.break_line()
        await lab.hang_up(legs[0])  # while nobody listens
        with trio.fail_after(20):
            result = await transfer.outcome()
        assert result.outcome is Outcome.TRANSFERRED
        assert lab.backend.reconnects == 1
        await _everybody_talks(lab)


@pytest.mark.parametrize(
    ("template", "number", "there_is", "none"),
    [
        (f"user/{{number}}@{HOST}", "1003", f"sofia_contact 1003@{HOST}", "error/"),
        ("sofia/gateway/trunk/{number}", "2600", "sofia status gateway trunk", "Invalid"),
    ],
    ids=["a registered phone", "a gateway"],
)
async def test_a_target_is(template: str, number: str, there_is: str, none: str) -> None:
    settings = FreeSwitch(host=HOST, port=int(PORT), dialling=Dialling(template=template))
    async with open_live_lab(settings) as lab, open_engine(lab.backend) as engine:
        if (await lab.switch.api(there_is)).startswith(none):
            pytest.skip("the lab has none")
        legs = await lab.call()
        await both_known(engine, legs)
        follower = engine.follow()
        await lab.press(legs[0], f"*2{number}")
        await _consult_and_hand_over(lab, follower, legs[0])


async def _consult_and_hand_over(lab: LiveLab, follower: Follower, transferor: LegId) -> None:
    """Let them talk for a moment; then the transferor leaves, and the other two talk."""
    with trio.fail_after(30):
        async for record in follower:
            if record.after is S.CONSULTING and isinstance(record.event, LegsJoined):
                await trio.sleep(1.0)
                await lab.hang_up(transferor)
            if record.outcome is not None:
                assert record.outcome is Outcome.TRANSFERRED
                break
    await _everybody_talks(lab)


async def test_a_switch_behind_a_tls_proxy() -> None:
    authority = trustme.CA()

    async def carry(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                await sink.send_all(data)
        await trio.aclose_forcefully(sink)

    async def proxy(secure: trio.SSLStream[trio.SocketStream]) -> None:
        plain = await trio.open_tcp_stream(HOST, int(PORT))
        async with trio.open_nursery() as both:
            both.start_soon(carry, secure, plain)
            both.start_soon(carry, plain, secure)

    async with trio.open_nursery() as nursery:
        (door,) = await nursery.start(
            partial(
                trio.serve_ssl_over_tcp, proxy, 0, showing(authority, "localhost"), host="127.0.0.1"
            )
        )
        port = door.transport_listener.socket.getsockname()[1]
        settings = FreeSwitch(host="localhost", port=port, tls=trusting(authority))
        async with open_live_lab(settings) as lab, open_engine(lab.backend) as engine:
            legs = await lab.call()
            await both_known(engine, legs)
            follower = engine.follow()
            await engine.transfer(legs[0], "2600")
            await _consult_and_hand_over(lab, follower, legs[0])
        nursery.cancel_scope.cancel()


async def test_events_that_nobody_takes_are_dropped_and_told_anew() -> None:
    settings = FreeSwitch(host=HOST, port=int(PORT), event_buffer=8)
    async with open_live_lab(settings) as lab:
        legs = await lab.call()
        with trio.fail_after(20):
            while not lab.backend.dropped:  # nobody takes what is told of these
                legs = await lab.call()
        async with open_engine(lab.backend) as engine:
            await both_known(engine, legs)
            follower = engine.follow()
            await engine.transfer(legs[0], "2600")
            await _consult_and_hand_over(lab, follower, legs[0])


async def test_a_crowd_is_transferred_at_once_and_everybody_as_scripted() -> None:
    report = await run_crowd(CROWD)
    assert report.wrong == ()
    assert report.in_flight == CROWD
    assert report.left == (0, 0)


AT_ONCE = 40


@pytest.mark.parametrize("consults", [False, True], ids=["partial", "consulting"])
async def test_the_failsafe_and_the_controller_join_the_same_two_at_once(*, consults: bool) -> None:
    """The controller's join comes while the switch does it by itself, a little before or after."""
    settings = FreeSwitch(host=HOST, port=int(PORT), dialling=DIRECT)
    async with open_live_lab(settings) as lab, trio.open_nursery() as nursery:
        answers = await nursery.start(_hear_answers, lab)
        pairs = [await lab.call() for _ in range(AT_ONCE)]
        async with trio.open_nursery() as at_once:
            for n, (transferor, transferee) in enumerate(pairs):
                after_s = 1.0 + 1.5 * n / AT_ONCE  # the failsafe catches 1.0 to 2.5 s after
                race = _Race(f"race-{n}", transferor, transferee, after_s, consults)
                at_once.start_soon(race.run, lab, answers)
                await trio.sleep(0.05)
        await trio.sleep(3.0)
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        nursery.cancel_scope.cancel()
    together = {f"race-{n}-target": transferee for n, (_, transferee) in enumerate(pairs)}
    assert living == together | {bob: carol for carol, bob in together.items()}


async def _hear_answers(
    lab: LiveLab, task_status: trio.TaskStatus[dict[LegId, trio.Event]]
) -> None:
    answers: dict[LegId, trio.Event] = {}
    task_status.started(answers)
    async for event in lab.backend.events():
        if isinstance(event, LegAnswered):
            answers.setdefault(event.leg, trio.Event()).set()


@attrs.frozen
class _Race:
    """A transfer until target and transferee are to be joined, and the join so long after."""

    name: str
    transferor: LegId
    transferee: LegId
    after_s: float
    consults: bool
    """Whether the transferor leaves during the consultation, and not while the target rings."""

    async def run(self, lab: LiveLab, answers: dict[LegId, trio.Event]) -> None:
        target = f"{self.name}-target"
        answered = answers.setdefault(target, trio.Event())
        dial = Dial(leg=target, target="2600", on_behalf_of=self.transferor, ring_timeout_s=20)
        await lab.backend.perform(Split(first=self.transferor, second=self.transferee))
        await trio.sleep(0.5)
        await lab.backend.perform(dial)
        await trio.sleep(0.5)
        if self.consults:
            await answered.wait()
            await self._consult(lab, target)
        else:
            await lab.backend.perform(Arm(leg=target, rescue=self.transferee))
        await lab.backend.perform(HangUp(leg=self.transferor))
        await answered.wait()
        await trio.sleep(self.after_s)
        join = Join(
            first=self.transferee,
            second=target,
            afterwards=Afterwards.END,
            disarm=(target,),
            transfer=self.name,
        )
        await lab.backend.perform(join)

    async def _consult(self, lab: LiveLab, target: LegId) -> None:
        await trio.sleep(0.2)
        consult = Join(
            first=self.transferor,
            second=target,
            afterwards=Afterwards.PARK,
            rescue=self.transferee,
            transfer=self.name,
        )
        await lab.backend.perform(consult)
        await trio.sleep(0.5)


async def test_a_second_hang_up_is_not_told() -> None:
    async with open_live_lab() as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        follower = engine.follow()
        await engine.hang_up(legs[0])
        gone: list[str] = []
        with trio.move_on_after(2):
            async for record in follower:
                gone += [record.event.leg] if isinstance(record.event, LegHungUp) else []
        assert sorted(gone) == sorted(legs)
