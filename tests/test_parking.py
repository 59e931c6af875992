"""Park and pick up: the slots, who may do what, and what reaches the switches."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from hookflash import commands as c
from hookflash import events as e
from hookflash.backends.asterisk import primitives as ami
from hookflash.backends.asterisk.ari_messages import AriChannel, AriDialplan
from hookflash.backends.asterisk.dialplan import dialplan
from hookflash.backends.asterisk.inbound import pick_up_of
from hookflash.backends.asterisk.procedures import AsteriskProcedures, KnownParty
from hookflash.backends.freeswitch.channels import Reading
from hookflash.backends.freeswitch.inbound import Inbound
from hookflash.backends.freeswitch.primitives import OURS_REMOVED, SetVariables
from hookflash.backends.freeswitch.procedures import Procedures
from hookflash.backends.freeswitch.wire import Frame
from hookflash.dialling.metaflows import metaflows_faults, parse_metaflows
from hookflash.engine.found import Unfinished
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.rules import Rules
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import InputError, Refusal
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import Outcome, State
from hookflash.parking import MOST_SLOTS, parse_slots
from hookflash.server.read_config import read_config

CODES = parse_metaflows(
    {
        "numbers": {"4": {"module": "park", "data": {"parking_limit": 45}}},
        "patterns": {r"4(7\d\d)": {"module": "park"}},
    }
)


class Desk:
    """A switchboard with a call of Alice and Bob, and Carol in a menu."""

    def __init__(
        self, account: Account | None = None, *, carol: e.LegCreated | None = None
    ) -> None:
        self.board = Switchboard(account=account or Account(metaflows=CODES))
        self.tell(
            e.LegCreated(leg="a", number="1001"),
            e.LegCreated(leg="b", number="1002", direction=e.Direction.OUTBOUND),
            e.LegsJoined(first="a", second="b"),
            carol or e.LegCreated(leg="c", number="1003"),
            e.LegAnswered(leg="c"),
        )

    def tell(self, *events: e.Event) -> list[Record]:
        records: list[Record] = []
        for event in events:
            records += self.board.handle(event, 0.0)
        return records

    def park(self, slot: str = "", transfer: str = "t1", **options: object) -> Record:
        chosen = e.TransferOptions(slot=slot, **options)  # pyright: ignore[reportArgumentType]
        request = e.TransferRequested(
            leg="a", transfer=transfer, kind=e.Kind.PARK, options=chosen, by="program"
        )
        return self.tell(request)[-1]

    def parked(self, slot: str = "") -> None:
        assert self.park(slot).refusal is None
        self.tell(
            e.LegParked(leg="a"),
            e.LegParked(leg="b"),
            e.LegHungUp(leg="a", cause="NORMAL_CLEARING"),
        )
        assert self.state is State.PARKED

    def pick_up(self, slot: str = "701", leg: str = "c") -> Record:
        return self.tell(e.PickUpRequested(leg=leg, slot=slot, by="program"))[-1]

    @property
    def state(self) -> State | None:
        transfer = self.board.transfer("t1")
        return transfer and transfer.state


def orders(records: list[Record]) -> list[c.Command]:
    return [command for record in records for command in record.commands]


# --------------------------------------------------------------------- slots


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("", ()),
        ("701", ("701",)),
        ("701-703", ("701", "702", "703")),
        ("09-11, 7", ("09", "10", "11", "7")),
        ("701,700-702", ("701", "700", "702")),
    ],
)
def test_slots_are_numbers_and_ranges(text: str, slots: tuple[str, ...]) -> None:
    assert parse_slots(text) == slots


@pytest.mark.parametrize(
    "text", ["7a", "701-", "705-701", "99-100", "701;702", "1" * 9, "0000-9999", "٧"]
)
def test_what_is_no_list_of_slots(text: str) -> None:
    with pytest.raises(InputError, match=f"at most {MOST_SLOTS}"):
        parse_slots(text)


def test_the_configuration_says_where_a_list_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "hookflash.toml"
    file.write_text('[accounts.acme.policy]\nparking_slots = "701-7"\n')
    with pytest.raises(InputError, match=r"parking_slots") as caught:
        read_config(file)
    assert "701-720" in str(caught.value)


# ----------------------------------------------------------------------- park


def test_the_first_free_slot_is_in_the_record() -> None:
    desk = Desk()
    record = desk.park()
    assert isinstance(record.event, e.TransferRequested)
    assert record.event.options.slot == "701"
    assert record.begins is not None
    assert record.begins.slot == "701"


@pytest.mark.parametrize(
    ("slot", "why"),
    [("900", "no slot of this account"), ("701", "a call is already parked in slot 701")],
)
def test_a_slot_that_can_not_be_had(slot: str, why: str) -> None:
    desk = Desk()
    desk.parked()
    desk.tell(
        e.LegCreated(leg="a2", number="1005"),
        e.LegCreated(leg="b2", number="1006"),
        e.LegsJoined(first="a2", second="b2"),
    )
    options = e.TransferOptions(slot=slot)
    request = e.TransferRequested(
        leg="a2", transfer="t2", kind=e.Kind.PARK, options=options, by="program"
    )
    record = desk.tell(request)[-1]
    assert record.refusal is not None
    assert why in record.why


def test_all_slots_are_in_use_and_none_exist() -> None:
    full = Desk(Account(policy=Policy(parking_slots="")))
    record = full.park()
    assert (record.refusal, record.why) == (
        Refusal.TOO_MANY,
        "all slots of this account are in use",
    )


def test_values_that_are_not_allowed() -> None:
    assert "is not a slot" in Desk().park("7x1").why
    assert "the parking limit must be" in Desk().park(parking_limit_s=0.0).why
    alone = e.TransferRequested(leg="c", transfer="t1", kind=e.Kind.PARK, by="program")
    desk = Desk()
    desk.tell(alone)
    seen = e.LegSnapshot(leg="c", number="1003", direction=e.Direction.INBOUND, answered=True)
    look = c.Look(legs=("c",), number=1)
    assert "nobody to park" in desk.tell(e.LegsSeen(look=look, living=(seen,)))[-1].why


@pytest.mark.parametrize(("keys", "slot"), [("*4#", "701"), ("*4715", "715")])
def test_the_keys_name_the_slot(keys: str, slot: str) -> None:
    desk = Desk()
    records = desk.tell(*(e.DigitPressed(leg="a", digit=key) for key in keys))
    request = records[-1].event
    assert isinstance(request, e.TransferRequested)
    assert (request.kind, request.options.slot, request.by) == (e.Kind.PARK, slot, "digits")
    assert records[-1].refusal is None


def test_the_options_of_a_code_are_read_and_written() -> None:
    document = CODES.to_document()
    assert document["numbers"] == {"4": {"module": "park", "data": {"parking_limit": 45}}}
    wrong = {"numbers": {"4": {"module": "park", "data": {"slot": "7x"}}}}
    assert [fault.where for fault in metaflows_faults(wrong)] == ['$.numbers."4".data.slot']


# -------------------------------------------------------------------- pick up


def test_the_leg_is_fetched_and_joined() -> None:
    desk = Desk()
    desk.parked()
    fetch = orders([desk.pick_up()])[0]
    assert fetch == c.Fetch(leg="c", transfer="t1", role="target", kind="park")
    join = next(one for one in orders(desk.tell(e.LegParked(leg="c"))) if isinstance(one, c.Join))
    assert (join.first, join.second, join.afterwards) == ("b", "c", c.Afterwards.PARK)
    desk.tell(e.LegsJoined(first="b", second="c"))
    end = desk.tell(e.LegsReleased(first="b", second="c"))[-1]
    assert end.outcome is Outcome.TRANSFERRED
    assert end.parties is not None
    assert end.parties.target.number == "1003"


@pytest.mark.parametrize(
    "carol",
    [
        e.LegCreated(leg="c", number="1003", outside=True),
        e.LegCreated(leg="c", number="1003", account="other"),
        e.LegCreated(leg="c", number="1003", account="not allowed!"),
    ],
)
def test_strangers_get_nothing(carol: e.LegCreated) -> None:
    desk = Desk(carol=carol)
    desk.parked()
    record = desk.pick_up()
    assert record.refusal in (Refusal.NOT_ENTITLED, Refusal.NO_SUCH_CALL)
    assert desk.state is State.PARKED


def test_a_customer_of_the_account_is_no_user() -> None:
    """A leg without an account of its own has talked with a user of an account."""
    desk = Desk()
    desk.tell(
        e.LegCreated(leg="u", number="1009", account="acme"),
        e.LegCreated(leg="x", number="030"),
        e.LegsJoined(first="u", second="x"),
        e.LegsSeparated(first="u", second="x"),
    )
    desk.parked()
    assert desk.pick_up(leg="x").refusal is Refusal.NOT_ENTITLED


def test_the_right_may_be_withheld() -> None:
    desk = Desk(Account(rules=Rules(may_pick_up=False)))
    desk.parked()
    assert desk.pick_up().refusal is Refusal.NOT_ENTITLED


def test_who_talks_or_has_not_answered_or_is_parked_picks_up_nothing() -> None:
    desk = Desk()
    desk.parked()
    desk.tell(e.LegCreated(leg="d", number="1004"))
    assert "not answered" in desk.pick_up(leg="d").why
    assert "in a transfer" in desk.pick_up(leg="b").why
    assert "no such call" in desk.pick_up(leg="nobody").why
    assert desk.pick_up("702").refusal is Refusal.NO_SUCH_CALL
    assert "this slot" in desk.pick_up("x\ny").why
    desk.tell(e.LegAnswered(leg="d"), e.LegsJoined(first="c", second="d"))
    assert "talks with somebody" in desk.pick_up().why


def test_a_leg_that_can_not_be_fetched_stays_where_it_was() -> None:
    desk = Desk()
    desk.parked()
    fetch = orders([desk.pick_up()])[0]
    records = desk.tell(e.CommandFailed(command=fetch, reason="the leg talks with somebody"))
    assert c.Forget(legs=("c",)) in orders(records)
    assert not [one for one in orders(records) if isinstance(one, c.HangUp)]
    assert desk.state is State.PARKED
    # its facts are reported again after a lost connection: it is no target that is left over
    again = desk.tell(e.LegCreated(leg="c", number="1003"), e.LegAnswered(leg="c"))
    assert not orders(again)
    assert desk.pick_up().refusal is None


def test_a_phone_that_can_not_be_fetched_hears_a_tone_and_is_hung_up() -> None:
    """It waits in our park: nobody else would ever end that call."""
    desk = Desk()
    desk.parked()
    records = desk.tell(e.LegParked(leg="c", pick_up="701"))
    fetch = next(one for one in orders(records) if isinstance(one, c.Fetch))
    refused = orders(desk.tell(e.CommandFailed(command=fetch, reason="-ERR")))
    assert desk.state is State.PARKED
    assert [one.leg for one in refused if isinstance(one, c.PlayTone)] == ["c"]
    timer = [one for one in refused if isinstance(one, c.SetTimer)][-1]
    gone, _ = orders(desk.tell(e.TimerFired(timer=timer.timer)))
    assert gone == c.HangUp(leg="c", cause="UNALLOCATED_NUMBER")


def test_who_has_picked_up_a_call_wants_none_any_more() -> None:
    desk = Desk()
    desk.parked()
    desk.tell(e.LegParked(leg="c", pick_up="701"), e.LegsJoined(first="b", second="c"))
    leg = desk.board.leg("c")
    assert leg is not None
    assert leg.wants_slot == ""


def test_the_one_who_comes_second_is_told() -> None:
    desk = Desk()
    desk.parked()
    desk.tell(e.LegCreated(leg="d", number="1004"), e.LegAnswered(leg="d"))
    assert desk.pick_up().refusal is None
    assert desk.pick_up(leg="d").why == "somebody else is picking up this call"


def test_a_phone_that_calls_an_empty_slot_hears_a_tone_and_is_hung_up() -> None:
    desk = Desk()
    records = desk.tell(e.LegParked(leg="c", pick_up="701"))
    assert records[-1].why == "no call is parked in 701"
    tone, timer = orders(records)
    assert isinstance(tone, c.PlayTone)
    assert isinstance(timer, c.SetTimer)
    assert not desk.tell(e.LegParked(leg="c", pick_up="701"))[-1].refusal  # that is not news
    gone, _ = orders(desk.tell(e.TimerFired(timer=timer.timer)))
    assert gone == c.HangUp(leg="c", cause="UNALLOCATED_NUMBER")


def test_a_phone_that_calls_while_it_is_not_known_what_is_parked_has_the_call_at_last() -> None:
    board = Switchboard()
    events: tuple[e.Event, ...] = (
        e.LegCreated(leg="b", number="1002"),
        e.LegAnswered(leg="b"),
        e.LegParked(leg="b"),
        e.LegCreated(leg="c", number="1003"),
        e.LegAnswered(leg="c"),
        e.LegParked(leg="c", pick_up="701"),
    )
    tone = [one for event in events for record in board.handle(event) for one in record.commands]
    timer = next(one.timer for one in tone if isinstance(one, c.SetTimer))
    bob = e.LegSnapshot(
        leg="b",
        number="1002",
        direction=e.Direction.INBOUND,
        answered=True,
        parked=True,
        transfer="t1",
        role="transferee",
        kind="park",
    )
    recovered = Switchboard(unfinished={"t1": _unfinished()})
    for event in events:
        recovered.handle(event)
    records = recovered.adopt((bob,))
    assert [type(record.event).__name__ for record in records] == [
        "TransferFound",
        "PickUpRequested",
    ]
    found = recovered.transfer("t1")
    assert found is not None
    assert (found.slot, found.state, found.target.leg) == ("701", State.COMPLETING, "c")
    assert not [
        one
        for record in recovered.handle(e.TimerFired(timer=timer))
        for one in record.commands
        if isinstance(one, c.HangUp)
    ]


def _unfinished() -> Unfinished:
    """What the journal of another controller has."""
    record = Desk().park()
    assert isinstance(record.event, e.TransferRequested)
    assert record.parties is not None
    return Unfinished(
        request=record.event, parties=record.parties, begins=record.begins, state="parked"
    )


# ------------------------------------------------------------------ the switches


def test_freeswitch_marks_the_leg_and_removes_the_wish() -> None:
    fetch = c.Fetch(leg="c", transfer="t1", role="target", kind="park")
    steps = Procedures().of(fetch).steps
    given = dict(next(step for step in steps if isinstance(step, SetVariables)).variables)
    assert given["hookflash_role"] == "target"
    assert given["hookflash_kind"] == "park"
    assert given["hookflash_pick_up"] == ""
    assert ("hookflash_pick_up", "") in OURS_REMOVED


def test_freeswitch_reports_the_wish_with_the_park_and_shows_it_later() -> None:
    body = (
        b'{"Event-Name": "CHANNEL_PARK", "Unique-ID": "c", "Answer-State": "answered",'
        b' "variable_hookflash_pick_up": "701"}'
    )
    frame = Frame(content_type="text/event-json", head=b"", body=body)
    assert Inbound().receive(frame) == (e.LegParked(leg="c", pick_up="701"),)
    reading = Reading(
        account_variable="hookflash_account",
        owner_variable="hookflash_owner",
        outside_contexts=(),
        outside_profiles=(),
    )
    dump = {
        "Channel-State": "CS_EXECUTE",
        "Channel-State-Number": "4",
        "Answer-State": "answered",
        "Call-Direction": "inbound",
        "variable_current_application": "park",
    }
    shown = reading.read("c", {**dump, "variable_hookflash_pick_up": "701"})
    assert shown is not None
    assert (shown.parked, shown.elsewhere, shown.pick_up) == (True, False, "701")
    other = reading.read("c", dump)
    assert other is not None
    assert (other.parked, other.pick_up) == (False, "")


def test_asterisk_marks_the_leg_and_reads_the_wish_from_the_park() -> None:
    known = KnownParty(channel="PJSIP/1003-1")
    procedures = AsteriskProcedures(party_of=lambda _leg: known)
    procedure = procedures.of(c.Fetch(leg="c", transfer="t1", role="target", kind="park"))
    assert procedure is not None
    given = dict(next(one for one in procedure.steps if isinstance(one, ami.Setvar)).variables)
    assert (given[ami.ROLE], given[ami.PICK_UP]) == ("target", "")
    assert ami.PICK_UP in ami.OURS
    for data, slot in (
        ("hookflash,park,pick-up-701", "701"),
        ("hookflash,park,unjoined", ""),
        ("hookflash,park,pick-up-7x", ""),
    ):
        channel = AriChannel(id="c", dialplan=AriDialplan(app_data=data))
        assert pick_up_of(channel) == slot
    assert "pick-up-${HOOKFLASH_PICK_UP}" in dialplan()


def test_times_are_the_accounts_or_the_requests() -> None:
    desk = Desk(Account(policy=attrs.evolve(Policy(), parking_limit_s=77)))
    desk.park(parking_limit_s=33)
    gone = e.LegHungUp(leg="a", cause="NORMAL_CLEARING")
    records = desk.tell(e.LegParked(leg="a"), e.LegParked(leg="b"), gone)
    timers = [one.after_s for one in orders(records) if isinstance(one, c.SetTimer)]
    assert 33 in timers
