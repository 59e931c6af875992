"""The applications of a dialplan that a leg executes, one after the other.

A *script* is the list of applications that a leg has yet to run. `originate … &app(…)` and
`uuid_transfer` set it, and it starts as soon as the simulator has the leg in its park (without an
event: to the outside the leg is in its application). When the script is over, the leg hangs up, as
in FreeSWITCH; `park` ends the script without that. `sendmsg` with `execute` runs one application
beside the script.

Emulated are answer, park, playback, bridge, set, unset, export, sleep, echo, transfer, hangup, and
three_way where a leg is sent to it and to the park after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import attrs

from hookflash.backends.freeswitch.sounds import sound_played
from hookflash.backends.simulator.sounds import sound_length_s
from hookflash.backends.simulator.switch import (
    Extension,
    Sense,
    ToPart,
    ToPhone,
    ToSound,
)
from hookflash.emulator.event_publisher import EventPublisher, Outgoing
from hookflash.emulator.host import Host
from hookflash.emulator.legs import EmulatedLeg, caller_of
from hookflash.emulator.parsing import (
    DialError,
    Dialled,
    read_cause,
    read_dial_string,
)
from hookflash.emulator.phone_book import PhoneBook
from hookflash.events import LegId

Script: TypeAlias = list[tuple[str, str]]
"""Applications and their arguments."""

APPLICATIONS: Final = frozenset(
    {
        "answer",
        "bridge",
        "echo",
        "export",
        "hangup",
        "park",
        "playback",
        "set",
        "sleep",
        "transfer",
        "unset",
    }
)
"""The applications that are emulated."""

_COMMA: Final = re.compile(r"(?<!\\),")
"""Between two applications; `\\,` is a comma of an argument."""

_DELIMITED: Final = re.compile(r"m:(.):")
"""Another character between two applications."""

DEFAULT_RING_S: Final = 60
"""How long `originate` rings by default."""


class PendingReply:
    """A reply that is not known yet."""

    __slots__ = ("_then", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self._then: Callable[[str], None] | None = None

    def then(self, take: Callable[[str], None]) -> None:
        """Call `take` with the text once it is known."""
        self._then = take
        if self.text is not None:
            take(self.text)

    def settle(self, text: str) -> None:
        """Set the text. Only the first call counts."""
        if self.text is None:
            self.text = text
            if self._then is not None:
                self._then(text)


Reply: TypeAlias = str | PendingReply


@attrs.define(eq=False, kw_only=True)
class _Activity:
    """A leg's applications, which the simulator does not know."""

    script: Script = attrs.field(factory=list[tuple[str, str]])
    scripted: bool = False
    """Whether a script controls the leg: its end leads to the next application or to a hang-up."""
    job: PendingReply | None = None
    """The `originate` that waits for the result of this leg's call."""
    calls: LegId | None = None
    """The leg that its `bridge` calls."""
    called_for: LegId | None = None
    """The leg whose `bridge` called this one."""
    runs: dict[str, str] = attrs.field(factory=dict[str, str])
    """The ids of requested application runs, by the sound that they play."""


class Applications:
    """Runs applications on the legs of one switch."""

    def __init__(self, host: Host, publisher: EventPublisher, phones: PhoneBook) -> None:
        """Begin without scripts.

        Args:
            host: holds the switch of the legs.
            publisher: publishes their events.
            phones: the phones that can be called.
        """
        self._switch = host.world.switch
        self._publisher = publisher
        self._phones = phones
        self._after = host.world.after
        self._make_id = host.make_id
        self._file_s = host.world.file_s
        self._activities: dict[LegId, _Activity] = {}
        publisher.on_end = self._ended

    def _activity(self, leg: LegId) -> _Activity:
        return self._activities.setdefault(leg, _Activity())

    # ---- legs are called

    def originate(
        self,
        dial_string: str,
        script: Script,
        *,
        ring_s: str = str(DEFAULT_RING_S),
        caller_name: str = "",
        caller_number: str = "",
        originator: EmulatedLeg | None = None,
    ) -> Reply:
        """Call a destination, and run a script on the leg when it answers.

        Returns:
            `+OK` and the leg's id, or `-ERR` and a cause; usually a pending reply.
        """
        try:
            dialled = read_dial_string(dial_string)
        except DialError as error:
            if error.cause == "INVALID_PROFILE":
                self._publisher.failed_to_create(_asked_id(dial_string) or self._make_id())
            return f"-ERR {error.cause}\n"
        leg = dialled.variables.get("origination_uuid") or self._make_id()
        if leg in self._publisher.legs:
            return "-ERR DESTINATION_OUT_OF_ORDER\n"
        name, number = caller_of(dialled.variables, originator)
        self._publisher.outgoing = Outgoing(
            dialled=dialled,
            caller_name=caller_name or name,
            caller_number=caller_number or number,
            originator=originator,
        )
        job = PendingReply()
        takes = script[0][1] if script and script[0][0] == "intercept" else None
        self._activities[leg] = _Activity(
            script=[] if takes else list(script),
            job=job,
            called_for=None if originator is None else originator.id,
        )
        self._call(leg, dialled, ring_s, takes)
        return job

    def _call(self, leg: LegId, dialled: Dialled, ring_s: str, takes: LegId | None) -> None:
        self._phones.add(dialled.number)
        variables = dialled.variables
        timed = {"originate_timeout": ring_s, **variables}
        account = variables.get("hookflash_account", "")
        through = dialled.endpoint == "loopback"
        between = "/" if through else "@"
        address = f"{dialled.number}{between}{dialled.where}" if dialled.where else dialled.number
        self._switch.originate(
            leg,
            dialled.number,
            timed,
            account=account,
            takes=takes,
            dial_string=f"{'loopback' if through else 'user'}/{address}",
        )
        if "originate_timeout" not in variables:
            self._switch.setvar_multi(leg, {"originate_timeout": ""})

    # ---- legs are sent

    def send(self, legs: list[EmulatedLeg], script: Script, where: str) -> None:
        """Send one leg, or all legs of a bridge, to another script (`uuid_transfer`)."""
        for leg in legs:
            self._publisher.transferred(leg, where)
        extension = self._extension(script)
        for leg in legs:
            activity = self._activity(leg.id)
            activity.script = list(script)
            activity.scripted = False
        self._switch.transfer(legs[0].id, extension, both=len(legs) > 1)
        for leg in legs:  # where it was sent is written on the leg itself
            leg.channel.variables.pop("transfer_source", None)

    def _extension(self, script: Script) -> Extension | None:
        """Where the simulator sends a leg; None: into its park, to run the script there."""
        match script:
            case [("playback", sound)]:
                script.clear()
                played = sound_played(sound)
                return ToSound(played, sound_length_s(played, file_s=self._file_s))
            case [("three_way", of), ("park", "")]:
                script.pop(0)  # the rest follows when the other leg ends
                return ToPart(of)
            case [("set", "hangup_after_bridge=true"), ("bridge", dial_string)]:
                script.clear()
                return ToPhone(read_dial_string(dial_string).number)
            case _:
                return None

    def execute(self, leg: EmulatedLeg, app: str, argument: str, run: str) -> bool:
        """Run one application on a leg now (`sendmsg`); false if it is not emulated."""
        if app not in APPLICATIONS:
            return False
        if run:
            self._activity(leg.id).runs[argument if app == "playback" else app] = run
        self._do(leg, app, argument)
        return True

    # ---- what happens to legs

    def parked(self, leg: EmulatedLeg) -> None:
        """Start a leg's script, if it has one, when the simulator has it in its park."""
        activity = self._activities.get(leg.id)
        if activity is not None and activity.job is not None:
            activity.job.settle(f"+OK {leg.id}\n")
        if activity is not None and activity.called_for is not None:
            self._meet(leg, activity)
        elif activity is not None and activity.script:
            activity.scripted = True
            leg.is_in_dialplan()
            if activity.script[0][0] == "park":  # publishes events only, and so at once
                self._next(leg)
            else:
                self._after(0.0, partial(self._next, leg))
        elif not leg.in_park and leg.channel.in_cs_park:
            self._publisher.parked(leg, by_bridge=True)
        elif not leg.in_park:
            self._publisher.parked_by_failsafe(leg)

    def _meet(self, called: EmulatedLeg, activity: _Activity) -> None:
        """Bridge the leg that a `bridge` called, when it answers."""
        caller, activity.called_for = activity.called_for, None
        if caller is not None:
            self._after(0.0, partial(self._join_both, caller, called.id))

    def _join_both(self, caller: LegId, called: LegId) -> None:
        self.join(caller, called)

    def join(self, first: LegId, second: LegId) -> str:
        """Join two legs (`uuid_bridge`)."""
        self._publisher.bridging = True
        reply = self._switch.bridge(first, second)
        self._publisher.bridging = False
        return reply

    def progressed(self, leg: EmulatedLeg, *, early_media: bool) -> None:
        """Handle ringing or early media, which `originate` may accept as an answer."""
        activity = self._activities.get(leg.id)
        if activity is None or activity.job is None or activity.called_for is not None:
            return
        wanted = leg.channel.variables.get
        ignored = early_media and wanted("ignore_early_media") == "true"
        ready = wanted("return_ring_ready") == "true" and not early_media
        if ready or (early_media and not ignored):
            activity.job.settle(f"+OK {leg.id}\n")
            if activity.script[:1] == [("park", "")]:
                activity.script.clear()
                self._publisher.parked(leg)

    def answered(self, leg: EmulatedLeg) -> None:
        """Handle an answer; a leg that intercepts another then does so without being parked."""
        activity = self._activities.get(leg.id)
        if activity is not None and activity.job is not None and leg.channel.takes is not None:
            activity.job.settle(f"+OK {leg.id}\n")

    def joined(self, *legs: EmulatedLeg) -> None:
        """Handle a new bridge: the activities of both legs are over."""
        for leg in legs:
            activity = self._activities.get(leg.id)
            if activity is not None:
                activity.script.clear()
                activity.scripted = False
                activity.calls = activity.called_for = None
                if activity.job is not None:  # it was intercepted before it came to its script
                    activity.job.settle("-ERR ORIGINATOR_CANCEL\n")

    def run_of(self, leg: EmulatedLeg, sound: str) -> str:
        """Return the id that a program gave to the playing of this sound; empty if none did."""
        activity = self._activities.get(leg.id)
        return "" if activity is None else activity.runs.pop(sound, "")

    def sound_over(self, leg: EmulatedLeg) -> None:
        """Handle the end of a sound; if it belonged to a script, start the next application."""
        activity = self._activities.get(leg.id)
        if activity is not None and activity.scripted:
            self._after(0.0, partial(self._next, leg))

    def _ended(self, leg: EmulatedLeg) -> None:
        activity = self._activities.pop(leg.id, None)
        if activity is None:
            return
        if activity.job is not None:
            good = f"+OK {leg.id}\n" if leg.answered_us else f"-ERR {leg.cause}\n"
            activity.job.settle(good)
        if activity.calls is not None:
            self._switch.kill(activity.calls, "ORIGINATOR_CANCEL")
        if activity.called_for is not None:
            self._kill(activity.called_for, leg.cause)

    # ---- applications

    def _next(self, leg: EmulatedLeg) -> None:
        activity = self._activity(leg.id)
        while activity.scripted and not leg.cause:
            if not activity.script:
                self._kill(leg.id, "NORMAL_CLEARING")
                return
            app, argument = activity.script.pop(0)
            if self._do(leg, app, argument):
                return

    def _do(self, leg: EmulatedLeg, app: str, argument: str) -> bool:
        """Run an application; true if it goes on for a while."""
        match app:
            case "park":
                self._park(leg)
                return True
            case "playback":
                self.play(leg.id, argument)
                return True
            case "bridge":
                self._publisher.executes(leg, app, argument, self.run_of(leg, app))
                return self._bridge(leg, argument)
            case "transfer":
                self._go_to(leg, argument)
                return False
            case "sleep" | "echo":
                return self._wait(leg, app, argument)
            case _:
                self._publisher.executes(leg, app, argument, self.run_of(leg, app))
                self._do_at_once(leg, app, argument)
                self._publisher.executed(leg, app)
                return False

    def _go_to(self, leg: EmulatedLeg, argument: str) -> None:
        """Go on with the script of an extension: `transfer`."""
        app = "transfer"
        self._publisher.executes(leg, app, argument, self.run_of(leg, app))
        extension, dialplan, context = [*argument.split(), "", "", ""][:3]
        dialplan, context = dialplan or "XML", context or "default"
        self._activity(leg.id).script = self.find_script(extension, dialplan)
        self._publisher.executed(leg, app)
        self._publisher.transferred(leg, f"{extension}/{context}/{dialplan}")
        leg.is_in_dialplan()

    def _do_at_once(self, leg: EmulatedLeg, app: str, argument: str) -> None:
        match app:
            case "set" | "export":
                name, _, value = argument.partition("=")
                self._switch.setvar_multi(leg.id, {name: value})
            case "unset":
                self._switch.setvar_multi(leg.id, {argument: ""})
            case "hangup":
                self._kill(leg.id, read_cause(argument))
            case "answer":
                pass  # a leg that runs an application here has been answered
            case _:
                self._kill(leg.id, "DESTINATION_OUT_OF_ORDER")

    def _park(self, leg: EmulatedLeg) -> None:
        activity = self._activity(leg.id)
        if activity.scripted:
            activity.scripted = False
            self._publisher.parked(leg)
        else:
            activity.script = [("park", "")]
            self._switch.park_one(leg.id)

    def play(self, leg: LegId, sound: str) -> str:
        """Play a sound to a leg (`uuid_broadcast`, `playback`)."""
        played = sound_played(sound)
        lasts_s = sound_length_s(played, file_s=self._file_s)
        sense = Sense.MUSIC if lasts_s is None else Sense.TONE
        return self._switch.broadcast(leg, played, sense=sense, lasts_s=lasts_s)

    def _bridge(self, leg: EmulatedLeg, dial_string: str) -> bool:
        reply = self.originate(dial_string, [], originator=leg)
        if isinstance(reply, str):
            self._kill(leg.id, reply.removeprefix("-ERR ").strip())
            return True
        called = max(self._publisher.legs.values(), key=lambda other: other.session)
        self._activity(leg.id).calls = called.id
        return True

    def _wait(self, leg: EmulatedLeg, app: str, argument: str) -> bool:
        self._publisher.executes(leg, app, argument, self.run_of(leg, app))
        if app == "sleep":
            ms = int(argument) if argument.isdecimal() else 0
            self._after(ms / 1000, partial(self._waited, leg))
        return True

    def _waited(self, leg: EmulatedLeg) -> None:
        if not leg.cause:
            self._publisher.executed(leg, "sleep")
            if self._activity(leg.id).scripted:
                self._next(leg)

    def _kill(self, leg: LegId, cause: str) -> None:
        self._publisher.killing = True
        self._switch.kill(leg, cause)
        self._publisher.killing = False

    # ---- the dialplan

    def find_script(self, extension: str, dialplan: str) -> Script:  # noqa: PLR0911 - a dialplan
        """Look an extension up.

        `inline` means applications (`set:a=b,park`, or `m:^:set:a=b^park`). Otherwise it is that of
        the lab: `park` and 5001 answer and park, 5000 plays without end, 9486 is busy, and any
        other number is called.
        """
        if dialplan.lower() == "inline" and (other := _DELIMITED.match(extension)):
            named = (part.partition(":") for part in extension[4:].split(other[1]) if part)
            return [(app, argument) for app, _, argument in named]
        if dialplan.lower() == "inline":
            parts = (
                part.replace("\\,", ",").partition(":") for part in _COMMA.split(extension) if part
            )
            return [(app, argument) for app, _, argument in parts]
        if extension == "5000":
            return [("answer", ""), ("playback", "tone_stream://%(500,500,350);loops=-1")]
        if extension in ("park", "5001"):
            return [("answer", ""), ("park", "")]
        if extension == "9486":
            return [("hangup", "USER_BUSY")]
        if not self._phones.has(extension):
            return [("hangup", "NO_ROUTE_DESTINATION")]
        return [
            ("set", "hangup_after_bridge=true"),
            ("bridge", f"sofia/internal/{extension}@127.0.0.1:5090"),
        ]


def read_application(text: str) -> Script | None:
    """Read `&app(argument)`; None if the text has another form."""
    if not text.startswith("&") or len(text) == 1:
        return None
    app, _, argument = text[1:].partition("(")
    return [(app.partition(")")[0], argument.partition(")")[0])]


def _asked_id(dial_string: str) -> str:
    """The id that a dial string asks for, even if the rest of it is invalid."""
    _, found, rest = dial_string.partition("origination_uuid=")
    return rest.partition("}")[0].partition(",")[0] if found else ""
