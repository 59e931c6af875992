"""The emulator: a simulated switch that speaks as a FreeSWITCH does, without a socket.

`Emulator` is one switch: a world with its phones, the legs as events tell of them, and every
connection to it. Programs stand at its event sockets (`connect`: bytes in, bytes out); people stand
at its phones (`call`, `answer`, `press`, `hang_up`). There is no clock here but the world's:
`hookflash.emulator.server` keeps it up with the real one.

Where it differs from a FreeSWITCH on purpose:

* It does what a transfer needs, and refuses the rest aloud (`-ERR … Command not found!`).
* Times of day are those of the recordings, unless `epoch_s` says otherwise, and in UTC.
* There is no log: `log` is answered, and nothing follows.
* Events of other kinds than `events.TOLD` are never told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final

from hookflash.backends.freeswitch.sounds import path_heard
from hookflash.backends.simulator.lab_phones import lab_phone
from hookflash.backends.simulator.people import Behaviour, Unreachable
from hookflash.backends.simulator.switch import Hears, Sense
from hookflash.backends.simulator.world import DIGIT_GAP_S, World
from hookflash.emulator.api import HOSTNAME, Api
from hookflash.emulator.apps import Applications
from hookflash.emulator.event_publisher import Incoming, Teller
from hookflash.emulator.events import Event, Header, origin
from hookflash.emulator.legs import Leg
from hookflash.emulator.session import DEFAULT_LIMITS, Limits, Session
from hookflash.emulator.variables import stamp
from hookflash.errors import InputError
from hookflash.events import (
    CallEvent,
    DigitPressed,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegId,
    LegParked,
    LegProgressed,
    LegsJoined,
    SoundStarted,
    SoundStopped,
)

STOCK_PASSWORD: Final = "ClueCon"  # noqa: S105 - FreeSWITCH's own, known to everybody
"""The password with which FreeSWITCH is installed."""

RECORDED_S: Final = 1_795_397_907.0
"""When the recordings were made: 2026-11-23 01:38:27 UTC."""

_DICE_SALT: Final = 0x5EED


class Emulator:
    """A switch that speaks as a FreeSWITCH does."""

    def __init__(
        self,
        *,
        world: World | None = None,
        seed: int = 0,
        password: str = STOCK_PASSWORD,
        epoch_s: float = RECORDED_S,
        phones: Callable[[str], Behaviour | None] = lab_phone,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Set up a switch without calls.

        Args:
            world: with what phones and faults; by default one without either.
            seed: of a world of its own, and of the ids that are made up.
            password: of the event socket.
            epoch_s: what time of day it is when the world's clock is at 0, in seconds since 1970.
            phones: says what the owner of a number's phone does, where the world has none; None:
                there is no such number.
            limits: of each connection.

        Raises:
            InputError: the world has calls already.
        """
        self.world = World(seed=seed) if world is None else world
        if any(True for _ in self.world.switch.channels()):
            raise InputError("the world has calls already", mend="emulate an empty one")
        self.password = password
        self.limits = limits
        self.sessions: list[Session] = []
        self.before: Callable[[], None] = _nothing
        """Called before anybody does anything: the world's clock may have to catch up."""
        self.afterwards: Callable[[], None] = _nothing
        """Called after anybody has done anything: something new may be due."""
        self.on_listener: Callable[[], None] = _nothing
        """Called when a program asks for events."""
        self.on_fact: Callable[[CallEvent], None] = _nobody_minds
        """Called with every fact, after it was told."""
        self._phones = phones
        self._nowhere: set[str] = set()
        self._epoch_us = round(epoch_s * 1_000_000)
        self._dice = Random(seed ^ _DICE_SALT)  # noqa: S311 - repeatable, not secret
        self._sequence = 0
        self._to_lose: list[str] = []
        self.core_uuid = self.make_id()
        switch = self.world.switch
        self.teller = Teller(
            self.fire,
            find=switch.find,
            after=self.world.after,
            now_us=self.now_us,
            make_id=self.make_id,
            dice=self._dice,
        )
        self.apps = Applications(
            switch,
            self.teller,
            after=self.world.after,
            make_id=self.make_id,
            add_phone=self.add_phone,
            has_phone=self.has_phone,
            file_s=self.world.file_s,
        )
        self.api = Api(self)
        switch.name_leg = self.make_id
        switch.watcher = self.teller
        self.world.on_fact = self._fact

    def now_us(self) -> int:
        """The time of day, in microseconds since 1970."""
        return self._epoch_us + round(self.world.now_s * 1_000_000)

    def make_id(self) -> str:
        """Make up a UUID (RFC 9562, version 4), the same for the same seed."""
        bits = self._dice.getrandbits(128) & ~(0xF << 76) | (0x4 << 76)
        text = f"{bits & ~(0x3 << 62) | (0x2 << 62):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    # ---- programs

    def connect(self) -> Session:
        """Open an event socket to this switch."""
        session = Session(self)
        self.sessions.append(session)
        return session

    def disconnect(self, session: Session) -> None:
        """Forget a connection."""
        if session in self.sessions:
            self.sessions.remove(session)

    def fire(
        self, name: str, headers: Callable[[], Sequence[Header]], body: str | None = None
    ) -> None:
        """Send an event to every session that subscribed to it."""
        self._sequence += 1
        if name in self._to_lose:
            self._to_lose.remove(name)
            return
        wanting = [session for session in self.sessions if session.wants(name)]
        if wanting:
            event = self.event(name, headers(), body)
            for session in wanting:
                session.offer(event)

    def lose(self, name: str) -> None:
        """Lose the next event of this name, as a FreeSWITCH does under load: nobody is told."""
        self._to_lose.append(name)

    def event(self, name: str, headers: Sequence[Header], body: str | None = None) -> Event:
        """Make an event: what all begin with, and then these headers."""
        now_us = self.now_us()
        file, function, line = origin(name)
        now = datetime.fromtimestamp(now_us // 1_000_000, tz=UTC)
        subclass = [header for header in headers if header[0] == "Event-Subclass"]
        if subclass:  # it comes first
            headers = [header for header in headers if header not in subclass]
        return Event(
            name,
            [
                *subclass,
                ("Event-Name", name),
                ("Core-UUID", self.core_uuid),
                ("FreeSWITCH-Hostname", HOSTNAME),
                ("FreeSWITCH-Switchname", HOSTNAME),
                ("FreeSWITCH-IPv4", "127.0.0.1"),
                ("FreeSWITCH-IPv6", "::1"),
                ("Event-Date-Local", stamp(now_us)),
                ("Event-Date-GMT", f"{now:%a, %d %b %Y %H:%M:%S} GMT"),
                ("Event-Date-Timestamp", str(now_us)),
                ("Event-Calling-File", file),
                ("Event-Calling-Function", function),
                ("Event-Calling-Line-Number", line),
                ("Event-Sequence", str(self._sequence)),
                *(
                    [header for header in headers if header not in subclass]
                    if subclass
                    else headers
                ),
            ],
            body,
        )

    # ---- phones

    def add_phone(self, number: str) -> None:
        """Put a phone behind a number, if there is none, and the plan has one."""
        if number in self.world.parties:
            return
        behaviour = self._phones(number)
        if behaviour is None:
            self._nowhere.add(number)
            behaviour = Unreachable(cause="NO_ROUTE_DESTINATION")
        self.world.add_phone(number, behaviour)

    def has_phone(self, number: str) -> bool:
        """Whether there is a phone behind a number."""
        self.add_phone(number)
        return number not in self._nowhere

    def call(
        self,
        caller: str,
        callee: str,
        *,
        name: str = "",
        account: str = "",
        callee_account: str | None = None,
        through_loopback: bool = False,
    ) -> tuple[LegId, LegId]:
        """Have one number call another. It takes some time until they talk.

        Args:
            caller: who calls.
            callee: whom.
            name: what the call shows; by default the party's name, if they have one.
            account: whose call it is (the variable `hookflash_account` of both legs).
            callee_account: whose leg the callee's is: the same, unless told; empty for an outside
                party.
            through_loopback: whether the dialplan calls `loopback/…`, and both halves stay.

        Returns:
            The caller's leg and the callee's.
        """
        self.before()
        for number in (caller, callee):
            self.add_phone(number)
        party = self.world.parties.get(caller)
        if not name and party is not None and party.name != caller:
            name = party.name
        self.teller.incoming = Incoming(callee=callee, caller_name=name)
        legs = self.world.call(
            caller,
            callee,
            account=account,
            callee_account=callee_account,
            through_loopback=through_loopback,
        )
        self.afterwards()
        return legs

    def hang_up(self, who: str) -> None:
        """Have a party hang up.

        Args:
            who: their leg, or their number: then it is the leg of their latest call.
        """
        self.before()
        self.world.hang_up(self.leg_of(who))
        self.afterwards()

    def answer(self, who: str) -> None:
        """Have whoever is called pick up."""
        self.before()
        self.world.answer(self.leg_of(who))
        self.afterwards()

    def refuse(self, who: str, cause: str = "CALL_REJECTED") -> None:
        """Have whoever is called decline."""
        self.before()
        self.world.refuse(self.leg_of(who), cause)
        self.afterwards()

    def press(self, who: str, digits: str, *, gap_s: float = DIGIT_GAP_S) -> None:
        """Have a party press keys, the first of them now."""
        self.before()
        self.world.press(self.leg_of(who), digits, gap_s=gap_s)
        self.afterwards()

    def leg_of(self, who: str) -> LegId:
        """Find a party's leg: by their number, or as it is."""
        party = self.world.parties.get(who)
        return who if party is None or party.leg is None else party.leg

    def hear_digits(self, leg: LegId, digits: str) -> None:
        """Let the party on a leg hear digits that the switch sends (`uuid_send_dtmf`)."""
        party = self.world.party_on(leg)
        if party is not None:
            for digit in digits:
                party.listen(self.world.now_s, Hears(Sense.DIGIT, digit))

    def receive_digit(self, leg: LegId, digit: str) -> None:
        """Take a digit as if the party had pressed it (`uuid_recv_dtmf`)."""
        self.teller.dtmf_source = "APP"
        self.world.switch.press(leg, digit)
        self.teller.dtmf_source = "RTP"

    # ---- facts

    def _fact(self, fact: CallEvent) -> None:
        match fact:
            case LegCreated():
                self.teller.created(fact)
            case LegsJoined():
                first, second = self.teller.legs[fact.first], self.teller.legs[fact.second]
                self.apps.joined(first, second)
                self.teller.joined(first, second)
            case (
                LegProgressed()
                | LegAnswered()
                | LegParked()
                | SoundStarted()
                | SoundStopped()
                | DigitPressed()
                | LegHungUp()
            ):
                self._fact_of(self.teller.legs[fact.leg], fact)
            case _:
                pass  # that a pair is parted is told by the watcher; the rest is not the switch's
        self.on_fact(fact)

    def _fact_of(self, leg: Leg, fact: CallEvent) -> None:
        match fact:
            case LegProgressed():
                self.teller.progressed(leg, early_media=fact.early_media)
                self.apps.progressed(leg, early_media=fact.early_media)
            case LegAnswered():
                self.teller.answered(leg)
                self.apps.answered(leg)
            case LegParked():
                self.apps.parked(leg)
            case SoundStarted():
                path = path_heard(fact.sound)
                self.teller.sound_started(leg, path, self.apps.run_of(leg, path))
            case SoundStopped():
                self.teller.sound_stopped(leg)
                self.apps.sound_over(leg)
            case DigitPressed():
                self.teller.pressed(leg, fact)
            case LegHungUp():
                self.teller.hung_up(leg, fact)
                self.sessions_lose(leg)
            case _:
                raise AssertionError(fact)

    def sessions_lose(self, leg: Leg) -> None:
        """Tell the sessions that follow a leg (`myevents`) that it has ended."""
        for session in list(self.sessions):
            session.loses(leg.id, leg.name)


def _nothing() -> None:
    return


def _nobody_minds(_fact: CallEvent) -> None:
    return
