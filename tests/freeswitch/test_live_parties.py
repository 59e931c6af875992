"""One party, however many channels: digits, listing, displays and hops on a real switch.

A target that is called through the dialplan is three channels, and one behind a ring group is five
(6N: see `live`). Whatever is done by leg is done once for each person.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs
import pytest
import trio
from live import (
    DIALPLAN,
    DIRECT,
    PHONES,
    SWITCH,
    LiveLab,
    both_known,
    consult,
    hearing,
    needs,
    needs_freeswitch,
    noting,
    open_live_lab,
    settings,
    talking,
    variables,
)

from hookflash.backends.freeswitch.client import open_freeswitch
from hookflash.backends.freeswitch.primitives import OURS
from hookflash.backends.freeswitch.procedures import Dialling
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.handles import TransferHandle
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.errors import Refusal, RequestRefused
from hookflash.events import DigitPressed, LegId, SoundStarted, TransferRequested
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State

pytestmark = needs_freeswitch

CODE = "*22601#"
"""A transfer to a phone that rings, and is never answered."""

SETTLED_S = 1.5
"""A phone is told whom it shows at once, by us and by the switch, and by us once more after 1 s."""

CHANNELS = {"direct": 1, "dialplan": 3, "group": 5}
"""Of how many channels a target consists."""


@attrs.frozen
class Way:
    """A way to call a target."""

    name: str
    dialling: Dialling
    number: str

    @property
    def settings(self) -> FreeSwitch:
        return settings(self.dialling)

    async def is_there(self, lab: LiveLab) -> None:
        if self.number != "2600":
            await needs(lab, self.number)


WAYS = (
    Way("direct", DIRECT, "2600"),
    Way("dialplan", DIALPLAN, "2600"),
    Way("group", DIALPLAN, "62600"),
)
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
through_loopback = pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.name)


async def until_heard(
    lab: LiveLab, told: list[dict[str, str]], leg: LegId, keys: str, *, copies: int
) -> None:
    """Wait until the switch itself has told all keys of a party, on each of its channels."""
    chain = set(await lab.chain(leg))
    with trio.fail_after(20):
        while True:
            counts = Counter(event["Unique-ID"] for event in told if event["Unique-ID"] in chain)
            if sum(count >= len(keys) for count in counts.values()) >= copies:
                return
            await trio.sleep(0.05)


async def until_acted_on(records: list[Record], leg: LegId, keys: str) -> None:
    """Wait until the engine has heard so many keys of a leg."""
    with trio.fail_after(20):
        while len(pressed(records, leg)) < len(keys):
            await trio.sleep(0.05)


def pressed(records: Iterable[Record], leg: LegId | None = None) -> str:
    """The keys of a leg, or of all, that the engine has heard."""
    return "".join(
        r.event.digit
        for r in records
        if isinstance(r.event, DigitPressed) and leg in (None, r.event.leg)
    )


def asked(records: Iterable[Record]) -> list[Record]:
    """The transfers that were asked for, allowed or not."""
    return [r for r in records if isinstance(r.event, TransferRequested)]


def listed(engine: Engine) -> dict[LegId, str]:
    """What `GET channels` lists: the legs, and their numbers."""
    return {leg.id: leg.number for leg in engine.legs()}


async def there_are(lab: LiveLab, channels: int) -> None:
    """Wait until the switch's own list, which lags behind, has so many channels."""
    with trio.move_on_after(5):
        while len(await lab.switch.channels()) != channels:
            await trio.sleep(0.05)
    assert len(await lab.switch.channels()) == channels


async def bridged(lab: LiveLab, one: LegId, other: LegId) -> bool:
    """Whether the switch itself says that the two talk."""
    return (
        await lab.variable(one, "bridge_to") == other
        and await lab.variable(other, "bridge_to") == one
    )


async def hand_over(
    lab: LiveLab, engine: Engine, transfer: TransferHandle, legs: tuple[LegId, LegId], target: LegId
) -> None:
    """The transferor leaves, and the other two talk."""
    await lab.hang_up(legs[0])
    with trio.fail_after(20):
        assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
    await talking(engine, legs[1], target)


# ------------------------------------------------------------------------ digits


@every_way
async def test_a_code_that_the_target_dials_in_the_consultation_starts_nothing(way: Way) -> None:
    async with open_live_lab(way.settings) as lab, open_engine(lab.backend) as engine:
        await way.is_there(lab)
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0], way.number)
        assert len(await lab.chain(target)) == CHANNELS[way.name]
        before = {row["uuid"] for row in await lab.switch.channels()}
        copies = 2 if way.name != "direct" else 1  # on the phone's channel, and on the near half
        async with noting(engine) as records, hearing(SWITCH, "DTMF") as told:
            await lab.press(target, CODE)
            await until_heard(lab, told, target, CODE, copies=copies)
            await until_acted_on(records, target, CODE)
            await trio.sleep(1.0)  # to begin a transfer takes 0.1 s
        assert pressed(records) == CODE, "each key once, and of nobody else"
        assert asked(records) == []
        assert {row["uuid"] for row in await lab.switch.channels()} == before
        (there,) = engine.transfers()
        assert (there.id, there.state) == (transfer.id, State.CONSULTING)
        assert await bridged(lab, legs[0], target)
        held = there.transferee
        assert (held.leg, held.hears) == (legs[1], True)
        await hand_over(lab, engine, transfer, legs, target)


@every_way
async def test_one_code_of_who_was_reached_by_a_transfer_starts_one(way: Way) -> None:
    async with open_live_lab(way.settings) as lab, open_engine(lab.backend) as engine:
        await way.is_there(lab)
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0], way.number)
        await hand_over(lab, engine, transfer, legs, target)
        async with noting(engine) as records, hearing(SWITCH, "DTMF") as told:
            await lab.press(legs[1], "159")  # of loopback's far half, this is told, too
            await until_acted_on(records, legs[1], "159")
            await lab.press(target, CODE)
            await until_acted_on(records, target, CODE)
            with trio.fail_after(20):
                while not any(isinstance(r.event, SoundStarted) for r in records):
                    await trio.sleep(0.05)
            await trio.sleep(1.0)
        assert len(told) > len("159" + CODE) or way.name == "direct"
        assert pressed(records) == "159" + CODE
        (request,) = asked(records)
        assert isinstance(request.event, TransferRequested)
        assert (request.event.leg, request.event.target) == (target, "2601")
        assert not request.refused
        (running,) = engine.transfers()
        assert [party.leg for party in running.parties[:2]] == [target, legs[1]]
        called = [row for row in await lab.phones.channels() if row["dest"] == "2601"]
        assert len(called) == 1, "the new target's phone rings once"


@through_loopback
async def test_one_code_of_a_called_party_behind_a_loopback_starts_one(way: Way) -> None:
    """1001 has called the ring group: who answers there is a party as any other."""
    async with open_live_lab(way.settings) as lab, open_engine(lab.backend) as engine:
        await needs(lab, "61002")
        legs = await lab.call("61002")
        await both_known(engine, legs)
        before = {leg: await variables(lab, leg) for leg in legs}
        assert listed(engine) == {legs[0]: "1001", legs[1]: "1002"}
        await there_are(lab, 4)
        async with noting(engine) as records:
            await lab.press(legs[1], f"*2{way.number}#")
            await until_acted_on(records, legs[1], f"*2{way.number}#")
            target = await _target_of(engine, legs[1])
        assert len(asked(records)) == 1
        assert set(listed(engine)) == {*legs, target}
        await lab.hang_up(legs[1])
        await talking(engine, legs[0], target)
        with trio.fail_after(20):
            while engine.transfers():
                await trio.sleep(0.05)
        await nothing_stays_behind(lab, {legs[0]: before[legs[0]], target: {}})


async def _target_of(engine: Engine, transferor: LegId) -> LegId:
    """Wait until a leg that has dialled a code talks with the target."""
    with trio.fail_after(20):
        while not (there := engine.transfers()):
            await trio.sleep(0.05)
    target = there[0].target.leg
    await talking(engine, transferor, target)
    return target


async def nothing_stays_behind(lab: LiveLab, ordinary: Mapping[LegId, Mapping[str, str]]) -> None:
    """Promise 8: the legs are as if they had never been in a transfer, and so is what is behind."""
    with trio.fail_after(10):
        while True:
            left = {leg: await variables(lab, leg) for leg in ordinary}
            if left == ordinary:
                break
            await trio.sleep(0.1)
    for row in await lab.switch.channels():
        told = await lab.switch.api(f"uuid_dump {row['uuid']} json")
        if told.startswith("-ERR"):
            continue  # the list lags behind: it is gone
        dump = json.loads(told)
        assert [name for name in OURS if f"variable_{name}" in dump] == [], row["name"]


# ----------------------------------------------------------------------- listing


@every_way
async def test_each_person_is_listed_once_and_nobody_who_has_left(way: Way) -> None:
    async with open_live_lab(way.settings) as lab, open_engine(lab.backend) as engine:
        await way.is_there(lab)
        legs = await lab.call()
        await both_known(engine, legs)
        before = await variables(lab, legs[1])
        transfer, target = await consult(engine, legs[0], way.number)
        assert listed(engine) == {legs[0]: "1001", legs[1]: "1002", target: "2600"}
        assert {leg.leg for leg in await lab.backend.snapshot()} == {*legs, target}
        await there_are(lab, 2 + CHANNELS[way.name])
        await hand_over(lab, engine, transfer, legs, target)
        assert listed(engine) == {legs[1]: "1002", target: "2600"}
        assert {leg.leg for leg in await lab.backend.snapshot()} == {legs[1], target}
        await there_are(lab, 1 + CHANNELS[way.name])
        with pytest.raises(RequestRefused) as refused:
            await engine.hang_up(legs[0])
        assert refused.value.refusal is Refusal.NO_SUCH_CALL
        await nothing_stays_behind(lab, {legs[1]: before, target: {}})
        assert await bridged(lab, legs[1], target)
        # a controller that comes later lists the same
        async with open_freeswitch(way.settings) as backend, open_engine(backend) as later:
            await talking(later, legs[1], target)
            assert listed(later) == {legs[1]: "1002", target: "2600"}


# ---------------------------------------------------------------------- displays


async def shows(lab: LiveLab, leg: LegId, name: str, number: str) -> None:
    """Wait until a phone shows this."""
    with trio.move_on_after(5):
        while await lab.shown(leg) != (name, number):
            await trio.sleep(0.05)
    assert await lab.shown(leg) == (name, number)


def updates(told: Iterable[Mapping[str, str]], phone: LegId) -> list[str]:
    """The numbers that a phone was told to show, since it rang."""
    return [
        event["Caller-Caller-ID-Number"]
        for event in told
        if event["Unique-ID"] == phone and event["Direction"] == "RECV"
    ]


@every_way
async def test_the_next_targets_phone_shows_who_transfers_and_then_who_is_there(way: Way) -> None:
    async with open_live_lab(way.settings) as lab, open_engine(lab.backend) as engine:
        await way.is_there(lab)
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, carol = await consult(engine, legs[0], way.number)
        await hand_over(lab, engine, transfer, legs, carol)
        again = await engine.transfer(carol, "2604")
        dave = f"{again.id}-target"
        rings = await lab.phone(dave)
        phone = json.loads(await lab.phones.api(f"uuid_dump {rings} json"))
        assert phone["Answer-State"] != "answered"
        assert phone["Caller-Caller-ID-Number"] == "2600", "Carol calls, and nobody else"
        await talking(engine, carol, dave)
        await trio.sleep(SETTLED_S)
        assert await lab.shown(dave) == ("2600", "2600")
        await hand_over(lab, engine, again, (carol, legs[1]), dave)
        await trio.sleep(SETTLED_S)
        await shows(lab, dave, "1002", "1002")
        await shows(lab, legs[1], "2604", "2604")


@attrs.frozen
class OutsideLine:
    """A target that is an outside party."""

    number: str
    dialling: Dialling
    profile: str = ""
    """A SIP profile that counts as one for carriers; empty: it is known by its gateway."""

    @property
    def settings(self) -> FreeSwitch:
        profiles = frozenset({self.profile}) if self.profile else frozenset[str]()
        return attrs.evolve(settings(self.dialling), outside_profiles=profiles)


OUTSIDE_LINES = {
    "gateway": OutsideLine("92600", DIALPLAN),
    "profile": OutsideLine("2600", DIALPLAN, "internal"),
    "profile-direct": OutsideLine("2600", DIRECT, "internal"),
}

OURS_OUTSIDE = "+4930123"
"""The number that an account shows to outside parties."""

both_policies = pytest.mark.parametrize("number", ["", OURS_OUTSIDE], ids=["nothing", "a-number"])


@both_policies
@pytest.mark.parametrize("end", ["leaves", "partial", "completes"])
@pytest.mark.parametrize("line", OUTSIDE_LINES)
async def test_an_outside_target_is_shown_nothing_of_the_next_partner(
    line: str, end: str, number: str
) -> None:
    outside = OUTSIDE_LINES[line]
    account = Account(policy=Policy(outside_number=number))
    async with (
        open_live_lab(outside.settings) as lab,
        open_engine(lab.backend, account=account) as engine,
        hearing(PHONES, "CALL_UPDATE") as told,
    ):
        if not outside.profile:
            await needs(lab, outside.number)
        # the called one transfers: where its profile is one for carriers, the caller is inside
        bob, alice = await lab.call()
        await both_known(engine, (bob, alice))
        transfer = await engine.transfer(alice, outside.number)
        target = f"{transfer.id}-target"
        phone = await lab.phone(target)
        first = await lab.shown(target)
        assert first == ("1002", "1002")  # the lab's dialplan lets the call begin with it
        if end != "partial":
            await talking(engine, alice, target)
            await trio.sleep(SETTLED_S)
        await (transfer.complete() if end == "completes" else lab.hang_up(alice))
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        await talking(engine, bob, target)
        assert engine.switchboard.legs[target].outside
        assert not engine.switchboard.legs[bob].outside
        await trio.sleep(SETTLED_S)
        assert await lab.shown(bob) == (outside.number, outside.number), "inside, all is shown"
        assert await lab.shown(target) == ((number, number) if number else first)
        assert set(updates(told, phone)) == ({number} if number else set())
        await nothing_stays_behind(lab, {target: {}})


@both_policies
@every_way
async def test_an_outside_caller_is_shown_nothing_of_the_next_partner(
    way: Way, number: str
) -> None:
    account = Account(policy=Policy(outside_number=number))
    # callers come in by this context; it is no word about who is called
    incoming = attrs.evolve(way.settings, outside_contexts=frozenset({"default"}))
    async with (
        open_live_lab(incoming) as lab,
        open_engine(lab.backend, account=account) as engine,
        hearing(PHONES, "CALL_UPDATE") as told,
    ):
        await way.is_there(lab)
        caller, alice = await lab.call()
        await both_known(engine, (caller, alice))
        phone = await lab.phone(caller)
        assert await lab.shown(caller) == ("1002", "1002")
        await trio.sleep(SETTLED_S)
        told.clear()  # whom it has called it may know, and is on its way to its phone by SIP
        transfer, target = await consult(engine, alice, way.number)
        await shows(lab, target, "1002", "1002")
        await hand_over(lab, engine, transfer, (alice, caller), target)
        assert engine.switchboard.legs[caller].outside
        assert not engine.switchboard.legs[target].outside
        await trio.sleep(SETTLED_S)
        assert await lab.shown(target) == ("Alice", "1001"), "inside, all is shown"
        assert await lab.shown(caller) == ((number, number) if number else ("1002", "1002"))
        assert set(updates(told, phone)) == ({number} if number else set())


# -------------------------------------------------------------------------- hops


@every_way
async def test_nobody_escapes_the_hop_limit_across_a_loopback(way: Way) -> None:
    account = Account(policy=Policy(hop_limit=1))
    async with (
        open_live_lab(way.settings) as lab,
        open_engine(lab.backend, account=account) as engine,
    ):
        await way.is_there(lab)
        legs = await lab.call()
        await both_known(engine, legs)
        transfer, target = await consult(engine, legs[0], way.number)
        await hand_over(lab, engine, transfer, legs, target)
        assert {leg.id: leg.hops for leg in engine.legs()} == {legs[1]: 1, target: 1}
        await there_are(lab, 1 + CHANNELS[way.name])
        before = {row["uuid"] for row in await lab.switch.channels()}
        async with noting(engine) as records, hearing(SWITCH, "DTMF") as told:
            for leg in (target, legs[1]):
                await lab.press(leg, CODE)
                copies = 2 if leg == target and way.name != "direct" else 1
                await until_heard(lab, told, leg, CODE, copies=copies)
                await until_acted_on(records, leg, CODE)
            await trio.sleep(1.0)
        assert [record.refusal for record in asked(records)] == [Refusal.TARGET_REFUSED] * 2
        assert engine.transfers() == ()
        assert {row["uuid"] for row in await lab.switch.channels()} == before
        assert await bridged(lab, legs[1], target)
