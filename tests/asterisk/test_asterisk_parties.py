"""One party, however many channels: displays, digits, listing and hops on a real Asterisk.

A target that is called through the dialplan is three channels, and one behind a ring group is five.
Whatever is done by leg is done once for each person. Stories that don't meet are told at once, each
with phones of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count, product

import attrs
import pytest
import trio
from asterisk_lab import needs_another_asterisk
from live_asterisk import (
    DIALPLAN,
    DIRECT,
    AsteriskLab,
    both_known,
    consult,
    hand_over,
    nothing_stays_behind,
    noting,
    open_live_lab,
    pressed,
    requests,
    settings_for,
    talking,
    until_acted_on,
)

from hookflash.backends.asterisk.client import open_asterisk
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.errors import Refusal, RequestRefused
from hookflash.events import Direction, LegId, TransferRequested
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.pbx.pair import Pair

pytestmark = needs_another_asterisk

CODE = "*22601#"
"""A transfer to a phone that rings, and is never answered."""

CHANNELS = {"direct": 1, "dialplan": 3, "group": 5}
"""Of how many channels a target consists."""

SETTLED_S = 0.5
"""Behind this, no phone is told anything more of whom it talks with."""


@attrs.frozen
class Way:
    """A way to call a target."""

    name: str
    dialling: AsteriskDialling
    number: str = "2600"


WAYS = (Way("direct", DIRECT), Way("dialplan", DIALPLAN), Way("group", DIALPLAN, "62600"))
nearest_and_farthest = pytest.mark.parametrize("way", [WAYS[0], WAYS[2]], ids=lambda way: way.name)
both_ways = pytest.mark.parametrize("dialling", [DIRECT, DIALPLAN], ids=["direct", "dialplan"])


AT_ONCE = 4
"""With more, two busy cores leave a real switch an answer owing for longer than a line waits."""


async def at_once(*stories: Callable[[], Awaitable[None]]) -> None:
    """Tell stories that don't meet."""
    places = trio.CapacityLimiter(AT_ONCE)

    async def tell(story: Callable[[], Awaitable[None]]) -> None:
        async with places:
            await story()

    async with trio.open_nursery() as nursery:
        for story in stories:
            nursery.start_soon(tell, story)


class Numbers:
    """Numbers of phones, two for each story."""

    def __init__(self) -> None:
        self._numbers = count(1201, 2)

    def two(self) -> tuple[str, str]:
        first = next(self._numbers)
        return str(first), str(first + 1)


# ---------------------------------------------------------------------- displays


async def shows(lab: AsteriskLab, leg: LegId, number: str) -> None:
    """Wait until a phone shows a number."""
    with trio.move_on_after(5):
        while await lab.number_shown(leg) != number:
            await trio.sleep(0.05)
    assert await lab.number_shown(leg) == number


@both_ways
async def test_every_phone_shows_whom_it_talks_with(pair: Pair, dialling: AsteriskDialling) -> None:
    numbers = Numbers()
    targets = ("2600", "62600") if dialling is DIALPLAN else ("2600",)
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        await at_once(
            *(
                partial(_displays, lab, engine, numbers.two(), script)
                for script in product(
                    ("caller", "called"), ("complete", "takeback", "partial"), targets
                )
            )
        )
        await nothing_stays_behind(lab)


async def _displays(
    lab: AsteriskLab, engine: Engine, numbers: tuple[str, str], script: tuple[str, str, str]
) -> None:
    side, end, number = script
    legs = await lab.call(numbers[1], caller=numbers[0])
    await both_known(engine, legs)
    alice, bob = legs if side == "caller" else legs[::-1]
    of_alice, of_bob = numbers if side == "caller" else numbers[::-1]
    transfer = await engine.transfer(alice, number)
    carol = f"{transfer.id}-target"
    await shows(lab, carol, of_alice)  # it rings
    if end != "partial":
        await talking(engine, alice, carol)
        await shows(lab, alice, number)
        await trio.sleep(SETTLED_S)
        assert (await lab.number_shown(alice), await lab.number_shown(carol)) == (number, of_alice)
    await (lab.press(alice, "*1") if end == "takeback" else lab.hang_up(alice))
    with trio.fail_after(20):
        await transfer.outcome()
    other, of_other = (alice, of_alice) if end == "takeback" else (carol, number)
    await talking(engine, bob, other)
    await shows(lab, bob, of_other)
    await shows(lab, other, of_bob)
    await trio.sleep(SETTLED_S)
    assert (await lab.number_shown(bob), await lab.number_shown(other)) == (of_other, of_bob)


@both_ways
async def test_a_number_that_is_withheld_is_shown_to_nobody(
    pair: Pair, dialling: AsteriskDialling
) -> None:
    async with open_live_lab(pair, dialling) as lab, open_engine(lab.backend) as engine:
        caller, called = await lab.call("1202", caller="1201", withheld=True)
        await both_known(engine, (caller, called))
        assert engine.switchboard.legs[caller].withheld
        transfer, target = await consult(engine, called)
        await shows(lab, target, "1202")
        await hand_over(lab, engine, transfer, (called, caller), target)
        await trio.sleep(SETTLED_S)
        shown = await lab.shown(target)
        assert "1201" not in shown, shown
        assert "Alice" not in shown, shown
        await shows(lab, caller, "2600")


OURS_OUTSIDE = "+4930123"
"""The number that an account shows to outside parties."""

both_policies = pytest.mark.parametrize("number", ["", OURS_OUTSIDE], ids=["nothing", "a-number"])


@both_policies
async def test_an_outside_target_is_shown_nothing_of_the_next_partner(
    pair: Pair, number: str
) -> None:
    account = Account(policy=Policy(outside_number=number))
    numbers = Numbers()
    async with (
        open_live_lab(pair) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        ends = ("leaves", "partial", "completes", "takeback")
        await at_once(
            *(partial(_outside_target, lab, engine, numbers.two(), end, number) for end in ends)
        )
        await nothing_stays_behind(lab)


async def _outside_target(
    lab: AsteriskLab, engine: Engine, numbers: tuple[str, str], end: str, number: str
) -> None:
    alice, bob = await lab.call(numbers[1], caller=numbers[0])
    await both_known(engine, (alice, bob))
    transfer = await engine.transfer(alice, "92600")
    target = f"{transfer.id}-target"
    await lab.phone(target)
    first = await lab.shown(target)
    assert first[1] == numbers[0]
    if end != "partial":
        await talking(engine, alice, target)
        await trio.sleep(SETTLED_S)
    if end == "completes":
        await transfer.complete()
    elif end == "takeback":
        await transfer.take_back()
        await transfer.outcome()
        await talking(engine, alice, bob)
        return
    else:
        await lab.hang_up(alice)
    with trio.fail_after(20):
        assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
    await talking(engine, bob, target)
    assert engine.switchboard.legs[target].outside
    assert not engine.switchboard.legs[bob].outside
    await shows(lab, bob, "92600")  # inside, all is shown
    await trio.sleep(SETTLED_S)
    shown = await lab.shown(target)
    assert numbers[1] not in shown, shown
    assert shown[1] == (number or first[1])


@both_policies
@both_ways
async def test_an_outside_caller_is_shown_nothing_of_the_next_partner(
    pair: Pair, dialling: AsteriskDialling, number: str
) -> None:
    account = Account(policy=Policy(outside_number=number))
    async with (
        open_live_lab(pair, dialling) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        caller, alice = await lab.call("1202", caller="4930555")
        await both_known(engine, (caller, alice))
        assert engine.switchboard.legs[caller].outside
        first = await lab.shown(caller)
        transfer, target = await consult(engine, alice)
        await shows(lab, target, "1202")
        await hand_over(lab, engine, transfer, (alice, caller), target)
        assert not engine.switchboard.legs[target].outside
        await shows(lab, target, "4930555")  # inside, all is shown
        await trio.sleep(SETTLED_S)
        shown = await lab.shown(caller)
        assert "2600" not in shown, shown
        assert shown[1] == (number or first[1])
        await nothing_stays_behind(lab)


# ------------------------------------------------------------------------ digits


@nearest_and_farthest
async def test_a_code_counts_once_and_only_where_it_may(pair: Pair, way: Way) -> None:
    async with open_live_lab(pair, way.dialling) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call()
        await both_known(engine, legs)
        assert _listed(engine) == {legs[0]: "1001", legs[1]: "1002"}
        transfer, target = await consult(engine, legs[0], way.number)
        assert _listed(engine) == {legs[0]: "1001", legs[1]: "1002", target: "2600"}
        assert len(await lab.channels()) == 2 + CHANNELS[way.name]
        assert {leg.leg for leg in await lab.backend.snapshot()} == {*legs, target}
        async with noting(engine) as records:  # a code of the target, in the consultation
            await lab.press(target, CODE)
            await until_acted_on(records, target, CODE)
        assert pressed(records) == CODE, "each key once, and of nobody else"
        assert requests(records) == []
        (there,) = engine.transfers()
        assert (there.id, there.state) == (transfer.id, State.CONSULTING)
        await hand_over(lab, engine, transfer, legs, target)
        await nothing_stays_behind(lab)
        assert _listed(engine) == {legs[1]: "1002", target: "2600"}
        assert {leg.leg for leg in await lab.backend.snapshot()} == {legs[1], target}
        assert len(await lab.channels()) == 1 + CHANNELS[way.name]
        with pytest.raises(RequestRefused) as refused:
            await engine.hang_up(legs[0])
        assert refused.value.refusal is Refusal.NO_SUCH_CALL
        # a controller that comes later lists the same
        settings = attrs.evolve(settings_for(pair, way.dialling), application="later")
        async with open_asterisk(settings) as backend, open_engine(backend) as later:
            await talking(later, legs[1], target)
            assert _listed(later) == {legs[1]: "1002", target: "2600"}
            # although nothing of ours says so any more
            assert {leg.direction for leg in await backend.snapshot()} == {Direction.OUTBOUND}
        async with noting(engine) as records:  # and now one of who was reached by a transfer
            await lab.press(legs[1], "159")
            await lab.press(target, CODE)
            await until_acted_on(records, target, CODE)
        assert pressed(records) == "159" + CODE
        (request,) = requests(records)
        assert isinstance(request.event, TransferRequested)
        assert (request.event.leg, request.event.target) == (target, "2601")
        assert not request.refused
        (running,) = engine.transfers()
        assert [party.leg for party in running.parties[:2]] == [target, legs[1]]
        ringing = [one for one in await lab.phones.channels() if one.extension == "2601"]
        assert len(ringing) == 1, "the new target's phone rings once"


async def test_one_code_of_a_called_party_behind_a_local_channel_starts_one(pair: Pair) -> None:
    """1001 has called the ring group: who answers there is a party as any other."""
    way = WAYS[2]
    async with open_live_lab(pair, way.dialling) as lab, open_engine(lab.backend) as engine:
        legs = await lab.call("61002")
        await both_known(engine, legs)
        assert list(_listed(engine)) == list(legs)
        assert len(await lab.channels()) == 4
        async with noting(engine) as records:
            await lab.press(legs[1], f"*2{way.number}#")
            await until_acted_on(records, legs[1], f"*2{way.number}#")
            (there,) = engine.transfers()
            target = there.target.leg
            await talking(engine, legs[1], target)
        assert len(requests(records)) == 1
        assert set(_listed(engine)) == {*legs, target}
        await lab.hang_up(legs[1])
        await talking(engine, legs[0], target)
        with trio.fail_after(20):
            while engine.transfers():
                await trio.sleep(0.05)
        await nothing_stays_behind(lab)


def _listed(engine: Engine) -> dict[LegId, str]:
    return {leg.id: leg.number for leg in engine.legs()}


# -------------------------------------------------------------------------- hops


@nearest_and_farthest
async def test_nobody_escapes_the_hop_limit(pair: Pair, way: Way) -> None:
    account = Account(policy=Policy(hop_limit=1))
    async with (
        open_live_lab(pair, way.dialling) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0], way.number)
        await hand_over(lab, engine, transfer, legs, target)
        assert {leg.id: leg.hops for leg in engine.legs()} == {legs[1]: 1, target: 1}
        before = await lab.channels()
        async with noting(engine) as records:
            for leg in (target, legs[1]):
                await lab.press(leg, CODE)
                await until_acted_on(records, leg, CODE)
        assert [one.refusal for one in requests(records)] == [Refusal.TARGET_REFUSED] * 2
        assert engine.transfers() == ()
        assert await lab.channels() == before
        await talking(engine, legs[1], target)
