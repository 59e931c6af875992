"""Who may transfer, to which number, and how often: rules, and the switchboard that keeps them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookflash.backends.simulator.backend import open_simulator
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.dialling.numbers import NumberRules, parse_rewrites
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.engine.rules import MINUTE_S, Asker, Meter, Rights, Rules, check_rights
from hookflash.engine.switchboard import Switchboard
from hookflash.errors import Refusal, RequestRefused
from hookflash.events import (
    DigitPressed,
    Kind,
    LegAnswered,
    LegCreated,
    LegHungUp,
    LegsJoined,
    TransferRequested,
)


def asked(
    by: str = "digits", target: str = "2600", kind: Kind = Kind.ATTENDED
) -> TransferRequested:
    return TransferRequested(leg="a", transfer="t", target=target, kind=kind, by=by)


def refusal_of(rules: Rules, asker: Asker, request: TransferRequested) -> Refusal | None:
    try:
        check_rights(rules, asker, request, "1001")
    except RequestRefused as refused:
        return refused.refusal
    return None


@pytest.mark.parametrize(
    ("rights", "is_user", "marked", "may"),
    [
        (Rights.USERS, True, None, True),
        (Rights.USERS, False, None, False),
        (Rights.USERS, False, True, True),
        (Rights.USERS, True, False, False),
        (Rights.ANYBODY, False, None, True),
        (Rights.ANYBODY, False, False, False),
        (Rights.NOBODY, True, None, False),
        (Rights.NOBODY, True, True, True),
    ],
)
def test_who_may_transfer_by_digits(
    rights: Rights, is_user: bool, marked: bool | None, may: bool
) -> None:
    rules = Rules(may_transfer=rights)
    asker = Asker(is_user=is_user, may_transfer=marked)
    assert (refusal_of(rules, asker, asked()) is None) is may
    if not may:
        assert refusal_of(rules, asker, asked()) is Refusal.NOT_ENTITLED


def test_a_program_has_the_rights_of_its_account() -> None:
    outside = Asker(is_user=False, may_transfer=None)
    assert refusal_of(Rules(may_transfer=Rights.NOBODY), outside, asked(by="key 1")) is None


@pytest.mark.parametrize(
    ("allowed", "denied", "target", "passes"),
    [
        ((), (), "0044123", True),
        ((), ("00*",), "0044123", False),
        ((), ("00*",), "10044", True),
        (("2[6-9]??",), (), "2600", True),
        (("2[6-9]??",), (), "26000", False),
        (("2*",), ("26*",), "2600", False),
        ((), ("[*]*",), "*98", False),
        (("+49*",), (), "+49301234", True),
    ],
)
def test_where_to(
    allowed: tuple[str, ...], denied: tuple[str, ...], target: str, passes: bool
) -> None:
    rules = Rules(targets_allowed=allowed, targets_denied=denied)
    user = Asker(is_user=True, may_transfer=None)
    for by in ("digits", "key 1"):
        refusal = refusal_of(rules, user, asked(by=by, target=target))
        assert refusal is (None if passes else Refusal.TARGET_REFUSED)


def test_a_hold_has_no_target_to_be_refused() -> None:
    rules = Rules(targets_allowed=("1*",))
    user = Asker(is_user=True, may_transfer=None)
    assert refusal_of(rules, user, asked(target="", kind=Kind.HOLD)) is None


@given(
    limit=st.integers(1, 5),
    gaps=st.lists(st.floats(0, 40, allow_nan=False), max_size=40),
)
def test_no_minute_has_more_transfers_than_are_allowed(limit: int, gaps: list[float]) -> None:
    meter, rules = Meter(), Rules(transfers_per_minute=limit)
    begun: list[float] = []
    now_s = 0.0
    for gap in gaps:
        now_s += gap
        recent = [at for at in begun if at > now_s - MINUTE_S]
        if len(recent) >= limit:
            with pytest.raises(RequestRefused, match="within a minute"):
                meter.check(rules, now_s)
        else:
            meter.check(rules, now_s)
            meter.begin(rules, now_s)
            begun.append(now_s)
    for last in begun:
        assert sum(last - MINUTE_S < at <= last for at in begun) <= limit


# ------------------------------------------------------------------ in the switchboard


def board(**rules: object) -> Switchboard:
    account = Account(rules=Rules(**rules))  # pyright: ignore[reportArgumentType]
    return Switchboard(accounts={"acme": account})


def call(
    on: Switchboard, first: str = "a", second: str = "b", theirs: str = "acme", **of_second: object
) -> None:
    on.handle(LegCreated(leg=first, number=f"10{first}", account="acme"))
    on.handle(LegCreated(leg=second, number=f"10{second}", account=theirs, **of_second))  # pyright: ignore[reportArgumentType]
    on.handle(LegAnswered(leg=first))
    on.handle(LegAnswered(leg=second))
    on.handle(LegsJoined(first=first, second=second))


def dial(on: Switchboard, leg: str, digits: str, first_serial: int = 1) -> Refusal | None:
    records = [
        record
        for serial, digit in enumerate(f"{digits}#", first_serial)
        for record in on.handle(DigitPressed(leg=leg, digit=digit, serial=serial))
    ]
    assert isinstance(records[-1].event, TransferRequested), "no code was heard"
    return records[-1].refusal


def test_an_outside_party_is_one_without_an_account_that_talks_with_one_that_has_one() -> None:
    on = board()
    call(on, theirs="")
    assert dial(on, "b", "*22600") is Refusal.NOT_ENTITLED
    assert dial(on, "a", "*22600") is None


def test_where_no_leg_has_an_account_everybody_is_a_user() -> None:
    on = Switchboard()
    on.handle(LegCreated(leg="a", number="1001"))
    on.handle(LegCreated(leg="b", number="1002"))
    on.handle(LegsJoined(first="a", second="b"))
    assert dial(on, "b", "*22600") is None


def test_a_leg_over_a_trunk_is_outside_whatever_its_account() -> None:
    on = board()
    call(on, outside=True)
    assert dial(on, "b", "*22600") is Refusal.NOT_ENTITLED


def test_the_operators_word_about_one_leg_goes_before() -> None:
    on = board()
    call(on, theirs="", may_transfer=True)
    assert dial(on, "b", "*22600") is None


def test_an_outside_party_belongs_to_the_account_it_talks_with() -> None:
    on = board(targets_denied=("26*",), may_transfer=Rights.ANYBODY)
    call(on, theirs="")
    line = on.leg("b")
    assert line is not None
    assert (line.account, line.responsible) == ("", "acme")
    assert dial(on, "b", "*22600") is Refusal.TARGET_REFUSED


def test_transfers_at_once_are_counted_down_when_they_end() -> None:
    on = board(transfers_at_once=1)
    call(on)
    call(on, "c", "d")
    assert on.handle(asked())[0].refusal is None
    second = TransferRequested(leg="c", transfer="u", target="2600", by="key 1")
    assert on.handle(second)[0].refusal is Refusal.TOO_MANY
    on.handle(LegHungUp(leg="a"))
    on.handle(LegHungUp(leg="b"))
    assert on.transfer("t") is None
    assert on.handle(second)[0].refusal is None


def test_a_board_that_closes_takes_nothing_new_and_finishes_the_rest() -> None:
    on = board()
    call(on)
    call(on, "c", "d")
    on.handle(asked())
    on.closing = "about to stop"
    refused = on.handle(TransferRequested(leg="c", transfer="u", target="2600"))[0]
    assert (refused.refusal, refused.why) == (Refusal.CLOSING, "about to stop")
    assert on.handle(LegHungUp(leg="a"))[0].refusal is None


def test_other_choices_hold_for_calls_that_begin_afterwards() -> None:
    on = board()
    call(on)
    on.choose({"acme": Account(rules=Rules(targets_denied=("26*",)))})
    call(on, "c", "d")
    assert on.handle(asked())[0].refusal is None
    other = TransferRequested(leg="c", transfer="u", target="2600")
    assert on.handle(other)[0].refusal is Refusal.TARGET_REFUSED


def test_other_choices_hold_for_calls_that_are_up_when_asked_to() -> None:
    on = board()
    call(on)
    codes = parse_metaflows({"patterns": {r"3(\d+)": {"module": "transfer"}}, "numbers": {}})
    on.choose({"acme": Account(metaflows=codes)}, for_calls_that_are_up=True)
    assert dial(on, "a", "*32600") is None


def test_every_record_names_the_accounts_that_it_concerns() -> None:
    on = Switchboard(accounts={"acme": Account(), "other": Account()})
    on.handle(LegCreated(leg="a", number="1", account="acme"))
    on.handle(LegCreated(leg="b", number="2", account="other"))
    joined = on.handle(LegsJoined(first="a", second="b"))[0]
    assert joined.accounts == ("acme", "other")
    begun = on.handle(asked())[0]
    assert (begun.account, begun.accounts) == ("acme", ("acme",))
    assert begun.parties is not None
    assert begun.parties.transferee.leg == "b"
    gone = on.handle(LegHungUp(leg="b"))[0]
    assert gone.accounts == ("acme", "other")


async def test_a_program_hears_in_a_word_why_not(autojump_clock: object) -> None:
    account = Account(rules=Rules(targets_denied=("26*",)))
    async with open_simulator() as switch, open_engine(switch, account=account) as engine:
        alice, _ = await switch.call("1001", "1002")
        with pytest.raises(RequestRefused, match="not allowed") as refused:
            await engine.transfer(alice, "2600")
        assert refused.value.refusal is Refusal.TARGET_REFUSED
        assert refused.value.http_status == 422


# ------------------------------------------------------------- other spellings of a number

NATIONAL = NumberRules(
    domains=("example.org",), rewrites=parse_rewrites(("00... -> +...", "0... -> +49..."))
)
CAUTIOUS = Account(
    rules=Rules(targets_denied=("+49900*", "0900*", "26*"), targets_allowed=("+49*", "2*")),
    numbers=NATIONAL,
)


def answer_to(target: str) -> tuple[str, Refusal | None]:
    """What is called, and the refusal, when a program asks for a transfer to this target."""
    board = Switchboard(account=CAUTIOUS)
    for leg in ("a", "b"):
        board.handle(LegCreated(leg=leg, number=f"+4930{ord(leg)}"))
        board.handle(LegAnswered(leg=leg))
    board.handle(LegsJoined(first="a", second="b"))
    request = TransferRequested(leg="a", transfer="t", target=target, by="program")
    (record,) = board.handle(request)
    asked = record.event
    assert isinstance(asked, TransferRequested)
    transfer = board.transfer("t")
    assert (transfer is None) is record.refused
    if transfer is not None:
        assert transfer.target.number == asked.target
        assert record.parties is not None
        assert record.parties.target.number == asked.target
    return asked.target, record.refusal


SPELLINGS = (
    "{}",
    "tel:{}",
    "sip:{}",
    "sip:{}@example.org",
    "SIP:{}@EXAMPLE.ORG:5060;user=phone",
    "{}@example.org",
    "({})",
    " {} ",
    "\u202a{}\u202c",
)


@given(
    st.sampled_from(["+49", "0", "0049", "+49(0)", "2", "1"]),
    st.text("0123456789", min_size=1, max_size=6) | st.just("900123") | st.just("3097"),
    st.sampled_from(SPELLINGS),
    st.sampled_from(["", " ", "-", "/", ". ", "\u2011"]),
)
def test_no_spelling_gets_round_a_rule(begins: str, rest: str, spelling: str, between: str) -> None:
    spelled = spelling.format(begins + between + between.join(rest))
    assert answer_to(spelled) == answer_to(begins + rest)


@pytest.mark.parametrize(
    ("target", "number", "refusal"),
    [
        ("0900-123", "+49900123", Refusal.TARGET_REFUSED),
        ("tel:+49(0)900/123", "+49900123", Refusal.TARGET_REFUSED),
        ("2-600", "2600", Refusal.TARGET_REFUSED),
        ("sip:26@example.org", "26", Refusal.TARGET_REFUSED),
        ("(030) 12", "+493012", None),
        ("030 97", "+493097", Refusal.TARGET_REFUSED),  # the transferor's own
        ("sip:2500@example.com", "sip:2500@example.com", Refusal.TARGET_REFUSED),
        ("2500!", "2500!", Refusal.MALFORMED),
    ],
)
def test_rules_see_the_number_that_is_dialled(
    target: str, number: str, refusal: Refusal | None
) -> None:
    assert answer_to(target) == (number, refusal)
