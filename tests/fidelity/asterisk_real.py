"""Programs on a real Asterisk, many at a time, with a second one as the telephones.

Each program has its own numbers, by which its calls are told apart, and its own leg ids. All share
one backend, whose facts are heard before it hides the halves of calls through the dialplan.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from asterisk_outcome import AsteriskTold, Names, said
from asterisk_programs import PEOPLE, WATCHED, EitherWay, Program, Step, command_of
from fidelity_outcome import AtRest, Outcome

from hookflash.backends.asterisk.client import AsteriskBackend, open_asterisk
from hookflash.backends.asterisk.dialplan import dialplan
from hookflash.backends.asterisk.manager import Manager, ManagerAction, open_manager
from hookflash.backends.asterisk.primitives import DEFAULT_ACCOUNT_VARIABLE, TOLD
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.events import CallEvent, CommandFailed, LegCreated, LegId, LegsJoined
from hookflash.pbx.obtain import obtain
from hookflash.pbx.pair import open_pair, pair_setup
from hookflash.pbx.phones import Phones, channels, get_variable, open_phones

PHONE = "2601"
QUIET_S = 10.0
ELSEWHERE = """
[elsewhere]
exten => ivr,1,PlayTones(300)
 same => n,Wait(600)
exten => phone,1,Dial(PJSIP/2601)
 same => n,Hangup()
"""
"""What another program does with legs."""


class Live:
    """One life of a program."""

    def __init__(self, lab: Lab, program: Program, number: int) -> None:
        self.lab = lab
        self.program = program
        self.number = number
        self.caller, self.callee = str(1001 + 2 * (number % 240)), str(1002 + 2 * (number % 240))
        self.names = Names({})
        self.told = AsteriskTold(self.names)
        self.joined = trio.Event()
        self.phones: dict[str, str] = {}
        """The phones' own channels, by the name of ours."""
        self.sent_ms: list[float] = []
        self.began_s = 0.0

    def leg_id(self, name: str) -> LegId:
        return f"{name.lower()}-{self.number}"

    async def run(self) -> Outcome:
        lab = self.lab
        self.phones["A"] = await lab.phones.call(self.caller, self.callee)
        with trio.fail_after(QUIET_S):
            await self.joined.wait()
        self.phones["B"] = await lab.phone_of(self.names.by_name["B"])
        await trio.sleep(0.1)
        self.told.facts.clear()
        began_s = self.began_s = trio.current_time()
        for step in self.program.steps:
            await trio.sleep_until(began_s + step.at_ms / 1000)
            self.sent_ms.append(round((trio.current_time() - began_s) * 1000, 1))
            await self._do(step)
        late_s = max(0.0, max(self.sent_ms, default=0) / 1000 - self.program.steps[-1].at_ms / 1000)
        await trio.sleep_until(began_s + late_s + self.program.lasts_ms / 1000)
        outcome = self.told.outcome(await self._rest())
        outcome = Outcome.from_json(json.loads(json.dumps(outcome.as_json())))
        await self._end()
        return outcome

    async def _do(self, step: Step) -> None:
        lab = self.lab
        if step.does == "dial":
            leg = self.leg_id(step.leg)
            self.names.by_leg[leg] = step.leg
            lab.lives[leg] = self
            if step.what.startswith("direct"):
                lab.procedures.directly.add(leg)
        ids = self.names.by_name
        if step.does in PEOPLE:
            lab.nursery.start_soon(self._person, step)
        elif step.does in ("ivr", "phone"):
            headers = {"Channel": ids[step.leg], "Context": "elsewhere", "Exten": step.does}
            await lab.switch.send(ManagerAction("Redirect", headers | {"Priority": "1"}))
        else:
            command = command_of(step, ids, caller=self.caller, phone=PHONE)
            await lab.backend.perform(command)
            if step.does == "dial":
                lab.nursery.start_soon(self._find_phone, step.leg)

    async def _find_phone(self, name: str) -> None:
        with trio.move_on_after(2):
            self.phones[name] = await self.lab.phone_of(self.leg_id(name))

    async def _person(self, step: Step) -> None:
        lab = self.lab
        phone = self.phones.get(step.leg, "none")
        match step.does:
            case "answers":
                headers = {"Channel": phone, "Context": "phones", "Exten": "1001", "Priority": "1"}
                await lab.telephones.send(ManagerAction("Redirect", headers))
            case "refuses":
                await lab.telephones.send(
                    ManagerAction("Hangup", {"Channel": phone, "Cause": "17"})
                )
            case "hangs up":
                await lab.telephones.send(
                    ManagerAction("Hangup", {"Channel": phone, "Cause": "16"})
                )
            case _:
                headers = {"Channel": phone, "Digit": step.what, "Duration": "80"}
                async with open_manager(lab.phones.keypad) as keypad:
                    await keypad.action("PlayDTMF", **headers)

    async def _rest(self) -> dict[str, AtRest]:
        rest: dict[str, AtRest] = {}
        listed = await channels(self.lab.switch)
        bridges: dict[str, list[LegId]] = {}
        for one in listed:
            if one.bridge:
                bridges.setdefault(one.bridge, []).append(one.unique_id)
        called = {one.name: self.names.of(one.unique_id) for one in listed}
        for one in listed:
            leg = one.unique_id
            if leg not in self.names.by_leg:
                continue
            told = [(n, await get_variable(self.lab.switch, leg, n)) for n in WATCHED]
            variables = tuple(sorted((n, said(v, called, self.names)) for n, v in told if v))
            others = [other for other in bridges.get(one.bridge, ()) if other != leg]
            peer = self.names.of(others[0]) if len(others) == 1 else ""
            rest[self.names.of(leg)] = AtRest(peer, variables)
        return rest

    async def _end(self) -> None:
        listed = {one.unique_id: one.name for one in await channels(self.lab.switch)}
        for leg in (*self.names.by_leg,):
            if leg in listed:
                await self.lab.switch.send(ManagerAction("Hangup", {"Channel": listed[leg]}))


class Lab:
    """The two Asterisks, and every program that runs on them."""

    def __init__(
        self, backend: AsteriskBackend, phones: Phones, switch: Manager, nursery: trio.Nursery
    ) -> None:
        self.backend = backend
        self.phones = phones
        self.switch = switch
        self.telephones = phones.telephones
        self.nursery = nursery
        self.lives: dict[LegId, Live] = {}
        self.callers: dict[str, Live] = {}
        self.procedures = EitherWay(backend._memory.party_of)  # pyright: ignore[reportPrivateUsage]
        backend._runner.procedures = self.procedures  # pyright: ignore[reportPrivateUsage]
        give = backend._outlet.give  # pyright: ignore[reportPrivateUsage]

        def heard(event: CallEvent) -> None:
            self._hear(event)
            give(event)

        backend._outlet.give = heard  # pyright: ignore[reportPrivateUsage]
        self._numbers = 0

    def _hear(self, event: CallEvent) -> None:
        if isinstance(event, LegCreated):
            self._learn(event)
        if isinstance(event, CommandFailed):
            leg = getattr(event.command, "leg", "") or getattr(event.command, "first", "")
        else:
            leg = getattr(event, "leg", "") or getattr(event, "first", "")
        life = self.lives.get(leg)
        if life is None:
            return
        life.told.hear(event)
        if isinstance(event, LegsJoined):
            life.joined.set()

    def _learn(self, event: LegCreated) -> None:
        leg = event.leg
        if leg in self.lives:
            return
        life = self.lives.get(event.other_half) or self.lives.get(event.called_for)
        if life is None:
            life = self.callers.get(event.number)
            if life is None or life.names.by_leg:
                return
            life.names.by_leg[leg] = "A"
        elif "B" not in life.names.by_name:
            life.names.by_leg[leg] = "B"
        else:
            life.names.learn(leg, event.other_half, event.called_for)
        self.lives[leg] = life

    async def phone_of(self, leg: LegId) -> str:
        """The channel at the telephones that a leg leads to."""
        with trio.fail_after(QUIET_S):
            while not (name := self.backend._memory.inbound.name_of(leg)):  # pyright: ignore[reportPrivateUsage]
                await trio.sleep(0.01)
        return await self.phones.phone(name)

    async def live(self, program: Program) -> tuple[Outcome, list[float]]:
        """Let a program run once."""
        self._numbers += 1
        life = Live(self, program, self._numbers)
        self.callers[life.caller] = life
        try:
            return await life.run(), life.sent_ms
        finally:
            if trio.current_effective_deadline() != -math.inf:  # else the switch has died
                del self.callers[life.caller]
            for leg in life.names.by_leg:
                self.lives.pop(leg, None)


async def _drop(backend: AsteriskBackend) -> None:
    async for _ in backend.events():
        pass


@asynccontextmanager
async def open_lab() -> AsyncGenerator[Lab]:
    """Open an Asterisk and its telephones.

    Raises:
        AsteriskUnavailable: there is none.
    """
    with tempfile.TemporaryDirectory() as folder:
        include = Path(folder) / "hookflash.conf"
        include.write_text(dialplan() + ELSEWHERE, encoding="utf-8")
        setup = pair_setup(
            Path(folder), include=include, channel_variables=(*TOLD, DEFAULT_ACCOUNT_VARIABLE)
        )
        switch = setup.switch
        settings = Asterisk(
            ari_port=switch.ports.http, ami_port=switch.ports.ami, password=switch.secret
        )
        async with (
            open_pair(obtain(), setup) as pair,
            open_phones(pair.telephones.login, pair.switch.login) as phones,
            open_manager(pair.switch.login) as manager,
            open_asterisk(settings) as backend,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_drop, backend)
            yield Lab(backend, phones, manager, nursery)
            nursery.cancel_scope.cancel()
