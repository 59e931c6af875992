"""The emulator: a simulated switch with the interface of a FreeSWITCH, without a socket.

`Emulator` is one switch: a world with its phones, the legs as events report them, and every
connection to it. Programs use its event sockets (`connect`: bytes in, bytes out); people use its
phones (`call`, `answer`, `press`, `hang_up`). The only clock is the world's:
`hookflash.emulator.server` keeps it in step with the real one.

Deliberate differences from a FreeSWITCH:

* It does what a transfer needs, and rejects the rest (`-ERR … Command not found!`).
* Times of day are those of the recordings, unless `epoch_s` says otherwise, and in UTC.
* There is no log: `log` is answered, but nothing follows.
* Only the events of `events.PUBLISHED` are published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hookflash import events as e
from hookflash.backends.freeswitch.sounds import path_heard
from hookflash.backends.simulator.lab_phones import lab_phone
from hookflash.backends.simulator.people import Behaviour
from hookflash.backends.simulator.world import DIGIT_GAP_S, World
from hookflash.emulator.api import ApiCommands
from hookflash.emulator.apps import Applications
from hookflash.emulator.event_bus import EventBus
from hookflash.emulator.event_publisher import EventPublisher, Incoming
from hookflash.emulator.host import Host
from hookflash.emulator.legs import EmulatedLeg
from hookflash.emulator.phone_book import PhoneBook
from hookflash.emulator.session import DEFAULT_LIMITS, ConnectionLimits, EventSocketSession
from hookflash.errors import InputError
from hookflash.sounds import Conversation

STOCK_PASSWORD: Final = "ClueCon"  # noqa: S105 - FreeSWITCH's own, known to everybody
"""The password with which FreeSWITCH is installed."""

RECORDED_S: Final = 1_795_397_907.0
"""When the recordings were made: 2026-11-23 01:38:27 UTC."""


class Emulator:
    """A simulated switch with FreeSWITCH's event socket."""

    def __init__(
        self,
        *,
        world: World | None = None,
        seed: int = 0,
        password: str = STOCK_PASSWORD,
        epoch_s: float = RECORDED_S,
        phones: Callable[[str], Behaviour | None] = lab_phone,
        limits: ConnectionLimits = DEFAULT_LIMITS,
    ) -> None:
        """Set up a switch without calls.

        Args:
            world: the world with its phones and faults; by default one without either.
            seed: of the default world, and of generated ids.
            password: of the event socket.
            epoch_s: the time of day when the world's clock is at 0, in seconds since 1970.
            phones: the behaviour of a number's phone if the world has none; None: there is no such
                number.
            limits: of each connection.

        Raises:
            InputError: the world already has calls.
        """
        self.world = World(seed=seed) if world is None else world
        if any(True for _ in self.world.switch.channels()):
            raise InputError("the world already has calls", hint="emulate an empty one")
        self.password = password
        self.limits = limits
        self.on_fact: Callable[[e.CallEvent], None] = lambda _fact: None
        """Called with every fact after its events were published."""
        self.host = Host(self.world, seed=seed, epoch_s=epoch_s)
        self.phones = PhoneBook(self.world, phones)
        self.bus = EventBus(self.host)
        self.publisher = EventPublisher(self.host, self.bus)
        self.apps = Applications(self.host, self.publisher, self.phones)
        self.api = ApiCommands(self.host, self.bus, self.publisher, self.apps)
        self.world.switch.name_leg = self.host.make_id
        self.world.switch.watcher = self.publisher
        self.world.on_fact = self._fact

    def connect(self) -> EventSocketSession:
        """Open an event socket to this switch."""
        session = EventSocketSession(
            host=self.host,
            bus=self.bus,
            api=self.api,
            apps=self.apps,
            legs=self.publisher.legs,
            password=self.password,
            limits=self.limits,
        )
        self.bus.listeners.append(session)
        return session

    # ---- phones

    def call(
        self,
        caller: str,
        callee: str,
        *,
        name: str = "",
        account: str = "",
        callee_account: str | None = None,
        through_loopback: bool = False,
        owner_id: str = "",
    ) -> tuple[e.LegId, e.LegId]:
        """Let one number call another. It takes some time until they talk.

        Args:
            caller: the caller's number.
            callee: the called number.
            name: the name that the call shows; by default the party's, if they have one.
            account: the account of the call (the variable `hookflash_account` of both legs).
            callee_account: the account of the callee's leg; by default the same; empty for an
                outside party.
            through_loopback: whether the dialplan calls `loopback/…`, and both halves stay.
            owner_id: the owner of the caller's leg (the variable `hookflash_owner`).

        Returns:
            The caller's leg and the callee's.
        """
        self.host.before()
        for number in (caller, callee):
            self.phones.add(number)
        party = self.world.parties.get(caller)
        if not name and party is not None and party.name != caller:
            name = party.name
        self.publisher.incoming = Incoming(callee=callee, caller_name=name)
        legs = self.world.call(
            caller,
            callee,
            account=account,
            callee_account=callee_account,
            owner_id=owner_id,
            through_loopback=through_loopback,
        )
        self.host.afterwards()
        return legs

    def hang_up(self, who: str) -> None:
        """Let a party hang up.

        Args:
            who: their leg, or their number for the leg of their latest call.
        """
        self.host.before()
        self.world.hang_up(self.leg_of(who))
        self.host.afterwards()

    def answer(self, who: str) -> None:
        """Let the called party pick up."""
        self.host.before()
        self.world.answer(self.leg_of(who))
        self.host.afterwards()

    def refuse(self, who: str, cause: str = "CALL_REJECTED") -> None:
        """Let the called party decline."""
        self.host.before()
        self.world.refuse(self.leg_of(who), cause)
        self.host.afterwards()

    def press(self, who: str, digits: str, *, gap_s: float = DIGIT_GAP_S) -> None:
        """Let a party press keys, the first of them now."""
        self.host.before()
        self.world.press(self.leg_of(who), digits, gap_s=gap_s)
        self.host.afterwards()

    def leg_of(self, who: str) -> e.LegId:
        """Find a party's leg, by its id or by their number."""
        party = self.world.parties.get(who)
        return who if party is None or party.leg is None else party.leg

    # ---- facts

    def _fact(self, fact: e.CallEvent) -> None:
        match fact:
            case e.LegCreated():
                self.publisher.created(fact)
            case e.LegsJoined():
                first, second = self.publisher.legs[fact.first], self.publisher.legs[fact.second]
                self.apps.joined(first, second)
                self.publisher.joined(first, second)
                for leg in (first, second):
                    self.api.run_variables(leg, "api_before_bridge")
            case (
                e.LegProgressed()
                | e.LegAnswered()
                | e.LegParked()
                | e.SoundStarted()
                | e.SoundStopped()
                | e.DigitPressed()
                | e.LegHungUp()
            ):
                self._fact_of(self.publisher.legs[fact.leg], fact)
            case _:
                pass  # the watcher hears that a pair is parted; the rest is not the switch's
        self.on_fact(fact)

    def _fact_of(self, leg: EmulatedLeg, fact: e.CallEvent) -> None:
        match fact:
            case e.LegProgressed():
                self.publisher.progressed(leg, early_media=fact.early_media)
                self.apps.progressed(leg, early_media=fact.early_media)
            case e.LegAnswered():
                self.publisher.answered(leg)
                self.apps.answered(leg)
                self.api.run_variables(leg, "api_on_answer")
            case e.LegParked():
                self.apps.parked(leg)
            case e.SoundStarted(sound=Conversation(leg=of)):
                self.publisher.took_part(leg, of)
            case e.SoundStopped(sound=Conversation(leg=of)):
                self.publisher.left_part(leg, of)
            case e.SoundStarted():
                path = path_heard(fact.sound)
                self.publisher.sound_started(leg, path, self.apps.run_of(leg, path))
            case e.SoundStopped():
                self.publisher.sound_stopped(leg)
                self.apps.sound_over(leg)
            case e.DigitPressed():
                self.publisher.pressed(leg, fact)
            case e.LegHungUp():
                self.publisher.hung_up(leg, fact)
                self.bus.leg_ended(leg.id, leg.name)
            case _:
                raise AssertionError(fact)
