"""A refused code is heard by its own party, if it talks and the account wants that."""

from __future__ import annotations

import attrs
import pytest

from hookflash.commands import Announce
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.rules import Rules
from hookflash.engine.switchboard import Switchboard
from hookflash.events import (
    DigitPressed,
    LegAnswered,
    LegCreated,
    LegParked,
    LegsJoined,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.policy import Policy
from hookflash.sounds import OptionalSound, Sound, parse_sound

TONE = parse_sound("tone:480+620/100,0/50*2")
RULES = Rules(targets_denied=("27*",))
ACCOUNT = Account(policy=attrs.evolve(Policy(), refusal_tone=TONE), rules=RULES)


def call(account: Account = ACCOUNT) -> Switchboard:
    board = Switchboard(account=account)
    for leg, number in (("a", "1001"), ("b", "1002")):
        board.handle(LegCreated(leg=leg, number=number))
        board.handle(LegAnswered(leg=leg))
    board.handle(LegsJoined(first="a", second="b"))
    return board


def dial(board: Switchboard, leg: str, keys: str) -> list[Record]:
    return [
        record
        for serial, key in enumerate(keys, start=1)
        for record in board.handle(DigitPressed(leg=leg, digit=key, serial=serial))
    ]


def announced(records: list[Record]) -> list[Announce]:
    return [one for record in records for one in record.commands if isinstance(one, Announce)]


@pytest.mark.parametrize("leg", ["a", "b"])
def test_who_dialled_a_denied_number_hears_that(leg: str) -> None:
    records = dial(call(), leg, "*22700#")
    assert records[-1].refused
    assert announced(records) == [Announce(leg=leg, sound=TONE)]


def test_a_code_that_is_met_is_not_announced() -> None:
    assert announced(dial(call(), "a", "*22600#")) == []


def test_by_default_nothing_is_heard() -> None:
    records = dial(call(Account(rules=RULES)), "a", "*22700#")
    assert records[-1].refused
    assert announced(records) == []


def test_a_program_s_refused_request_is_answered_to_the_program() -> None:
    board = call()
    asked = TransferRequested(leg="a", transfer="t", target="2700", by="key")
    records = board.handle(asked)
    assert records[-1].refused
    assert announced(records) == []


def test_who_does_not_talk_hears_what_it_waits_with() -> None:
    board = call()
    dial(board, "a", "*22600#")
    records = dial(board, "a", "*4")  # while the two are being separated
    assert records[-1].refused
    assert announced(records) == []


OTHER = parse_sound("tone:700/100*1")


@pytest.mark.parametrize(("chosen", "heard"), [(OTHER, [OTHER]), ("", [])])
def test_a_request_chooses_what_is_heard_of_codes_in_its_transfer(
    chosen: OptionalSound, heard: list[Sound]
) -> None:
    board = call()
    options = TransferOptions(refusal_tone=chosen)
    board.handle(TransferRequested(leg="a", transfer="t", target="2600", options=options))
    for leg in ("a", "b"):
        board.handle(LegParked(leg=leg))
    board.handle(LegAnswered(leg="t-target"))
    board.handle(LegParked(leg="t-target"))
    board.handle(LegsJoined(first="a", second="t-target"))
    records = dial(board, "a", "*22601#")  # a second transfer
    assert records[-1].refused
    assert announced(records) == [Announce(leg="a", sound=sound) for sound in heard]


def test_a_code_chooses_what_is_heard_if_it_is_refused() -> None:
    data = {"target": "2700", "refusal_tone": str(OTHER)}
    codes = {"numbers": {"5": {"module": "transfer", "data": data}}}
    records = dial(call(attrs.evolve(ACCOUNT, metaflows=parse_metaflows(codes))), "a", "*5")
    assert records[-1].refused
    assert announced(records) == [Announce(leg="a", sound=OTHER)]
