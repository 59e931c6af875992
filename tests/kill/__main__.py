"""Kill the service again and again, and check that no caller is lost. `make kill`.

python tests/kill --kills 200 --calls 15 --seed 1                  # the emulator, real kills
python tests/kill --kills 10000 --seed 1 --virtual                 # the virtual clock
HOOKFLASH_FREESWITCH=127.0.0.1:8021/127.0.0.1:8022 python tests/kill --kills 200 --seed 1
python tests/kill --asterisk --kills 200 --calls 15 --seed 1       # an Asterisk of its own
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import cast

import trio
from killing import Forker
from rounds import Figures, Player, Setting, on_asterisk, on_the_emulator, on_the_switch
from trio.testing import MockClock

from hookflash.pbx.pair import Pair

KILLS_A_ROUND = 12

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a name of our own is made in it
"""Journals are here on the virtual clock: only a power cut could tell the difference."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def play(player: Player, *, kills: int, calls: int, most: int, out: Path) -> Figures:
    """Play rounds until there were enough kills."""
    began = time.monotonic()
    told = shown = 0
    while player.figures.kills < kills:
        left = kills - player.figures.kills
        await player.round(calls, kills=min(left, most))
        figures = player.figures
        for story in figures.stories[told:]:
            with out.open("a", encoding="utf-8") as file:
                file.write(story + "\n\n")
        told = len(figures.stories)
        for fault in figures.faults[shown:]:
            say(f"    {fault.kind}: {fault.who} {fault.text}")
        shown = len(figures.faults)
        took_s = time.monotonic() - began
        say(
            f"{took_s:6.0f} s: {figures.kills} kills, {figures.calls} calls,"
            f" {figures.transfers} transfers, {len(figures.lost())} lost,"
            f" {len(figures.faults)} faults ({player.took})"
        )
    return player.figures


def folder_for(options: argparse.Namespace) -> tempfile.TemporaryDirectory[str]:
    in_memory = IN_MEMORY if options.virtual and IN_MEMORY.is_dir() else None
    return tempfile.TemporaryDirectory(prefix="hookflash-kill-", dir=in_memory)


async def run(options: argparse.Namespace, out: Path, pair: Pair | None) -> Figures:
    named = os.environ.get("HOOKFLASH_FREESWITCH", "")
    hows = tuple(options.blows.split(","))
    dialling = options.dial or ("direct" if options.seed % 2 else "dialplan")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(folder_for(options))
        forker = Forker() if options.forked else None
        if forker is not None:
            stack.push_async_callback(forker.close)
        setting = Setting(
            folder=Path(folder),
            seed=options.seed,
            hows=hows,
            direct=dialling == "direct",
            freeze_s=options.freeze_s,
            pace=options.pace,
            forker=forker,
        )
        if pair is not None:
            rig, where = on_asterisk(pair, setting), "an Asterisk started for this run"
        elif named and not options.virtual:
            rig, where = on_the_switch(named, setting), f"a FreeSWITCH, {named}"
        else:
            rig, where = on_the_emulator(setting, virtual=options.virtual), "the emulator"
        say(f"on {where}; seed {options.seed}; targets are dialled by {dialling}")
        async with rig as player:
            return await play(
                player, kills=options.kills, calls=options.calls, most=options.most, out=out
            )


def own_pair() -> Pair:
    """Start an Asterisk and its telephones, as the tests do."""
    sys.path.append(str(Path(__file__).parent.with_name("asterisk")))
    return cast("Pair", import_module("asterisk_lab").start_pair())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--calls", type=int, default=15, help="calls in flight at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=KILLS_A_ROUND, help="kills per round")
    parser.add_argument(
        "--virtual", action="store_true", help="use the emulator on a virtual clock"
    )
    parser.add_argument("--asterisk", action="store_true", help="start an Asterisk for the run")
    parser.add_argument("--blows", default="kill", help="kill,cut,freeze,overload")
    parser.add_argument("--freeze-s", type=float, default=30.0)
    parser.add_argument(
        "--pace", type=float, default=1.0, help="factor for the service's up and down times"
    )
    parser.add_argument(
        "--forked", action="store_true", help="fork services off a process with all imports"
    )
    parser.add_argument(
        "--dial",
        choices=("direct", "dialplan"),
        help="how targets are dialled; by default, by the seed",
    )
    parser.add_argument(
        "--stories", default="kill-stories.txt", help="the file for stories of faults"
    )
    options = parser.parse_args()
    # as by Ctrl-C: a service that outlives its run would control the calls of the next one
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.virtual and "freeze" in options.blows.split(","):
        parser.error("--virtual: a service without its own process can't be frozen")
    if options.asterisk and (options.virtual or "overload" in options.blows.split(",")):
        parser.error("--asterisk can't be combined with --virtual or the blow `overload`")
    out = Path(options.stories)
    out.unlink(missing_ok=True)
    clock = MockClock(autojump_threshold=0) if options.virtual else None
    figures = trio.run(run, options, out, own_pair() if options.asterisk else None, clock=clock)
    say(figures.text())
    for fault in figures.faults[:40]:
        say(f"  call {fault.index}: {fault.kind}: {fault.who} {fault.text}")
    if figures.stories:
        say(f"{len(figures.stories)} stories in {out}")
    return 1 if figures.faults else 0


if __name__ == "__main__":
    sys.exit(main())
