# ruff: noqa: INP001 - a script, not a package
"""Write docs/reference and docs/pictures from the code: `make docs`.

Nothing in those folders is written by hand. The pages are generated from the transfer tables, the
JSON schemas of files, the messages of the APIs, docstrings, and the help of the command line. The
same code gives the same pages, to the letter, independent of the terminal, the clock or the order
of a hash; `tests/test_reference.py` generates them again and fails if one is outdated.
"""

from __future__ import annotations

from pathlib import Path

from reference_pages.http import http_page
from reference_pages.library import cli_page, errors_page, library_page, vocabulary_page
from reference_pages.markdown import as_json
from reference_pages.service import metrics_page, promises_page, websocket_page
from reference_pages.written import (
    configuration_page,
    metaflows_page,
    picture,
    policy_page,
    scenario_page,
    table_page,
)

from hookflash.events import Kind
from hookflash.server.http.document import openapi_document
from hookflash.server.websocket.asyncapi import asyncapi_document

HERE = Path(__file__).resolve().parent
PICTURES = ("complete", "partial", "takeback-consult")
"""The scenarios that are shown as pictures."""


def files() -> dict[str, str]:
    """Every generated file, by its path in docs/."""
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
    """Write the files, and remove those that are no longer generated."""
    made = files()
    for folder in ("reference", "pictures"):
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).iterdir():
            if f"{folder}/{old.name}" not in made:
                old.unlink()
    for name, text in made.items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
