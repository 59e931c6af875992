"""A stranger reads the OpenAPI document, and asks the live service whatever it allows, and more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow

HOOKS = Path(__file__).parent / "schemathesis_hooks.py"

CONFIG = """
[listen]
http = "127.0.0.1:0"
websocket = "127.0.0.1:0"

[limits] # the stranger is not to be slowed down: limits have tests of their own
requests_per_second = 100_000
drain_s = 0.1

[switches.sim]
kind = "simulator"
calls = [{calls}]
"""

CALLS = ", ".join(f'["{1000 + 2 * n}", "{1001 + 2 * n}"]' for n in range(40))
"""Some will be hung up, and some transferred."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)

REJECTIONS = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 413, 415, 422, 428, 429]
"""
"""By default 413 is none: but a body may be wrong and too large."""


@contextmanager
def serving(folder: Path) -> Generator[tuple[str, str]]:
    """A service in a process of its own: its address, and a token."""
    config = folder / "hookflash.toml"
    config.write_text(CONFIG.format(calls=CALLS), encoding="utf-8")
    command = [sys.executable, "-m", "hookflash"]
    with subprocess.Popen(
        [*command, "serve", "--config", config], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        try:
            url = next(line for line in service.stdout if line.startswith("HTTP on ")).split()[-1]
            made = subprocess.run(
                [*command, "keys", "make", "--account", "default", "--config", config],
                capture_output=True,
                text=True,
                check=True,
            )
            key = {"data": {"api_key": made.stdout.strip()}}
            yield url, httpx.put(f"{url}/v2/api_auth", json=key).json()["auth_token"]
            assert service.poll() is None, "the service has died"
        finally:
            service.terminate()
            service.communicate(timeout=60)
    assert service.returncode == 0


@pytest.mark.exhaustive
def test_the_service_keeps_what_its_openapi_document_promises(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(REJECTIONS, encoding="utf-8")
    with serving(tmp_path) as (url, token):
        asked = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"{url}/openapi.json",
                "--header",
                f"X-Auth-Token: {token}",
                "--checks",
                ",".join(CHECKS),
                "--phases",
                "examples,coverage,fuzzing",
                "--max-examples=2",
                "--continue-on-failure",
                "--generation-deterministic",
                "--generation-with-security-parameters=false",
                "--no-color",
                "--no-shrink",
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "HOOKFLASH_TEST_URL": url,
                "HOOKFLASH_TEST_TOKEN": token,
                "SCHEMATHESIS_HOOKS": str(HOOKS),
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        metrics = httpx.get(f"{url}/metrics").text
    assert asked.returncode == 0, asked.stdout[-20_000:] + asked.stderr[-5_000:]
    assert 'operation="transfer",status="202"' in metrics, "it never got as far as a call"
    broken = [line for line in metrics.splitlines() if line.startswith("hookflash_promises_broken")]
    assert broken, "the promises are counted"
    assert all(line.endswith(" 0.0") for line in broken), broken
