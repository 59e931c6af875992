"""`hookflash asterisk`: print what an Asterisk needs, check one, convert its features.conf."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import App, Parameter
from rich.console import Console

from hookflash.backends.asterisk.client import open_asterisk
from hookflash.backends.asterisk.dialplan import (
    DEFAULT_APPLICATION,
    DEFAULT_CONTEXT,
    dialplan,
)
from hookflash.backends.asterisk.primitives import (
    DEFAULT_ACCOUNT_VARIABLE,
    DEFAULT_OWNER_VARIABLE,
    TOLD,
)
from hookflash.backends.asterisk.procedures import ALLOWED_WORD, checked
from hookflash.backends.asterisk.readiness import HIDES_DIGITS, NEEDED
from hookflash.backends.base import Rejected
from hookflash.cli.terminal import USAGE, plain, terminal
from hookflash.dialling.features_conf import convert_features, features_faults, parse_features
from hookflash.document import read_limited
from hookflash.server.config import AsteriskKeys
from hookflash.server.read_config import asterisk_settings, read_config

CONNECT_S = 10.0
"""How long `check` waits for a switch."""

app = App(name="asterisk", help="Set up hookflash beside an Asterisk.")


@app.command(name="dialplan")
def print_dialplan(
    *,
    context: Annotated[str, Parameter(help="The context's name.")] = DEFAULT_CONTEXT,
    application: Annotated[
        str, Parameter(help="The name under which the service registers with ARI.")
    ] = DEFAULT_APPLICATION,
) -> int:
    """Print the dialplan context that an operator includes in extensions.conf.

    Example: hookflash asterisk dialplan > /etc/asterisk/hookflash.conf
    """
    names = checked(ALLOWED_WORD, context, "context"), checked(ALLOWED_WORD, application, "name")
    print(dialplan(*names), end="")
    return 0


@app.command(name="config")
def print_config() -> int:
    """Print the lines that ari.conf, manager.conf, http.conf and modules.conf need.

    Example: hookflash asterisk config
    """
    print(_CONFIG, end="")
    return 0


@app.command
def check(
    file: Annotated[Path, Parameter(help="The service's configuration, hookflash.toml.")], /
) -> int:
    """Connect to each Asterisk of a configuration, and report what is missing.

    Example: hookflash asterisk check hookflash.toml
    """
    config = read_config(file)
    faults = 0
    console = terminal()
    for name, keys in config.switches.items():
        if isinstance(keys, AsteriskKeys):
            fault = trio.run(_fault_of, keys, name, file.parent)
            faults += fault is not None
            result = (
                "[green]ready[/green]" if fault is None else f"[red]fault[/red]  {plain(fault)}"
            )
            console.print(f"{plain(name)}  {result}", soft_wrap=True)
    return 1 if faults else 0


async def _fault_of(keys: AsteriskKeys, name: str, beside: Path) -> str | None:
    """What is missing on one switch, or `None`."""
    settings = asterisk_settings(keys, name, beside=beside)
    try:
        with trio.move_on_after(CONNECT_S):
            async with open_asterisk(settings):
                return None
    except Rejected as rejected:
        return str(rejected)
    return (
        f"no connection within {CONNECT_S:g} s: ARI {settings.host}:{settings.ari_port},"
        f" AMI {settings.host}:{settings.ami_port} (are both enabled, and reachable from here?)"
    )


@app.command
def features(
    file: Annotated[Path, Parameter(help="Asterisk's features.conf.")],
    /,
) -> int:
    """Convert a features.conf to hookflash.toml.

    The result goes to standard output. Its comments explain what became of each line.

    Example: hookflash asterisk features /etc/asterisk/features.conf > features.toml
    """
    text = read_limited(file, "features.conf").decode("utf-8", errors="replace")
    faults = features_faults(text, str(file))
    if faults:
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        for fault in faults:
            errors.print(f"[red]hookflash:[/red] {plain(str(fault))}")
        return USAGE
    sys.stdout.write(convert_features(parse_features(text, str(file)), file.name))
    return 0


_VARIABLES = ",".join((*TOLD, DEFAULT_ACCOUNT_VARIABLE, DEFAULT_OWNER_VARIABLE))

_CONFIG = f"""\
; Lines for five files. If a file has a section [general] already, add the lines to that section, or
; write [general](+) in place of [general]: a second plain [general] in ari.conf stops all of ARI.
;
; ---- http.conf: ARI listens here. Loopback, if hookflash runs on the same machine.
[general]
enabled = yes
bindaddr = 127.0.0.1
bindport = 8088

; ---- ari.conf: a user, and the channel variables that events carry.
[general]
enabled = yes
channelvars = {_VARIABLES}

[hookflash]
type = user
read_only = no
password = CHANGE-ME

; ---- manager.conf: the same user and password.
[general]
enabled = yes
port = 5038
bindaddr = 127.0.0.1

[hookflash]
secret = CHANGE-ME
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = call
write = call

; ---- modules.conf: only if modules are loaded by name (autoload = no).
[modules]
{"".join(f"load = {name}{chr(10)}" for name in NEEDED)}
; In any case: this module hides the digits of phones that talk.
noload = {HIDES_DIGITS}
; And this one can block ARI when a controller reconnects at once.
noload = res_stasis_device_state.so
; This one needs the one before. Without this line Asterisk logs an error at each start.
noload = res_ari_device_states.so

; ---- extensions.conf, at its end: what `hookflash asterisk dialplan` prints.
#include hookflash.conf
"""
