"""Forks `hookflash serve` off a process that has imported it already.

A start takes 0.1 s then, and not 1 s of a core, so that `make test` can afford forty. What is
forked is a process as any other, and dies of SIGKILL like one.

Each line of the standard input names a config, a file for the standard output, and one for the
standard error, with tabs between; the answer is the process's id.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module


def main() -> None:
    import_module("hookflash.cli.service")
    import_module("hookflash.server.service")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody has to wait for them
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            config, out, log = line.rstrip("\n").split("\t")
            serve(config, out, log)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()


def serve(config: str, out: str, log: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    files = (os.devnull, os.O_RDONLY), (out, os.O_WRONLY), (log, os.O_WRONLY)
    for number, (name, how) in enumerate(files):
        os.dup2(os.open(name, how | os.O_CREAT | os.O_APPEND, 0o600), number)
    from hookflash.cli import main as hookflash  # noqa: PLC0415

    os._exit(hookflash(["serve", "--config", config]))


if __name__ == "__main__":
    main()
