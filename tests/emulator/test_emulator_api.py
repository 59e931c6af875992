"""The API commands: each answer as a FreeSWITCH 1.10.12 gave it, and what comes of it."""

from __future__ import annotations

import json
import re

import pytest

from hookflash.backends.freeswitch.sounds import sound_played
from hookflash.backends.simulator.lab_phones import lab_phone
from hookflash.backends.simulator.people import Answers, Manual
from hookflash.backends.simulator.sounds import sound_length_s
from hookflash.backends.simulator.switch import Audible, Sense
from hookflash.backends.simulator.world import World
from hookflash.emulator.apps import PendingReply
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.parsing import (
    DialError,
    Dialled,
    read_cause,
    read_dial_string,
    split_list,
    split_words,
)
from hookflash.errors import InputError

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MUSIC = "tone_stream://%(500,500,300);loops=-1"


MISSPELT = "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n"


class Lab:
    """An emulator, who talks on it, and what it told."""

    def __init__(self) -> None:
        self.emulator = Emulator()
        self.told: list[tuple[str, str]] = []
        self.session = self.emulator.connect()
        self.session.receive(b"auth ClueCon\n\nevent plain all\n\n")
        self.alice, self.bob = self.emulator.call("1001", "1002")
        self.run(1.0)
        self.events()

    def run(self, for_s: float = 0.5) -> None:
        self.emulator.world.run(self.emulator.world.now_s + for_s)

    def api(self, line: str) -> str:
        command, _, argument = self.named(line).partition(" ")
        reply = self.emulator.api.execute(command, argument)
        assert isinstance(reply, str)
        return reply.replace(self.alice, "A").replace(self.bob, "B")

    def later(self, line: str) -> PendingReply:
        command, _, argument = self.named(line).partition(" ")
        reply = self.emulator.api.execute(command, argument)
        assert isinstance(reply, PendingReply)
        return reply

    def named(self, line: str) -> str:
        line = re.sub(r"(?<=[ =(])A\b", self.alice, line)
        return re.sub(r"(?<=[ =(])B\b", self.bob, line)

    def events(self) -> dict[str, list[str]]:
        """What was told since the last time, for each leg, without states and applications."""
        legs: dict[str, list[str]] = {}
        names = {self.alice: "A", self.bob: "B"}
        for told in self.session.take().decode().split("Event-Name: ")[1:]:
            name, leg = told.partition("\n")[0], re.search(r"\nUnique-ID: (.+)\n", told)
            quiet = name in {"CHANNEL_STATE", "CHANNEL_CALLSTATE"} or "EXECUTE" in name
            if leg is not None and not quiet:
                found = legs.setdefault(names.get(leg[1], leg[1]), [])
                found.append(name.removeprefix("CHANNEL_"))
        return legs

    def hears(self, number: str) -> Audible:
        return self.emulator.world.parties[number].hears


@pytest.fixture
def lab() -> Lab:
    return Lab()


USAGE = {
    "uuid_transfer": "<uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]",
    "uuid_bridge": "<uuid> <other_uuid>",
    "uuid_broadcast": "<uuid> <path> [aleg|bleg|holdb|both]",
    "uuid_setvar": "<uuid> <var> [value]",
    "uuid_getvar": "<uuid> <var>",
    "uuid_send_dtmf": "<uuid> <dtmf_data>",
    "uuid_recv_dtmf": "<uuid> <dtmf_data>",
}


@pytest.mark.parametrize("command", USAGE)
@pytest.mark.parametrize("argument", ["", " x"])
def test_usage(lab: Lab, command: str, argument: str) -> None:
    assert lab.api(command + argument) == f"-USAGE: {USAGE[command]}\n"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("version", "FreeSWITCH Version 1.10.12-release~64bit ( 64bit)\n"),
        ("version short", "1.10.12-release\n"),
        ("uptime", "1\n"),
        ("uptime ms", "1000\n"),
        (
            "uptime foo",
            "-USAGE: [us|ms|s|m|h|d|microseconds|milliseconds|seconds|minutes|hours|days]\n",
        ),
        ("hostname", "emulator"),
        ("switchname", "emulator"),
        ("global_getvar hostname", "emulator"),
        ("global_getvar nosuch", ""),
        ("sofia_contact 1001", "error/user_not_registered"),
        ("reloadxml", "+OK [Success]\n"),
        ("strftime", "2026-11-23 01:38:28"),
        ("module_exists mod_sofia", "true"),
        ("module_exists nosuch", "false"),
        ("uuid_exists", "false"),
        ("uuid_exists x", "false"),
        ("uuid_exists A", "true"),
        ("uuid_transfer x -both park inline", "-ERR No such channel!\n"),
        ("uuid_bridge x y", "-ERR Invalid uuid\n"),
        ("uuid_bridge A A", "-ERR Invalid uuid\n"),
        ("uuid_bridge A x y", "-ERR Invalid uuid\n"),
        ("uuid_broadcast x y aleg", "-ERR invalid uuid\n"),
        ("uuid_break", "-USAGE: <uuid> [all]\n"),
        ("uuid_break x all", "-ERR No such channel!\n"),
        ("uuid_break A", "+OK\n"),
        ("uuid_break A all,both", "+OK\n"),
        ("uuid_setvar x y z", "-ERR No such channel!\n"),
        ("uuid_setvar A y", "+OK\n"),
        ("uuid_setvar_multi", "-USAGE: <uuid> <var>=<value>;<var>=<value>...\n"),
        ("uuid_setvar_multi x", ""),
        (
            "uuid_setvar_multi x y=z",
            "-ERR No such channel!\n-USAGE: <uuid> <var>=<value>;<var>=<value>...\n",
        ),
        ("uuid_setvar_multi A bogus", "+OK\n"),
        ("uuid_getvar x y", "-ERR No such channel!\n"),
        ("uuid_getvar A nosuch", "_undef_"),
        ("uuid_getvar A direction", "inbound"),
        ("uuid_getvar A uuid", "A"),
        ("uuid_getvar A DP_MATCH", "ARRAY::1002|:1002"),
        ("uuid_getvar A signal_bond", "B"),
        ("sched_api", "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n"),
        (
            "sched_api +1 x",
            "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n",
        ),
        ("sched_del nobody", "+OK Deleted: 0\n"),
        ("uuid_display", "-USAGE: <uuid> <display>\n"),
        ("uuid_display x", "-USAGE: <uuid> <display>\n"),
        ("uuid_display x y|z", "-ERR Operation failed\n"),
        ("uuid_dump", "-USAGE: <uuid> [format]\n"),
        ("uuid_dump x json", "-ERR No such channel!\n"),
        ("uuid_kill", "-USAGE: <uuid> [cause]\n"),
        ("uuid_kill x", "-ERR No such channel!\n"),
        ("uuid_answer x", "-ERROR\n"),
        ("uuid_answer A", "+OK\n"),
        ("uuid_park x", "-ERR No such channel!\n"),
        ("uuid_hold", "-USAGE: [off|toggle] <uuid> [<display>]\n-ERR Operation failed\n"),
        ("uuid_hold x", "+OK Success\n"),
        ("uuid_hold off", "+OK Success\n"),
        ("uuid_send_dtmf x 1", "-ERR Cannot locate session!\n"),
        ("uuid_send_dtmf A 1", "+OK A sent DTMF 1.\n"),
        ("uuid_recv_dtmf x 1", "-ERR Cannot locate session!\n"),
        ("uuid_recv_dtmf A zzz", "-USAGE: <uuid> <dtmf_data>\n"),
        ("uuid_recv_dtmf A 1w2@200", "+OK A received DTMF 1w2@200.\n"),
        ("originate nosuch/1 &park()", "-ERR CHAN_NOT_IMPLEMENTED\n"),
        ("originate sofia/nosuch/1@1 &park()", "-ERR INVALID_PROFILE\n"),
        ("originate error/user_busy &park()", "-ERR USER_BUSY\n"),
        ("originate {x=y &park()", "-ERR DESTINATION_OUT_OF_ORDER\n"),
        ("originate {a=b} &park()", "-ERR DESTINATION_OUT_OF_ORDER\n"),
        ("originate {origination_uuid=A}user/1003 &park()", "-ERR DESTINATION_OUT_OF_ORDER\n"),
        ("show registrations", "\n0 total.\n"),
        ("show channels count", "\n2 total.\n"),
        ("show channels count as json", '{"row_count":2,"rows":[]}'),
        ("show channels as foo", "-ERR Cannot find format foo\n"),
        ("show registrations as json", '{"row_count": 0}\n'),
        ("nosuchcommand x", "-ERR nosuchcommand Command not found!\n"),
    ],
)
def test_answers(lab: Lab, line: str, answer: str) -> None:
    assert lab.api(line) == answer


@pytest.mark.parametrize("line", ["show", "show bogus"])
def test_usage_of_show(lab: Lab, line: str) -> None:
    assert lab.api(line).startswith("-USAGE: codec|endpoint|application|")


@pytest.mark.parametrize("line", ["originate", "originate x", "originate 1 2 3 4 5 6 7 8"])
def test_usage_of_originate(lab: Lab, line: str) -> None:
    assert lab.api(line).startswith("-USAGE: <call url> <exten>|&<application_name>")


def test_status(lab: Lab) -> None:
    lab.run(3_600.0 * 24 * 366 + 61.002003)
    status = lab.api("show status").splitlines()
    assert status[0].startswith("UP 1 year, 1 day, 0 hours, 1 minute, 2 seconds, 2 milliseconds,")
    assert status[1] == "FreeSWITCH (Version 1.10.12-release  64bit) is ready"
    assert status[2:4] == ["2 session(s) since startup", "2 session(s) - peak 2, last 5min 2 "]


def test_ids_are_uuids_and_differ(lab: Lab) -> None:
    made = {lab.api("create_uuid") for _ in range(50)}
    assert len(made) == 50
    assert all(UUID.fullmatch(one) for one in (*made, lab.alice, lab.bob))


def test_global_variables(lab: Lab) -> None:
    assert "local_ip_v4=127.0.0.1\n" in lab.api("global_getvar")


# ------------------------------------------------------------------ variables


def test_variables_travel_with_the_leg(lab: Lab) -> None:
    assert lab.api("uuid_setvar A colour bright red") == "+OK\n"
    assert lab.api("uuid_getvar A colour") == "bright red"
    assert lab.api("uuid_setvar_multi A a=1;b=2;=3;colour=") == "+OK\n"
    assert (lab.api("uuid_getvar A b"), lab.api("uuid_getvar A colour")) == ("2", "_undef_")
    lab.api("uuid_setvar A sip_from_user nobody")
    assert lab.api("uuid_display A Carol C.|2600") == "+OK Success\n"
    assert lab.api("uuid_getvar A last_sent_callee_id_name") == "Carol C."
    assert lab.api("uuid_getvar A last_sent_callee_id_number") == "2600"
    assert lab.api("uuid_dump A").count("variable_sip_from_user: nobody\n") == 1
    lab.api("uuid_setvar A sip_to_user")
    assert lab.api("uuid_getvar A sip_to_user") == "_undef_"


def test_dumps(lab: Lab) -> None:
    dumped = json.loads(lab.api("uuid_dump A json"))
    assert dumped["Event-Name"] == "CHANNEL_DATA"
    assert dumped["variable_DP_MATCH"] == ["1002", "1002"]
    assert "\nChannel-Name: sofia/internal/1001%40127.0.0.1\n" in lab.api("uuid_dump A")
    assert "\nChannel-Name: sofia/internal/1001@127.0.0.1\n" in lab.api("uuid_dump A plain")


# ---------------------------------------------------------------------- lists


def test_channels(lab: Lab) -> None:
    shown = json.loads(lab.api("show channels as json"))
    assert shown["row_count"] == 2
    alice, bob = shown["rows"]
    assert len(alice) == 38
    assert (alice["uuid"], alice["state"], alice["callstate"]) == ("A", "CS_EXECUTE", "ACTIVE")
    assert (alice["application"], alice["cid_num"], alice["dest"]) == ("bridge", "1001", "1002")
    assert (bob["uuid"], bob["state"], bob["call_uuid"]) == ("B", "CS_EXCHANGE_MEDIA", "A")
    table = lab.api("show channels").splitlines()
    assert table[0].startswith("uuid,direction,created,created_epoch,name,state,cid_name,cid_num,")
    assert table[1].startswith("A,inbound,2026-11-23 01:38:27,1795397907,sofia/internal/1001@")
    assert table[-2:] == ["", "2 total."]
    assert lab.api("show channels like sofia/internal/1001 as csv").endswith("\n1 total.\n")
    assert lab.api("show channels like %nobody%").endswith("\n0 total.\n")


def test_calls(lab: Lab) -> None:
    shown = json.loads(lab.api("show calls as json"))
    [call] = shown["rows"]
    assert len(call) == 41
    assert (call["uuid"], call["b_uuid"], call["call_created_epoch"]) == ("A", "B", "1795397907")
    assert lab.api("show bridged_calls count").endswith("\n1 total.\n")
    lab.api("uuid_transfer A -both park inline")
    lab.run()
    calls = json.loads(lab.api("show calls as json"))["rows"]
    assert [(call["uuid"], call["b_uuid"]) for call in calls] == [("A", ""), ("B", "")]
    assert lab.api("show bridged_calls") == "\n0 total.\n"


# ----------------------------------------------------------------- legs move


def test_a_transfer_into_the_park(lab: Lab) -> None:
    assert lab.api("uuid_transfer A -both park inline") == "+OK\n"
    lab.run()
    assert lab.events() == {"A": ["UNBRIDGE", "PARK"], "B": ["PARK"]}
    assert lab.api("uuid_transfer A park inline") == "+OK\n"
    lab.run()
    assert lab.events() == {"A": ["UNPARK", "PARK"]}


def test_a_transfer_of_one_leg_leaves_the_other_to_itself(lab: Lab) -> None:
    lab.api("uuid_transfer A park inline")
    lab.run()
    assert lab.events() == {
        "A": ["UNBRIDGE", "PARK"],
        "B": ["HANGUP", "HANGUP_COMPLETE", "DESTROY"],
    }


def test_a_transfer_of_the_other_leg(lab: Lab) -> None:
    lab.api("uuid_transfer A -bleg park inline")
    lab.run()
    assert lab.events()["B"] == ["PARK"]
    assert lab.api("uuid_exists A") == "false"
    lab.api("uuid_transfer B -bleg park inline")
    lab.run()
    assert lab.events()["B"] == ["UNPARK", "PARK"]


def test_uuid_park(lab: Lab) -> None:
    assert lab.api("uuid_park A") == "+OK\n"
    lab.run()
    assert lab.events()["A"] == ["UNBRIDGE", "PARK"]


def test_a_transfer_into_the_dialplan_calls_somebody(lab: Lab) -> None:
    lab.api("uuid_transfer B 1003")
    lab.run()
    events = lab.events()
    assert events.pop("A") == ["UNBRIDGE", "HANGUP", "HANGUP_COMPLETE", "DESTROY"]
    assert events.pop("B") == ["BRIDGE"]
    assert list(events.values()) == [["CREATE", "ANSWER"]]
    assert lab.hears("1002") == Audible(Sense.VOICE, "1003")
    lab.api("uuid_kill B")
    lab.run()
    assert lab.events().pop("B") == ["HANGUP", "UNBRIDGE", "HANGUP_COMPLETE", "DESTROY"]
    assert lab.api("show channels count") == "\n0 total.\n"


@pytest.mark.parametrize(
    ("destination", "cause"),
    [
        ("9486", "USER_BUSY"),
        ("7777", "NO_ROUTE_DESTINATION"),
        ("2602", "USER_BUSY"),
        ("'set:a=b,hangup:CALL_REJECTED' inline", "CALL_REJECTED"),
        ("nosuch: inline", "DESTINATION_OUT_OF_ORDER"),
        ("answer inline", "NORMAL_CLEARING"),
        ("sleep:200 inline", "NORMAL_CLEARING"),
        ("bridge:nosuch/1 inline", "CHAN_NOT_IMPLEMENTED"),
    ],
)
def test_where_a_transfer_may_end(lab: Lab, destination: str, cause: str) -> None:
    lab.api(f"uuid_transfer A {destination}")
    leg = lab.emulator.publisher.legs[lab.alice]
    lab.run(1.0)
    assert leg.cause == cause
    assert leg.state == "CS_DESTROY"


def test_a_script(lab: Lab) -> None:
    lab.api("uuid_transfer A 'set:a=1,export:b=2,unset:a,sleep:100,park' inline")
    lab.run()
    assert lab.events()["A"] == ["UNBRIDGE", "PARK"]
    assert (lab.api("uuid_getvar A a"), lab.api("uuid_getvar A b")) == ("_undef_", "2")
    lab.api("uuid_transfer A echo inline")
    lab.run(60.0)
    assert lab.events() == {"A": ["UNPARK"]}


def test_a_script_that_is_cut_short(lab: Lab) -> None:
    lab.api("uuid_transfer A sleep:5000 inline")
    lab.run()
    lab.api("uuid_kill A")
    lab.run(10.0)
    assert lab.api("uuid_exists A") == "false"


def test_park_is_the_extension_of_the_lab(lab: Lab) -> None:
    lab.api("uuid_transfer A park")
    lab.run()
    assert lab.events()["A"] == ["UNBRIDGE", "PARK"]


def test_joins(lab: Lab) -> None:
    lab.api("uuid_transfer A -both park inline")
    lab.run()
    lab.events()
    assert lab.api("uuid_bridge A nobody B") == "+OK B\n"
    lab.run()
    assert lab.events() == {"A": ["UNPARK", "BRIDGE"], "B": ["UNPARK"]}


def test_hold(lab: Lab) -> None:
    for line, told in (
        ("uuid_hold A", ["HOLD"]),
        ("uuid_hold A", []),
        ("uuid_hold toggle A", ["UNHOLD"]),
        ("uuid_hold toggle A", ["HOLD"]),
        ("uuid_hold off A", ["UNHOLD"]),
    ):
        assert lab.api(line) == "+OK Success\n"
        assert lab.events().get("A", []) == told


# -------------------------------------------------------- sounds and digits


@pytest.mark.parametrize(
    ("to", "hearers"),
    [("aleg", {"A"}), ("bleg", {"B"}), ("both", {"A", "B"}), ("", {"A"})],
)
def test_who_hears_a_broadcast(lab: Lab, to: str, hearers: set[str]) -> None:
    assert lab.api(f"uuid_broadcast A {MUSIC} {to}") == "+OK Message sent\n"
    lab.run()
    assert lab.events().keys() == hearers
    assert lab.api("uuid_break A all both") == "+OK\n"
    lab.run()
    assert lab.events().keys() == hearers


def test_a_leg_without_a_partner_has_no_other_hearer(lab: Lab) -> None:
    lab.api("uuid_transfer A -both park inline")
    lab.run()
    lab.events()
    lab.api(f"uuid_broadcast A {MUSIC} bleg")
    lab.api("uuid_break A all both")
    lab.run()
    assert lab.events() == {}


def test_digits_that_a_leg_receives_and_that_are_sent_to_it(lab: Lab) -> None:
    lab.api("uuid_recv_dtmf A 12#")
    lab.run()
    assert lab.events() == {"A": ["DTMF", "DTMF", "DTMF"]}
    lab.api("uuid_send_dtmf A 34")
    assert lab.emulator.world.parties["1001"].digits_heard() == "34"


# --------------------------------------------------- legs begin and end


def test_hupall(lab: Lab) -> None:
    lab.api("uuid_setvar A colour red")
    line = "hupall 17 colour red"
    assert (
        lab.api(line) == "+OK hangup all channels matching [colour]=[red] with cause: USER_BUSY\n"
    )
    lab.run()
    assert lab.api("hupall") == "+OK hangup all channels with cause MANAGER_REQUEST\n"
    assert lab.api("hupall bogus a b c d") == (
        "+OK hangup all channels matching [a]=[b]... with cause: MANAGER_REQUEST\n"
    )


def test_originate_and_its_ends(lab: Lab) -> None:
    job = lab.later("originate {origination_uuid=c}sofia/internal/2600@h &park() XML default N 9 5")
    lab.run(1.0)
    assert job.text is None
    lab.run(1.0)
    assert job.text == "+OK c\n"
    assert lab.events() == {"c": ["CREATE", "PROGRESS", "ANSWER", "PARK"]}
    assert lab.api("uuid_getvar c originate_timeout") == "_undef_"
    leg = lab.emulator.publisher.legs["c"]
    assert (leg.original_name, leg.original_number) == ("N", "9")
    lab.emulator.hang_up("2600")
    lab.run()
    assert lab.events() == {"c": ["HANGUP", "UNPARK", "HANGUP_COMPLETE", "DESTROY"]}


@pytest.mark.parametrize(
    ("dial_string", "answer"),
    [
        ("user/2602@domain", "-ERR USER_BUSY\n"),
        ("user/2603", "-ERR CALL_REJECTED\n"),
        ("loopback/7777/default", "-ERR NO_ROUTE_DESTINATION\n"),
        ("{originate_timeout=2}sofia/gateway/gw/2601", "-ERR NO_ANSWER\n"),
        ("[a=b]sofia/external/1003@host", "+OK c\n"),
    ],
)
def test_what_comes_of_a_call(lab: Lab, dial_string: str, answer: str) -> None:
    heard: list[str] = []
    job = lab.later(f"originate <origination_uuid=c>{dial_string} &park() undef")
    job.then(heard.append)
    lab.run(4.0)
    assert heard == [answer]
    job.then(heard.append)
    job.settle("-ERR too late\n")
    assert heard == [answer, answer]


def test_a_number_that_is_nowhere_stays_nowhere(lab: Lab) -> None:
    lab.later("originate user/7777 &park()")
    assert not lab.emulator.phones.has("7777")
    assert lab.emulator.phones.has("1007")


def test_what_is_scheduled_is_done_later_unless_it_is_deleted(lab: Lab) -> None:
    show = "uuid_display A Carol C.|2600"
    assert lab.api(f"sched_api +1 show {show}") == "+OK Added: 1\n"
    assert lab.api(f"sched_api @2 again {show}1") == "+OK Added: 2\n"
    assert lab.api(f"sched_api +1 never {show}2&") == "+OK Added: 3\n"
    assert lab.api("sched_del never") == "+OK Deleted: 1\n"
    assert lab.api("uuid_getvar A last_sent_callee_id_number") == "1001"
    lab.run(1.5)
    assert lab.api("uuid_getvar A last_sent_callee_id_number") == "2600"
    for _ in range(2):
        lab.run(2.0)
        assert lab.api("uuid_getvar A last_sent_callee_id_number") == "26001"
        assert lab.api("uuid_display A x|1") == "+OK Success\n"
    assert lab.api("sched_del 2") == "+OK Deleted: 1\n"
    lab.run(5.0)
    assert lab.api("uuid_getvar A last_sent_callee_id_number") == "1"
    assert lab.api(f"sched_api 1 long-past {show}") == "+OK Added: 4\n"
    lab.run(0.1)
    assert lab.api("uuid_getvar A last_sent_callee_id_number") == "2600"


def test_early_media_is_as_good_as_an_answer_unless_it_is_ignored(lab: Lab) -> None:
    heard = lab.later("originate {origination_uuid=c}user/2604 &park()")
    ignored = lab.later("originate {origination_uuid=d,ignore_early_media=true}user/2604 &park()")
    ringing = lab.later("originate {origination_uuid=e,return_ring_ready=true}user/2601 7")
    lab.run()
    assert (heard.text, ignored.text, ringing.text) == ("+OK c\n", None, "+OK e\n")
    told = lab.events()
    assert told["c"] == ["CREATE", "PROGRESS_MEDIA", "PARK"]
    assert told["d"] == ["CREATE", "PROGRESS_MEDIA"]
    lab.run(5.0)
    assert lab.events()["c"] == ["ANSWER"]
    assert ignored.text == "+OK d\n"


def test_a_leg_that_is_ended_just_after_its_answer(lab: Lab) -> None:
    job = lab.later("originate {origination_uuid=c}user/1003 &park()")
    lab.run(0.0)
    assert lab.api("uuid_kill c") == "+OK\n"
    lab.run()
    assert job.text == "+OK c\n"


def test_a_leg_that_is_intercepted_when_it_answers(lab: Lab) -> None:
    lab.api("uuid_transfer A -both park inline")
    lab.run()
    lab.events()
    job = lab.later(
        "originate {origination_uuid=c,execute_on_answer='intercept B'}user/1003 &park()"
    )
    lab.run()
    assert job.text == "-ERR ORIGINATOR_CANCEL\n"
    assert lab.events() == {"c": ["CREATE", "ANSWER", "BRIDGE"], "B": ["UNPARK"]}


@pytest.mark.parametrize("dial_string", ["user/1003", "loopback/1003/default"])
def test_an_intercept_in_place_of_the_park_is_no_variable_measured(
    lab: Lab, dial_string: str
) -> None:
    lab.api("uuid_transfer A -both park inline")
    lab.run()
    lab.events()
    before = {*lab.emulator.publisher.legs}
    job = lab.later(f"originate {{origination_uuid=c,colour=red}}{dial_string} &intercept(B)")
    lab.run()
    assert job.text == "+OK c\n"
    told = lab.events()
    assert told["c"] == ["CREATE", "ANSWER", "BRIDGE"]
    assert told["B"] == ["UNPARK"]
    for leg in {*lab.emulator.publisher.legs} - before:
        assert lab.api(f"uuid_getvar {leg} execute_on_answer") == "_undef_"
    assert lab.api("uuid_getvar c hangup_after_bridge") == "_undef_"
    half = lab.api("uuid_getvar c other_loopback_leg_uuid")
    assert half == "_undef_" or lab.api(f"uuid_getvar {half} colour") == "red"
    lab.api("uuid_kill B")
    lab.run()
    assert {*lab.emulator.publisher.legs} == {lab.alice}


def test_an_intercept_that_finds_nobody_ends_the_leg(lab: Lab) -> None:
    job = lab.later("originate {origination_uuid=c}user/1003 &intercept(nobody)")
    lab.run()
    assert job.text == "+OK c\n"
    assert lab.events()["c"] == ["CREATE", "ANSWER", "HANGUP", "HANGUP_COMPLETE", "DESTROY"]


@pytest.mark.parametrize(
    ("app", "cause"),
    [
        ("&hangup(USER_BUSY)", "USER_BUSY"),
        ("&nosuch()", "DESTINATION_OUT_OF_ORDER"),
        ("&playback(tone_stream://%(300,0,300))", "NORMAL_CLEARING"),
        ("&playback(silence_stream://300)", "NORMAL_CLEARING"),
        ("&bridge(user/2602)", "USER_BUSY"),
        ("9486", "USER_BUSY"),
    ],
)
def test_what_a_leg_does_when_it_has_answered(lab: Lab, app: str, cause: str) -> None:
    lab.later(f"originate {{origination_uuid=c}}user/1003 {app}")
    leg = lab.emulator.publisher.legs["c"]
    lab.run(2.0)
    assert leg.cause == cause


def test_a_leg_calls_another_and_leaves_meanwhile(lab: Lab) -> None:
    lab.later("originate {origination_uuid=c}user/1003 &bridge({origination_uuid=d}user/2601)")
    lab.run()
    lab.api("uuid_kill c")
    leg = lab.emulator.publisher.legs["d"]
    lab.run()
    assert leg.cause == "ORIGINATOR_CANCEL"


def test_a_leg_calls_another_and_they_talk(lab: Lab) -> None:
    lab.later("originate {origination_uuid=c}user/1003 &bridge({origination_uuid=d}user/1004)")
    lab.run()
    assert lab.events() == {"c": ["CREATE", "ANSWER", "BRIDGE"], "d": ["CREATE", "ANSWER"]}
    leg = lab.emulator.publisher.legs["d"]
    assert leg.variables["originating_leg_uuid"] == "c"


def test_a_leg_that_is_bridged_from_its_park(lab: Lab) -> None:
    lab.api("uuid_transfer A -both park inline")
    lab.run()
    leg = lab.emulator.publisher.legs[lab.alice]
    assert lab.emulator.apps.execute(leg, "bridge", "user/1003", "run-1")
    lab.run()
    assert lab.hears("1001") == Audible(Sense.VOICE, "1003")
    assert lab.emulator.apps.execute(leg, "park", "", "")
    lab.run()
    assert lab.events()["A"][-2:] == ["UNBRIDGE", "PARK"]
    assert lab.emulator.apps.execute(leg, "sleep", "x", "")
    lab.run()
    assert not lab.emulator.apps.execute(leg, "nosuch", "", "")


def test_the_account_of_a_call() -> None:
    emulator = Emulator()
    legs = emulator.call("1001", "1002", account="acme")
    for leg in legs:
        assert emulator.api.execute("uuid_getvar", f"{leg} hookflash_account") == "acme"
    emulator.api.execute(
        "originate", "{origination_uuid=c,hookflash_account=zeta}user/1003 &park()"
    )
    assert emulator.api.execute("uuid_getvar", "c hookflash_account") == "zeta"


# ----------------------------------------------------------------- the people


def test_people_are_named_by_number_or_leg() -> None:
    emulator = Emulator()
    emulator.world.add_phone("2650", Manual(), "carol")
    _, leg = emulator.call("1001", "2650")
    emulator.world.run(1.0)
    emulator.answer("2650")
    emulator.world.run(2.0)
    assert emulator.leg_of("2650") == leg
    assert emulator.leg_of(leg) == leg
    emulator.press("1001", "12")
    emulator.world.run(5.0)
    assert emulator.world.parties["2650"].digits_heard() == "12"
    emulator.hang_up(leg)
    emulator.world.run(6.0)
    _, leg = emulator.call("2650", "2651")
    assert emulator.publisher.legs[leg].original_name == "carol"
    emulator.refuse("2651")
    emulator.world.run(7.0)
    assert leg not in emulator.publisher.legs


def test_a_call_that_does_not_come_through_the_emulator_is_told_too() -> None:
    emulator = Emulator()
    emulator.world.call("1001", "1002")
    emulator.world.run(1.0)
    assert [leg.destination for leg in emulator.publisher.legs.values()] == ["", "1002"]


def test_a_world_with_calls_is_refused() -> None:
    world = World()
    world.call("1", "2")
    with pytest.raises(InputError, match="already has calls"):
        Emulator(world=world)


@pytest.mark.parametrize("number", ["2600", "1234", "2699"])
def test_the_labs_phones(number: str) -> None:
    assert lab_phone(number) is not None
    assert lab_phone(number + "0") is None
    assert lab_phone("1000") == Answers(after_s=0.0)


# ----------------------------------------------------------------- parsing


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("a  b c", 3, ["a", "b", "c"]),
        ("a b c d", 3, ["a", "b", "c d"]),
        ("'a b' c", 3, ["a b", "c"]),
        (r"a\'b c", 3, ["a'b", "c"]),
        (r"a\b", 3, [r"a\b"]),
        ("", 3, []),
        ("a ", 3, ["a"]),
    ],
)
def test_split_words(text: str, most: int, expected: list[str]) -> None:
    assert split_words(text, most) == expected


def test_lists() -> None:
    assert split_list("a,'b,c',d", ",") == ["a", "b,c", "d"]
    assert split_list("^^:a,b:c", ",") == ["a,b", "c"]
    assert split_list("^^", ",") == ["^^"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "NORMAL_CLEARING"),
        ("user_busy", "USER_BUSY"),
        ("17", "USER_BUSY"),
        ("49", "NORMAL_CLEARING"),  # FreeSWITCH has no word for it
        ("9999", "NORMAL_CLEARING"),
        ("BOGUS", "NORMAL_CLEARING"),
    ],
)
def test_causes(text: str, cause: str) -> None:
    assert read_cause(text) == cause


def test_dial_strings() -> None:
    assert read_dial_string("{a=1,b='x,y',c}[d=e]<f=g>sofia/internal/7@h:5090") == Dialled(
        number="7",
        endpoint="sofia",
        channel_name="sofia/internal/7@h:5090",
        variables={"a": "1", "b": "x,y", "c": "", "d": "e", "f": "g"},
        where="h:5090",
    )
    assert read_dial_string("loopback/7/acme").where == "acme"
    assert read_dial_string("loopback/7").where == read_dial_string("user/7").where == ""
    assert read_dial_string("loopback/7/default").channel_name == "loopback/7-a"
    assert read_dial_string("{,}user/7@domain").channel_name == "sofia/internal/7@domain"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("user/1|user/2", "FACILITY_NOT_IMPLEMENTED"),
        ("user/1,user/2", "FACILITY_NOT_IMPLEMENTED"),
        ("user/1:_:user/2", "FACILITY_NOT_IMPLEMENTED"),
        ("user/", "INVALID_NUMBER_FORMAT"),
        ("user/a/b", "CHAN_NOT_IMPLEMENTED"),
        ("sofia/internal", "INVALID_PROFILE"),
        ("{a='}'", "DESTINATION_OUT_OF_ORDER"),
    ],
)
def test_dial_strings_that_lead_nowhere(text: str, cause: str) -> None:
    with pytest.raises(DialError, match=cause):
        read_dial_string(text)


@pytest.mark.parametrize(
    ("sound", "lasts_s"),
    [
        (MUSIC, None),
        ("tone_stream://%(300,100,440)", 0.4),
        ("tone_stream://%(300,100,440", 0.4),
        ("local_stream://moh", None),
        ("silence_stream://1500,400", 1.5),
        ("silence_stream://-1", None),
        ("silence_stream://soon", 0.0),
        ("hello.wav", 2.0),
    ],
)
def test_how_long_a_sound_plays(sound: str, lasts_s: float | None) -> None:
    assert sound_length_s(sound_played(sound)) == lasts_s
