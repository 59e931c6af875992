"""What a request gives along: what passes, what never does, and where it comes back."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookflash.backends.asterisk.primitives import OriginateChannel
from hookflash.backends.asterisk.procedures import AsteriskProcedures, KnownParty
from hookflash.backends.freeswitch.procedures import CallerId, Dialling, Procedures
from hookflash.backends.freeswitch.text import line_of
from hookflash.commands import Dial
from hookflash.dialling.metaflows import metaflows_faults, parse_metaflows
from hookflash.emulator.parsing import read_dial_string
from hookflash.engine.account_faults import account_faults
from hookflash.engine.legs import Account
from hookflash.engine.record import Record, record_from
from hookflash.engine.rules import Rules
from hookflash.errors import InputError, Refusal, RequestRefused
from hookflash.events import CommandFailed, Event, TransferOptions, TransferRequested
from hookflash.journal.step import step_of
from hookflash.server.views import event_view
from hookflash.transfer_context import (
    DEEPEST,
    MOST_DATA_BYTES,
    TransferContext,
    check_name,
    program_data,
)

DIAL = Dial(leg="t", target="1003", on_behalf_of="a", ring_timeout_s=20, transfer="x1")
ASTERISK = AsteriskProcedures(party_of=lambda leg: KnownParty(channel=f"PJSIP/{leg}-1"))

texts = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="aA1*#+_-./:;=,%(){}[]|&^'\"`$\\ \n\r\0@!<>~?é９", max_size=40),
    st.from_regex(r"[Xx]-[A-Za-z-]{0,9}", fullmatch=True),
    st.from_regex(r"[a-z]{1,3}_[a-z]{1,9}", fullmatch=True),
)


@given(name=texts, value=texts, header=st.booleans())
@example(name="X-A", value=":_:user/1", header=True)
@example(name="X-A", value="a b: c", header=True)
@example(name="crm_x", value="${system(id)}", header=False)
def test_what_passes_arrives_as_it_is_and_means_nothing(
    name: str, value: str, header: bool
) -> None:
    """Both switches read exactly the name and the value, and nothing besides."""
    pairs = ((name, value),)
    dial = attrs.evolve(DIAL, headers=pairs) if header else attrs.evolve(DIAL, variables=pairs)
    try:
        originate = Procedures().of(dial).steps[-1]
    except InputError:
        with pytest.raises(InputError):
            ASTERISK.of(dial)
        return
    line = line_of(originate)
    assert not set(value) & set("\n\r\0${}[],'\"|^;&<>()\\`")
    _, _, dialled = line.removesuffix(" &park()").partition("originate ")
    read = read_dial_string(dialled)
    variable = f"sip_h_{name}" if header else name
    assert read.variables[variable] == value
    plain = line_of(Procedures().of(DIAL).steps[-1])
    expected = read_dial_string(plain.removesuffix(" &park()").partition("originate ")[2])
    assert {key: given for key, given in read.variables.items() if key != variable} == {
        **expected.variables,
        "export_vars": f"media_mix_inbound_outbound_codecs,{variable}",
    }
    assert (read.number, read.endpoint) == (expected.number, expected.endpoint)
    procedure = ASTERISK.of(dial)
    assert procedure is not None
    (channel,) = procedure.steps
    assert isinstance(channel, OriginateChannel)
    given_to = dict(channel.variables)
    if header:
        assert given_to["__HOOKFLASH_HEADERS"] == f"{name}={value}"
    else:
        assert given_to[f"__{name}"] == value


NEVER = (
    "hookflash_transfer",
    "HOOKFLASH_AFTER",
    "origination_uuid",
    "execute_on_answer",
    "api_on_answer",
    "exec_after_bridge_app",
    "park_after_bridge",
    "transfer_after_bridge",
    "bridge_pre_execute_bleg_app",
    "api_hangup_hook",
    "sip_h_X-A",
    "sip_h_a",
    "sip_invite_domain",
    "sip_auto_answer",
    "effective_caller_id_number",
    "export_vars",
    "loopback_bowout",
    "hangup_after_bridge",
    "absolute_codec_string",
    "record_post_process",
    "group_confirm_file",
    "toll_allow",
    "user_context",
    "accountcode",
    "uuid_bridge_park_on_cancel",
    "alert_info",
    "GOSUB_RETVAL",
    "TRANSFER_CONTEXT",
    "DYNAMIC_FEATURES",
    "CALLERID(num)",
    "_x",
    "__x",
    "CHANNEL(context)",
    "1a",
    "a-b",
)


@pytest.mark.parametrize("name", NEVER)
def test_what_a_switch_understands_is_never_a_variable_however_it_is_written(name: str) -> None:
    for written in (name, name.upper(), name.lower()):
        with pytest.raises(InputError):
            check_name(written, header=False)


@pytest.mark.parametrize(
    "name",
    ["X-FS-Display-Name", "x-fs-support", "X-AUTH-IP", "Alert-Info", "X", "X-", "X-A:", "XA"],
)
def test_what_a_switch_trusts_is_never_a_header(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name, header=True)


def test_the_operator_s_own_variables_stay_his() -> None:
    dialling = Dialling(variables={"crm_trunk": "cheap"})
    for procedures in (
        Procedures(dialling=dialling),
        Procedures(account_variable="crm_trunk"),
    ):
        with pytest.raises(InputError, match="not allowed"):
            procedures.of(attrs.evolve(DIAL, variables=(("CRM_Trunk", "dear"),)))


@pytest.mark.parametrize("number", [17, 40])
def test_there_are_not_too_many(number: int) -> None:
    pairs = tuple((f"X-A{at}", "1") for at in range(number))
    with pytest.raises(InputError, match=f"there are {number} .at most 16"):
        TransferContext(headers=pairs).check()


def test_a_caller_who_is_gone_and_withheld_a_number_stays_withheld() -> None:
    dial = attrs.evolve(DIAL, caller="1001", caller_name="Support", withheld=True)
    line = line_of(Procedures(caller_of=lambda _: CallerId()).of(dial).steps[-1])
    assert "_number=anonymous,origination_caller_id_name='anonymous'" in line
    procedure = ASTERISK.of(dial)
    assert procedure is not None
    (channel,) = procedure.steps
    assert isinstance(channel, OriginateChannel)
    assert channel.caller == '"anonymous" <anonymous>'
    assert ("CALLERID(pres)", "prohib") in channel.variables


# ----------------------------------------------------------------------- rules


def refused(rules: Rules, **given: Any) -> str:
    with pytest.raises(RequestRefused) as refusal:
        rules.check_context(TransferContext(**given))
    assert refusal.value.refusal is Refusal.CONTEXT_REFUSED
    return refusal.value.why


def test_an_account_allows_names() -> None:
    rules = Rules(variables_allowed=("crm_*",), headers_allowed=("X-Ticket",))
    rules.check_context(TransferContext(variables=(("CRM_a", "1"),), headers=(("x-ticket", "1"),)))
    assert "the variable other is not allowed for this account (allowed: crm_*)" in refused(
        rules, variables=(("other", "1"),)
    )
    assert "(allowed: X-Ticket)" in refused(rules, headers=(("X-Other", "1"),))
    assert "(allowed: none)" in refused(Rules(), variables=(("crm_a", "1"),))


def test_an_account_shows_only_its_own_numbers() -> None:
    rules = Rules(caller_numbers_allowed=("4930123*",))
    for number in ("", "1001", "49301234"):
        rules.check_caller(number, "1001")
    with pytest.raises(RequestRefused, match=re.escape("the transferor's own, 4930123*")):
        rules.check_caller("110", "1001")


# ------------------------------------------------------------------------ data

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=9,
)


@given(value=st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_data_comes_back_as_it_was(value: dict[str, Any]) -> None:
    try:
        data = program_data(value)
    except InputError:  # it is nested more deeply than is allowed, or too large
        return
    assert data.value == value
    assert len(data.text.encode()) <= MOST_DATA_BYTES


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1)} if depth > 1 else {"a": 1}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([1], "is not an object"),
        ("x", "is not an object"),
        ({"a": "x" * MOST_DATA_BYTES}, "bytes"),
        ({"a": "é" * (MOST_DATA_BYTES // 2)}, "bytes"),
        ({"a": float("nan")}, "JSON can't hold"),
        ({"a": object()}, "JSON can't hold"),
        ({"a": "\ud800"}, "JSON can't hold"),
        ({1: 2}, "not text"),
        (nested(DEEPEST + 1), "nested too deeply"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_data_is_bounded(value: object, why: str) -> None:
    with pytest.raises(InputError, match=why):
        program_data(value)
    assert program_data(nested(DEEPEST)).value == nested(DEEPEST)


CONTEXT = TransferContext(
    variables=(("crm_a", "1"),), headers=(("X-A", "1"),), data=program_data({"ticket": 4711})
)
ASKED = TransferRequested(
    leg="a", transfer="t", target="2600", options=TransferOptions(context=CONTEXT)
)


@pytest.mark.parametrize(
    "event",
    [
        ASKED,
        CommandFailed(
            command=attrs.evolve(DIAL, variables=CONTEXT.variables, headers=CONTEXT.headers),
            reason="-ERR",
        ),
    ],
    ids=["request", "failed call"],
)
def test_another_account_is_told_nothing_of_it(event: Event) -> None:
    record = Record(
        number=1,
        at_s=0.0,
        event=event,
        transfer="t",
        data=CONTEXT.data,
        account="acme",
        accounts=("acme", "other"),
    )
    step = step_of(record)
    for account, sees in ((None, True), ("acme", True), ("other", False)):
        view = event_view(step, account)
        text = msgspec.json.encode(view).decode()
        assert (view.data == {"ticket": 4711}) is sees
        assert ("crm_a" in text and "X-A" in text) is sees
        assert "2600" in text or "1003" in text  # all else is there
    written = json.loads(json.dumps(record.to_document()))
    assert record_from(written) == record
    assert record_from({**written, "data": None}).data is None


# --------------------------------------------------------------- feature codes

CODES: dict[str, Any] = {
    "numbers": {
        "7": {
            "module": "transfer",
            "data": {
                "target": "2600",
                "caller_id_number": "4930123",
                "caller_id_name": "Support",
                "variables": {"crm_a": "1"},
                "headers": {"X-A": "1"},
                "data": {"ticket": 4711},
            },
        }
    }
}


def test_a_feature_code_gives_it_along() -> None:
    read = parse_metaflows(CODES)
    ((_, action),) = read.numbers
    assert action.options.context == CONTEXT
    assert (action.options.caller_number, action.options.caller_name) == ("4930123", "Support")
    assert read.to_document()["numbers"]["7"]["data"] == {  # type: ignore[index]
        "transfer_type": "attended",
        "takeback_dtmf": "*1",
        **CODES["numbers"]["7"]["data"],
    }
    wrong = Account(metaflows=read)
    faults = [str(fault) for fault in account_faults(wrong, "acme")]
    assert any("4930123 may not be shown" in fault for fault in faults)
    rules = Rules(variables_allowed=("crm_*",), caller_numbers_allowed=("4930*",))
    assert not tuple(account_faults(attrs.evolve(wrong, rules=rules), "acme"))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("variables", {"api_on_answer": "x"}, "has a meaning to the switch"),
        ("headers", {"X-A": "a,b"}, "is not allowed"),
        ("data", {"a": "x" * 5000}, "bytes"),
        ("caller_id_name", "{x}", "caller_id_name"),
    ],
)
def test_a_feature_code_that_can_t_work_is_found_when_it_is_written(
    key: str, value: object, why: str
) -> None:
    codes = {"numbers": {"7": {"module": "transfer", "data": {"target": "1", key: value}}}}
    (fault, *_) = metaflows_faults(codes)
    assert why in str(fault)
