"""Moving a call to another device of one's own: where it goes, who may, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookflash.commands import Look
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.legs import Account
from hookflash.engine.record import Record
from hookflash.engine.rules import Rules
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import InputError
from hookflash.events import (
    DigitPressed,
    Direction,
    Kind,
    LegAnswered,
    LegCreated,
    LegsJoined,
    LegSnapshot,
    LegsSeen,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.policy import Policy
from hookflash.fsm.transfer import State, Transfer
from hookflash.server.read_config import read_config
from hookflash.sounds import Recording

MOVES = parse_metaflows(
    {"numbers": {"5": {"module": "transfer", "data": {"transfer_type": "move"}}}}
)


def talking(account: Account, **alice: object) -> Switchboard:
    """Alice (a, 1001, an owner of `acme`) talks with Bob (b)."""
    board = Switchboard(accounts={"acme": account})
    named = {"number": "1001", "account": "acme", "owner_id": "alice"} | alice
    for event in (
        LegCreated(leg="a", **named),  # pyright: ignore[reportArgumentType]
        LegCreated(leg="b", number="1002", account="acme"),
        LegAnswered(leg="a"),
        LegAnswered(leg="b"),
        LegsJoined(first="a", second="b"),
    ):
        board.handle(event, 0.0)
    return board


def asked(board: Switchboard, target: str = "", **options: object) -> Record:
    request = TransferRequested(
        leg="a",
        transfer="m",
        target=target,
        kind=Kind.MOVE,
        by="phone",
        options=TransferOptions(**options),  # pyright: ignore[reportArgumentType]
    )
    return board.handle(request, 0.0)[0]


def refusal(record: Record) -> str:
    assert record.refused
    return record.why


def moving(board: Switchboard) -> Transfer:
    transfer = board.transfer("m")
    assert transfer is not None
    assert (transfer.kind, transfer.state) == (Kind.MOVE, State.HOLDING)
    return transfer


def numbers(transfer: Transfer) -> list[str]:
    return [transfer.target.number, *(one.number for one in transfer.rivals)]


def owned(*devices: str) -> Account:
    return Account(owners={"alice": Account(move_to=devices)})


def test_it_rings_at_all_other_devices_of_the_owner() -> None:
    board = talking(owned("1001", "1003", "1004"))
    assert not asked(board).refused
    assert numbers(moving(board)) == ["1003", "1004"]


def test_without_devices_it_rings_at_the_number_of_the_leg_itself() -> None:
    board = talking(Account())
    assert not asked(board).refused
    assert numbers(moving(board)) == ["1001"]


def test_a_request_may_name_the_device() -> None:
    board = talking(owned("1003"))
    assert not asked(board, "1004").refused
    assert numbers(moving(board)) == ["1004"]


def test_a_leg_without_a_number_has_no_other_device() -> None:
    assert "no number" in refusal(asked(talking(Account(), number="")))


def test_who_talks_with_nobody_has_nothing_to_take_along() -> None:
    board = Switchboard()
    board.handle(LegCreated(leg="a", number="1001"), 0.0)
    board.handle(LegAnswered(leg="a"), 0.0)
    (look,) = asked(board).commands
    assert isinstance(look, Look)
    seen = LegSnapshot(
        leg="a", number="1001", direction=Direction.INBOUND, answered=True, elsewhere=True
    )
    records = board.handle(LegsSeen(look=look, living=(seen,)), 0.0)
    assert "nobody to take along" in refusal(records[-1])


def test_the_transferee_s_number_is_no_device() -> None:
    assert "already a party" in refusal(asked(talking(Account()), "1002"))


def test_devices_are_under_the_rules_of_the_account() -> None:
    account = Account(
        owners={"alice": Account(move_to=("0900123",), rules=Rules(targets_denied=("0900*",)))}
    )
    assert "0900123" in refusal(asked(talking(account)))
    closed = Account(rules=Rules(kinds_allowed=(Kind.BLIND,)))
    assert "blind" in refusal(asked(talking(closed)))


def test_one_s_own_device_is_asked_and_told_nothing() -> None:
    sound = Recording("briefing.wav")
    policy = Policy(target_accepts=True, briefing=sound, announcement=sound)
    board = talking(Account(policy=policy))
    assert not asked(board, "1003", target_accepts=True).refused
    transfer = moving(board)
    assert not transfer.target_waits
    assert transfer.policy.announcement is None


def test_several_devices_ring_even_where_targets_must_accept() -> None:
    """Targets that ring at once can't be asked; one's own devices are not."""
    account = Account(
        owners={"alice": Account(move_to=("1003", "1004"), policy=Policy(target_accepts=True))}
    )
    board = talking(account)
    assert not asked(board).refused
    assert numbers(moving(board)) == ["1003", "1004"]


def test_a_code_moves_a_call() -> None:
    board = talking(Account(owners={"alice": Account(metaflows=MOVES, move_to=("1003",))}))
    for number, key in enumerate("*5"):
        board.handle(DigitPressed(leg="a", digit=key, serial=number), 1.0 + number / 10)
    transfer = board.transfer_of("a")
    assert transfer is not None
    assert (transfer.kind, transfer.target.number) == (Kind.MOVE, "1003")


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        ('["1003", "1003"]', "names a number twice"),
        ('["1", "2", "3", "4", "5", "6", "7", "8", "9"]', "at most 8 ring at once"),
        ('["1003;rm"]', "1003;rm"),
    ],
)
def test_devices_of_a_configuration_are_checked(tmp_path: Path, devices: str, told: str) -> None:
    file = tmp_path / "hookflash.toml"
    file.write_text(
        f'[switches.sim]\nkind = "simulator"\n[accounts.acme.owners.alice]\nmove_to = {devices}\n',
        encoding="utf-8",
    )
    with pytest.raises(InputError) as refused:
        read_config(file)
    assert told in str(refused.value)
    assert "owners.alice" in str(refused.value)
