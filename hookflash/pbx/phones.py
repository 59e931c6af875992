"""The people at the phones: they call, press keys, hang up, and read the display.

A phone's side of a call is a channel of the telephones instance; the switch's side is a channel
of the switch. Both have the same SIP Call-ID.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from hookflash.backends.asterisk.manager import (
    Manager,
    ManagerAction,
    ManagerLogin,
    Message,
    open_manager,
)
from hookflash.errors import BackendError

TIMEOUT_S: Final = 10.0
"""Time limit for each thing that a phone waits for. On a loaded machine a call takes a second."""
KEY_MS: Final = 100
"""How long a key is down."""
_POLL_S: Final = 0.01
_CALL_ID: Final = "CHANNEL(pjsip,call-id)"
NAMES: Final = {"1001": "Alice", "1002": "Bob", "1003": "Carol"}
"""The caller names of phones; others use their number."""


class PhoneError(BackendError):
    """A phone did not do what was requested."""


@attrs.frozen(kw_only=True)
class ListedChannel:
    """A channel, as listed by an instance."""

    name: str
    unique_id: str
    linked_id: str
    state: str
    """`Down`, `Ring`, `Ringing`, `Up`, …"""
    bridge: str
    """The ID of its bridge; empty if it is not in one."""
    number: str
    """The caller ID of the other end."""
    account: str
    extension: str
    context: str
    application: str
    duration: str


@attrs.define(eq=False)
class _Placed:
    """A call that a phone was asked to place."""

    channel: str = ""
    begun: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Phones:
    """The phones. `open_phones` opens them."""

    telephones: Manager
    switch: Manager
    keypad: ManagerLogin
    """The login to the telephones, for connections that press keys."""
    _dialled: dict[str, str] = attrs.field(factory=dict[str, str])
    _placed: dict[str, _Placed] = attrs.field(factory=dict[str, "_Placed"])

    def note_phone(self, event: Message) -> None:
        """Note how a call begins. For the telephones' connection."""
        placed = self._placed.get(event.get("uniqueid"))
        if placed is not None and event.event in {"Newchannel", "OriginateResponse"}:
            placed.channel = placed.channel or event.get("channel")
            placed.begun.set()

    def note_leg(self, event: Message) -> None:
        """Note which channel a channel of the switch dials. For the switch's connection."""
        match event.event:
            case "DialBegin":
                self._dialled[event.get("channel")] = event.get("destchannel")
            case "Hangup":
                self._dialled.pop(event.get("channel"), None)
            case _:
                pass

    async def call(
        self, caller: str, number: str, *, name: str | None = None, withheld: bool = False
    ) -> str:
        """Let a phone call a number. Returns before the call is answered.

        Args:
            caller: the phone's number; a number without a phone calls through the trunk.
            number: the number to call.
            name: the caller's name; default: see `NAMES`.
            withheld: whether to hide the caller's number from the called party.

        Returns:
            The phone's channel.
        """
        name = NAMES.get(caller, caller) if name is None else name
        unique_id = f"phone-{uuid.uuid4().hex}"
        placed = self._placed[unique_id] = _Placed()
        try:
            await self.telephones.demand(
                "Originate",
                Channel=f"PJSIP/{number}@switch",
                ChannelId=unique_id,
                Application="Wait",
                Data="86400",
                CallerID=f'"{name}" <{caller}>',
                Timeout=86_400_000,
                Async="true",
                Variable=["PJSIP_HEADER(add,Privacy)=id"] if withheld else [],
            )
            with trio.move_on_after(TIMEOUT_S):
                await placed.begun.wait()
        finally:
            del self._placed[unique_id]
        if not placed.channel:
            raise PhoneError(f"the phone {caller} did not call {number}")
        return placed.channel

    async def answered(self, channel: str) -> None:
        """Wait until a phone's call is answered.

        Raises:
            PhoneError: it ended, or nobody answered.
        """
        with trio.move_on_after(TIMEOUT_S):
            while state := await self._variable(channel, "CHANNEL(state)"):
                if state == "Up":
                    return
                await trio.sleep(_POLL_S)
            raise PhoneError(f"the call of {channel} ended before it was answered")
        raise PhoneError(f"nobody answered the call of {channel} in {TIMEOUT_S} s")

    async def hang_up(self, channel: str) -> None:
        """Let a phone hang up."""
        await self.telephones.demand("Hangup", Channel=channel, Cause="16")

    async def press(self, channel: str, digit: str) -> None:
        """Let a phone press a key: it sends RFC 4733 events, for `KEY_MS`."""
        # a connection of its own: Asterisk serves no other action on one while the key is down
        async with open_manager(self.keypad) as manager:
            await manager.demand("PlayDTMF", Channel=channel, Digit=digit, Duration=KEY_MS)

    async def shown(self, channel: str) -> tuple[str, str]:
        """Return the other end's name and number, as the phone shows them now."""
        name = await self._variable(channel, "CALLERID(name)")
        return name, await self._variable(channel, "CALLERID(num)")

    async def channels(self) -> list[ListedChannel]:
        """List the phones' channels."""
        return await channels(self.telephones)

    async def phone(self, leg: str) -> str:
        """Find the phone's channel that belongs to a channel of the switch.

        Args:
            leg: the channel's name at the switch. A Local channel stands for the phone that was
                reached through it.

        Raises:
            PhoneError: there is no such phone.
        """
        with trio.move_on_after(TIMEOUT_S):
            while True:  # the phone may not be called yet
                if channel := await self._find_phone(leg):
                    return channel
                await trio.sleep(_POLL_S)
        raise PhoneError(f"the leg {leg} has no phone")

    async def _find_phone(self, leg: str) -> str:
        behind = self.chain(leg)[-1]
        if behind.startswith("Local/"):
            return ""
        call_id = await get_variable(self.switch, behind, _CALL_ID)
        names = [channel.name for channel in await self.channels()] if call_id else []
        found = await self._each(names, _CALL_ID)
        return next(
            (name for name, other in zip(names, found, strict=True) if other == call_id), ""
        )

    def chain(self, leg: str) -> list[str]:
        """List the switch's channels from a leg to its phone.

        Usually this is one channel. A Local channel is followed by its other half, and by the
        channel that this half dials.
        """
        chain = [leg]
        while chain[-1].startswith("Local/"):
            if chain[-1].endswith(";1"):
                chain.append(f"{chain[-1].removesuffix('1')}2")
            if not (dialled := self._dialled.get(chain[-1])):
                break
            chain.append(dialled)
        return chain

    async def silence(self) -> None:
        """Hang up every call, and wait until both sides have no channels.

        Raises:
            PhoneError: some are left.
        """
        sides = (self.telephones, self.switch)
        left: list[tuple[Manager, str]] = []
        with trio.move_on_after(TIMEOUT_S):
            while left := [(side, leg.name) for side in sides for leg in await channels(side)]:
                for side, name in left:
                    await side.send(ManagerAction("Hangup", {"Channel": name}))
                await trio.sleep(5 * _POLL_S)
            return
        raise PhoneError(f"calls are left: {', '.join(name for _, name in left)}")

    async def _variable(self, channel: str, name: str) -> str:
        return await get_variable(self.telephones, channel, name)

    async def _each(self, names: list[str], variable: str) -> list[str]:
        asked = await self.telephones.send(
            *(ManagerAction("Getvar", {"Channel": name, "Variable": variable}) for name in names)
        )
        return [(await pending.response()).get("value") for pending in asked]


async def get_variable(manager: Manager, channel: str, name: str) -> str:
    """Return the value of a channel's variable or function; empty if there is no such channel.

    Args:
        manager: the channel's instance.
        channel: its name or its unique ID.
        name: for example `CHANNEL(state)`.
    """
    return (await manager.action("Getvar", Channel=channel, Variable=name)).get("value")


async def channels(manager: Manager) -> list[ListedChannel]:
    """List the channels of an instance."""
    return [
        ListedChannel(
            name=event.get("channel"),
            unique_id=event.get("uniqueid"),
            linked_id=event.get("linkedid"),
            state=event.get("channelstatedesc"),
            bridge=event.get("bridgeid"),
            number=event.get("calleridnum"),
            account=event.get("accountcode"),
            extension=event.get("exten"),
            context=event.get("context"),
            application=event.get("application"),
            duration=event.get("duration"),
        )
        for event in await manager.listing("CoreShowChannels")
    ]


@asynccontextmanager
async def open_phones(telephones: ManagerLogin, switch: ManagerLogin) -> AsyncGenerator[Phones]:
    """Open the phones, through the manager interfaces of both instances.

    Args:
        telephones: the login to the telephones.
        switch: the login to the switch. It must have no calls yet, so that the phones behind Local
            channels are known.
    """
    phones: Phones | None = None

    def note_phone(event: Message) -> None:
        if phones is not None:
            phones.note_phone(event)

    def note_leg(event: Message) -> None:
        if phones is not None:
            phones.note_leg(event)

    async with (
        open_manager(attrs.evolve(telephones, events="call"), note_phone) as there,
        open_manager(attrs.evolve(switch, events="call"), note_leg) as here,
    ):
        phones = Phones(there, here, attrs.evolve(telephones, events="off"))
        yield phones
