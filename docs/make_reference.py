# ruff: noqa: INP001 - a script, not a package
"""Write docs/reference and docs/pictures from the code: `make docs`.

Nothing in those folders is written by hand. A page is made of what the code says of itself: the
transfer tables, the JSON schemas of what people write, the shapes that programs exchange,
docstrings, the help of the command line. The same code gives the same pages, to the letter,
whatever the terminal, the clock or the order of a hash; `tests/test_reference.py` makes them anew
and fails where one is stale.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast, get_args
from unittest.mock import patch

import attrs
import msgspec
from msgspec import inspect as shapes

import hookflash
from hookflash import cli, errors
from hookflash.dialling import patterns
from hookflash.document import load_schema
from hookflash.events import Kind
from hookflash.fsm.render import render
from hookflash.fsm.transfer import SOUND_CHOICES, Policy, State
from hookflash.journal.history import KINDS
from hookflash.promises.names import PROMISES
from hookflash.promises.production import CHECKED
from hookflash.scenarios.format import VERBS, load_scenario, parse_scenario
from hookflash.scenarios.run import run_scenario
from hookflash.server import wire
from hookflash.server.config import (
    AccountKeys,
    FreeSwitchKeys,
    JournalKeys,
    Limits,
    Listen,
    Simulator,
)
from hookflash.server.http import channels, envelope, health, sign_in
from hookflash.server.http import metaflows as http_metaflows
from hookflash.server.http.app import build_app
from hookflash.server.metrics import Metrics
from hookflash.server.websocket import messages
from hookflash.server.websocket.asyncapi import ANSWERS, asyncapi_document
from hookflash.server.websocket.session import Doors
from hookflash.server.wire import Channel, Happening, Moment, PartyView, Taken, TransferView
from hookflash.specs.catalog import SPEC_FOR
from hookflash.story import sequence, sequence_svg

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "hookflash"
PICTURES = ("complete", "partial", "takeback-consult")
"""The scenarios of which the pages show a picture."""


def files() -> dict[str, str]:
    """Every file that is made, by its place in docs/."""
    return {
        **{f"reference/{kind.value}.md": table_page(kind) for kind in Kind},
        "reference/scenario.md": scenario_page(),
        "reference/metaflows.md": metaflows_page(),
        "reference/policy.md": policy_page(),
        "reference/events-and-commands.md": vocabulary_page(),
        "reference/configuration.md": configuration_page(),
        "reference/http.md": http_page(),
        "reference/openapi.json": as_json(openapi_document()),
        "reference/websocket.md": websocket_page(),
        "reference/websocket.asyncapi.json": as_json(asyncapi_document()),
        "reference/metrics.md": metrics_page(),
        "reference/promises.md": promises_page(),
        "reference/errors.md": errors_page(),
        "reference/library.md": library_page(),
        "reference/cli.md": cli_page(),
        **{f"pictures/{name}.svg": picture(name) for name in PICTURES},
    }


def main() -> None:
    """Write what is made, and remove what is made no more."""
    made = files()
    for folder in ("reference", "pictures"):
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).iterdir():
            if f"{folder}/{old.name}" not in made:
                old.unlink()
    for name, text in made.items():
        (HERE / name).write_text(text, encoding="utf-8")


def page(title: str, *parts: str) -> str:
    """Put a page together."""
    mark = "<!-- Made by `make docs`: change the code, not this page. -->"
    return paragraphs(f"# {title}", mark, *parts).rstrip("\n") + "\n"


def paragraphs(*parts: str) -> str:
    """Put an empty line between."""
    return "\n\n".join(parts)


def grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Lay out a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Text that stays in its cell."""
    return " ".join(text.split()).replace("|", r"\|")


def picture(name: str) -> str:
    """Draw a scenario, as `hookflash simulate … --diagram` does."""
    run = run_scenario(load_scenario(PACKAGE / "specs" / "scenarios" / f"{name}.toml"))
    return sequence_svg(sequence(run.records, run.names))


# ---------------------------------------------------------------- transfer tables


def table_page(kind: Kind) -> str:
    """A transfer table, and its diagram."""
    spec = SPEC_FOR[kind]
    table = render(spec, "table")
    show = f"`hookflash spec show {spec.name}` prints this table"
    return page(
        spec.title,
        f"{show}, `--format mermaid` the diagram. The table *is* the program: what is not in it "
        "does not happen. [The design](../explanation/design.md) says how to read it, and why it "
        "is as it is.",
        "```mermaid\n" + render(spec, "mermaid") + "```",
        table.partition("\n\n")[2],
    )


# --------------------------------------------------------------- what people write


class Schema:
    """A JSON Schema, as a reader wants it told."""

    def __init__(
        self,
        name: str,
        *,
        units: Mapping[str, str] | None = None,
        defaults: Mapping[str, str] | None = None,
    ) -> None:
        """Read one of those that ship.

        Args:
            name: the file's.
            units: of keys whose name does not tell it.
            defaults: of keys whose description does not tell it.
        """
        self.top = load_schema(name)
        self.parts: Mapping[str, Mapping[str, Any]] = self.top["$defs"]
        self.units = units or {}
        self.defaults = defaults or {}

    def section(self, title: str, part: str = "", *, level: int = 2) -> str:
        """A heading, and the keys below it."""
        schema = self.parts[part] if part else self.top
        text = sentence(str(schema.get("description", "")))
        return paragraphs(f"{'#' * level} {title}", text, self._keys(schema))

    def _keys(self, schema: Mapping[str, Any]) -> str:
        """The keys of a table, each with its unit and its default."""
        needed = schema.get("required", ())

        def row(key: str, value: Mapping[str, Any]) -> tuple[str, ...]:
            text, default = self._default(value)
            unit = self.units.get(key, "seconds" if key.endswith("_s") else "")
            default = "*must be there*" if key in needed else default or self.defaults.get(key, "")
            return (f"`{key}`", self._allowed(value), unit, default, text)

        properties = cast("Mapping[str, Mapping[str, Any]]", schema["properties"])
        head = ("key", "value", "unit", "default", "meaning")
        return grid(head, (row(key, value) for key, value in properties.items()))

    def _default(self, schema: Mapping[str, Any]) -> tuple[str, str]:
        """The meaning of a key, and its default, which the schema tells in its description."""
        text = str(self._whole(schema).get("description", ""))
        found = re.search(r"[;,] (?P<default>[^;,]+) unless told", text)
        if found is None:
            return text, f"`{schema['default']}`" if "default" in schema else ""
        return text[: found.start()] + text[found.end() :], f"`{found['default']}`"

    def _whole(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema, with what it refers to."""
        if "$ref" not in schema:
            return schema
        return {**self.parts[schema["$ref"].rpartition("/")[2]], **schema}

    def _allowed(self, schema: Mapping[str, Any]) -> str:
        """What it lets pass, in a few words."""
        whole = self._whole(schema)
        if "enum" in whole:
            return ", ".join(f"`{choice}`" for choice in whole["enum"])
        if "anyOf" in whole:
            return " or ".join(map(self._allowed, whole["anyOf"]))
        if "properties" in whole and "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return f"[{name}](#{name})"
        match whole.get("type"):
            case "array":
                return f"list of {self._allowed(whole.get('items', {})) or 'anything'}"
            case "object":
                inside = cast("Mapping[str, Any]", whole.get("additionalProperties") or {})
                return f"table of {self._allowed(inside)}" if inside else "table"
            case kind:
                word = {"string": "text", "integer": "whole number"}.get(str(kind), str(kind or ""))
                return word + _span(whole)


def _span(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return "" if low is None else f", {low} or more"
    return f", {low} to {high}"


def sentence(text: str) -> str:
    """Begin with a capital letter, and end with a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def scenario_page() -> str:
    """The scenario format."""
    policy = Policy()
    sounds = {field.name: f"`{getattr(policy, field.name)}`" for field in attrs.fields(Policy)}
    schema = Schema("specs/scenario.schema.json", defaults=sounds)
    return page(
        "The scenario file",
        "A scenario is a TOML file: who calls whom, what they do and when, and what must come of "
        "it. `hookflash simulate FILE` plays it. [Write a scenario](../how-to/write-a-scenario.md) "
        "shows how; here is every key. A key that is not known, or a value that is not allowed, is "
        "refused with its place and what would be right.",
        schema.section("The file"),
        schema.section("party", "party"),
        phones(),
        schema.section("call", "call"),
        schema.section("deed", "deed"),
        happenings(),
        schema.section("race", "race"),
        schema.section("expect", "expect"),
        "`heard` need not be complete: what is told must have been heard in this order, whatever "
        "came between. Besides those words there are `fallback` (played where a sound did not "
        "start) and `reminder` (played to whoever has put another on hold).",
        "What nobody expects is not checked, with one exception: the eight promises are watched "
        "over in every run (see [the design](../explanation/design.md#the-eight-promises)).",
        schema.section("policy", "policy"),
        "[Policy](policy.md) tells the reason behind each default.",
        "## metaflows\n\nThe feature codes, as a table in the shape of [metaflows](metaflows.md). "
        "Unless told, `*2` and a number transfers, and `*1` takes back.",
        faults(),
    )


def phones() -> str:
    """What a party's `phone` may be, as the simulator's behaviours say of themselves."""
    choices = load_schema("specs/scenario.schema.json")["$defs"]["party"]["properties"]["phone"][
        "enum"
    ]

    def row(phone: str) -> tuple[str, ...]:
        text = f"""
            title = "-"
            expect = {{}}
            parties = {{a = {{number = "1"}}, b = {{number = "2", phone = "{phone}"}}}}
        """
        scenario = parse_scenario(text.encode(), where="docs", name="-")
        behaviour = scenario.parties[1].behaviour
        own = {
            field.name: field.default
            for field in attrs.fields(type(behaviour))
            if field.name != "after_s" or phone not in _DEAF
        }
        own |= {"cause": cast("Any", behaviour).cause} if "cause" in own else {}
        told = ", ".join(f"`{key}` {value}" for key, value in own.items())
        return (f"`{phone}`", inspect.getdoc(type(behaviour)) or "", told)

    table = grid(("phone", "what it does", "its keys, and their defaults"), map(row, choices))
    return paragraphs("### phone", table)


_DEAF = frozenset(("unreachable",))
"""Phones that don't listen to `after_s`."""


def happenings() -> str:
    """What `when` may wait for."""
    states = ", ".join(f"`{state.value}`" for state in State)
    return paragraphs(
        "### when",
        "A deed waits for its time (`at_s`), for a happening (`when`), or for nothing but the deed "
        "before it (`after_s`). Happenings are:",
        "\n".join(
            [
                *(f"- `NAME {verb}`" for verb in VERBS),
                "- `NAME and NAME talk`",
                f"- `the transfer is STATE`, where STATE is one of {states}",
            ]
        ),
        "A deed that waits for a happening begins to wait when the deed before it is done; what "
        "happened earlier does not count. Time stops for nobody: a deed whose happening never "
        "comes is never done, unless `or_after_s` says how long it waits.",
    )


def faults() -> str:
    """What `faults` may hold."""
    found = fields_of(class_of("backends/simulator/faults.py", "Faults"))

    def row(field: Field) -> tuple[str, ...]:
        unit = "seconds, as `0.2` or `0.05..0.2`" if field.name.endswith("_s") else ""
        share = "from 0 to 1" if field.type == "float" else unit
        return (f"`{field.name.removesuffix('_s')}`", share, field.text)

    return paragraphs(
        "## faults",
        'Pairs with commas between them: `faults = "lose_command=0.1,latency=0.05..0.2"`. '
        "`--faults` on the command line takes the same. `latency` sets both latencies. Nothing "
        "goes wrong unless told.",
        grid(("name", "value", "meaning"), map(row, found)),
    )


def metaflows_page() -> str:
    """The feature codes' format."""
    units = {"digit_timeout": "milliseconds", "timeout": "seconds"}
    schema = Schema("dialling/metaflows.schema.json", units=units)
    theory = (inspect.getdoc(patterns) or "").split("\n\n")
    return page(
        "Feature codes (metaflows)",
        "An account's feature codes are a JSON or TOML file in Kazoo's shape. `hookflash "
        "check-config FILE` checks one, and warns of codes that will annoy people. [Choose feature "
        "codes](../how-to/choose-feature-codes.md) shows how; here is every key.",
        schema.section("The file"),
        schema.section("action", "action"),
        schema.section("data of a transfer", "transfer", level=3),
        schema.section("data of a hold", "hold", level=3),
        "`resume` and `hangup` take no data.",
        "## Patterns",
        next(part for part in theory if part.startswith("**Language.**")),
    )


# ------------------------------------------------------------------ docstrings


class Field(NamedTuple):
    """A field of a value, or a member of an enumeration."""

    name: str
    type: str
    default: str
    text: str


def module_of(path: str) -> ast.Module:
    """Read a module of the package."""
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


def class_of(path: str, name: str) -> ast.ClassDef:
    """Find a class in a module."""
    return next(
        node
        for node in module_of(path).body
        if isinstance(node, ast.ClassDef) and node.name == name
    )


def fields_of(node: ast.ClassDef) -> list[Field]:
    """The fields or members of a class, each with the docstring that follows it."""
    found: list[Field] = []
    for at, statement in enumerate(node.body):
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                kind = _type(annotation)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                kind = ""
            case _:
                continue
        default = "" if value is None else ast.unparse(value)
        if name.startswith("_") or "init=False" in default or kind.startswith("ClassVar"):
            continue
        following = node.body[at + 1] if at + 1 < len(node.body) else None
        found.append(Field(name, kind, _plain_default(default), _docstring(following)))
    return found


def _type(annotation: ast.expr) -> str:
    """A type as a reader knows it: without the aliases of the vocabulary (`c.Dial`, `e.LegId`)."""
    return re.sub(r"\b[ce]\.(?=[A-Z])", "", ast.unparse(annotation))


def _plain_default(source: str) -> str:
    """A default as a reader wants it: without the machinery of attrs."""
    wrapped = re.search(r"default=(\(.*?\)|[^,)]+)", source)
    if source.startswith("attrs.field"):
        made = re.search(r"factory=(\w+)", source)
        return wrapped[1] if wrapped else f"{made[1]}()" if made else ""
    return source


def _docstring(node: ast.stmt | None) -> str:
    """The text of a string that stands alone."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(str(node.value.value))
    return ""


def values(path: str, names: Iterable[str] | None = None, *, level: int = 3) -> Iterator[str]:
    """Describe the values and enumerations of a module."""
    chosen = None if names is None else set(names)
    for node in module_of(path).body:
        if not isinstance(node, ast.ClassDef) or (chosen is not None and node.name not in chosen):
            continue
        yield from (f"{'#' * level} {node.name}", "", *prose(ast.get_docstring(node) or ""), "")
        if node.decorator_list or any("Enum" in ast.unparse(base) for base in node.bases):
            yield from (described(fields_of(node)), "")


def described(fields: list[Field]) -> str:
    """Lay out fields, leaving out the columns that are empty."""
    if not any(field.type for field in fields):
        return grid(
            ("member", "value", "meaning"),
            ((f"`{f.name}`", f"`{f.default}`", f.text) for f in fields),
        )
    return grid(
        ("field", "type", "default", "meaning"),
        (
            (f"`{f.name}`", f"`{f.type}`", f"`{f.default}`" * bool(f.default), f.text)
            for f in fields
        ),
    )


def prose(docstring: str) -> Iterator[str]:
    """A docstring as Markdown: its sections become lists, or paragraphs."""
    section = ""
    for line in docstring.splitlines():
        if line in {"Args:", "Returns:", "Raises:", "Yields:"}:
            section = line
            yield from (f"*{line.removesuffix(':')}*", "")
        elif section and line.startswith("    "):
            item = section in {"Args:", "Raises:"} and not line.startswith("     ")
            text = re.sub(r"^(\w+):", r"`\1`:", line.strip()) if item else line.strip()
            yield ("- " if item else "  " if section in {"Args:", "Raises:"} else "") + text
        else:
            section = "" if line else section
            yield line


def vocabulary_page() -> str:
    """Events and commands."""
    from hookflash import commands, events  # noqa: PLC0415 - modules, not names

    return page(
        "Events and commands",
        "These are the words between a backend and the engine. "
        "[Write a backend](../how-to/write-a-backend.md) shows them at work.",
        "## Events (`hookflash.events`)",
        inspect.getdoc(events) or "",
        "\n".join(values("events.py")),
        "## Commands (`hookflash.commands`)",
        inspect.getdoc(commands) or "",
        "\n".join(values("commands.py")),
    )


def policy_page() -> str:
    """What an operator may choose."""
    fields = fields_of(class_of("fsm/transfer.py", "Policy"))

    def row(field: Field) -> tuple[str, ...]:
        types = {"str": "number", "Sound": "sound"}
        unit = "seconds" if field.name.endswith("_s") else types.get(field.type, field.type)
        value = re.sub(r"^[A-Z]\w+\.(\w+)$", lambda m: m[1].lower(), field.default).strip("'")
        if field.name in SOUND_CHOICES:
            value = str(getattr(Policy(), field.name))
        return (f"`{field.name}`", unit, f"`{value}`", field.text)

    return page(
        "Policy",
        "What an operator may choose, for each account: `open_engine(backend, "
        "account=Account(policy=Policy(ring_timeout_s=30)))`, the table `[defaults.policy]` or "
        "`[accounts.NAME.policy]` of [a service's config](configuration.md), or the table "
        "`[policy]` of a scenario. All times are in seconds, and none is inherited from another "
        "leg or call.",
        grid(("choice", "unit or type", "default", "meaning"), map(row, fields)),
        "## What the choices mean",
        "\n".join(values("fsm/transfer.py", ("Choice", "PartialSound"))),
    )


def errors_page() -> str:
    """The tree of errors."""
    classes = [node for node in module_of("errors.py").body if isinstance(node, ast.ClassDef)]
    nodes = [node for node in classes if node.name != "Refusal"]
    refusals = next(node for node in classes if node.name == "Refusal")

    def row(node: ast.ClassDef) -> tuple[str, ...]:
        kind = cast("type[errors.HookflashError]", getattr(errors, node.name))
        base = ast.unparse(node.bases[0])
        doc = (ast.get_docstring(node) or "").replace("\n", " ")
        return (f"`{node.name}`", f"`{base}`", str(kind.http_status), str(kind.exit_status), doc)

    engine = class_of("engine/engine.py", "FellBehind")
    behind = ("`FellBehind`", "`RequestRefused`", "429", "1", ast.get_docstring(engine) or "")
    head = ("error", "is a", "HTTP status", "exit status", "meaning")
    return page(
        "Errors",
        inspect.getdoc(errors) or "",
        "`InputError` has `what`, `where` and `mend`: what is wrong, in which place, and what "
        "to do about it. `RequestRefused` has `why`, a sentence for whoever asked, and `refusal`, "
        "a word for a program. `http_status` is for a program of yours that answers by HTTP.",
        grid(head, [*map(row, nodes), behind]),
        "## Why a request is refused",
        grid(
            ("refusal", "HTTP status", "meaning"),
            (
                (
                    f"`{field.default}`".replace("'", ""),
                    str(errors.RequestRefused("", errors.Refusal[field.name]).http_status),
                    field.text,
                )
                for field in fields_of(refusals)
            ),
        ),
    )


# ------------------------------------------------------------------ the service


def configuration_page() -> str:
    """The keys of hookflash.toml."""
    return page(
        "hookflash.toml",
        "The config of `hookflash serve`. An empty file is one; every key may be left out. "
        "`hookflash check-config FILE` checks it: a key that is not known, or a value that is not "
        "allowed, is refused with its place and what would be right. `examples/hookflash.toml` has "
        "comments, and [run the service](../how-to/run-the-service.md) shows how it is used.",
        "SIGHUP has it read again: `[defaults]` and `[accounts]` hold for calls that begin then. "
        "The rest can't change while the service is up.",
        *told("listen", Listen),
        *told("journal", JournalKeys),
        *told("limits", Limits),
        *told("defaults, accounts.NAME", AccountKeys),
        "`policy` is a table of [choices](policy.md), `metaflows` a table of [feature "
        "codes](metaflows.md). An account's name is what the switch says of its legs; legs of "
        "which it says nothing are `default`'s.",
        "### rules",
        rules(),
        "## switches.NAME",
        "A table for each switch, of one of two kinds. The name stands in URLs, logs and metrics.",
        *told("freeswitch", FreeSwitchKeys, level=3, before='`kind = "freeswitch"`: '),
        "[Put it on a FreeSWITCH](../how-to/freeswitch.md) says what it needs.",
        *told("simulator", Simulator, level=3, before='`kind = "simulator"`: '),
    )


def rules() -> str:
    """What an account allows, as it is written in TOML."""
    words = {"int | None": "whole number", "tuple[str, ...]": "list of text"}
    rights = fields_of(class_of("engine/rules.py", "Rights"))
    defaults = {"()": "`[]`", "Rights.USERS": '`"users"`'}

    def row(field: Field) -> tuple[str, ...]:
        text = field.text.replace("`None`", "Left out")
        default = defaults.get(field.default, "")
        return (f"`{field.name}`", words.get(field.type, "one of these"), default, text)

    table = grid(
        ("key", "value", "default", "meaning"),
        map(row, fields_of(class_of("engine/rules.py", "Rules"))),
    )
    listed = (f'- `"{ast.literal_eval(one.default)}"`: {one.text}' for one in rights)
    return paragraphs(table, "`may_transfer` is one of", "\n".join(listed))


def told(
    title: str, kind: type[msgspec.Struct], *, level: int = 2, before: str = ""
) -> Iterator[str]:
    """A shape that people or programs write, or read: a heading, and its keys."""
    yield f"{'#' * level} {title}"
    yield before + (inspect.getdoc(kind) or "")
    yield struct_keys(kind)


def struct_keys(kind: type[msgspec.Struct]) -> str:
    """The keys of a shape: types from what checks them, meanings from the lines below them."""
    path = str(Path(inspect.getfile(kind)).relative_to(PACKAGE))
    texts = {field.name: field.text for field in fields_of(class_of(path, kind.__name__))}
    found = cast("shapes.StructType", shapes.type_info(kind))

    def row(field: shapes.Field) -> tuple[str, ...]:
        allowed, meant = type_in_words(field.type)
        name = f"`{field.encode_name}`"
        return (name, allowed, default_of(field), meaning(texts.get(field.name) or meant))

    return grid(("key", "value", "default", "meaning"), map(row, found.fields))


def meaning(text: str) -> str:
    """A meaning as a sentence; some names need none."""
    return sentence(text) if text else ""


def default_of(field: shapes.Field) -> str:
    """What holds where a key is left out."""
    if field.required:
        return "*must be there*"
    value = field.default
    if value is msgspec.NODEFAULT or value is None or isinstance(value, msgspec.Struct):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`"


_WORDS: Mapping[str, str] = {
    "StrType": "text",
    "IntType": "whole number",
    "FloatType": "number",
    "BoolType": "true or false",
    "AnyType": "anything",
    "NoneType": "null",
    "RawType": "anything",
}


def type_in_words(kind: shapes.Type) -> tuple[str, str]:  # noqa: PLR0911 - a case each
    """What a type lets pass, and what it means where its name says so."""
    match kind:
        case shapes.Metadata():
            words, meant = type_in_words(kind.type)
            extra = cast("Mapping[str, str]", kind.extra_json_schema or {})
            return words, extra.get("description", meant)
        case shapes.EnumType():
            return ", ".join(f"`{one.value}`" for one in kind.cls), ""
        case shapes.LiteralType():
            return ", ".join(f"`{one}`" for one in kind.values), ""
        case shapes.UnionType():
            told = [type_in_words(one) for one in kind.types]
            meant = next((text for _, text in told if text), "")
            return " or ".join(dict.fromkeys(words for words, _ in told)), meant
        case shapes.VarTupleType() | shapes.ListType():
            return f"list of {type_in_words(kind.item_type)[0]}", ""
        case shapes.TupleType():
            return f"[{', '.join(type_in_words(one)[0] for one in kind.item_types)}]", ""
        case shapes.DictType():
            return f"table of {type_in_words(kind.value_type)[0]}", ""
        case shapes.StructType():
            return struct_in_words(kind), ""
        case _:
            return _WORDS[type(kind).__name__] + bounds(kind), ""


def struct_in_words(kind: shapes.StructType) -> str:
    """A shape within another."""
    name = kind.cls.__name__
    return "table" if name.endswith("Keys") else f"[{name}](#{name.lower()})"


_MORE_THAN_ENOUGH = 100_000_000
"""A limit from here on is there for machines, and no reader asks for it."""


_LONG_TEXT = 500
"""How long a text of a config may be: a limit of the same sort."""


def bounds(kind: shapes.Type) -> str:
    """Between which numbers, or how long."""
    low, above = getattr(kind, "ge", None), getattr(kind, "gt", None)
    high, longest = getattr(kind, "le", None), getattr(kind, "max_length", None)
    if longest is not None and longest < _LONG_TEXT:
        return f" of at most {longest} characters"
    from_on = f", {low} or more" if low is not None else ""
    from_on = f", more than {above}" if above is not None else from_on
    if high is None or high >= _MORE_THAN_ENOUGH:
        return from_on
    return f", {low} to {high}" if low is not None else f"{from_on}, at most {high}"


def as_json(document: Mapping[str, Any]) -> str:
    """A document as a file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def openapi_document() -> dict[str, Any]:
    """What a running service has at /openapi.json."""
    # an application that nobody asks anything needs no more than this
    doors = cast("Doors", SimpleNamespace(limits=Limits()))
    return cast("dict[str, Any]", build_app(doors, Metrics()).state.document())


def http_page() -> str:
    """The HTTP API."""
    document = openapi_document()
    by_tag: dict[str, list[str]] = {}
    wrong: dict[str, str] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "responses" in operation:
                tag = operation["tags"][0]
                by_tag.setdefault(tag, []).append(
                    http_operation(method, path, operation, document["components"]["schemas"])
                )
                wrong |= {
                    status: one["description"]
                    for status, one in operation["responses"].items()
                    if status >= "400" and tag != "health"
                }
    names = sorted(document["components"]["schemas"])
    return page(
        "The HTTP API",
        document["info"]["description"],
        "[Transfer by HTTP](../how-to/transfer-by-http.md) shows it at work. "
        "[openapi.json](openapi.json) is the same for programs; a running service has it at "
        "`/openapi.json`, and as a page at `/`. A field that is not known is refused, so that "
        "nothing that anybody wrote is dropped without a word.",
        "Every answer is an object: `data`, a `request_id`, and `status`, which is `success` or "
        "`error`.",
        *(part for tag, asked in by_tag.items() for part in (f"## {tag.capitalize()}", *asked)),
        "## What may go wrong",
        grid(("status", "meaning"), sorted(wrong.items())),
        "The answer is an [ErrorAnswer](#erroranswer).",
        "## Shapes",
        *(part for name in names for part in http_shape(name)),
    )


def http_shape(name: str) -> Iterator[str]:
    """A shape, if it is one of ours, and not one that the framework puts around it."""
    for module in _HTTP_SHAPES:
        kind = getattr(module, name, None)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from told(name, kind, level=3)
            return


_HTTP_SHAPES = (channels, envelope, health, http_metaflows, sign_in, wire)


def http_operation(
    method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> str:
    """One thing that can be asked."""
    parameters = [
        (f"`{one['name']}`", one["in"], one.get("description", ""))
        for one in operation.get("parameters", ())
        if one["name"] not in {"account_id", "call_id", "transfer_id"}
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    responses = sorted(operation["responses"].items())
    good = [answer_in_words(one, schemas, status) for status, one in responses if status < "400"]
    bad = ", ".join(status for status, _ in responses if status >= "400")
    answers = " ".join([*good, *([f"Or {bad}."] if bad else ())])
    return paragraphs(
        f"### {method.upper()} {path}",
        sentence(str(operation.get("summary", ""))),
        *([grid(("parameter", "in", "meaning"), parameters)] if parameters else ()),
        *([f"The body is {schema_in_words(body['schema'])}."] if body else ()),
        answers,
    )


def answer_in_words(answer: Mapping[str, Any], schemas: Mapping[str, Any], status: str) -> str:
    """What comes when all went well."""
    content = answer.get("content", {}).get("application/json", {}).get("schema", {})
    whole = schemas.get(str(content.get("$ref", "")).rpartition("/")[2], content)
    data = whole.get("properties", {}).get("data")
    if data is not None:
        return f"Answers {status}; `data` is {schema_in_words(data)}."
    return f"Answers {status}{', ' + schema_in_words(content) if content else ''}."


def schema_in_words(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911 - a case each
    """What a schema lets pass, in a few words."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return "[feature codes](metaflows.md)" if name == "Metaflows" else named_shape(name)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(map(schema_in_words, choices)))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    match schema.get("type"):
        case "array":
            return f"list of {schema_in_words(schema.get('items', {}))}"
        case list():
            several = cast("list[str]", schema["type"])
            return " or ".join(schema_in_words({**schema, "type": one}) for one in several)
        case kind:
            told_of = {"string": "text", "integer": "whole number", "object": "table"}
            return told_of.get(str(kind), str(kind or "anything"))


def named_shape(name: str) -> str:
    """A shape that stands elsewhere on its page."""
    return f"`{name}`" if "." in name else f"[{name}](#{name.lower()})"


def websocket_page() -> str:
    """The WebSocket protocol."""
    description = str(asyncapi_document()["info"]["description"])
    asked = cast("tuple[type[messages.Ask], ...]", get_args(messages.Asked))
    ours = (messages.Hello, messages.Reply, messages.Fault, messages.Events)
    kinds = ", ".join(f"`{kind}`" for kind in KINDS)
    return page(
        "The WebSocket protocol",
        "[Transfer by WebSocket](../how-to/transfer-by-websocket.md) shows it at work, and has a "
        "client. [websocket.asyncapi.json](websocket.asyncapi.json) is the same for programs.",
        description.rstrip("\n"),
        "## What a program says",
        *(part for kind in asked for part in websocket_message(kind)),
        "## What the service says",
        *(part for kind in ours for part in told(kind.__name__, kind, level=3)),
        f"Kinds of events are {kinds}.",
        "## What it tells",
        *(
            part
            for kind in (Happening, Taken, Channel, TransferView, PartyView, Moment)
            for part in told(kind.__name__, kind, level=3)
        ),
    )


def websocket_message(kind: type[messages.Ask]) -> Iterator[str]:
    """One thing that a program may ask."""
    do = str(kind.__struct_config__.tag)
    yield from told(do, kind, level=3)
    yield f"The reply: {ANSWERS[do]}"


def metrics_page() -> str:
    """What is counted."""
    found = sorted(metrics())
    return page(
        "Metrics",
        "What a service has at `/metrics`, for Prometheus. [Run the "
        "service](../how-to/run-the-service.md#alarms) says on which to put an alarm. A histogram "
        "has `_bucket`, `_sum` and `_count` behind its name.",
        grid(("metric", "kind", "labels", "meaning"), found),
    )


def promises_page() -> str:
    """What is promised of every transfer."""
    return page(
        "Promises",
        "What hookflash promises of every transfer. [The design](../explanation/design.md"
        "#the-eight-promises) says what checks each. A running service counts how often one of "
        "those marked was broken (`hookflash_promises_broken_total`, with the key as the label "
        "`promise`), and logs an error with the key. These counters must stay 0; alert on any "
        "increase.",
        grid(
            ("number", "key", "promise", "counted by a service"),
            (
                (str(one.number), f"`{one.key}`", one.sentence, "yes" if one in CHECKED else "")
                for one in PROMISES
            ),
        ),
    )


_COUNTED: Mapping[str, str] = {
    "Counter": "counter",
    "CounterMetricFamily": "counter",
    "GaugeMetricFamily": "gauge",
    "Histogram": "histogram",
}


def metrics() -> Iterator[tuple[str, ...]]:
    """Every metric, as it is made in the code."""
    for node in ast.walk(module_of("server/metrics.py")):
        match node:
            case ast.Call(
                func=ast.Name(id=made), args=[ast.Constant(name), ast.Constant(text), *rest]
            ) if made in _COUNTED:
                given = [one.value for one in node.keywords if one.arg == "labels"]
                labels = [*rest, *given][:1] if made.startswith(("Counter", "Hist")) else given
                names = [
                    f"`{ast.literal_eval(one)}`"
                    for group in labels
                    if isinstance(group, ast.Tuple | ast.List)
                    for one in group.elts
                ]
                total = "_total" if _COUNTED[made] == "counter" else ""
                yield (f"`{name}{total}`", _COUNTED[made], ", ".join(names), str(text))
            case _:
                pass


# ------------------------------------------------------------------ the library


def library_page() -> str:
    """What can be imported from `hookflash`."""
    names: Mapping[str, str] = vars(hookflash)["_MODULE_OF"]
    home: dict[str, list[str]] = {}
    for name in sorted(names):
        home.setdefault(names[name], []).append(name)
    order = sorted(home, key=lambda module: (_FIRST.get(module, 9), module))
    parts = [
        part
        for module in order
        for name in home[module]
        if name not in _ELSEWHERE
        for part in member(module.replace(".", "/") + ".py", name)
    ]
    return page(
        "The library",
        "All of these are imported from `hookflash` itself. [Embed it](../how-to/embed.md) shows "
        "them at work; of `connect` and `Client`, [transfer by "
        "WebSocket](../how-to/transfer-by-websocket.md). "
        "On pages of their own are `Policy` and its [choices](policy.md), the "
        "[errors](errors.md), and the [events and commands](events-and-commands.md). "
        "`hookflash.testing` holds [`check_backend`](../how-to/write-a-backend.md).",
        "\n".join(parts),
    )


_ELSEWHERE = frozenset(errors.__dict__) | {
    "Choice",
    "FellBehind",
    "PartialSound",
    "Policy",
    "__version__",
}
"""Names that have a page of their own, or need none."""
_FIRST = {"engine.engine": 0, "engine.record": 1, "engine.lines": 2, "events": 3}


def member(path: str, name: str) -> Iterator[str]:
    """Describe a class, a function or a type of a module."""
    body = module_of(path).body
    for node, text in pairwise(body):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            yield from (f"## {name}", "", "```text", ast.unparse(node), "```", "")
            yield from (*prose(ast.literal_eval(ast.unparse(text))), "")
            return
    node = next(
        node
        for node in body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name == name
    )
    if isinstance(node, ast.ClassDef):
        yield from values(path, [name], level=2)
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and _is_for_all(inner):
                yield from function(inner, level=3, of=f"{name}.")
        return
    yield from function(node, level=2)


def _is_for_all(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method is there for everybody, and not for another part of hookflash."""
    text = ast.get_docstring(node) or ""
    return not node.name.startswith("_") and not re.search(
        r"For (the engine|`open_|`connect`|`Happenings`)", text
    )


def function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, *, level: int, of: str = ""
) -> Iterator[str]:
    """Describe a function."""
    yield from (f"{'#' * level} {of}{node.name}", "", "```text", *signature(node), "```", "")
    yield from (*prose(ast.get_docstring(node) or ""), "")


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """How a function is called: on one line if there is room."""
    given = node.args
    plain = [argument for argument in given.args if argument.arg != "self"]
    missing = len(plain) - len(given.defaults)
    words = [
        _argument(argument, given.defaults[at - missing] if at >= missing else None)
        for at, argument in enumerate(plain)
    ]
    if given.kwonlyargs:
        words.append("*")
        words += map(_argument, given.kwonlyargs, given.kw_defaults)
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    before = "async with " if "asynccontextmanager" in decorators else ""
    if isinstance(node, ast.AsyncFunctionDef) and not before:
        before = "await "
    back = _type(node.returns) if node.returns else "None"
    if "property" in decorators:
        yield f"{node.name}: {back}"
        return
    after = f") -> {back}"
    line = f"{before}{node.name}({', '.join(words)}{after}"
    room = 90
    if len(line) <= room:
        yield line
        return
    yield from (f"{before}{node.name}(", *(f"    {word}," for word in words), after)


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {_type(argument.annotation)}" if argument.annotation else ""
    return argument.arg + kind + (f" = {ast.unparse(default)}" if default else "")


# ------------------------------------------------------------- the command line


def cli_page() -> str:
    """The help of each command."""
    # cyclopts takes part of the usage from the name of the program that runs, here and now
    with patch.object(sys, "argv", ["hookflash"]):
        text = cli.app.generate_docs(output_format="markdown")
    body = text[text.index("**Commands**") :].replace("```console", "```text")
    status = (inspect.getdoc(cli) or "").partition("Exit status:")[2]
    return page(
        "The command line",
        body.rstrip("\n"),
        f"## Exit status\n\n{' '.join(status.split())}",
    )


if __name__ == "__main__":
    main()
