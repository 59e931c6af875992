"""A real Asterisk under test: a backend on the switch, and the people at the telephones."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final

import attrs
import trio

from hookflash.backends.asterisk.client import AsteriskBackend, open_asterisk
from hookflash.backends.asterisk.dialplan import DEFAULT_APPLICATION
from hookflash.backends.asterisk.inbound import is_party
from hookflash.backends.asterisk.manager import Manager, ManagerAction, ManagerRefused, open_manager
from hookflash.backends.asterisk.primitives import OURS, SHOW_BY, TIMEOUT
from hookflash.backends.asterisk.procedures import AsteriskDialling
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.backends.base import Backend
from hookflash.engine.engine import Engine
from hookflash.engine.handles import Follower, TransferHandle
from hookflash.engine.record import Record
from hookflash.events import DigitPressed, Direction, LegId, TransferRequested
from hookflash.fsm.transfer import Outcome
from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import Phones, channels, get_variable, open_phones
from hookflash.sounds import Music
from hookflash.testing import Lab

KEY_GAP_S = 0.12
"""Between two keys: pressed without a gap, the phone's second tone is taken for two."""

DIALPLAN = AsteriskDialling()
"""Through the dialplan: three channels, of which one stands for all."""
DIRECT = AsteriskDialling(template="PJSIP/{number}")
"""Straight to the phone: a target's leg is one channel."""

TRACES: Final = (*OURS, SHOW_BY, TIMEOUT)
"""What a transfer may leave on no channel."""


class AsteriskLab(Lab):
    """A call on the real switch, and the people at its phones."""

    answering, busy, never = "2600", "2602", "2601"
    ringing = never
    early_media = "2604"
    caller, called = "1001", "1002"
    calls_at_once = 40
    prompt_s = 5.0  # the machine may be busy
    music = Music()

    def __init__(
        self, backend: AsteriskBackend, phones: Phones, switch: Manager, settings: Asterisk
    ) -> None:
        self.backend: AsteriskBackend = backend  # pyright: ignore[reportIncompatibleVariableOverride]
        self.phones = phones
        self.switch = switch
        self.settings = settings
        self.outside = "92600" if settings.dialling is DIALPLAN else ""

    async def call(
        self, number: str = "1002", *, caller: str = "1001", withheld: bool = False
    ) -> tuple[LegId, LegId]:
        """Somebody calls a number, and they talk. Calls at once need a caller's number each."""
        known = {leg.leg for leg in await self.backend.snapshot()}
        await self.phones.call(caller, number, withheld=withheld)
        with trio.fail_after(20):
            while True:
                for leg in await self.backend.snapshot():
                    calls = leg.direction is Direction.INBOUND and leg.number == caller
                    if calls and leg.leg not in known and leg.peer:
                        return leg.leg, leg.peer
                await trio.sleep(0.02)

    async def name(self, leg: LegId) -> str:
        """The name of a leg's channel, which may be about to begin."""
        with trio.fail_after(5):
            while not (name := await get_variable(self.switch, leg, "CHANNEL")):
                await trio.sleep(0.01)
        return name

    async def phone(self, leg: LegId) -> str:
        """The phone that is on a leg; through the dialplan, the one that was reached."""
        return await self.phones.phone(await self.name(leg))

    async def hang_up(self, leg: LegId) -> None:
        await self.phones.hang_up(await self.phone(leg))

    async def press(self, leg: LegId, digit: str) -> None:
        """Let the party on a leg press keys, one after the other."""
        phone = await self.phone(leg)
        for key in digit:
            await self.phones.press(phone, key)
            await trio.sleep(KEY_GAP_S)

    async def answer(self, leg: LegId) -> None:
        await self._behave_as(leg, "1000")

    async def refuse(self, leg: LegId, *, busy: bool = False) -> None:
        await self._behave_as(leg, "2602" if busy else "2603")

    async def _behave_as(self, leg: LegId, number: str) -> None:
        """Let a phone that rings do what the phone of a number does."""
        phone = await self.phone(leg)
        with suppress(ManagerRefused):  # it rings no more
            await self.phones.telephones.demand(
                "Redirect", Channel=phone, Context="phones", Exten=number, Priority="1"
            )

    async def shown(self, leg: LegId) -> tuple[str, str]:
        """The name and the number that the phone shows."""
        return await self.phones.shown(await self.phone(leg))

    async def number_shown(self, leg: LegId) -> str:
        return (await self.shown(leg))[1]

    async def take_away(self, leg: LegId) -> None:
        await self.switch.demand(
            "Redirect", Channel=leg, Context="default", Exten="away", Priority="1"
        )

    async def cut_line(self) -> None:
        self.backend.break_line()
        await trio.lowlevel.checkpoint()

    def second(self) -> AbstractAsyncContextManager[Backend]:
        return open_asterisk(attrs.evolve(self.settings, application="second"))

    async def variables(self, leg: LegId, *names: str) -> dict[str, str]:
        """What a leg has for these variables; what it has not is left out."""
        found = {name: await get_variable(self.switch, leg, name) for name in names}
        return {name: value for name, value in found.items() if value}

    async def traces(self) -> dict[str, dict[str, str]]:
        """What transfers have left on the channels of the switch: on whichever, and what."""
        left: dict[str, dict[str, str]] = {}
        for channel in await self.channels():
            asked = await self.switch.send(
                *(
                    ManagerAction("Getvar", {"Channel": channel, "Variable": name})
                    for name in TRACES
                )
            )
            told = [(await pending.response()).get("value") for pending in asked]
            found = {
                name: value
                for name, value in zip(TRACES, told, strict=True)
                if value and (name, value) != (TIMEOUT, "0")
            }
            if found:
                left[channel] = found
        return left

    async def channels(self) -> list[str]:
        """The names of all channels on the switch."""
        names = [channel.name for channel in await channels(self.switch)]
        return [name for name in names if is_party(name)]


def settings_for(pair: Pair, dialling: AsteriskDialling = DIALPLAN) -> Asterisk:
    """The switch of a pair, and how targets are called on it."""
    setup = pair.switch.setup
    return Asterisk(
        ari_port=setup.ports.http,
        ami_port=setup.ports.ami,
        password=setup.secret,
        dialling=dialling,
    )


@asynccontextmanager
async def open_live_lab(
    pair: Pair, dialling: AsteriskDialling = DIALPLAN, *, application: str = DEFAULT_APPLICATION
) -> AsyncGenerator[AsteriskLab]:
    """A backend on the real switch, with nobody on it before and after.

    With another application than the dialplan's, it is no controller: it only looks.
    """
    settings = attrs.evolve(settings_for(pair, dialling), application=application)
    async with (
        open_phones(pair.telephones.login, pair.switch.login) as phones,
        open_manager(pair.switch.login) as switch,
    ):
        await phones.silence()
        async with open_asterisk(settings) as backend:
            yield AsteriskLab(backend, phones, switch, settings)
        await phones.silence()


async def both_known(engine: Engine, legs: tuple[LegId, LegId]) -> None:
    """Wait until the engine knows that the two talk."""
    with trio.fail_after(10):
        while any(
            (line := engine.switchboard.leg(leg)) is None or line.peer is None for leg in legs
        ):
            await trio.sleep(0.01)


async def talking(engine: Engine, one: LegId, other: LegId) -> None:
    """Wait until the engine knows that the two talk."""
    with trio.fail_after(20):
        while (line := engine.switchboard.leg(one)) is None or line.peer != other:
            await trio.sleep(0.01)


async def consult(engine: Engine, leg: LegId, number: str = "2600") -> tuple[TransferHandle, LegId]:
    """Ask for a transfer, and wait until transferor and target talk."""
    transfer = await engine.transfer(leg, number)
    target = f"{transfer.id}-target"
    await talking(engine, leg, target)
    return transfer, target


async def everybody_talks(lab: AsteriskLab) -> None:
    """Promise 1: nobody is left behind."""
    with trio.fail_after(5):
        while any(leg.peer is None for leg in await lab.backend.snapshot()):
            await trio.sleep(0.05)


async def nothing_stays_behind(lab: AsteriskLab) -> None:
    """Promise 8: no channel has anything of ours, not the far half of one either."""
    with trio.move_on_after(5):
        while await lab.traces():
            await trio.sleep(0.1)
    assert await lab.traces() == {}


async def hand_over(
    lab: AsteriskLab,
    engine: Engine,
    transfer: TransferHandle,
    legs: tuple[LegId, LegId],
    target: LegId,
) -> None:
    """The transferor leaves, and the other two talk."""
    await lab.hang_up(legs[0])
    with trio.fail_after(20):
        assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
    await talking(engine, legs[1], target)


@asynccontextmanager
async def noting(engine: Engine) -> AsyncGenerator[list[Record]]:
    """All records from now on, in a list that grows."""
    records: list[Record] = []

    async def note(follower: Follower) -> None:
        async for record in follower:
            records.append(record)  # noqa: PERF401 - as it goes, and not at the end

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note, engine.follow())
        yield records
        nursery.cancel_scope.cancel()


def pressed(records: list[Record], *legs: LegId) -> str:
    """The keys of some legs; of all of them, where none is named."""
    keys = [r.event for r in records if isinstance(r.event, DigitPressed)]
    return "".join(key.digit for key in keys if not legs or key.leg in legs)


def requests(records: list[Record]) -> list[Record]:
    """All that asks for a transfer."""
    return [record for record in records if isinstance(record.event, TransferRequested)]


async def until_acted_on(records: list[Record], leg: LegId, keys: str) -> None:
    """Wait until the engine has had all keys of a party, and what comes of them has begun."""
    with trio.fail_after(20):
        while len(pressed(records, leg)) < len(keys):
            await trio.sleep(0.02)
    await trio.sleep(0.3)  # to begin a transfer takes 0.05 s
