"""The pages about files and settings: transfer tables, scenarios, feature codes, configuration."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any, cast

import attrs

from hookflash.dialling import patterns
from hookflash.document import load_schema
from hookflash.events import Kind
from hookflash.fsm.policy import SOUND_CHOICES, Policy
from hookflash.fsm.render import render
from hookflash.fsm.transfer import State
from hookflash.scenarios.format import load_scenario, parse_scenario
from hookflash.scenarios.roster import HAPPENINGS
from hookflash.scenarios.run import run_scenario
from hookflash.scenarios.script import VERBS, Verb
from hookflash.server.config import (
    AccountKeys,
    AsteriskKeys,
    FreeSwitchKeys,
    JournalKeys,
    Limits,
    Listen,
    Simulator,
)
from hookflash.specs.catalog import SPEC_FOR
from hookflash.story import sequence, sequence_svg
from reference_pages.json_schema import Schema
from reference_pages.markdown import grid, page, paragraphs
from reference_pages.shapes import shape_section
from reference_pages.source import PACKAGE, Field, class_of, fields_of, values


def picture(name: str) -> str:
    """Draw a scenario, as `hookflash simulate … --diagram` does."""
    run = run_scenario(load_scenario(PACKAGE / "specs" / "scenarios" / f"{name}.toml"))
    return sequence_svg(sequence(run.records, run.names))


def table_page(kind: Kind) -> str:
    """A transfer table, and its diagram."""
    spec = SPEC_FOR[kind]
    table = render(spec, "table")
    show = f"`hookflash spec show {spec.name}` prints this table"
    return page(
        spec.title,
        f"{show}, `--format mermaid` the diagram. The table *is* the program: what is not in it "
        "does not happen. [The design](../explanation/design.md) explains how to read it.",
        "```mermaid\n" + render(spec, "mermaid") + "```",
        table.partition("\n\n")[2],
    )


def scenario_page() -> str:
    """The scenario format."""
    policy = Policy()
    sounds = {field.name: f"`{getattr(policy, field.name)}`" for field in attrs.fields(Policy)}
    schema = Schema("specs/scenario.schema.json", defaults=sounds)
    return page(
        "The scenario file",
        "A scenario is a TOML file: who calls whom, what they do and when, and the expected "
        "result. `hookflash simulate FILE` plays it. [Write a "
        "scenario](../how-to/write-a-scenario.md) shows how; this page lists every key. Unknown "
        "keys and invalid values are reported with their location and what is allowed.",
        schema.section("The file"),
        schema.section("party", "party"),
        phones(),
        schema.section("call", "call"),
        schema.section("line", "line"),
        verbs(),
        happenings(),
        schema.section("race", "race"),
        schema.section("expect", "expect"),
        "`heard` need not be complete: the listed sounds must have been heard in this order, with "
        "anything in between. Besides those words there are `fallback` (played if a sound did not "
        "start) and `reminder` (played to a party that has put another on hold).",
        "Only expectations are checked, with one exception: the eight promises are checked in "
        "every run (see [the design](../explanation/design.md#the-eight-promises)).",
        schema.section("policy", "policy"),
        "[Policy](policy.md) gives the reason for each default.",
        "## metaflows\n\nThe feature codes, as a table in the shape of [metaflows](metaflows.md). "
        "By default `*2` and a number transfers, and `*1` takes back.",
        faults(),
    )


def phones() -> str:
    """The choices of a party's `phone`, from the simulator's behaviours."""
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
        keys = ", ".join(f"`{key}` {value}" for key, value in own.items())
        return (f"`{phone}`", inspect.getdoc(type(behaviour)) or "", keys)

    table = grid(("phone", "what it does", "its keys, and their defaults"), map(row, choices))
    return paragraphs("### phone", table)


_DEAF = frozenset(("unreachable",))
"""Phones that ignore `after_s`."""


def verbs() -> str:
    """The verbs of a line."""

    def row(verb: Verb) -> tuple[str, ...]:
        choices = " or ".join(f"`{word}`" for word in verb.words) or "keys"
        takes = ", ".join(f"`{key}`" for key in verb.takes)
        doer = f"`{verb.doer}`" if verb.doer else "a party"
        return (f"`{verb.key}`", choices, doer, verb.about, takes)

    head = ("key", "its value", "`who`", "what happens", "reads also")
    return paragraphs("### What a line may do", grid(head, map(row, VERBS)))


def happenings() -> str:
    """The events for `when`."""
    states = ", ".join(f"`{state.value}`" for state in State)
    return paragraphs(
        "### when",
        "A line waits for its time (`at_s`), for an event (`when`), or only for the line before it "
        "(`after_s`). The events are:",
        "\n".join(
            [
                *(f"- `NAME {verb}`" for verb in HAPPENINGS.values()),
                "- `NAME and NAME talk`",
                f"- `the transfer is STATE`, where STATE is one of {states}",
            ]
        ),
        "A line that waits for an event begins to wait when the line before it is done; what "
        "happened earlier does not count. A line whose event never comes is never done, unless "
        "`or_after_s` limits the wait.",
    )


def faults() -> str:
    """The keys of `faults`."""
    found = fields_of(class_of("backends/simulator/faults.py", "Faults"))

    def row(field: Field) -> tuple[str, ...]:
        unit = "seconds, as `0.2` or `0.05..0.2`" if field.name.endswith("_s") else ""
        share = "from 0 to 1" if field.type == "float" else unit
        return (f"`{field.name.removesuffix('_s')}`", share, field.text)

    return paragraphs(
        "## faults",
        'Pairs, separated by commas: `faults = "lose_command=0.1,latency=0.05..0.2"`. '
        "`--faults` on the command line takes the same text. `latency` sets both latencies. By "
        "default there are no faults.",
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
        schema.section("further", "further", level=3),
        schema.section("data of a hold", "hold", level=3),
        "`resume` and `hangup` take no data.",
        "## Patterns",
        next(part for part in theory if part.startswith("**Language.**")),
    )


def policy_page() -> str:
    """The choices of an operator."""
    fields = fields_of(class_of("fsm/policy.py", "Policy"))

    def row(field: Field) -> tuple[str, ...]:
        types = {"str": "number", "Sound": "sound"}
        unit = "seconds" if field.name.endswith("_s") else types.get(field.type, field.type)
        value = re.sub(r"^[A-Z]\w+\.(\w+)$", lambda m: m[1].lower(), field.default).strip("'")
        if field.name in SOUND_CHOICES:
            value = str(getattr(Policy(), field.name))
        return (f"`{field.name}`", unit, f"`{value}`", field.text)

    return page(
        "Policy",
        "The choices of an operator, for each account: `open_engine(backend, "
        "account=Account(policy=Policy(ring_timeout_s=30)))`, the table `[defaults.policy]` or "
        "`[accounts.NAME.policy]` of [a service's config](configuration.md), or the table "
        "`[policy]` of a scenario. All times are in seconds, and none is inherited from another "
        "leg or call.",
        grid(("choice", "unit or type", "default", "meaning"), map(row, fields)),
        "## What the choices mean",
        "\n".join(values("fsm/policy.py", ("Choice", "PartialSound"))),
    )


def configuration_page() -> str:
    """The keys of hookflash.toml."""
    return page(
        "hookflash.toml",
        "The config of `hookflash serve`. Every key is optional, and an empty file is valid. "
        "`hookflash check-config FILE` checks it: unknown keys and invalid values are reported "
        "with their location and what is allowed. `examples/hookflash.toml` has comments, and "
        "[run the service](../how-to/run-the-service.md) shows how to use it.",
        "SIGHUP reloads it: `[defaults]` and `[accounts]` apply to calls that begin afterwards. "
        "The rest can't change while the service is running.",
        *shape_section("listen", Listen),
        *shape_section("journal", JournalKeys),
        *shape_section("limits", Limits),
        *shape_section("defaults, accounts.NAME", AccountKeys),
        "`policy` is a table of [choices](policy.md), `metaflows` a table of [feature "
        "codes](metaflows.md). The switch reports a leg's account by this name; legs without an "
        "account belong to `default`.",
        "### rules",
        rules(),
        "## switches.NAME",
        "A table for each switch, of one of three kinds. The name appears in URLs, logs and "
        "metrics.",
        *shape_section("freeswitch", FreeSwitchKeys, level=3, before='`kind = "freeswitch"`: '),
        "[Put it on a FreeSWITCH](../how-to/freeswitch.md) says what it needs.",
        *shape_section("asterisk", AsteriskKeys, level=3, before='`kind = "asterisk"`: '),
        "[Put it on an Asterisk](../how-to/asterisk.md) says what it needs.",
        *shape_section("simulator", Simulator, level=3, before='`kind = "simulator"`: '),
    )


def rules() -> str:
    """The rules of an account, as TOML keys."""
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
