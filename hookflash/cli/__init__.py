"""The command `hookflash`: run the service, control it, simulate calls, check files.

Exit status: 0 success; 1 an error or an unexpected result; 2 invalid input; 130 Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cyclopts import App, CycloptsError
from rich.console import Console

from hookflash.cli.terminal import USAGE, plain
from hookflash.errors import HookflashError

INTERRUPTED = 130
"""The exit status after Ctrl-C, as in shells: 128 plus the signal's number."""

app = App(
    name="hookflash",
    help="Attended transfer for any phone: run the service, control it, simulate, inspect.",
    suppress_keyboard_interrupt=False,
)

COMMANDS = {
    "spec": "tables:app",
    "serve": "service:serve",
    "keys": "keys:app",
    "journal": "history:app",
    "watch": "remote:watch",
    "calls": "remote:calls",
    "transfer": "remote:transfer",
    "complete": "remote:complete",
    "takeback": "remote:takeback",
    "asterisk": "asterisk:app",
    "pbx": "pbx:pbx",
    "check-config": "config:check_config",
    "simulate": "simulated:simulate",
    "replay": "recorded:replay",
    "emulate": "emulator:emulate",
    "prove": "proofs:prove",
    "soak": "proofs:soak",
}
"""The module of each command, imported only when it runs: a simulation needs no web server."""

for _name, _place in COMMANDS.items():
    app.command(f"hookflash.cli.{_place}", name=_name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without arrows gets a question mark
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given or given[0] in app.help_flags:
        for name in COMMANDS:
            app[name]  # imported, so that its help is shown
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        status: Any = app(
            given,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        print(end="", flush=True)  # fails here if there is no standard output (`>&-`)
    except CycloptsError as error:
        errors.print(f"[red]hookflash:[/red] {plain(str(error))} (see hookflash --help)")
        return USAGE
    except HookflashError as error:
        errors.print(f"[red]hookflash:[/red] {plain(str(error))}")
        return error.exit_status
    except BrokenPipeError:
        _write_no_more()
        return 1  # the reader of our output has gone
    except OSError as error:
        _write_no_more()
        errors.print(f"[red]hookflash:[/red] can't write: {plain(error.strerror or str(error))}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _write_no_more() -> None:
    """Discard unwritten output: Python would flush it once more at exit."""
    with suppress(io.UnsupportedOperation):  # not a file: nothing is written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
