"""The pages about what a program imports or runs: the library, its errors, the command line."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import cast
from unittest.mock import patch

import msgspec

import hookflash
from hookflash import cli, errors
from hookflash.server.operations import OPERATION_OF
from reference_pages.markdown import grid, page
from reference_pages.source import class_of, fields_of, function, module_of, prose, values


def vocabulary_page() -> str:
    """Events and commands."""
    from hookflash import commands, events  # noqa: PLC0415 - modules, not names

    return page(
        "Events and commands",
        "These values pass between a backend and the engine. "
        "[Write a backend](../how-to/write-a-backend.md) shows them at work.",
        "## Events (`hookflash.events`)",
        inspect.getdoc(events) or "",
        "\n".join(values("events.py")),
        "## Commands (`hookflash.commands`)",
        inspect.getdoc(commands) or "",
        "\n".join(values("commands.py")),
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

    engine = class_of("engine/handles.py", "FellBehind")
    behind = ("`FellBehind`", "`RequestRefused`", "429", "1", ast.get_docstring(engine) or "")
    head = ("error", "is a", "HTTP status", "exit status", "meaning")
    return page(
        "Errors",
        inspect.getdoc(errors) or "",
        "`InputError` has `what`, `where` and `hint`: what is wrong, where, and what to do about "
        "it. `RequestRefused` has `why`, a sentence for people, and `refusal`, a word for "
        "programs. `http_status` is for programs that answer by HTTP.",
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


_FIRST = {
    "engine.engine": 0,
    "engine.handles": 0,
    "engine.record": 1,
    "engine.legs": 2,
    "events": 3,
}


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
            elif isinstance(inner, ast.Assign) and "_sends(" in ast.unparse(inner):
                yield from client_method(ast.unparse(inner.targets[0]))
        return
    yield from function(node, level=2)


def client_method(name: str) -> Iterator[str]:
    """A method of the client: it sends a request of the table."""
    request = OPERATION_OF[name].request
    fields = ", ".join(
        field.encode_name if field.required else f"{field.encode_name}=…"
        for field in msgspec.structs.fields(request)
    )
    yield from (f"### Client.{name}", "", "```text", f"async {name}(*, {fields})", "```", "")
    yield from (inspect.getdoc(request) or "", "")


def _is_for_all(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method is public, and not for another part of hookflash."""
    text = ast.get_docstring(node) or ""
    return not node.name.startswith("_") and not re.search(r"For (the engine|`open_)", text)


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
