"""The API commands: the answers to `api` and `bgapi`.

Every answer is FreeSWITCH's, to the letter, its inconsistencies included (`-ERR No such channel!`,
`-ERR Invalid uuid`, `-ERR invalid uuid`, `-ERR Cannot locate session!`, `-ERROR` all mean the
same). A command that is not emulated is answered like one that does not exist. An answer is text,
or a `PendingReply`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from hookflash.backends.simulator.switch import Sense
from hookflash.emulator.apps import (
    DEFAULT_RING_S,
    Applications,
    Reply,
    read_application,
)
from hookflash.emulator.event_bus import EventBus
from hookflash.emulator.event_publisher import EventPublisher
from hookflash.emulator.events import Header
from hookflash.emulator.host import HOSTNAME, Host
from hookflash.emulator.legs import EmulatedLeg
from hookflash.emulator.lists import Lists, as_json, as_table
from hookflash.emulator.parsing import atoi, read_cause, split_list, split_words
from hookflash.emulator.variables import stamp
from hookflash.events import LegId

OK: Final = "+OK\n"
NO_CHANNEL: Final = "-ERR No such channel!\n"
NO_REPLY: Final = "-ERR no reply\n"
"""The answer of `api` if a command has no output. (`bgapi` answers nothing then.)"""

VERSION: Final = "1.10.12-release"
_KEYS: Final = frozenset("0123456789*#ABCDabcd")
_PAUSES: Final = frozenset("wWF")
_DIGIT_GAP_S: Final = 0.020
_MOST_SESSIONS: Final = 5000

_USAGE: Final = {
    "uuid_transfer": "<uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]",
    "uuid_bridge": "<uuid> <other_uuid>",
    "uuid_broadcast": "<uuid> <path> [aleg|bleg|holdb|both]",
    "uuid_break": "<uuid> [all]",
    "uuid_setvar": "<uuid> <var> [value]",
    "uuid_setvar_multi": "<uuid> <var>=<value>;<var>=<value>...",
    "uuid_getvar": "<uuid> <var>",
    "uuid_display": "<uuid> <display>",
    "uuid_drop_dtmf": "<uuid> [on | off ] [ mask_digits <digits> | mask_file <file>]",
    "uuid_dump": "<uuid> [format]",
    "uuid_kill": "<uuid> [cause]",
    "uuid_hold": "[off|toggle] <uuid> [<display>]",
    "uuid_send_dtmf": "<uuid> <dtmf_data>",
    "uuid_recv_dtmf": "<uuid> <dtmf_data>",
    "uptime": "[us|ms|s|m|h|d|microseconds|milliseconds|seconds|minutes|hours|days]",
    "originate": "<call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>]"
    " [<cid_name>] [<cid_num>] [<timeout_sec>]",
    "show": "codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like"
    " <match string>]|calls|detailed_calls|bridged_calls|detailed_bridged_calls|aliases|complete|"
    "chat|management|modules|nat_map|say|interfaces|interface_types|tasks|limits|status",
}

_SCHED_SYNTAX: Final = "[+@]<time> <group_name> <command_string>[&]"

_UNITS_US: Final = {
    "": 1_000_000,
    **dict.fromkeys(("us", "microseconds"), 1),
    **dict.fromkeys(("ms", "milliseconds"), 1000),
    **dict.fromkeys(("s", "seconds"), 1_000_000),
    **dict.fromkeys(("m", "minutes"), 60_000_000),
    **dict.fromkeys(("h", "hours"), 3_600_000_000),
    **dict.fromkeys(("d", "days"), 86_400_000_000),
}


def _usage(command: str) -> str:
    return f"-USAGE: {_USAGE[command]}\n"


class ApiCommands:
    """The commands of one emulator."""

    def __init__(
        self, host: Host, bus: EventBus, publisher: EventPublisher, apps: Applications
    ) -> None:
        """Give access to one switch.

        Args:
            host: holds the switch.
            bus: sends events.
            publisher: knows the legs.
            apps: moves legs.
        """
        self._host = host
        self._world = host.world
        self._switch = host.world.switch
        self._bus = bus
        self._publisher = publisher
        self._apps = apps
        self._lists = Lists(host, publisher)
        self._tasks: dict[int, str] = {}
        """The group of each scheduled task, by the task's number."""
        self._tasks_added = 0
        self._commands = self._table()

    def _table(self) -> dict[str, Callable[[str], Reply]]:
        return {
            "create_uuid": self._create_uuid,
            "echo": lambda argument: argument,
            "global_getvar": self._global_getvar,
            "hostname": lambda _: self._globals()["hostname"],
            "hupall": self._hupall,
            "module_exists": lambda name: "true" if name in _MODULES else "false",
            "originate": self._originate,
            "reloadxml": lambda _: "+OK [Success]\n",
            "sched_api": self._sched_api,
            "sched_del": self._sched_del,
            "show": self._show,
            "sofia_contact": lambda _: "error/user_not_registered",
            "status": self._status,
            "strftime": lambda _: stamp(self._host.now_us()),
            "switchname": lambda _: self._globals()["hostname"],
            "uptime": self._uptime,
            "uuid_answer": self._answer,
            "uuid_break": self._break,
            "uuid_bridge": self._bridge,
            "uuid_broadcast": self._broadcast,
            "uuid_display": self._display,
            "uuid_drop_dtmf": self._drop_dtmf,
            "uuid_dump": self._dump,
            "uuid_exists": self._exists,
            "uuid_getvar": self._getvar,
            "uuid_hold": self._hold,
            "uuid_kill": self._kill,
            "uuid_park": self._park,
            "uuid_recv_dtmf": self._recv_dtmf,
            "uuid_send_dtmf": self._send_dtmf,
            "uuid_setvar": self._setvar,
            "uuid_setvar_multi": self._setvar_multi,
            "uuid_transfer": self._transfer,
            "version": self._version,
        }

    def execute(self, command: str, argument: str) -> Reply:
        """Execute a command.

        Args:
            command: its name.
            argument: the rest of the line.
        """
        run = self._commands.get(command)
        if run is None:
            return f"-ERR {command} Command not found!\n"
        return run(argument.strip(" "))

    # ---- what clients ask when they connect

    def _globals(self) -> dict[str, str]:
        return {
            "hostname": HOSTNAME,
            "local_ip_v4": "127.0.0.1",
            "local_mask_v4": "255.0.0.0",
            "local_ip_v6": "::1",
            "core_uuid": self._host.core_uuid,
            "switchname": HOSTNAME,
        }

    def _global_getvar(self, name: str) -> str:
        if name:
            return self._globals().get(name, "")
        return "".join(f"{key}={value}\n" for key, value in self._globals().items())

    def _create_uuid(self, _argument: str) -> str:
        return self._host.make_id()

    def _version(self, argument: str) -> str:
        if argument == "short":
            return f"{VERSION}\n"
        return f"FreeSWITCH Version {VERSION}~64bit ( 64bit)\n"

    def _uptime(self, unit: str) -> str:
        scale = _UNITS_US.get(unit.lower())
        if scale is None:
            return _usage("uptime")
        return f"{round(self._world.now_s * 1_000_000) // scale}\n"

    def _status(self, _argument: str) -> str:
        us = round(self._world.now_s * 1_000_000)
        legs = len(self._publisher.legs)
        peak = self._publisher.peak
        return (
            f"UP {_duration(us)}\n"
            f"FreeSWITCH (Version {VERSION}  64bit) is ready\n"
            f"{self._publisher.sessions} session(s) since startup\n"
            f"{legs} session(s) - peak {peak}, last 5min {peak} \n"
            f"0 session(s) per Sec out of max 1000, peak {peak}, last 5min {peak} \n"
            f"{_MOST_SESSIONS} session(s) max\n"
            "min idle cpu 0.00/100.00\n"
            "Current Stack Size/Max 240K/8192K\n"
        )

    # ---- legs begin and end

    def _originate(self, argument: str) -> Reply:
        given = split_words(argument, 10)
        if not 2 <= len(given) <= 7:  # noqa: PLR2004 - as its usage says
            return _usage("originate")
        given = ["" if word.lower() == "undef" else word for word in given]
        dial_string, extension, dialplan, _, name, number, ring_s = given + [""] * (7 - len(given))
        apps = self._apps
        script = read_application(extension) or apps.find_script(extension, dialplan)
        return apps.originate(
            dial_string,
            script,
            ring_s=ring_s or str(DEFAULT_RING_S),
            caller_name=name,
            caller_number=number,
        )

    def _kill(self, argument: str) -> str:
        if not argument:
            return _usage("uuid_kill")
        leg, _, cause = argument.partition(" ")
        return OK if self._end(leg, read_cause(cause)) else NO_CHANNEL

    def _end(self, leg: LegId, cause: str) -> bool:
        publisher = self._publisher
        publisher.killing = True
        reply = self._switch.kill(leg, cause)
        publisher.killing = False
        return reply.startswith("+OK")

    def _hupall(self, argument: str) -> str:
        given = split_words(argument, 11)
        cause = read_cause(given[0] if given else "", "MANAGER_REQUEST")
        if not given:
            cause = "MANAGER_REQUEST"
        wanted = dict(zip(given[1::2], given[2::2], strict=False))
        for channel in list(self._switch.channels()):
            leg = self._publisher.legs[channel.id]
            if all(leg.variable(name) == value for name, value in wanted.items()):
                self._end(leg.id, cause)
        if not wanted:
            return f"+OK hangup all channels with cause {cause}\n"
        name, value = next(iter(wanted.items()))
        more = "..." if len(wanted) > 1 else ""
        return f"+OK hangup all channels matching [{name}]=[{value}]{more} with cause: {cause}\n"

    def _exists(self, argument: str) -> str:
        return "false" if self._publisher.find(argument) is None else "true"

    def _answer(self, argument: str) -> str:
        leg = self._publisher.find(argument)
        return "-ERROR\n" if leg is None else OK

    # ---- legs move

    def _transfer(self, argument: str) -> str:
        given = split_words(argument, 5)
        if len(given) < 2:  # noqa: PLR2004 - as its usage says
            return _usage("uuid_transfer")
        leg = self._publisher.find(given[0])
        if leg is None:
            return NO_CHANNEL
        flag = given.pop(1)[1:].lower() if given[1].startswith("-") else ""
        extension, dialplan, context = [*given[1:4], "", "", ""][:3]
        dialplan = dialplan or "XML"
        peer = self._publisher.peer_of(leg)
        legs = [leg]
        if peer is not None and flag in {"both", "bleg"}:
            legs = [leg, peer] if flag == "both" else [peer]
        script = self._apps.find_script(extension, dialplan)
        where = f"{extension}/{context or 'default'}/{dialplan}"
        self._apps.send(legs, script, where)
        return OK

    def _park(self, argument: str) -> str:
        reply = self._switch.park_in_place(argument)
        return OK if reply.startswith("+OK") else NO_CHANNEL

    def _bridge(self, argument: str) -> str:
        given = split_words(argument, 4)
        if len(given) < 2:  # noqa: PLR2004 - as its usage says
            return _usage("uuid_bridge")
        first = given[0]
        for second in given[1:3]:
            if first != second:
                reply = self._apps.join(first, second)
                if reply.startswith("+OK"):
                    return f"+OK {second}\n"
        return "-ERR Invalid uuid\n"

    def _hold(self, argument: str) -> str:
        given = split_words(argument, 4)
        if not given:
            return f"{_usage('uuid_hold')}-ERR Operation failed\n"
        mode = given.pop(0).lower() if given[0].lower() in {"off", "toggle"} else "on"
        leg = self._publisher.find(given[0]) if given else None
        if leg is not None:
            held = leg.call_state == "HELD"
            holds = not held if mode == "toggle" else mode == "on"
            if holds != held:
                leg.goes("HELD" if holds else "UNHELD")
                self._publisher.publish("CHANNEL_HOLD" if holds else "CHANNEL_UNHOLD", leg)
                if not holds:
                    leg.goes("ACTIVE")
        return "+OK Success\n"

    # ---- sounds and digits

    def _broadcast(self, argument: str) -> str:
        given = split_words(argument, 4)
        if len(given) < 2:  # noqa: PLR2004 - as its usage says
            return _usage("uuid_broadcast")
        leg = self._publisher.find(given[0])
        if leg is None:
            return "-ERR invalid uuid\n"
        to = given[2].lower() if len(given) > 2 else "aleg"  # noqa: PLR2004 - the third word
        peer = self._publisher.peer_of(leg)
        hearers = [leg] if "aleg" in to or "both" in to else []
        if peer is not None and ("bleg" in to or "both" in to):
            hearers.append(peer)
        for hearer in hearers:
            self._apps.play(hearer.id, given[1])
        return "+OK Message sent\n"

    def _break(self, argument: str) -> str:
        if not argument:
            return _usage("uuid_break")
        name, _, flag = argument.partition(" ")
        leg = self._publisher.find(name)
        if leg is None:
            return NO_CHANNEL
        peer = self._publisher.peer_of(leg) if "both" in flag else None
        for one in (leg, peer):
            if one is not None:
                self._switch.break_all(one.id)
        return OK

    def _send_dtmf(self, argument: str) -> str:
        given = split_words(argument, 2)
        if len(given) < 2:  # noqa: PLR2004 - as its usage says
            return _usage("uuid_send_dtmf")
        leg = self._publisher.find(given[0])
        if leg is None:
            return "-ERR Cannot locate session!\n"
        self._hear_digits(leg.id, _digits(given[1]))
        return f"+OK {leg.id} sent DTMF {given[1]}.\n"

    def _hear_digits(self, leg: LegId, digits: str) -> None:
        """Let the party on a leg hear digits that the switch sends."""
        party = self._world.party_on(leg)
        if party is not None:
            for digit in digits:
                party.listen(self._world.now_s, Sense.DIGIT, digit)

    def _drop_dtmf(self, argument: str) -> str:
        given = split_words(argument, 4)
        if len(argument.split()) < 4:  # noqa: PLR2004 - it wants a mask, be it an empty one
            return _usage("uuid_drop_dtmf")
        drop = given[1].lower() == "on"
        if self._switch.drop_keys(given[0], drop).startswith("-"):
            return NO_CHANNEL
        does = "dropping" if drop else "not dropping"
        return f"+OK {given[0]} is {does} DTMF. mask_file: NONE mask_digits: NONE\n"

    def _recv_dtmf(self, argument: str) -> str:
        given = split_words(argument, 2)
        if len(given) < 2:  # noqa: PLR2004 - as its usage says
            return _usage("uuid_recv_dtmf")
        leg = self._publisher.find(given[0])
        if leg is None:
            return "-ERR Cannot locate session!\n"
        digits = _digits(given[1])
        if not digits:
            return _usage("uuid_recv_dtmf")
        for place, digit in enumerate(digits):
            self._world.after(place * _DIGIT_GAP_S, self._digit(leg.id, digit))
        return f"+OK {leg.id} received DTMF {given[1]}.\n"

    def _digit(self, leg: LegId, digit: str) -> Callable[[], None]:
        def receive() -> None:
            self._publisher.dtmf_source = "APP"
            self._switch.press(leg, digit)
            self._publisher.dtmf_source = "RTP"

        return receive

    def run_variables(self, leg: EmulatedLeg, prefix: str) -> None:
        """Run what stands in variables of a leg, as soon as it answers or its bridge begins.

        Args:
            leg: the leg.
            prefix: of the variables: `api_on_answer`, `api_before_bridge`.
        """
        for name, value in tuple(leg.channel.variables.items()):
            if name.startswith(prefix):
                command, _, argument = value.partition(" ")
                self.execute(command, argument)

    # ---- scheduled tasks

    def _sched_api(self, argument: str) -> str:
        when, _, rest = argument.partition(" ")
        group, _, line = rest.partition(" ")
        if not line:
            return f"-ERR Invalid syntax. USAGE: {_SCHED_SYNTAX}\n"
        self._tasks_added += 1
        task = self._tasks_added
        self._tasks[task] = group
        again_s = atoi(when[1:]) if when.startswith("@") else None
        now_s = 0.0 if when[:1] in {"+", "@"} else self._host.now_us() / 1e6
        delay_s = max(0.0, atoi(when.lstrip("+@")) - now_s)
        command, _, argument = line.removesuffix("&").partition(" ")
        self._world.after(delay_s, partial(self._fall_due, task, command, argument, again_s))
        return f"+OK Added: {task}\n"

    def _fall_due(self, task: int, command: str, argument: str, again_s: int | None) -> None:
        if task not in self._tasks:
            return
        if again_s is None:
            del self._tasks[task]
        else:
            again = partial(self._fall_due, task, command, argument, again_s)
            self._world.after(max(again_s, 1), again)
        self.execute(command, argument)

    def _sched_del(self, argument: str) -> str:
        doomed = [task for task, group in self._tasks.items() if argument in (group, str(task))]
        for task in doomed:
            del self._tasks[task]
        transfers = self._switch.sched_del(argument)
        return f"+OK Deleted: {len(doomed) + transfers}\n"

    # ---- displays

    def _display(self, argument: str) -> str:
        given = split_words(argument, 2)
        if len(given) < 2:  # noqa: PLR2004 - as its usage says
            return _usage("uuid_display")
        name, _, number = given[1].partition("|")
        return f"{self._switch.display(given[0], name, number)}\n"

    # ---- variables

    def _setvar(self, argument: str) -> str:
        given = split_words(argument, 3)
        if len(given) < 2:  # noqa: PLR2004 - as its usage says
            return _usage("uuid_setvar")
        return self._set(given[0], {given[1]: given[2] if len(given) > 2 else ""})  # noqa: PLR2004

    def _setvar_multi(self, argument: str) -> str:
        leg, space, rest = argument.partition(" ")
        if not argument:
            return _usage("uuid_setvar_multi")
        if not space:
            return ""
        pairs = (part.partition("=") for part in split_list(rest, ";"))
        variables = {name: value for name, _, value in pairs if name}
        reply = self._set(leg, variables)
        return reply if reply == OK else reply + _usage("uuid_setvar_multi")

    def _set(self, leg_id: LegId, variables: dict[str, str]) -> str:
        leg = self._publisher.find(leg_id)
        if leg is None:
            return NO_CHANNEL
        for name, value in variables.items():
            if not value:
                leg.variables.pop(name, None)
        self._switch.setvar_multi(leg_id, variables)
        return OK

    def _getvar(self, argument: str) -> str:
        given = split_words(argument, 4)
        if len(given) < 2:  # noqa: PLR2004 - as its usage says
            return _usage("uuid_getvar")
        leg = self._publisher.find(given[0])
        if leg is None:
            return NO_CHANNEL
        value = leg.variable(given[1])
        return "_undef_" if value is None else value

    def _dump(self, argument: str) -> str:
        given = split_words(argument, 2)
        if not given:
            return _usage("uuid_dump")
        leg = self._publisher.find(given[0])
        if leg is None:
            return NO_CHANNEL
        headers = [*leg.headers(), *_without_bridge(leg.variable_headers()), *self._bridge_to(leg)]
        event = self._bus.make_event("CHANNEL_DATA", headers)
        form = given[1].lower() if len(given) > 1 else "txt"
        if form == "json":
            return event.json().decode()
        return event.plain(encoded=form != "plain").decode()

    def _bridge_to(self, leg: EmulatedLeg) -> list[Header]:
        """The variable `bridge_to`: set while a leg is bridged, and sometimes longer."""
        peer = leg.channel.bridged_to
        return [] if peer is None else [("variable_bridge_to", peer.id)]

    # ---- lists

    def _show(self, argument: str) -> str:
        given = split_words(argument, 6)
        what = given[0].lower() if given else ""
        if what == "status":
            return self._status("")
        rows = self._lists.rows(what, given)
        if rows is None:
            return _usage("show")
        form = next((given[i + 1] for i, word in enumerate(given[:-1]) if word == "as"), "delim")
        counts = len(given) > 1 and given[1].lower() == "count"
        match form:
            case "json":
                return as_json(rows, counts=counts)
            case "delim" | "csv":
                return as_table([] if counts else rows, len(rows))
            case _:
                return f"-ERR Cannot find format {form}\n"


_MODULES: Final = frozenset(
    {
        "mod_commands",
        "mod_dptools",
        "mod_event_socket",
        "mod_loopback",
        "mod_sofia",
        "mod_tone_stream",
    }
)


def _without_bridge(headers: Iterable[Header]) -> list[Header]:
    return [header for header in headers if header[0] != "variable_bridge_to"]


def _digits(text: str) -> str:
    """The keys of a DTMF string: without its pauses, and without a duration behind `@`."""
    keys = "".join(key for key in text.partition("@")[0] if key not in _PAUSES)
    return keys.upper() if keys and set(keys) <= _KEYS else ""


def _duration(us: int) -> str:
    seconds, us = divmod(us, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    year, day = divmod(days, 365)
    spans = {
        "year": year,
        "day": day,
        "hour": hour,
        "minute": minute,
        "second": second,
        "millisecond": us // 1000,
        "microsecond": us % 1000,
    }
    return ", ".join(f"{n} {unit}{'' if n == 1 else 's'}" for unit, n in spans.items())
