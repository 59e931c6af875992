"""Owners: the user or device of a leg has settings of its own, and falls back to its account."""

from __future__ import annotations

import attrs
import pytest

from hookflash import commands as c
from hookflash import events as e
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.legs import Account, Accounts
from hookflash.engine.rules import Rights, Rules
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import Refusal
from hookflash.events import Direction, Kind

CODES = parse_metaflows({"numbers": {"7": {"module": "transfer", "data": {"target": "2600"}}}})
BOSS = Account(metaflows=CODES)
LOBBY = Account(rules=Rules(may_transfer=Rights.NOBODY))
ACME = Account(owners={"boss": BOSS, "lobby": LOBBY})
GLOBEX = Account(owners={"lobby": Account()})


def board_with(
    *, account: str = "acme", owner: str = "", peer: str = "acme", peer_owner: str = ""
) -> Switchboard:
    """Alice and Bob talk."""
    board = Switchboard(accounts={"acme": ACME, "globex": GLOBEX})
    for leg, number, own, whose, direction in (
        ("a", "1001", account, owner, Direction.INBOUND),
        ("b", "1002", peer, peer_owner, Direction.OUTBOUND),
    ):
        board.handle(
            e.LegCreated(leg=leg, number=number, account=own, owner_id=whose, direction=direction)
        )
        board.handle(e.LegAnswered(leg=leg))
    board.handle(e.LegsJoined(first="a", second="b"))
    return board


def request(kind: Kind = Kind.ATTENDED, by: str = "digits", leg: str = "a") -> e.TransferRequested:
    return e.TransferRequested(leg=leg, transfer="t", target="2600", kind=kind, by=by)


def test_who_has_settings_of_its_own_has_them_and_the_others_those_of_the_account() -> None:
    accounts = Accounts(Account(), {"acme": ACME})
    assert accounts.of("acme", "boss") is BOSS
    assert accounts.of("acme", "carol") is accounts.of("acme") is ACME
    assert board_with(owner="boss").legs["a"].choices is BOSS
    assert board_with(owner="carol").legs["a"].choices is ACME


def test_a_right_of_an_owner_is_its_own() -> None:
    board = board_with(owner="lobby", peer_owner="boss")
    (record,) = board.handle(request())
    assert record.refusal is Refusal.NOT_ENTITLED
    (record,) = board.handle(request(leg="b"))
    assert not record.refused
    assert record.begins is not None
    assert (record.begins.account, record.begins.owner_id) == ("acme", "boss")


def test_a_program_of_the_account_acts_for_all_its_owners() -> None:
    (record,) = board_with(owner="lobby").handle(request(by="desk"))
    assert not record.refused


@pytest.mark.parametrize("owner", ["a b", "${x}", "x" * 129, "boss\n"])
def test_an_owner_that_is_no_allowed_name_has_no_right(owner: str) -> None:
    board = board_with(owner=owner)
    assert board.legs["a"].owner_id == "?"
    (record,) = board.handle(request())
    assert record.refusal is Refusal.NOT_ENTITLED


def test_an_owner_of_another_account_has_no_meaning() -> None:
    """A leg without an account belongs to that of its partner, but not to a user of it."""
    board = board_with(account="", owner="boss", peer="acme")
    leg = board.legs["a"]
    assert (leg.responsible, leg.owner_id, leg.own_owner) == ("acme", "boss", "")
    assert leg.choices is ACME


def test_the_settings_of_a_partner_are_no_others() -> None:
    board = board_with(account="", peer="acme", peer_owner="boss")
    assert board.legs["a"].responsible == "acme"
    assert board.legs["a"].choices is ACME


def test_who_owns_a_leg_may_be_known_later_and_only_once() -> None:
    board = board_with(account="")
    board.handle(e.LegIdentified(leg="a", account="acme", owner_id="lobby"))
    assert board.legs["a"].choices is LOBBY
    board.handle(e.LegIdentified(leg="a", account="acme", owner_id="boss"))
    assert board.legs["a"].choices is LOBBY
    (record,) = board.handle(request())
    assert record.refusal is Refusal.NOT_ENTITLED


def test_an_owner_that_is_identified_in_another_account_is_not_believed() -> None:
    board = board_with()
    board.handle(e.LegIdentified(leg="a", account="globex", owner_id="boss"))
    assert (board.legs["a"].account, board.legs["a"].owner_id) == ("acme", "")


def test_a_bad_owner_that_is_known_later_takes_the_right_away() -> None:
    board = board_with()
    board.handle(e.LegIdentified(leg="a", owner_id="a b"))
    (record,) = board.handle(request())
    assert record.refusal is Refusal.NOT_ENTITLED


@pytest.mark.parametrize("kind", [Kind.BLIND, Kind.HOLD])
@pytest.mark.parametrize("by", ["digits", "desk"])
def test_only_allowed_kinds_are_begun(kind: Kind, by: str) -> None:
    careful = attrs.evolve(ACME, rules=Rules(kinds_allowed=(Kind.ATTENDED,)))
    board = board_with(owner="carol")
    board.choose({"acme": careful}, for_calls_that_are_up=True)
    (record,) = board.handle(request(kind, by))
    assert record.refusal is Refusal.NOT_ENTITLED
    assert "attended" in record.why
    (record,) = board.handle(request(by=by))
    assert not record.refused


def test_settings_that_are_applied_to_calls_that_are_up_are_those_of_the_owner() -> None:
    board = board_with(owner="boss")
    other = Account(owners={"boss": LOBBY})
    board.choose({"acme": other})
    assert board.legs["a"].choices is BOSS
    board.choose({"acme": other}, for_calls_that_are_up=True)
    assert board.legs["a"].choices is LOBBY


def test_a_target_belongs_to_the_account_and_to_no_owner() -> None:
    board = board_with(owner="boss")
    board.handle(request())
    for leg in ("a", "b"):
        records = board.handle(e.LegParked(leg=leg))
    dial = next(one for one in records[-1].commands if isinstance(one, c.Dial))
    assert (dial.account, dial.owner_id) == ("acme", "")


def test_limits_count_the_transfers_of_the_whole_account() -> None:
    one = Rules(transfers_at_once=1)
    account = Account(rules=one, owners={"boss": Account(rules=one)})
    board = board_with(owner="boss")
    board.choose({"acme": account}, for_calls_that_are_up=True)
    (record,) = board.handle(request(by="desk"))
    assert not record.refused
    for leg, number in (("x", "1003"), ("y", "1004")):
        board.handle(e.LegCreated(leg=leg, number=number, account="acme"))
        board.handle(e.LegAnswered(leg=leg))
    board.handle(e.LegsJoined(first="x", second="y"))
    (record,) = board.handle(attrs.evolve(request(leg="x"), transfer="u"))
    assert record.refusal is Refusal.TOO_MANY
