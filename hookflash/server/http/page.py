"""The OpenAPI document as a self-contained HTML page."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em }
pre { background: #8881; padding: 0.75rem; overflow-x: auto; border-radius: 6px }
summary { cursor: pointer; padding: 0.3rem 0 }
.method { display: inline-block; min-width: 4.5rem; font-weight: 600 }
details { border-bottom: 1px solid #8883 }
table { border-collapse: collapse } td, th { text-align: left; padding: 0.2rem 1rem 0.2rem 0 }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } a { color: #8bf } }
"""


def page_of(document: Mapping[str, Any]) -> str:
    """Render an OpenAPI document as one HTML page."""
    info = document["info"]
    title = html.escape(f"{info['title']} {info['version']}")
    body = "\n".join(_operations(document))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{html.escape(info.get('description', ''))}</p>"
        '<p>For programs: <a href="/openapi.json">openapi.json</a></p>'
        f"{body}<h2>Schemas</h2>{''.join(_shapes(document))}</body></html>"
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    tag = ""
    for path, methods in document["paths"].items():
        for method, operation in cast("dict[str, Any]", methods).items():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            described = cast("dict[str, Any]", operation)
            name = (described.get("tags") or [""])[0]
            if name != tag:
                tag = name
                yield f"<h2>{html.escape(tag.capitalize())}</h2>"
            yield _operation(path, method, described)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{html.escape(one['name'])}</code></td><td>{html.escape(one['in'])}</td>"
        f"<td>{html.escape(one.get('description', ''))}</td></tr>"
        for one in operation.get("parameters", ())
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    answers = "".join(
        f"<tr><td>{html.escape(status)}</td><td>{html.escape(one.get('description', ''))}</td></tr>"
        for status, one in operation["responses"].items()
    )
    return (
        f'<details><summary><span class="method">{method.upper()}</span> '
        f"<code>{html.escape(path)}</code> {html.escape(operation.get('summary', ''))}</summary>"
        f"<p>{html.escape(operation.get('description', ''))}</p>"
        f"<table>{parameters}</table>{_body(body)}<table>{answers}</table></details>"
    )


def _body(body: Mapping[str, Any]) -> str:
    schema = body.get("schema", {})
    data = schema.get("properties", {}).get("data", schema)
    names = [one.get("$ref", "").rpartition("/")[2] for one in (data, *data.get("oneOf", ()))]
    links = [f'<a href="#{html.escape(name)}">{html.escape(name)}</a>' for name in names if name]
    return f"<p>Body: {' or '.join(links)}</p>" if links else ""


def _shapes(document: Mapping[str, Any]) -> Iterator[str]:
    shapes = document.get("components", {}).get("schemas", {})
    for name, shape in sorted(cast("dict[str, Any]", shapes).items()):
        text = html.escape(json.dumps(shape, indent=2, ensure_ascii=False))
        yield (
            f'<details id="{html.escape(name)}"><summary><code>{html.escape(name)}</code></summary>'
            f"<pre>{text}</pre></details>"
        )
