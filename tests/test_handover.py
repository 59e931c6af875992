"""Callers without a transferor: who may ask, what is refused, and what reaches the switches."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from hookflash import commands as c
from hookflash.backends.asterisk import primitives as ami
from hookflash.backends.asterisk.procedures import AsteriskProcedures, KnownParty
from hookflash.backends.freeswitch import primitives as p
from hookflash.backends.freeswitch import returning
from hookflash.backends.freeswitch.procedures import Procedures
from hookflash.backends.freeswitch.text import line_of
from hookflash.backends.simulator.character import Character
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.rules import Rules
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import InputError, Refusal
from hookflash.events import (
    Direction,
    Event,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegMovedAway,
    LegParked,
    LegsJoined,
    LegSnapshot,
    LegsSeen,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.returns import check_returns, place_for
from hookflash.scenarios.check import failures
from hookflash.scenarios.format import parse_scenario
from hookflash.scenarios.run import run_scenario
from hookflash.server.read_config import read_config

RETURNS = {"bot": "7000@default"}


class Desk:
    """A switchboard with a caller in a menu."""

    def __init__(self, account: Account | None = None, **leg: object) -> None:
        self.board = Switchboard(account=account or Account(returns=RETURNS))
        created = LegCreated(leg="b", number="1002", **leg)  # pyright: ignore[reportArgumentType]
        self.tell(created, LegAnswered(leg="b"))

    def tell(self, *events: Event) -> list[Record]:
        records: list[Record] = []
        for event in events:
            records += self.board.handle(event, 0.0)
        return records

    def ask(
        self, target: str = "2600", *, peer: str | None = None, by: str = "bot", **options: object
    ) -> Record:
        """A program asks for a transfer; the switch is looked at first."""
        request = TransferRequested(
            leg="b",
            transfer="t",
            target=target,
            by=by,
            options=TransferOptions(**options),  # pyright: ignore[reportArgumentType]
        )
        (record,) = self.tell(request)
        look = next((one for one in record.commands if isinstance(one, c.Look)), None)
        if look is None:
            return record
        seen = (stands("b", peer), *((stands(peer, "b"),) if peer else ()))
        return self.tell(LegsSeen(look=look, living=seen))[-1]


def stands(leg: str, peer: str | None) -> LegSnapshot:
    return LegSnapshot(
        leg=leg,
        number=f"10{leg}",
        direction=Direction.INBOUND,
        answered=True,
        peer=peer,
        elsewhere=peer is None,
    )


def order(record: Record, kind: type) -> object:
    (found,) = (command for command in record.commands if isinstance(command, kind))
    return found


# ------------------------------------------------------------------------ who may ask


def test_a_program_gives_a_caller_away_who_goes_back_where_it_was() -> None:
    desk = Desk()
    asked = desk.ask()
    assert (asked.after, asked.parties and asked.parties.transferor.leg) == (State.HOLDING, "")
    fetch = order(asked, c.Fetch)
    assert isinstance(fetch, c.Fetch)
    assert (fetch.leg, fetch.kind, fetch.return_to) == ("b", "handover", "origin")
    assert fetch.return_after_s is not None
    assert fetch.return_after_s > Policy().ring_timeout_s + Policy().dial_grace_s
    dial = order(desk.tell(LegParked(leg="b"))[-1], c.Dial)
    assert isinstance(dial, c.Dial)
    assert (dial.on_behalf_of, dial.caller) == ("b", "1002")
    created = desk.tell(LegCreated(leg="t-target", number="2600"))[-1]
    assert order(created, c.Arm) == c.Arm(leg="t-target", rescue="b")
    busy = desk.tell(LegHungUp(leg="t-target", cause="USER_BUSY"))[-1]
    assert order(busy, c.SendBack) == c.SendBack(leg="b", to="origin")
    end = desk.tell(LegMovedAway(leg="b"))[-1]
    assert (end.outcome, end.cause) == (Outcome.RETURNED, "USER_BUSY")
    assert not any(isinstance(command, c.Forget) for command in end.commands)
    assert not desk.board.running
    assert desk.board.running.legs == 0


def test_two_at_once_do_not_share_their_missing_transferor() -> None:
    desk = Desk()
    desk.ask()
    desk.tell(LegCreated(leg="d", number="1004"), LegAnswered(leg="d"))
    (look,) = desk.tell(TransferRequested(leg="d", transfer="u", target="2600", by="bot"))
    query = order(look, c.Look)
    assert isinstance(query, c.Look)
    desk.tell(LegsSeen(look=query, living=(stands("d", None),)))
    assert set(desk.board.running) == {"t", "u"}
    assert desk.board.running.of("") is None


def test_keys_never_do() -> None:
    refused = Desk().ask(by="digits")
    assert refused.refusal is Refusal.NOT_NOW
    assert "nobody to transfer" in refused.why


def test_a_hold_and_a_caller_without_a_number_are_refused() -> None:
    desk = Desk()
    assert "no transferor to ask" in desk.ask("").why
    hold = TransferRequested(leg="b", transfer="h", kind=Kind.HOLD, by="bot")
    (look,) = desk.tell(hold)
    query = order(look, c.Look)
    assert isinstance(query, c.Look)
    told = desk.tell(LegsSeen(look=query, living=(stands("b", None),)))[-1]
    assert "nobody to hold" in told.why


def test_a_call_that_is_not_answered_is_refused() -> None:
    desk = Desk()
    desk.tell(LegCreated(leg="d", number="1004"))
    (told,) = desk.tell(TransferRequested(leg="d", transfer="u", target="2600", by="bot"))
    assert told.why == "the call is not answered yet"


def test_the_switch_is_asked_every_time_and_a_bridged_leg_is_a_transferor() -> None:
    desk = Desk()
    refused = desk.ask("1002")  # the caller's own number; the switch was asked
    assert refused.refusal is Refusal.TARGET_REFUSED
    desk.tell(LegCreated(leg="x", number="1009"), LegAnswered(leg="x"))
    asked = desk.ask(peer="x")  # they were joined since, and the event was lost
    assert asked.refusal is None
    transfer = desk.board.transfer("t")
    assert transfer is not None
    assert (transfer.kind, transfer.transferee.leg) == (Kind.ATTENDED, "x")


def test_a_bridged_leg_is_not_handed_over_by_name() -> None:
    desk = Desk()
    desk.tell(LegCreated(leg="x", number="1009"), LegsJoined(first="b", second="x"))
    request = TransferRequested(leg="b", transfer="t", target="2600", kind=Kind.HANDOVER, by="bot")
    assert "has a partner" in desk.tell(request)[-1].why


def test_the_rules_of_the_account_apply() -> None:
    rules = Rules(targets_denied=("0900*",), transfers_at_once=1)
    desk = Desk(Account(rules=rules))
    assert desk.ask("0900123").refusal is Refusal.TARGET_REFUSED
    assert desk.ask("2600", caller_number="110").refusal is Refusal.CONTEXT_REFUSED
    assert desk.ask().refusal is None
    desk.tell(LegCreated(leg="d", number="1004"), LegAnswered(leg="d"))
    (look,) = desk.tell(TransferRequested(leg="d", transfer="u", target="2600", by="bot"))
    query = order(look, c.Look)
    assert isinstance(query, c.Look)
    told = desk.tell(LegsSeen(look=query, living=(stands("d", None),)))[-1]
    assert told.refusal is Refusal.TOO_MANY


def test_a_caller_who_withholds_the_number_stays_withheld() -> None:
    desk = Desk(withheld=True)
    desk.ask()
    dial = order(desk.tell(LegParked(leg="b"))[-1], c.Dial)
    assert isinstance(dial, c.Dial)
    assert dial.withheld


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    told = Desk().ask(return_to="7000@default")
    assert told.refusal is Refusal.MALFORMED
    assert "origin, park, none, bot" in told.why


@pytest.mark.parametrize(
    ("chosen", "to"), [("bot", "7000@default"), ("park", "park"), ("none", "")]
)
def test_a_request_chooses_where_the_caller_goes(chosen: str, to: str) -> None:
    fetch = order(Desk().ask(return_to=chosen), c.Fetch)
    assert isinstance(fetch, c.Fetch)
    assert fetch.return_to == to
    assert (fetch.return_after_s is None) is (chosen == "none")


def test_an_account_chooses_for_its_requests() -> None:
    policy = attrs.evolve(Policy(), return_to="bot")
    fetch = order(Desk(Account(policy=policy, returns=RETURNS)).ask(), c.Fetch)
    assert isinstance(fetch, c.Fetch)
    assert fetch.return_to == "7000@default"


# ----------------------------------------------------------------------- what is configured


def test_places_are_checked() -> None:
    check_returns(RETURNS, "returns")
    for name, place in (
        ("origin", "7000@default"),
        ("a b", "7000@default"),
        ("bot", "7000"),
        ("bot", "7000@default,1"),
        ("bot", "app:hangup@x y"),
        ("bot", "${x}@default"),
    ):
        with pytest.raises(InputError):
            check_returns({name: place}, "returns")
    with pytest.raises(InputError, match="one of origin, park, none, bot"):
        place_for("elsewhere", RETURNS)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[accounts.acme.returns]\nbot = "7000"', "$.accounts.acme.returns.bot"),
        ('[accounts.acme.returns]\npark = "7000@default"', "$.accounts.acme.returns"),
        ('[accounts.acme.policy]\nreturn_to = "bot"', "$.accounts.acme.policy.return_to"),
        ('[defaults.policy]\nreturn_to = "bot"', "$.defaults.policy.return_to"),
        ("[defaults.policy]\nreturn_attempts = 0", "$.defaults.policy.return_attempts"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(
    tmp_path: Path, text: str, where: str
) -> None:
    file = tmp_path / "hookflash.toml"
    file.write_text(f'[switches.one]\nkind = "simulator"\n{text}\n')
    with pytest.raises(InputError) as told:
        read_config(file)
    assert str(told.value).startswith(f"{file}: {where}:")


def test_names_of_the_defaults_belong_to_every_account(tmp_path: Path) -> None:
    file = tmp_path / "hookflash.toml"
    file.write_text(
        '[switches.one]\nkind = "simulator"\n[defaults.returns]\nbot = "7000@default"\n'
        '[accounts.acme.policy]\nreturn_to = "bot"\n'
        '[accounts.acme.returns]\nqueue = "7001@default"\n'
    )
    account = read_config(file).account("acme")
    assert account.returns == {"bot": "7000@default", "queue": "7001@default"}
    assert account.returns_to() == "7000@default"


# ----------------------------------------------------------------------------- FreeSWITCH


def answers(**said: str) -> list[str]:
    return [said.get(name, p.UNDEFINED) for name in returning.ASKED]


MENU = {
    "destination_number": "5000",
    "dialplan": "XML",
    "context": "default",
    "direction": "inbound",
    "current_application": "playback",
    "max_forwards": "69",
}


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        (MENU, "5000/XML/default/69"),
        ({**MENU, p.ORIGIN: "7000/XML/public/"}, "7000/XML/public/"),
        ({**MENU, "direction": "outbound", "current_application": "echo"}, "unknown"),
        ({**MENU, "direction": "outbound", "current_application": "park"}, "park"),
        (
            {**MENU, "direction": "outbound", "transfer_source": "1:x:bl_xfer:5000/default/XML"},
            "5000/XML/default/69",
        ),
        ({**MENU, "dialplan": "inline"}, "unknown"),
        ({**MENU, "dialplan": "inline", "current_application": "park"}, "park"),
        ({**MENU, "destination_number": "5000 XML,hangup"}, "unknown"),
        ({**MENU, "context": "${x}"}, "unknown"),
    ],
)
def test_where_a_leg_is(said: dict[str, str], origin: str) -> None:
    assert returning.Asked.of("b", answers(**said)).origin == origin


def lines(command: c.Fetch | c.SendBack, **said: str) -> list[str]:
    procedure = Procedures().of(command)
    assert procedure.returns is not None
    keeps = [p.SetVariables("b", ((p.KEPT, "playback_terminators:#"),))]
    steps = returning.with_return(procedure.steps, procedure.returns, answers(**said), keeps)
    return [line_of(step) for step in p.with_kept(steps, keeps)]


def test_a_leg_is_parked_with_its_origin_and_its_way_back() -> None:
    fetch = c.Fetch(leg="b", transfer="t", kind="handover", return_to="origin", return_after_s=80.5)
    forget, marks, later, park = lines(fetch, **MENU)
    assert forget == "sched_del hookflash-return-b"
    assert park == "uuid_transfer b park inline"
    assert "hookflash_origin=5000/XML/default/69" in marks
    assert "hookflash_role=transferee" in marks
    assert later.startswith("sched_api +81 hookflash-return-b uuid_transfer b 'm:^:")
    assert "^set:playback_terminators=#^" in later
    assert later.endswith("^set:max_forwards=70^transfer:5000 XML default' inline")
    assert all(f"unset:{name}" in later for name in p.OURS)


def test_nothing_is_scheduled_for_a_caller_who_goes_nowhere() -> None:
    assert not any("sched_api" in line for line in lines(c.Fetch(leg="b", transfer="t"), **MENU))


def test_a_leg_goes_back_with_one_order() -> None:
    noted = {**MENU, p.ORIGIN: "5000/XML/default/70", p.KEPT: "hangup_after_bridge:true"}
    forget, sent = lines(c.SendBack(leg="b", to="origin"), **noted)
    assert forget == "sched_del hookflash-return-b"
    assert sent.startswith("uuid_transfer b 'm:^:unset:exec_after_bridge_app^")
    assert "^set:hangup_after_bridge=true^" in sent
    assert sent.endswith("transfer:5000 XML default' inline")
    assert lines(c.SendBack(leg="b", to="park"), **noted)[-1].endswith("^park' inline")
    named = lines(c.SendBack(leg="b", to="7000@public"), **noted)[-1]
    assert named.endswith("transfer:7000 XML public' inline")


@pytest.mark.parametrize(
    ("command", "said", "why"),
    [
        (c.Fetch(leg="b", return_to="origin"), {**MENU, "bridge_to": "x"}, "talks with somebody"),
        (c.Fetch(leg="b", return_to="origin"), {**MENU, "dialplan": "inline"}, "no extension"),
        (c.SendBack(leg="b", to="origin"), {**MENU, p.ORIGIN: "unknown"}, "no extension"),
        (c.SendBack(leg="b", to="app:x"), MENU, "is not an extension"),
    ],
)
def test_what_can_not_be_done_is_not_sent(
    command: c.Fetch | c.SendBack, said: dict[str, str], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        lines(command, **said)


def test_a_conversation_with_the_target_cancels_the_way_back() -> None:
    step, _ = Procedures().of(c.Arm(leg="t", rescue="b")).steps
    assert "api_before_bridge_hookflash=sched_del hookflash-return-b" in line_of(step)


# ------------------------------------------------------------------------------- Asterisk


def on_asterisk(command: c.Fetch | c.SendBack) -> ami.AsteriskProcedure:
    party = KnownParty(channel="PJSIP/1002-00000001", direction=Direction.INBOUND)
    procedure = AsteriskProcedures(party_of=lambda _leg: party).of(command)
    assert procedure is not None
    return procedure


def test_asterisk_notes_where_the_leg_goes_back_and_limits_its_wait() -> None:
    fetch = c.Fetch(leg="b", transfer="t", kind="handover", return_to="origin", return_after_s=80.0)
    note, marks, sent = on_asterisk(fetch).steps
    assert note == ami.NoteBack("b")
    assert isinstance(marks, ami.Setvar)
    assert dict(marks.variables)[ami.LIMIT_S] == "80"
    assert sent == ami.Redirect("b", "park")
    named = on_asterisk(attrs.evolve(fetch, return_to="7000@ivr")).steps[0]
    assert named == ami.NoteBack("b", "ivr,7000,1")
    assert on_asterisk(c.SendBack(leg="b", to="origin")).steps[-1] == ami.Redirect("b", "back")


def test_asterisk_has_no_park_for_one_leg() -> None:
    with pytest.raises(InputError, match="Asterisk has no park"):
        on_asterisk(c.Fetch(leg="b", return_to="park"))


@pytest.mark.parametrize(
    ("values", "place"),
    [
        (("", "ivr", "7000", "3"), "ivr,7000,3"),
        (("", "", "", ""), ""),
        (("", "ivr", "70 00", "3"), ""),
        (("", "i,vr", "7000", "3"), ""),
    ],
)
def test_asterisk_notes_only_a_place_of_the_dialplan(values: tuple[str, ...], place: str) -> None:
    assert ami.NoteBack("b").noted(values) == place


# ------------------------------------------------------------- the controller may die at any time

MENU_S = 3.0
"""When the program asks: the caller is in the menu since a second."""


@pytest.mark.slow
@pytest.mark.parametrize("character", list(Character), ids=str)
@pytest.mark.parametrize("phone", ["answers", "busy", "refuses", "leaves"])
def test_nobody_is_lost_whenever_the_controller_dies(character: Character, phone: str) -> None:
    """The caller is with the target, or in the menu, and carries nothing: else a promise breaks."""
    ended = set[str]()
    for step in range(60):
        died_s, gone_s = MENU_S + 0.005 + 0.05 * step, (0.3, 2.0, 110.0)[step % 3]
        text = f"""
            title = "dies {died_s:g} s after the beginning, for {gone_s:g} s"
            seed = {step}
            [parties]
            alice = {{number = "1001"}}
            bob = {{number = "1002"}}
            carol = {{number = "2600", phone = "{phone}", after_s = 1.5}}
            [[do]]
            who = "bob"
            at_s = 1
            does = "is sent to a menu"
            [[do]]
            who = "bob"
            at_s = {MENU_S}
            asks = "transfer"
            target = "2600"
            [[do]]
            who = "controller"
            at_s = {died_s}
            does = "dies"
            [[do]]
            who = "controller"
            after_s = {gone_s}
            does = "returns"
            [[do]]
            who = "bob"
            after_s = 30
            does = "hangs up"
            [expect]
            gone = ["alice", "bob", "carol"]
            within_s = 300
        """
        # the simulated Asterisk reports nothing of an extension that plays by itself
        unseen = character is Character.ASTERISK and gone_s > 60
        scenario = parse_scenario(text.encode(), where="here", name=f"{phone} {step}")
        run = run_scenario(scenario, character=character)
        broken = [one for one in failures(run) if not (unseen and "silence" in one)]
        assert not broken, (step, broken)
        ended |= {outcome.value for outcome in run.outcomes}
    assert ended >= ({"transferred"} if phone in ("answers", "leaves") else {"returned"})
