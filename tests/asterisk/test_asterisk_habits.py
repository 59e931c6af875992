"""What a real Asterisk does when things go wrong, one habit after another: it costs nobody a call.

Stories that don't meet are told at once, each with phones of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count

import attrs
import pytest
import trio
from asterisk_lab import needs_another_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    TRACES,
    AsteriskLab,
    both_known,
    consult,
    everybody_talks,
    hand_over,
    nothing_stays_behind,
    noting,
    open_live_lab,
    settings_for,
    talking,
    until_acted_on,
)
from structlog.testing import capture_logs

from hookflash.backends.asterisk.ari_messages import AriMessage
from hookflash.backends.asterisk.client import open_asterisk
from hookflash.backends.asterisk.hearing import NewsReader
from hookflash.backends.asterisk.primitives import NUMBER, SHOW_BY, TIMEOUT
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.commands import Afterwards, Arm, Dial, HangUp, HoldWithMusic, Join, Split
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.errors import Refusal
from hookflash.events import Kind, LegAnswered, LegId
from hookflash.fsm.transfer import Outcome, State
from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import get_variable
from hookflash.sounds import Music

pytestmark = needs_another_asterisk

both_ways = pytest.mark.parametrize("dialling", [DIRECT, DIALPLAN], ids=["direct", "dialplan"])

CODE = "*22601#"
"""A transfer to a phone that rings, and is never answered."""


@attrs.frozen
class Scene:
    """A call, and what is needed to do something with it."""

    lab: AsteriskLab
    engine: Engine
    legs: tuple[LegId, LegId]

    async def consult(self, number: str = "2600") -> tuple[TransferHandle, LegId]:
        return await consult(self.engine, self.legs[0], number)

    async def ends(self, transfer: TransferHandle, outcome: Outcome, *talk: LegId) -> None:
        with trio.fail_after(30):
            assert (await transfer.outcome()).outcome is outcome
        if talk:
            await talking(self.engine, *talk)

    async def reached(self, transfer: TransferHandle, state: State) -> None:
        with trio.fail_after(10):
            while (now := transfer.transfer) is None or now.state is not state:
                await trio.sleep(0.005)


Story = Callable[[Scene], Awaitable[None]]


async def tell(lab: AsteriskLab, engine: Engine, *stories: Story, number: str = "") -> None:
    """Tell stories at once, each with a call of its own."""
    numbers = count(1301, 2)

    async def one(story: Story, caller: int) -> None:
        legs = await lab.call(number or str(caller + 1), caller=str(caller))
        await both_known(engine, legs)
        await story(Scene(lab, engine, legs))

    async with trio.open_nursery() as nursery:
        for story, caller in zip(stories, numbers, strict=False):
            nursery.start_soon(one, story, caller)


# --------------------------------------------------------------- nothing stays behind


async def _transferred(scene: Scene) -> None:
    transfer, target = await scene.consult()
    await hand_over(scene.lab, scene.engine, transfer, scene.legs, target)
    # the next transfer goes as the first, and so does one more
    again, third = await consult(scene.engine, scene.legs[1], "2604")
    await hand_over(scene.lab, scene.engine, again, (scene.legs[1], target), third)
    for outcome in (Outcome.TAKEN_BACK, Outcome.RECONNECTED):
        last = await scene.engine.transfer(
            target, "1399" if outcome is Outcome.TAKEN_BACK else "2602"
        )
        if outcome is Outcome.TAKEN_BACK:
            await talking(scene.engine, target, f"{last.id}-target")
            await last.take_back()
        await scene.ends(last, outcome, target, third)


async def _completed(scene: Scene) -> None:
    transfer, target = await scene.consult()
    await transfer.complete()
    await scene.ends(transfer, Outcome.TRANSFERRED, scene.legs[1], target)


async def _blind(scene: Scene) -> None:
    transfer = await scene.engine.transfer(scene.legs[0], "2600", kind=Kind.BLIND)
    await scene.ends(transfer, Outcome.TRANSFERRED, scene.legs[1], f"{transfer.id}-target")


async def _leaves_ringing(scene: Scene) -> None:
    transfer = await scene.engine.transfer(scene.legs[0], "2600")
    await scene.reached(transfer, State.DIALING)
    await scene.lab.hang_up(scene.legs[0])
    await scene.ends(transfer, Outcome.TRANSFERRED, scene.legs[1], f"{transfer.id}-target")


async def _busy(scene: Scene) -> None:
    transfer = await scene.engine.transfer(scene.legs[0], "2602")
    await scene.ends(transfer, Outcome.RECONNECTED, *scene.legs)
    await _completed(scene)


async def _target_leaves(scene: Scene) -> None:
    transfer, target = await scene.consult()
    await scene.lab.hang_up(target)
    await scene.ends(transfer, Outcome.RECONNECTED, *scene.legs)
    await _completed(scene)


async def _taken_back(scene: Scene) -> None:
    transfer, _ = await scene.consult()
    await transfer.take_back()
    await scene.ends(transfer, Outcome.TAKEN_BACK, *scene.legs)
    await _completed(scene)


async def _taken_back_while_ringing(scene: Scene) -> None:
    transfer = await scene.engine.transfer(scene.legs[0], "2601")
    await scene.reached(transfer, State.DIALING)
    await trio.sleep(0.2)
    await transfer.take_back()
    await scene.ends(transfer, Outcome.TAKEN_BACK, *scene.legs)


async def _abandoned(scene: Scene) -> None:
    transfer, target = await scene.consult()
    await scene.lab.hang_up(scene.legs[1])
    await scene.ends(transfer, Outcome.ABANDONED, scene.legs[0], target)
    again, third = await scene.consult("2604")
    await hand_over(scene.lab, scene.engine, again, (scene.legs[0], target), third)


async def _abandoned_while_ringing(scene: Scene) -> None:
    transfer = await scene.engine.transfer(scene.legs[0], "2600")
    await scene.reached(transfer, State.DIALING)
    await scene.lab.hang_up(scene.legs[1])
    await scene.ends(transfer, Outcome.ABANDONED)
    await talking(scene.engine, scene.legs[0], f"{transfer.id}-target")


ENDS = (
    _transferred,
    _completed,
    _blind,
    _leaves_ringing,
    _busy,
    _target_leaves,
    _taken_back,
    _taken_back_while_ringing,
    _abandoned,
    _abandoned_while_ringing,
)


@both_ways
async def test_nothing_stays_behind_however_a_transfer_ends(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    """And the next transfer goes as the first."""
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        await tell(lab, engine, *ENDS)
        await everybody_talks(lab)
        await nothing_stays_behind(lab)
        living = await lab.backend.snapshot()
        assert len(living) == 2 * len(ENDS)
        for leg in living:
            if leg.leg < (leg.peer or ""):
                await lab.hang_up(leg.leg)
        with trio.fail_after(5):
            while await lab.channels():
                await trio.sleep(0.05)


async def test_nothing_stays_behind_when_the_switch_has_joined_them_without_a_controller(
    pair: Pair,
) -> None:
    """It dies in a consultation or a partial transfer; the next learns what has become of it."""
    settings = settings_for(pair, DIALPLAN)
    async with open_live_lab(pair, DIALPLAN, application="looks-on") as lab:
        talk: list[tuple[LegId, LegId]] = []
        leavers: list[LegId] = []

        async def transferor_will_leave(scene: Scene) -> None:
            _, target = await scene.consult()
            leavers.append(scene.legs[0])
            talk.append((scene.legs[1], target))

        async def target_will_leave(scene: Scene) -> None:
            _, target = await scene.consult()
            leavers.append(target)
            talk.append(scene.legs)

        async def rings_on(scene: Scene) -> None:
            await trio.sleep(1.5)  # until the others talk, so that it rings on
            transfer = await scene.engine.transfer(scene.legs[0], "2600")
            await scene.reached(transfer, State.DIALING)
            await scene.lab.hang_up(scene.legs[0])
            await scene.reached(transfer, State.PARTIAL)
            talk.append((scene.legs[1], f"{transfer.id}-target"))

        async with (
            open_asterisk(settings) as backend,
            open_engine(backend) as engine,
        ):
            doomed = AsteriskLab(backend, lab.phones, lab.switch, settings)
            await tell(doomed, engine, transferor_will_leave, target_will_leave, rings_on)
            await trio.sleep(0.2)
        for leg in leavers:
            await lab.hang_up(leg)
        await trio.sleep(4.0)  # 1.5 s until the target answers, and 2 s of the failsafe
        bridges = {one.leg: one.peer for one in await lab.backend.snapshot()}
        assert [bridges.get(one) for one, _ in talk] == [other for _, other in talk]
        async with open_asterisk(settings) as backend, open_engine(backend) as engine:
            for one, other in talk:
                await talking(engine, one, other)
            with trio.fail_after(10):
                while engine.transfers():
                    await trio.sleep(0.05)
            await nothing_stays_behind(lab)
            assert {leg.leg: leg.peer for leg in await backend.snapshot()} == bridges


@both_ways
async def test_a_target_that_fetches_whom_it_rescues_is_known_by_its_own_number(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    """It was called when the transferor had left, and answers while no controller is connected."""
    settings = settings_for(pair, dialling)
    async with open_live_lab(pair, dialling, application="looks-on") as lab:
        alice, bob = await lab.call()
        async with open_asterisk(settings) as backend:
            await backend.perform(Split(first=alice, second=bob, transfer="t"))
            await trio.sleep(0.2)
            dial = Dial(leg="t-target", target="2600", on_behalf_of=alice, ring_timeout_s=20)
            await backend.perform(attrs.evolve(dial, transfer="t"))
            await trio.sleep(0.1)
            await backend.perform(Arm(leg="t-target", rescue=bob))
            await trio.sleep(0.3)
        await lab.hang_up(alice)
        with trio.fail_after(8):
            while {leg.leg: leg.peer for leg in await lab.backend.snapshot()}.get(
                "t-target"
            ) != bob:
                await trio.sleep(0.05)
        noted = await lab.variables("t-target", NUMBER, "CALLERID(num)")
        assert noted == {"CALLERID(num)": "2600"}
        async with open_asterisk(attrs.evolve(settings, application="later")) as later:
            listed = {leg.leg: leg.number for leg in await later.snapshot()}
        assert listed == {bob: "1002", "t-target": "2600"}


@both_ways
async def test_two_leave_a_consultation_one_just_after_the_other(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    """The third is left alone, and not forgotten: also where the two were just being released."""

    def story(number: int) -> Story:
        async def one(scene: Scene) -> None:
            await scene.consult("1399")
            phones = [await scene.lab.phone(leg) for leg in scene.legs]
            await trio.sleep(0.5)
            await scene.lab.phones.hang_up(phones[1])
            await trio.sleep(0.001 * number)
            await scene.lab.phones.hang_up(phones[0])

        return one

    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        await tell(lab, engine, *map(story, range(30)))
        with trio.fail_after(8):
            while await lab.channels():
                await trio.sleep(0.05)


# ---------------------------------------------------------- what an operator has set

SUBROUTINE = "default,shows,1"


async def _limit_s(lab: AsteriskLab, leg: LegId) -> float:
    return float((await lab.variables(leg, TIMEOUT))[TIMEOUT])


async def _set(lab: AsteriskLab, leg: LegId, name: str, value: str) -> None:
    await lab.switch.demand("Setvar", Channel=leg, Variable=name, Value=value)


@both_ways
async def test_an_operators_own_limit_and_display_outlive_a_transfer(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        caller, alice = await lab.call("1002", caller="4930555")
        await both_known(engine, (caller, alice))
        ends_s = trio.current_time() + 40
        for leg in (caller, alice):
            await _set(lab, leg, TIMEOUT, "40")
            await _set(lab, leg, SHOW_BY, SUBROUTINE)
        transfer, target = await consult(engine, alice)
        shown_by = await lab.variables(caller, SHOW_BY)
        assert shown_by == {SHOW_BY: "hookflash,undisclosed,1"}, "who calls from outside"
        far = await _far_half(lab, target)
        if far:
            await _set(lab, far, TIMEOUT, "50")
        for leg in (caller, alice):
            assert await _limit_s(lab, leg) == pytest.approx(ends_s - trio.current_time(), abs=2)
        await hand_over(lab, engine, transfer, (alice, caller), target)
        ours = {*TRACES} - {TIMEOUT, SHOW_BY}
        with trio.fail_after(5):
            while any(name in ours for left in (await lab.traces()).values() for name in left):
                await trio.sleep(0.05)
        left = await lab.traces()
        assert left.keys() == {await lab.name(caller), *([await lab.name(far)] if far else [])}
        assert await lab.variables(caller, SHOW_BY) == {SHOW_BY: SUBROUTINE}
        assert await _limit_s(lab, caller) == pytest.approx(ends_s - trio.current_time(), abs=2)
        assert await _limit_s(lab, target) == 0


async def _far_half(lab: AsteriskLab, leg: LegId) -> LegId:
    """The far half of a leg that is called through the dialplan; empty, if it has none."""
    found = await get_variable(lab.switch, f"{leg}.far", "CHANNEL")
    return f"{leg}.far" if found else ""


async def test_a_leg_ends_when_its_own_limit_passes_with_a_controller_and_without(
    pair: Pair,
) -> None:
    """Held, and in a conversation that the switch has made by itself."""
    settings = settings_for(pair, DIRECT)
    async with open_live_lab(pair, DIRECT, application="looks-on") as lab:
        rescued: list[LegId] = []

        async def held(scene: Scene) -> None:
            await _set(lab, scene.legs[1], TIMEOUT, "3")
            transfer, target = await scene.consult()
            await scene.ends(transfer, Outcome.ABANDONED, scene.legs[0], target)

        async def left_alone(scene: Scene) -> None:
            await _set(lab, scene.legs[1], TIMEOUT, "8")
            _, target = await scene.consult()
            rescued.extend((*scene.legs, target))

        async with open_asterisk(settings) as backend, open_engine(backend) as engine:
            doomed = AsteriskLab(backend, lab.phones, lab.switch, settings)
            await tell(doomed, engine, held, left_alone)
        await lab.hang_up(rescued[0])
        with trio.fail_after(2):
            while {leg.leg: leg.peer for leg in await lab.backend.snapshot()}.get(
                rescued[1]
            ) != rescued[2]:
                await trio.sleep(0.02)
        assert 0 < await _limit_s(lab, rescued[1]) < 8
        assert await _limit_s(lab, rescued[2]) == 0
        with trio.fail_after(8):
            while {leg.leg for leg in await lab.backend.snapshot()} & {*rescued}:
                await trio.sleep(0.05)


async def test_a_music_class_that_is_not_there_is_warned_of(pair: Pair) -> None:
    """The held party hears the default music."""
    async with open_live_lab(pair, DIRECT) as lab:
        alice, bob = await lab.call()
        await lab.backend.perform(Split(first=alice, second=bob))
        await trio.sleep(0.2)
        with capture_logs() as logs:
            for name in ("default", "no-such-class"):
                await lab.backend.perform(HoldWithMusic(leg=bob, music=Music(name)))
                await trio.sleep(0.3)
        assert [(log["music"], log["plays"]) for log in logs] == [("no-such-class", "default")]


# ------------------------------------------------------------------------- rights


async def test_an_outside_party_gains_no_right_and_gives_none(pair: Pair) -> None:
    async with open_live_lab(pair, DIALPLAN) as lab, open_engine(lab.backend) as engine:
        caller, alice = await lab.call("1002", caller="4930555")
        await both_known(engine, (caller, alice))
        other = await lab.call("1312", caller="1311")
        await both_known(engine, other)
        transfer, carol = await consult(engine, alice)
        out, outside = await consult(engine, other[0], "92600")
        await hand_over(lab, engine, transfer, (alice, caller), carol)
        await hand_over(lab, engine, out, other, outside)
        assert engine.switchboard.legs[outside].outside
        assert engine.switchboard.legs[carol].account == "acme"
        async with noting(engine) as records, trio.open_nursery() as nursery:
            for leg in (caller, outside):
                nursery.start_soon(lab.press, leg, CODE)
            for leg in (caller, outside):
                await until_acted_on(records, leg, CODE)
        assert [r.refusal for r in records if r.refused] == [Refusal.NOT_ENTITLED] * 2
        assert engine.transfers() == ()
        await lab.press(carol, CODE)
        with trio.fail_after(10):
            while not engine.transfers():
                await trio.sleep(0.05)


# ------------------------------------------------------------------ other programs


@both_ways
async def test_a_held_party_that_is_sent_elsewhere_is_left_alone(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0])
        await lab.take_away(legs[1])
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.ABANDONED
        await talking(engine, legs[0], target)
        await nothing_stays_behind(lab)
        await lab.hang_up(legs[0])
        await trio.sleep(0.5)
        living = {leg.leg: leg.elsewhere for leg in await lab.backend.snapshot()}
        assert living == {legs[1]: True}, "an armed leg has fetched it back"


@both_ways
async def test_those_whom_we_have_joined_may_be_transferred_by_other_means(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    """What the switch does with a REFER, too: it sends who talks with the one that asks."""
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0])
        await hand_over(lab, engine, transfer, legs, target)
        await nothing_stays_behind(lab)
        behind = lab.phones.chain(await lab.name(target))[-1]
        await lab.switch.demand("BlindTransfer", Channel=behind, Context="default", Exten="1339")
        with trio.fail_after(10):
            while {leg.number for leg in await lab.backend.snapshot()} != {"1002", "1339"}:
                await trio.sleep(0.05)
        await everybody_talks(lab)
        await nothing_stays_behind(lab)


# ---------------------------------------------------------------- nobody comes back


async def test_nobody_is_held_for_ever_when_no_controller_comes_back(pair: Pair) -> None:
    settings = attrs.evolve(settings_for(pair, DIRECT), park_limit_s=2.0)
    async with open_live_lab(pair, DIRECT, application="looks-on") as lab:
        async with open_asterisk(settings) as backend, open_engine(backend) as engine:
            legs = await lab.call()
            await both_known(engine, legs)
            await engine.transfer(legs[0], "2601")
            await trio.sleep(0.3)
        await trio.sleep(0.5)
        assert {leg.leg for leg in await lab.backend.snapshot()} >= {*legs}
        with trio.fail_after(8):
            while {leg.leg for leg in await lab.backend.snapshot()} & set(legs):
                await trio.sleep(0.1)


# ------------------------------------------------------------------ the line is cut


@attrs.define
class _Cut:
    """The line is cut when all transfers are where they are to be; people go on without it."""

    lab: AsteriskLab
    waiting: int
    is_done: trio.Event = attrs.field(factory=trio.Event)

    async def comes(self) -> None:
        self.waiting -= 1
        if not self.waiting:
            await self.lab.cut_line()
            self.is_done.set()
        await self.is_done.wait()

    async def consulting(self, leaver: int | None, outcome: Outcome, scene: Scene) -> None:
        transfer, target = await scene.consult()
        everybody = (*scene.legs, target)
        await self.comes()
        if leaver is None:
            await trio.sleep(1.0)
            with trio.fail_after(10):
                while scene.engine.away is not None:  # a busy machine takes longer
                    await trio.sleep(0.05)
            assert transfer.transfer is not None
            assert transfer.transfer.state is State.CONSULTING
            await transfer.complete()
            leaver = 0
        else:
            await self.lab.hang_up(everybody[leaver])
        stay = [leg for leg in everybody if leg != everybody[leaver]]
        await scene.ends(transfer, outcome, *stay)

    async def dialing(self, scene: Scene, *, transferor_leaves: str = "") -> None:
        await trio.sleep(2.5)  # until those who consult do so
        transfer = await scene.engine.transfer(scene.legs[0], "2600")
        target = f"{transfer.id}-target"
        await scene.reached(transfer, State.DIALING)
        if transferor_leaves == "before":
            await self.lab.hang_up(scene.legs[0])
            await scene.reached(transfer, State.PARTIAL)
        await self.comes()
        if transferor_leaves == "meanwhile":
            await self.lab.hang_up(scene.legs[0])
        if not transferor_leaves:
            await talking(scene.engine, scene.legs[0], target)
            await self.lab.hang_up(scene.legs[0])
        await scene.ends(transfer, Outcome.TRANSFERRED, scene.legs[1], target)


async def test_the_line_breaks_in_every_state_and_everything_is_learned(pair: Pair) -> None:
    async with open_live_lab(pair, DIRECT) as lab, open_engine(lab.backend) as engine:
        cut = _Cut(lab, 7)
        await tell(
            lab,
            engine,
            partial(cut.consulting, 0, Outcome.TRANSFERRED),
            partial(cut.consulting, 1, Outcome.ABANDONED),
            partial(cut.consulting, 2, Outcome.RECONNECTED),
            partial(cut.consulting, None, Outcome.TRANSFERRED),
            cut.dialing,
            partial(cut.dialing, transferor_leaves="before"),
            partial(cut.dialing, transferor_leaves="meanwhile"),
        )
        assert lab.backend.reconnects == 1
        await everybody_talks(lab)
        await nothing_stays_behind(lab)


async def test_the_line_breaks_just_after_transfers_were_asked_for(pair: Pair) -> None:
    """Their commands may be lost, and nobody knows which."""
    ages_s = (0.02, 0.01, 0.005, 0.002, 0.0)
    asked = 0
    all_asked = trio.Event()

    def story(number: int) -> Story:
        async def one(scene: Scene) -> None:
            nonlocal asked
            await trio.sleep(2.0 - ages_s[number])
            transfer = await scene.engine.transfer(scene.legs[0], "2602")
            asked += 1
            if asked == len(ages_s):
                await scene.lab.cut_line()
                all_asked.set()
            await all_asked.wait()
            await scene.ends(transfer, Outcome.RECONNECTED, *scene.legs)

        return one

    async with open_live_lab(pair, DIRECT) as lab, open_engine(lab.backend) as engine:
        await tell(lab, engine, *map(story, range(len(ages_s))))
        await nothing_stays_behind(lab)


async def test_events_that_nobody_takes_are_dropped_and_told_anew(pair: Pair) -> None:
    settings = attrs.evolve(settings_for(pair, DIRECT), event_buffer=8)
    async with (
        open_live_lab(pair, DIRECT, application="looks-on") as lab,
        open_asterisk(settings) as backend,
    ):
        numbers = count(1301, 2)
        legs = ("", "")
        with trio.fail_after(20):
            while not backend.dropped:  # nobody takes what is told of these
                first = next(numbers)
                legs = await lab.call(str(first + 1), caller=str(first))
        async with open_engine(backend) as engine:
            await both_known(engine, legs)
            transfer, target = await consult(engine, legs[0])
            await hand_over(lab, engine, transfer, legs, target)
        await everybody_talks(lab)


async def test_a_long_list_of_channels_does_not_end_the_switch(pair: Pair) -> None:
    """Over a WebSocket, half a megabyte ends it: it is copied to the stack of a thread."""
    many = 800
    async with open_live_lab(pair, DIRECT) as lab:
        for _ in range(many // 2):
            await lab.switch.demand(
                "Originate",
                Channel="Local/away@default/n",
                Application="Wait",
                Data="60",
                Async="true",
            )
        with trio.fail_after(20):
            while len(await lab.channels()) < many:
                await trio.sleep(0.1)
        assert len(await lab.backend.snapshot()) == many // 2
        await lab.cut_line()
        with trio.fail_after(10):
            while not lab.backend.reconnects or not lab.backend.is_up:
                await trio.sleep(0.02)
        assert len(await lab.backend.snapshot()) == many // 2
        assert pair.switch.running


# ------------------------------------------------------------------ an event is lost

LOST: dict[str, Callable[[AriMessage, str], bool]] = {
    "the join of the consultation": lambda told, target: (
        told.type == "ChannelEnteredBridge"
        and told.channel is not None
        and told.channel.id == target
    ),
    "the beginning of the target": lambda told, target: (
        told.type == "ChannelCreated" and told.channel is not None and told.channel.id == target
    ),
    "the answer": lambda told, target: (
        told.type == "ChannelStateChange" and told.channel is not None and told.channel.id == target
    ),
    "the park of the target": lambda told, target: (
        told.type == "StasisStart" and told.channel is not None and told.channel.id == target
    ),
    "the target leaves the bridge": lambda told, target: (
        told.type == "ChannelLeftBridge" and told.channel is not None and told.channel.id == target
    ),
    "all dials": lambda told, target: (
        told.type == "Dial" and told.peer is not None and told.peer.id == target
    ),
}


async def test_an_event_is_lost_and_nobody_is_blamed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    take = NewsReader.take

    def sift(reader: NewsReader, told: AriMessage) -> None:
        for number, (name, is_it) in enumerate(LOST.items()):
            if is_it(told, f"lost-{number}-target") and name not in lost:
                if name != "all dials":
                    lost.append(name)
                return
        take(reader, told)

    monkeypatch.setattr(NewsReader, "take", sift)

    def story(number: int) -> Story:
        async def one(scene: Scene) -> None:
            transfer = await scene.engine.transfer(scene.legs[0], "2600", transfer=f"lost-{number}")
            target = f"lost-{number}-target"
            await talking(scene.engine, scene.legs[0], target)
            await hand_over(scene.lab, scene.engine, transfer, scene.legs, target)

        return one

    async with open_live_lab(pair, DIRECT) as lab, open_engine(lab.backend) as engine:
        await tell(lab, engine, *map(story, range(len(LOST))))
        assert {*lost} == {*LOST} - {"all dials"}
        await everybody_talks(lab)
        await nothing_stays_behind(lab)


# ----------------------------------------------------------- failsafe and controller

AT_ONCE = 40


async def test_the_failsafe_and_the_controller_join_the_same_two_at_once(pair: Pair) -> None:
    """The controller's join comes while the switch does it by itself, a little before or after."""
    async with open_live_lab(pair, DIRECT) as lab, trio.open_nursery() as nursery:
        answers = await nursery.start(_hear_answers, lab)
        pairs = [await lab.call(str(1102 + n), caller=str(1201 + n)) for n in range(AT_ONCE)]
        async with trio.open_nursery() as at_once:
            for n, (transferor, transferee) in enumerate(pairs):
                # the failsafe acts 2 s after the leg was parked
                after_s = 1.92 + 0.12 * n / AT_ONCE
                race = _Race(f"race-{n}", transferor, transferee, after_s, consults=bool(n % 2))
                at_once.start_soon(race.run, lab, answers)
                await trio.sleep(0.01)
        await trio.sleep(2.5)
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        nursery.cancel_scope.cancel()
    together = {f"race-{n}-target": transferee for n, (_, transferee) in enumerate(pairs)}
    assert living == together | {bob: carol for carol, bob in together.items()}


async def _hear_answers(
    lab: AsteriskLab, task_status: trio.TaskStatus[dict[LegId, trio.Event]]
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

    async def run(self, lab: AsteriskLab, answers: dict[LegId, trio.Event]) -> None:
        target = f"{self.name}-target"
        answered = answers.setdefault(target, trio.Event())
        perform = lab.backend.perform
        dial = Dial(leg=target, target="2600", on_behalf_of=self.transferor, ring_timeout_s=20)
        await perform(Split(first=self.transferor, second=self.transferee))
        await trio.sleep(0.2)
        await perform(dial)
        await trio.sleep(0.5)
        if self.consults:
            await answered.wait()
            await trio.sleep(0.2)
            await perform(
                Join(
                    first=self.transferor,
                    second=target,
                    afterwards=Afterwards.PARK,
                    rescue=self.transferee,
                    transfer=self.name,
                )
            )
            await trio.sleep(0.3)
        else:
            await perform(Arm(leg=target, rescue=self.transferee))
        await perform(HangUp(leg=self.transferor))
        await answered.wait()
        await trio.sleep(self.after_s)
        join = Join(
            first=self.transferee,
            second=target,
            afterwards=Afterwards.END,
            disarm=(target,),
            transfer=self.name,
        )
        await perform(join)
        await trio.sleep(1.0)  # as the engine does: what has come to nothing is ordered again
        living = {leg.leg: leg.peer for leg in await lab.backend.snapshot()}
        if living.get(target) != self.transferee:
            await perform(attrs.evolve(join, repeated=True))
