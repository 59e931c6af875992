"""A real Asterisk and its telephones as a rig: `AsteriskRig`.

The pair is one of the project's own. Both of its instances are followed by manager connections of
the harness's own, so that what is judged is what the switch says and not what the service believes.
What they say is put into the words that the judgement knows: those of the other rigs.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import attrs
import trio
from event_socket import Heard, Listener
from people import Group, Person
from programme import Plan, Target
from rigs import RealRig

from hookflash.backends.asterisk.inbound import is_party
from hookflash.backends.asterisk.manager import (
    Manager,
    ManagerAction,
    ManagerLogin,
    ManagerRefused,
    Message,
    open_manager,
)
from hookflash.backends.asterisk.primitives import OURS, SHOW_BY, TIMEOUT
from hookflash.pbx.pair import Pair
from hookflash.pbx.phones import KEY_MS, channels, get_variable

KEY_GAP_S: Final = 0.12
CALL_ID: Final = "CHANNEL(pjsip,call-id)"
LOCAL: Final = re.compile(r"(Local/.*);[12]")
TRACES: Final = (*OURS, SHOW_BY, TIMEOUT)
ANSWERS: Final = "1000"
"""Where a phone that rings is sent so that it answers."""
REFUSALS: Final = frozenset({"Call Rejected", "User busy"})
"""How a phone ends that refuses. The instance may have asked for that hang-up, but not its line."""
PHONES: Final = 100
"""How many numbers there are for callers; so many for called ones, too."""


class ManagerListener(Listener):
    """Follows the channels of one instance."""

    def __init__(self, name: str, tasks: trio.Nursery) -> None:
        super().__init__(name, real_time=False)
        self.changed: list[trio.Event] = []
        self._tasks = tasks
        self._manager: Manager | None = None
        self._bridges: dict[str, list[str]] = {}
        self._ended_by_others: set[str] = set()

    def connect(self, manager: Manager) -> None:
        self._manager = manager

    def take(self, message: Message) -> None:
        """Take an event of the manager interface."""
        name = message.get("channel")
        if not message.get("uniqueid") or not is_party(name):
            return
        leg = message.get("uniqueid")
        match message.event:
            case "Newchannel":
                inbound = message.get("channelstatedesc") == "Ring"
                self._hear(
                    "CHANNEL_CREATE",
                    leg,
                    {
                        "Channel-Name": name,
                        "Call-Direction": "inbound" if inbound else "outbound",
                        "Caller-Caller-ID-Number": message.get("calleridnum"),
                        "Caller-Destination-Number": message.get("exten"),
                    },
                )
                if name.startswith("PJSIP/"):
                    self._tasks.start_soon(self._learn_call_id, leg)
            case "Newstate" if message.get("channelstatedesc") == "Up":
                self._hear("CHANNEL_ANSWER", leg)
            case "BridgeEnter":
                self._enter(leg, message.get("bridgeuniqueid"))
            case "BridgeLeave":
                self._leave(leg, message.get("bridgeuniqueid"))
            case "DTMFEnd" if message.get("direction") == "Received":
                self._hear("DTMF", leg, {"DTMF-Digit": message.get("digit")})
            case "HangupRequest":
                self._ended_by_others.add(leg)
            case "Hangup":
                self._hear("CHANNEL_HANGUP", leg, {"Hangup-Cause": message.get("cause-txt")})
                refused = message.get("cause-txt") in REFUSALS
                by_itself = refused or leg not in self._ended_by_others
                how = {"variable_sip_hangup_disposition": "send_bye"} if by_itself else {}
                self._hear("CHANNEL_HANGUP_COMPLETE", leg, how)
            case _:
                pass

    def _enter(self, leg: str, bridge: str) -> None:
        members = self._bridges.setdefault(bridge, [])
        members.append(leg)
        if len(members) == len(("one", "other")):
            pair = {"Bridge-A-Unique-ID": members[0], "Bridge-B-Unique-ID": members[1]}
            self._hear("CHANNEL_BRIDGE", leg, pair)

    def _leave(self, leg: str, bridge: str) -> None:
        members = self._bridges.get(bridge, [])
        if leg in members:
            members.remove(leg)
            self._hear("CHANNEL_UNBRIDGE", leg)

    def _hear(self, name: str, leg: str, headers: dict[str, str] | None = None) -> None:
        heard = Heard(trio.current_time(), self.name, name, leg, headers or {})
        self.heard.append(heard)
        self._note(heard)
        for hear in self.on_event:
            hear(heard)

    async def _learn_call_id(self, leg: str) -> None:
        """Ask until it is known: asked at once, a busy switch may not know it yet."""
        assert self._manager is not None
        for _ in range(100):
            if call_id := await get_variable(self._manager, leg, CALL_ID):
                self.call_ids[leg] = call_id
                self._hear("CALL_ID", leg, {"variable_sip_call_id": call_id})
                return
            await trio.sleep(0.05)


@attrs.frozen
class ManagerAsk:
    """Asks an instance what the judgement wants to know."""

    manager: Manager

    async def rows(self) -> list[dict[str, str]]:
        """The channels that live."""
        return [
            {"uuid": one.unique_id, "name": one.name}
            for one in await channels(self.manager)
            if is_party(one.name)
        ]

    async def dump(self, leg: str) -> dict[str, str]:
        """With whom a channel is in a bridge, and what a transfer has left on it."""
        living = await channels(self.manager)
        own = next((one for one in living if one.unique_id == leg), None)
        if own is None:
            return {}
        others = [one.unique_id for one in living if one.bridge and one.bridge == own.bridge != ""]
        others.remove(leg) if leg in others else None
        asked = await self.manager.send(
            *(ManagerAction("Getvar", {"Channel": leg, "Variable": name}) for name in TRACES)
        )
        told = {
            name: (await pending.response()).get("value")
            for name, pending in zip(TRACES, asked, strict=True)
        }
        if told[TIMEOUT] == "0":
            del told[TIMEOUT]
        dump = {f"variable_{name.lower()}": value for name, value in told.items() if value}
        if len(others) == 1:
            dump["variable_signal_bond"] = others[0]
        return {"uuid": leg, **dump}


class AsteriskRig(RealRig[ManagerAsk]):
    """A pair of Asterisks."""

    def __init__(
        self,
        ask: ManagerAsk,
        ask_phones: ManagerAsk,
        keypad: ManagerLogin,
        switch: ManagerListener,
        phones: ManagerListener,
    ) -> None:
        super().__init__(ask, ask_phones, switch, phones)
        self._keypad = keypad
        self._locals: dict[str, str] = {}

    @staticmethod
    def numbers(index: int, plan: Plan) -> tuple[str, str, str]:
        """The caller's number, the called one's, the target's."""
        manual = plan.target is Target.MANUAL
        target = (Target.NEVER if manual else plan.target).value
        return str(1201 + index % PHONES), str(1301 + index % PHONES), target

    def begin_round(self) -> None:
        super().begin_round()
        self._locals.clear()

    def _on_switch(self, heard: Heard) -> None:
        if found := LOCAL.fullmatch(heard.get("Channel-Name")):
            other = self._locals.setdefault(found[1], heard.leg)
            if other != heard.leg:
                self._loopback |= {other: heard.leg, heard.leg: other}
        super()._on_switch(heard)

    async def call(self, group: Group) -> bool:
        caller, called = group.caller, group.called
        phone = f"kill-{group.index}-{secrets.token_hex(4)}"
        self.has_phone(caller, phone, trio.current_time())
        self.groups.append(group)
        await self.ask_phones.manager.demand(
            "Originate",
            Channel=f"PJSIP/{called.number}@switch",
            ChannelId=phone,
            Application="Wait",
            Data="86400",
            CallerID=f"<{caller.number}>",
            Timeout=86_400_000,
            Async="true",
        )
        return await self._talk(group)

    async def press(self, person: Person, digits: str) -> None:
        async with open_manager(self._keypad) as keypad:
            for digit in digits:
                with suppress(ManagerRefused):
                    await keypad.demand(
                        "PlayDTMF", Channel=person.phone, Digit=digit, Duration=KEY_MS
                    )
                await trio.sleep(KEY_GAP_S)

    async def hang_up(self, person: Person) -> None:
        person.left_s = trio.current_time()
        with suppress(ManagerRefused):
            await self.ask_phones.manager.demand("Hangup", Channel=person.phone, Cause="16")

    async def answer(self, person: Person) -> None:
        with trio.move_on_after(3):
            while person.ended_s is None:
                with suppress(ManagerRefused):
                    await self.ask_phones.manager.demand(
                        "Redirect",
                        Channel=person.phone,
                        Context="phones",
                        Exten=ANSWERS,
                        Priority="1",
                    )
                    return
                await trio.sleep(0.01)

    async def clear(self) -> None:
        for side in (self.ask_phones, self.ask):
            for row in await side.rows():
                await side.manager.action("Hangup", Channel=row["uuid"])


@asynccontextmanager
async def open_rig(pair: Pair) -> AsyncGenerator[AsteriskRig]:
    """Follow both instances of a pair."""
    async with trio.open_nursery() as tasks:
        switch, phones = (ManagerListener(name, tasks) for name in ("switch", "phones"))
        here, there = (
            attrs.evolve(instance.login, events="call,dtmf")
            for instance in (pair.switch, pair.telephones)
        )
        async with (
            open_manager(here, switch.take) as hears,
            open_manager(there, phones.take) as hears_phones,
            open_manager(attrs.evolve(here, events="off")) as asks,
            open_manager(attrs.evolve(there, events="off")) as asks_phones,
        ):
            switch.connect(hears)
            phones.connect(hears_phones)
            keypad = attrs.evolve(there, events="off")
            yield AsteriskRig(ManagerAsk(asks), ManagerAsk(asks_phones), keypad, switch, phones)
            tasks.cancel_scope.cancel()
