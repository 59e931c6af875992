"""Opens the listening sockets: HTTP by hypercorn, WebSocket by trio-websocket."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import attrs
import hypercorn.trio
import trio
from hypercorn.config import Config as HypercornConfig

from hookflash.errors import InputError, first_of
from hookflash.server.addresses import in_folder, read_address, server_tls
from hookflash.server.config import Config
from hookflash.server.service import Service


@attrs.frozen(kw_only=True)
class Addresses:
    """The URLs of both APIs."""

    http: str
    websocket: str


async def listen(
    service: Service,
    *,
    beside: Path | None = None,
    task_status: trio.TaskStatus[Addresses] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen for HTTP and WebSocket, until cancelled.

    Args:
        service: answers the requests.
        beside: the configuration's folder.
        task_status: gets the addresses, once both listen.
    """
    keys = service.config.listen
    tls: ssl.SSLContext | None = None
    if keys.tls_certificate:
        tls = server_tls(keys, where="$.listen", beside=beside)
    host, port = read_address(keys.websocket, where="$.listen.websocket")
    async with trio.open_nursery() as nursery:
        with _named("websocket", keys.websocket):
            port = await nursery.start(service.listener.serve, host, port, tls)
        with _named("http", keys.http):
            binds: list[str] = await nursery.start(_serve_http, service, beside)
        where = f"[{host}]" if ":" in host else host
        scheme = "wss" if tls else "ws"
        task_status.started(
            Addresses(http=binds[0], websocket=f"{scheme}://{where}:{port}/v2/events")
        )
        await trio.sleep_forever()


@contextmanager
def _named(api: str, address: str) -> Generator[None]:
    """Report an API that can't listen.

    Raises:
        InputError: the address is in use, or is not an address of this machine.
    """
    failed: BaseException | None = None
    try:
        yield
    except* OSError as errors:
        failed = first_of(errors)
    if isinstance(failed, OSError):
        raise InputError(
            f"can't listen on {address}: {failed.strerror or failed}",
            where=f"$.listen.{api}",
            hint="stop the program that listens there, or configure another address",
        ) from failed


async def _serve_http(
    service: Service,
    beside: Path | None,
    *,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    # Litestar and hypercorn have different types for ASGI
    serve = cast("Callable[..., Awaitable[None]]", hypercorn.trio.serve)
    await serve(
        service.app,
        hypercorn_config(service.config, beside),
        shutdown_trigger=trio.sleep_forever,
        task_status=task_status,
    )


def hypercorn_config(config: Config, beside: Path | None) -> HypercornConfig:
    """Hypercorn's settings."""
    http = HypercornConfig()
    http.bind = [config.listen.http]
    http.accesslog = None
    http.errorlog = logging.getLogger("hookflash.hypercorn")
    http.loglevel = "WARNING"  # hookflash itself reports where it listens
    http.include_server_header = False
    http.graceful_timeout = 1.0
    http.websocket_max_message_size = 0
    if config.listen.tls_certificate:
        http.certfile = str(in_folder(config.listen.tls_certificate, beside))
        http.keyfile = str(in_folder(config.listen.tls_key, beside))
    return http
