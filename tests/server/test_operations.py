"""The table of operations: each one works, and is the same, by HTTP, WebSocket and client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import pytest
import trio
from lab import SWITCH, Lab, Program, open_lab
from talk import open_line, open_net
from trio.testing import MockClock

from hookflash.backends.simulator.switch import ToSound
from hookflash.client import Client, connect
from hookflash.server.http.reading import KEY_HEADER, fields_in
from hookflash.server.operations import OPERATION_OF, OPERATIONS, Operation, Route
from hookflash.server.websocket.asyncapi import asyncapi_document
from hookflash.sounds import parse_sound

MENU: Final = ToSound(parse_sound("tone:350/500,0/500"))
CODES: Final = {"numbers": {"9": {"module": "hangup"}}}

FIELDS: Final[dict[str, dict[str, Any]]] = {
    "list_calls": {},
    "get_call": {"call_id": "CALL", "switch": SWITCH},
    "transfer": {"call_id": "CALL", "target": "2600", "timeout": 20.0, "moh": "music:jazz"},
    "hold": {"call_id": "CALL", "moh": "music:jazz", "switch": SWITCH},
    "park": {"call_id": "CALL", "slot": "703", "parking_limit": 60.0, "switch": SWITCH},
    "pick_up": {"call_id": "ALONE", "slot": "701", "switch": SWITCH},
    "hang_up": {"call_id": "CALL", "switch": SWITCH},
    "take_back": {},
    "complete": {},
    "give_number": {"target": "2600"},
    "swap": {},
    "accept": {},
    "decline": {},
    "three_way": {},
    "list_transfers": {"begun_from": "2026-11-29T00:00:00Z", "page_size": 5, "outcome": "running"},
    "get_transfer": {"transfer_id": "TRANSFER"},
    "get_metaflows": {},
    "set_metaflows": {"metaflows": CODES, "apply_to": "all"},
    "patch_metaflows": {"metaflows": CODES, "apply_to": "all"},
    "reset_metaflows": {"apply_to": "all"},
}
"""What each operation is asked with."""

RUNNING: Final = {"take_back", "complete", "swap", "three_way", "get_transfer", "list_transfers"}
"""Operations that need a transfer in flight."""

CONTROLS: Final = {"take_back", "complete", "swap", "three_way", "give_number", "accept", "decline"}
"""Operations that control a transfer in flight."""

ROUTES: Final = [(one, route) for one in OPERATIONS for route in one.routes]


@attrs.frozen(kw_only=True)
class Prepared:
    """A service with a call, and a transfer if the operation needs one."""

    lab: Lab
    fields: dict[str, Any]


async def prepare(lab: Lab, operation: Operation, by: str) -> Prepared:
    """Have people talk; and transfer them if the operation needs it."""
    call, _ = await lab.call()
    transfer = ""
    if operation.name in RUNNING:
        transfer = await lab.acme.transfer(call, "2600")
        await lab.acme.until(transfer, "consulting")
    asked = {**FIELDS[operation.name]}
    if operation.name == "give_number":
        asked_for = await lab.acme.act(call, "transfer")
        transfer = str(asked_for.json()["data"]["transfer_id"])
        await lab.acme.until(transfer, "asking")
    if operation.name in {"accept", "decline"}:
        asked_for = await lab.acme.act(call, "transfer", target="2600", target_accepts=True)
        transfer = str(asked_for.json()["data"]["transfer_id"])
        await lab.acme.until(transfer, "accepting")
    alone = ""
    if operation.name == "pick_up":
        parked = await lab.acme.act(call, "park")
        assert parked.json()["data"]["slot"] == "701"
        await lab.acme.until(str(parked.json()["data"]["transfer_id"]), "parked")
        alone, _ = await lab.call("1003", "1004")
        lab.backend.world.move(alone, MENU)
        lab.backend.nudge()
        await trio.sleep(1)
    found = {"CALL": call, "TRANSFER": transfer, "ALONE": alone}
    if operation.name in CONTROLS:
        asked[by] = found["CALL" if by == "call_id" else "TRANSFER"]
    fields = {key: found.get(value, value) if isinstance(value, str) else value
              for key, value in asked.items()}  # fmt: skip
    if operation.changes:
        fields["idempotency_key"] = "once"
    return Prepared(lab=lab, fields=fields)


def check(operation: Operation, data: Any) -> None:
    """The answer has the type that the table names."""
    msgspec.convert(data, operation.answer)


async def by_http(program: Program, operation: Operation, route: Route, stage: Prepared) -> Any:
    """Ask by HTTP, with each field in its place."""
    places = fields_in(operation, route)
    given: dict[str, dict[str, Any]] = {place: {} for place in ("path", "query", "header", "body")}
    for name, value in stage.fields.items():
        given[places[name]][name] = value
    data: Any = None
    if route.has_body:
        data = {"action": route.action} if route.action else {}
        data |= given["body"].get(route.body, {}) if route.body else given["body"]
    key = given["header"].get("idempotency_key")
    headers = {KEY_HEADER: key} if key else {}
    path = route.path.format(**given["path"]).removeprefix("/")
    how = {"params": given["query"]} if given["query"] else {}
    answered = await program.ask(route.method, path, data, headers=headers, **how)
    assert answered.status_code == operation.status, answered.text
    body = answered.json()
    if operation.name == "list_transfers":
        return {"transfers": body["data"], "next_start_key": body["next_start_key"]}
    return body["data"]


def test_every_operation_is_tried_here() -> None:
    assert set(FIELDS) == set(OPERATION_OF)


@pytest.mark.parametrize(
    ("operation", "route"), ROUTES, ids=[f"{o.name}-{r.method}-{r.path}" for o, r in ROUTES]
)
async def test_an_operation_works_by_http_and_a_repeat_does_nothing(
    autojump_clock: MockClock, tmp_path: Path, operation: Operation, route: Route
) -> None:
    async with open_lab(tmp_path) as lab:
        by = "call_id" if "{call_id}" in route.path else "transfer_id"
        stage = await prepare(lab, operation, by)
        first = await by_http(lab.acme, operation, route, stage)
        check(operation, first)
        if operation.changes:
            await trio.sleep(30)
            assert await by_http(lab.acme, operation, route, stage) == first


@pytest.mark.parametrize("operation", OPERATIONS, ids=[one.name for one in OPERATIONS])
async def test_an_operation_works_by_websocket_and_a_repeat_does_nothing(
    autojump_clock: MockClock, tmp_path: Path, operation: Operation
) -> None:
    async with open_lab(tmp_path) as lab:
        stage = await prepare(lab, operation, "call_id")
        async with open_line(lab.doors.listener, await lab.make_key("acme")) as line:
            reply = await line.ask(operation.name, **stage.fields)
            assert reply["status"] == operation.status, reply
            check(operation, reply["data"])
            if operation.changes:
                await trio.sleep(30)
                assert (await line.ask(operation.name, **stage.fields))["data"] == reply["data"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=[one.name for one in OPERATIONS])
async def test_an_operation_works_by_the_python_client(
    autojump_clock: MockClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: Operation,
) -> None:
    async with open_lab(tmp_path) as lab, open_net(lab.doors.listener, monkeypatch):
        stage = await prepare(lab, operation, "transfer_id")
        async with connect("ws://net/v2/events", api_key=await lab.make_key("acme")) as client:
            check(operation, await getattr(client, operation.name)(**stage.fields))


def test_the_client_has_no_operation_that_the_table_has_not() -> None:
    own = {name for name in vars(Client) if not name.startswith("_")}
    assert own == {*OPERATION_OF, "send", "events", "reconnects"}


async def test_both_documents_have_every_operation_and_every_field(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path) as lab:
        openapi = (await lab.nobody.ask("GET", "/openapi.json")).json()
    asyncapi = asyncapi_document()
    for operation, route in ROUTES:
        described = openapi["paths"]["/v2/accounts/{account_id}" + route.path][route.method.lower()]
        text = json.dumps([described, openapi["components"]["schemas"]])
        for name, place in fields_in(operation, route).items():
            spelled = KEY_HEADER if place == "header" else name
            if place != "body":
                assert spelled in {one["name"] for one in described["parameters"]}
            elif name != route.body:
                assert f'"{spelled}"' in text
        assert {str(operation.status), "400"} <= set(described["responses"])
        schema = asyncapi["components"]["schemas"][operation.request.__name__]
        assert set(schema["properties"]) == {"action", "id", *operation.request.__struct_fields__}
        assert schema["properties"]["action"] == {"const": operation.name}
        assert operation.name in asyncapi["operations"]


@pytest.mark.parametrize(
    "query", ["outcome=null", "page_size=x", "outcome=running&outcome=failed", "outcom=running"]
)
async def test_a_query_that_is_invalid_is_refused(
    autojump_clock: MockClock, tmp_path: Path, query: str
) -> None:
    async with open_lab(tmp_path) as lab:
        answered = await lab.acme.ask("GET", f"transfers?{query}")
        assert answered.status_code == 400
        assert [*answered.json()["data"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("by", ["http", "websocket", "client"])
async def test_a_request_does_without_a_sound_of_its_account(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    policy = {"announcement": "file:one-moment.wav", "failure_sound": "file:busy.wav"}
    none: dict[str, Any] = {"announcement": "", "failure_sound": ""}
    async with (
        open_lab(tmp_path, accounts={"acme": {"policy": policy}}) as lab,
        open_net(lab.doors.listener, monkeypatch),
    ):
        call, _ = await lab.call()
        key = await lab.make_key("acme")
        match by:
            case "http":
                answered = await lab.acme.act(call, "transfer", target="2600", **none)
                assert answered.status_code == 202, answered.text
            case "websocket":
                async with open_line(lab.doors.listener, key) as line:
                    reply = await line.ask("transfer", call_id=call, target="2600", **none)
                    assert reply["status"] == 202, reply
            case _:
                async with connect("ws://net/v2/events", api_key=key) as client:
                    await client.transfer(call_id=call, target="2600", **none)
        running = lab.service.group.engines[SWITCH].switchboard.running
        (chosen,) = [running[transfer].transfer.policy for transfer in running]
        assert (chosen.announcement, chosen.failure_sound) == (None, None)
