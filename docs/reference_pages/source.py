"""Describes classes, fields and functions, from the source and its docstrings.

The source is parsed, not imported: docstrings of fields, and defaults as they were written, exist
nowhere else.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from reference_pages.markdown import grid

PACKAGE = Path(__file__).resolve().parents[2] / "hookflash"


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
    """A type without the aliases of the vocabulary (`c.Dial`, `e.LegId`)."""
    return re.sub(r"\b[ce]\.(?=[A-Z])", "", ast.unparse(annotation))


def _plain_default(source: str) -> str:
    """A default without the call of `attrs.field`."""
    wrapped = re.search(r"default=(\(.*?\)|[^,)]+)", source)
    if source.startswith("attrs.field"):
        made = re.search(r"factory=(\w+)", source)
        return wrapped[1] if wrapped else f"{made[1]}()" if made else ""
    return source


def _docstring(node: ast.stmt | None) -> str:
    """The text of a string statement."""
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
