"""Where people have phones: `EmulatedRig`, and `RealRig` with its `LabRig`.

**EmulatedRig**: the emulator, on a port of its own, in the process of the harness. A leg is a
phone. People answer, dial and hang up at the emulator's phones. On the real clock, or on trio's
virtual one.

**LabRig**: two FreeSWITCHes, named by HOOKFLASH_FREESWITCH as for the live tests. One is the
switch, the other is all the telephones. `asterisk_rig` has the same for two Asterisks.

All follow the switch by connections of their own, so that what is judged is what the switch says
and not what the service believes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Generic, Protocol, TypeVar

import trio
from event_socket import Commands, Heard, Listener
from people import Group, Person
from programme import Plan, Target

from hookflash.backends.simulator.people import Answers, Behaviour, EarlyMedia, Manual
from hookflash.emulator.emulator import Emulator

SILENCE: Final = "silence_stream://-1"

CALL_S: Final = 20
"""How long two people may take until they talk."""

LAB_DIGITS: Final = 4

CALLED_NUMBERS: Final = 40
"""2660 to 2699 are those who are called; 2650 to 2659 are targets."""


class Asks(Protocol):
    """Asks a switch what the judgement wants to know."""

    async def rows(self) -> list[dict[str, str]]:
        """The channels that live."""
        ...

    async def dump(self, leg: str) -> dict[str, str]:
        """What the switch knows of a channel; empty if there is none."""
        ...


AsksT = TypeVar("AsksT", bound=Asks)


class BaseRig(ABC):
    """What all have: two listeners, and who has which phone."""

    def __init__(self, switch: Listener, phones: Listener) -> None:
        self.switch = switch
        self.phones = phones
        self.people: dict[str, Person] = {}
        """By the channel of their phone."""
        self.groups: list[Group] = []
        """Those of this round."""
        self._loopback: dict[str, str] = {}
        self._changed = trio.Event()
        switch.on_event.append(self._on_switch)
        phones.on_event.append(self._on_phone)

    async def changes(self) -> None:
        await self._changed.wait()

    def tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _on_switch(self, heard: Heard) -> None:
        if half := heard.get("variable_other_loopback_leg_uuid"):
            self._loopback[heard.leg] = half
            self._loopback[half] = heard.leg
        self.tell()

    def _on_phone(self, heard: Heard) -> None:
        person = self.people.get(heard.leg) or self.meet(heard)
        if person is None:
            return
        match heard.name:
            case "CHANNEL_ANSWER" if person.answered_s is None:
                person.answered_s = heard.at_s
            case "CHANNEL_HANGUP" if person.ended_s is None:
                person.ended_s = heard.at_s
                person.cause = heard.get("Hangup-Cause")
            case "CHANNEL_HANGUP_COMPLETE":
                by_itself = heard.get("variable_sip_hangup_disposition").startswith("send_")
                if by_itself and person.ended_s is not None:
                    person.left_s = min(person.left_s or person.ended_s, person.ended_s)
            case _:
                pass
        self.tell()

    @abstractmethod
    def meet(self, heard: Heard) -> Person | None:
        """Whose phone this new channel is."""

    def has_phone(self, person: Person, phone: str, at_s: float) -> Person:
        person.phone = phone
        person.rang_s = at_s
        self.people[phone] = person
        return person

    @abstractmethod
    def person_on(self, leg: str) -> Person | None:
        """Whose leg it is."""

    @abstractmethod
    def find_leg(self, person: Person) -> str:
        """Their leg on the switch."""

    def talks_with(self, person: Person) -> Person | None:
        """With whom somebody is bridged, by the switch's events; through loopback legs, too."""
        leg = self.find_leg(person)
        for _ in range(3):
            leg = self.switch.partner.get(leg, "")
            found = self.person_on(leg)
            if found is not None or not leg:
                return found
            leg = self._loopback.get(leg, "")
        return None

    def path(self, leg: str, bonds: dict[str, str]) -> list[str]:
        """The legs from a leg to that of whoever is at its other end, by the switch's variables.

        The last one is somebody's leg; before it, there may be two of a loopback. Empty if the leg
        leads to nobody.
        """
        path: list[str] = []
        for _ in range(3):
            other = bonds.get(leg, "")
            if not other or bonds.get(other) != leg:
                return []
            path.append(other)
            if self.person_on(other) is not None:
                return path
            leg = self._loopback.get(other, "")
            path.append(leg)
        return []

    def begin_round(self) -> None:
        self.groups.clear()
        self.people.clear()
        self._loopback.clear()


def _phone_for(number: str) -> Behaviour | None:
    """The emulator's phones: all wait for their people, but for those that answer at once."""
    if len(number) == LAB_DIGITS and number >= "2660":
        return Answers(after_s=0.0)
    if number.startswith(Target.EARLY_MEDIA.value):
        return EarlyMedia(after_s=4.0)
    return Manual()


class EmulatedRig(BaseRig):
    """The emulator's phones. Each target has a number of its own that begins as the lab's does."""

    GAP_S: Final = 0.08
    """Between two digits: a phone that dials a stored number."""

    def __init__(self, emulator: Emulator, ask: Commands, heard: Listener, tasks: trio.Nursery):
        super().__init__(heard, heard)
        self.emulator = emulator
        self.ask = ask
        self._tasks = tasks

    @staticmethod
    def make(seed: int) -> Emulator:
        """An emulator with phones that do what their people want."""
        return Emulator(seed=seed, phones=_phone_for)

    @staticmethod
    def numbers(index: int, plan: Plan) -> tuple[str, str, str]:
        """The caller's number, the called one's, the target's: no two of a round are the same."""
        called = 2660 + index % CALLED_NUMBERS
        return str(30_000 + index % 30_000), str(called), f"{plan.target}{index % 100:02d}"

    async def call(self, group: Group) -> bool:
        caller, called = group.caller, group.called
        legs = self.emulator.call(caller.number, called.number)
        for person, leg in zip((caller, called), legs, strict=True):
            self.has_phone(person, leg, trio.current_time())
        with trio.move_on_after(10):
            while self.talks_with(caller) is not called:
                await self.changes()
        for person in (caller, called):
            person.leg = person.phone
            if person.answered_s is None:
                person.answered_s = trio.current_time()
        self.groups.append(group)
        return self.talks_with(caller) is called

    def meet(self, heard: Heard) -> Person | None:
        parties = self.emulator.world.parties
        for group in self.groups:
            party = parties.get(group.target.number)
            if not group.target.phone and party is not None and party.leg == heard.leg:
                self._tasks.start_soon(self._behave, group)
                return self.has_phone(group.target, heard.leg, heard.at_s)
            party = parties.get(group.recalled.number)
            is_new = party is not None and party.leg == heard.leg and heard.leg not in self.people
            if not group.recalled.phone and is_new:
                return self.has_phone(group.recalled, heard.leg, heard.at_s)
        return None

    async def _behave(self, group: Group) -> None:
        """Be the owner of a target's phone, where the plan leaves it to the phone."""
        target = group.target
        match group.plan.target:
            case Target.ANSWERS:
                await trio.sleep(1.5)
                await self.answer(target)
            case Target.BUSY:
                await trio.sleep(0.3)
                await self._refuse(target, "USER_BUSY")
            case Target.REFUSES:
                await trio.sleep(0.8)
                await self._refuse(target, "CALL_REJECTED")
            case Target.LEAVES:
                await trio.sleep(0.02)
                await self.answer(target)
                await trio.sleep(2.5)
                if target.ended_s is None:
                    await self.hang_up(target)
            case _:
                pass

    async def _refuse(self, person: Person, cause: str) -> None:
        if person.ended_s is None:
            person.left_s = trio.current_time()
            self.emulator.refuse(person.phone, cause)
        await trio.lowlevel.checkpoint()

    async def press(self, person: Person, digits: str) -> None:
        self.emulator.press(person.phone, digits, gap_s=self.GAP_S)
        await trio.sleep(self.GAP_S * len(digits))

    async def hang_up(self, person: Person) -> None:
        person.left_s = trio.current_time()
        self.emulator.hang_up(person.phone)
        await trio.lowlevel.checkpoint()

    async def answer(self, person: Person) -> None:
        if person.ended_s is None:
            self.emulator.answer(person.phone)
        await trio.lowlevel.checkpoint()

    async def variables(self, person: Person) -> dict[str, str]:
        return await self.ask.dump(person.phone)

    def person_on(self, leg: str) -> Person | None:
        return self.people.get(leg)

    def find_leg(self, person: Person) -> str:
        return person.phone

    def asks(self) -> tuple[Commands, ...]:
        """The event sockets that are to be closed."""
        return (self.ask,)

    async def clear(self) -> None:
        await self.ask.api("hupall")

    async def left(self) -> tuple[int, int]:
        """Channels on the switch, and on the phones."""
        return len(await self.ask.rows()), 0


class RealRig(BaseRig, Generic[AsksT]):
    """Two real switches: a leg and its phone are two channels with one SIP Call-ID."""

    def __init__(self, ask: AsksT, ask_phones: AsksT, switch: Listener, phones: Listener) -> None:
        super().__init__(switch, phones)
        self.ask = ask
        self.ask_phones = ask_phones
        self._legs_by_call: dict[str, str] = {}

    def begin_round(self) -> None:
        super().begin_round()
        self._legs_by_call.clear()

    def _on_switch(self, heard: Heard) -> None:
        if call_id := heard.get("variable_sip_call_id"):
            self._legs_by_call[call_id] = heard.leg
        super()._on_switch(heard)

    def meet(self, heard: Heard) -> Person | None:
        if heard.name != "CHANNEL_CREATE" or heard.get("Call-Direction") != "inbound":
            return None
        numbers = (heard.get("Caller-Caller-ID-Number"), heard.get("Caller-Destination-Number"))
        for group in reversed(self.groups):
            if not group.called.phone and numbers == (group.caller.number, group.called.number):
                return self.has_phone(group.called, heard.leg, heard.at_s)
            if not group.target.phone and numbers == (group.transferor.number, group.target.number):
                return self.has_phone(group.target, heard.leg, heard.at_s)
            recall = (group.transferee.number, group.recalled.number)
            if not group.recalled.phone and numbers == recall and group.target.phone:
                return self.has_phone(group.recalled, heard.leg, heard.at_s)
        return None

    async def _talk(self, group: Group) -> bool:
        """Wait until the two have answered and talk. Whether they do before time is up."""
        caller, called = group.caller, group.called
        with trio.move_on_after(CALL_S):
            while (
                self.talks_with(caller) is not called
                or caller.answered_s is None
                or called.answered_s is None
            ):
                await self.changes()
        for person in (caller, called):
            person.leg = self.find_leg(person)
        return self.talks_with(caller) is called

    def person_on(self, leg: str) -> Person | None:
        call_id = self.switch.call_ids.get(leg, "")
        if not call_id:
            return None
        for phone, person in self.people.items():
            if self.phones.call_ids.get(phone) == call_id:
                return person
        return None

    def find_leg(self, person: Person) -> str:
        if not person.leg:
            call_id = self.phones.call_ids.get(person.phone, "")
            person.leg = self._legs_by_call.get(call_id, "")
        return person.leg

    async def variables(self, person: Person) -> dict[str, str]:
        return await self.ask.dump(self.find_leg(person))

    async def left(self) -> tuple[int, int]:
        """Channels on the switch, and on the phones."""
        return len(await self.ask.rows()), len(await self.ask_phones.rows())


class LabRig(RealRig[Commands]):
    """Two FreeSWITCHes."""

    def __init__(
        self, host: str, ask: Commands, ask_phones: Commands, switch: Listener, phones: Listener
    ) -> None:
        super().__init__(ask, ask_phones, switch, phones)
        self.host = host
        self._waits = set[str]()

    @staticmethod
    def numbers(index: int, plan: Plan) -> tuple[str, str, str]:
        """The caller's number, the called one's, the target's."""
        called = 2660 + index % CALLED_NUMBERS
        target = f"265{index % 10}" if plan.target is Target.MANUAL else plan.target.value
        return str(1100 + index % 900), str(called), target

    def begin_round(self) -> None:
        super().begin_round()
        self._waits.clear()

    def _on_phone(self, heard: Heard) -> None:
        if heard.name == "CHANNEL_PARK":
            self._waits.add(heard.leg)
        super()._on_phone(heard)

    async def call(self, group: Group) -> bool:
        caller, called = group.caller, group.called
        phone = f"kill-{group.index}"
        self.has_phone(caller, phone, trio.current_time())
        self.groups.append(group)
        number = f"origination_caller_id_number={caller.number}"
        await self.ask_phones.api(
            f"bgapi originate {{{number},origination_uuid={phone}}}"
            f"sofia/internal/{called.number}@{self.host}:5060 &park()"
        )
        with trio.move_on_after(CALL_S):
            while called.phone not in self._waits:
                await self.changes()
            await self.ask_phones.api(f"uuid_answer {called.phone}")
        return await self._talk(group)

    async def press(self, person: Person, digits: str) -> None:
        await self.ask_phones.api(f"uuid_send_dtmf {person.phone} {digits}@100")
        await trio.sleep(0.2 * len(digits))

    async def hang_up(self, person: Person) -> None:
        person.left_s = trio.current_time()
        await self.ask_phones.api(f"uuid_kill {person.phone}")

    async def answer(self, person: Person) -> None:
        with trio.move_on_after(3):
            while person.phone not in self._waits and person.ended_s is None:
                await self.changes()
        if person.ended_s is None:
            await self.ask_phones.api(f"uuid_answer {person.phone}")

    def asks(self) -> tuple[Commands, ...]:
        """The event sockets that are to be closed."""
        return (self.ask, self.ask_phones)

    async def clear(self) -> None:
        for side in (self.ask_phones, self.ask):
            await side.api("hupall")
