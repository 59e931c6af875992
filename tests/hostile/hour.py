"""A hostile hour: strangers attack both doors at once, while people are transferred."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs
import trio
from attacks import LET_IN
from processes import doors_of, steps_in
from scene import Scene, helper, open_scene, place_of, size_of, tokens_to_replay

from hookflash.backends.simulator.world import World
from hookflash.emulator.emulator import Emulator
from hookflash.emulator.server import open_emulator

GROWTH_DESCRIPTORS: Final = 30
GROWTH_MB: Final = 30
ENGINE_KILLED_AT: Final = (0.05, 0.15, 0.25)
"""Parts of the attack after which the engine is killed: early, so that what grows has time."""
MOST_MB: Final = {"engine": 200, "doors": 500}
"""What each process may need, with all doors full."""


@attrs.frozen(kw_only=True)
class Setting:
    """How hostile it gets."""

    idle_s: float = 60.0
    """Without strangers, to compare with."""
    attack_s: float = 3600.0
    crowd: int = 10
    """Strangers for each kind of attack."""
    waiting: int = 3_000
    """Connections at each door that do nothing."""
    lanes: int = 3
    """Calls at the same time."""
    honest: int = 480
    deaf: int = 20
    disturb_every_s: float = 60.0
    settle_s: float = 25.0
    """Time for the last connections of strangers to run into their deadlines."""
    disk: Path | None = None
    """A small file system for the journal, which is filled; otherwise only files stop growing."""
    limit_s: float = 0.1
    """What 99 of 100 calls may wait for the service, from the last key to the join."""


class Steady(Random):
    """Dice of a switch that takes the same time for each call, and does nothing unlikely.

    Whatever a call then waits beyond the quickest is the service's.
    """

    def random(self) -> float:
        """Never below a probability."""
        return 0.999_999

    def uniform(self, a: float, b: float) -> float:
        """The shortest time."""
        return a


@attrs.define
class Report:
    """What was seen."""

    setting: Setting
    idle_s: list[float] = attrs.field(factory=list[float])
    """What calls waited from the last key to the join, beyond what the switch needs."""
    attacked_s: list[float] = attrs.field(factory=list[float])
    switch_s: float = 0.0
    """What the switch needs: the quickest call without strangers."""
    sizes: dict[str, list[tuple[int, int]]] = attrs.field(factory=dict[str, list[tuple[int, int]]])
    """Descriptors and MB of each process: before, again and again meanwhile, and after."""
    lives: dict[str, int] = attrs.field(factory=dict[str, int])
    readers: dict[str, Any] = attrs.field(factory=dict[str, Any])
    ended: int = 0
    """Transfers that had ended, by the journal, when the readers had time to hear of all."""
    scene: Scene | None = None
    stop_s: float = 0.0
    """How long a stop took with all strangers there."""

    def findings(self) -> list[str]:
        """What must not be."""
        assert self.scene is not None
        tally = self.scene.tally
        found = [f"lost: {text}" for text in tally.lost]
        found += [f"not served: {text}" for text in tally.refused]
        found += [f"{name}: {count}" for name, count in self.lives.items() if LET_IN in name]
        if tally.unheard_undisturbed:
            found.append(f"{tally.unheard_undisturbed} codes were not heard")
        if not self.attacked_s or quantile(self.attacked_s, 0.99) > self.setting.limit_s:
            found.append(
                f"99 of 100 calls waited for the service {quantile(self.attacked_s, 0.99):.3f} s"
            )
        complete = self.readers.get("complete", 0) == self.setting.honest
        heard = self.readers.get("events", 0) >= self.ended
        if not complete or not heard or self.readers.get("wrong"):
            found.append(f"readers: {self.readers}")
        for name, sizes in self.sizes.items():
            before, after = sizes[0], sizes[-1]
            if after[0] > before[0] + GROWTH_DESCRIPTORS:
                found.append(f"{name} has {after[0]} descriptors, {before[0]} before")
            most_mb = max(mb for _, mb in sizes)
            if most_mb > MOST_MB[name]:
                found.append(f"{name} had {most_mb} MB")
            half = [mb for _, mb in sizes[1 : 1 + len(sizes) // 2]]
            if most_mb > max(half, default=most_mb) + GROWTH_MB:
                found.append(f"{name} grew in the second half of the attack")
        return found

    def lines(self) -> list[str]:
        """The report in words."""
        assert self.scene is not None
        tally = self.scene.tally
        ratio = quantile(self.attacked_s, 0.99) / (quantile(self.idle_s, 0.99) or 1)
        return [
            f"{tally.calls} calls, {tally.transfers} transfers, {len(tally.lost)} lost",
            f"{tally.unheard} codes dialled again, {tally.unheard_undisturbed} of them undisturbed",
            f"digits to join: the switch needs {self.switch_s * 1000:.0f} ms; beyond that:",
            f"  without strangers: {in_words(self.idle_s)}",
            f"  attacked: {in_words(self.attacked_s)} (p99: {ratio:.1f} times)",
            f"sign-in and list: {in_words(tally.asked_s)}, {len(tally.refused)} not served",
            f"readers: {self.readers}; {self.ended} transfers ended",
            *(
                f"{name}: descriptors {', '.join(str(one[0]) for one in sizes)};"
                f" MB {', '.join(str(one[1]) for one in sizes)} (before, meanwhile, after)"
                for name, sizes in self.sizes.items()
            ),
            f"a stop while attacked took {self.stop_s:.1f} s",
            "connections of strangers: "
            + ", ".join(f"{name} {count}" for name, count in sorted(self.lives.items())),
        ]


def quantile(values: Sequence[float], part: float) -> float:
    """A quantile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def in_words(values: Sequence[float]) -> str:
    """Some quantiles."""
    p50, p99, top = (quantile(values, part) * 1000 for part in (0.5, 0.99, 1.0))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {top:.1f} ms of {len(values)}"


async def play(setting: Setting, say: Callable[[str], None]) -> Report:
    """Play the hour."""
    report = Report(setting)
    with tempfile.TemporaryDirectory(prefix="hookflash-hostile-", dir=setting.disk) as folder:
        async with (
            open_emulator(Emulator(world=World(dice=Steady()))) as listening,
            open_scene(Path(folder), listening, has_own_disk=setting.disk is not None) as scene,
            trio.open_nursery() as nursery,
        ):
            report.scene = scene
            people = trio.CancelScope()
            nursery.start_soon(_live, scene, setting.lanes, people)
            nursery.start_soon(scene.program)
            async with _readers(scene, setting, report):
                say(f"{setting.idle_s:.0f} s without strangers")
                await trio.sleep(setting.idle_s)
                report.switch_s = min(scene.tally.waited_s, default=0.0)
                report.idle_s = _beyond(report.switch_s, scene.tally.waited_s)
                scene.tally.waited_s = []
                _measure(scene, report)
                say(f"{setting.attack_s:.0f} s with {setting.crowd} strangers for each attack")
                async with _strangers(scene, setting, report):
                    await _attacked(scene, setting, report, say)
                    report.attacked_s = _beyond(report.switch_s, scene.tally.waited_s)
                await trio.sleep(setting.settle_s)
                _measure(scene, report)
                people.cancel()  # so that the readers come to an end
                await _until_readers_have_all(scene, report)
            nursery.start_soon(_live, scene, setting.lanes, trio.CancelScope())
            async with _strangers(scene, setting, report):
                await trio.sleep(2)
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    report.stop_s = await _stop(scene)
    return report


async def _live(scene: Scene, lanes: int, people: trio.CancelScope) -> None:
    """Have people call each other until they are cancelled."""
    with people:
        async with trio.open_nursery() as nursery:
            for lane in range(lanes):
                nursery.start_soon(scene.lane, lane)


def _beyond(switch_s: float, waited_s: Sequence[float]) -> list[float]:
    return [one - switch_s for one in waited_s]


def _measure(scene: Scene, report: Report) -> None:
    engine = scene.process.process.pid
    for name, pid in (("engine", engine), ("doors", doors_of(engine))):
        report.sizes.setdefault(name, []).append(size_of(pid))


async def _attacked(
    scene: Scene, setting: Setting, report: Report, say: Callable[[str], None]
) -> None:
    """The hour itself, with a disturbance from time to time."""
    disturbances = cycle((scene.kill_doors, scene.fill_disk, scene.freeze_switch))
    began_s = trio.current_time()
    ends_s = began_s + setting.attack_s
    kill_engine_s = [began_s + setting.attack_s * part for part in ENGINE_KILLED_AT]
    count = 0
    while (left_s := ends_s - trio.current_time()) > 0:
        await trio.sleep(min(setting.disturb_every_s, left_s))
        if ends_s - trio.current_time() > setting.disturb_every_s:
            if kill_engine_s and trio.current_time() > kill_engine_s[0]:
                kill_engine_s.pop(0)
                await scene.kill_engine()
            else:
                await next(disturbances)()
            count += 1
        tally = scene.tally
        say(
            f"  {tally.calls} calls, {len(tally.lost)} lost, {in_words(tally.waited_s)};"
            f" {count} disturbances; readers {report.readers}"
        )
        _measure(scene, report)


async def _until_readers_have_all(scene: Scene, report: Report) -> None:
    """Wait until all readers have heard of all transfers that have ended."""
    await trio.sleep(2)
    ended = sum(step.kind == "transfer.ended" for step in steps_in(scene.folder))
    with trio.move_on_after(60):
        while report.readers.get("complete", 0) < report.setting.honest:
            await trio.sleep(0.5)
    report.ended = ended


async def _stop(scene: Scene) -> float:
    began_s = trio.current_time()
    scene.is_over = True
    scene.process.process.send_signal(signal.SIGTERM)
    with trio.move_on_after(60):
        await scene.process.process.wait()
    return trio.current_time() - began_s


@asynccontextmanager
async def _strangers(scene: Scene, setting: Setting, report: Report) -> AsyncGenerator[None]:
    told = {
        "http": place_of(scene.process.http),
        "websocket": place_of(scene.process.websocket),
        "tokens": tokens_to_replay(scene.folder),
        "crowd": setting.crowd,
        "waiting": setting.waiting,
    }
    async with helper("attacks.py", **told) as process, trio.open_nursery() as nursery:
        nursery.start_soon(_follow, process, partial(_add_lives, report, dict(report.lives)))
        yield
        nursery.cancel_scope.cancel()


def _add_lives(report: Report, before: dict[str, int], lives: dict[str, int]) -> None:
    report.lives = {name: before.get(name, 0) + count for name, count in lives.items()}


@asynccontextmanager
async def _readers(scene: Scene, setting: Setting, report: Report) -> AsyncGenerator[None]:
    told = {"websocket": scene.process.websocket, "key": scene.key}
    numbers = {"honest": setting.honest, "deaf": setting.deaf}

    def heard(readers: dict[str, Any]) -> None:
        report.readers = readers

    async with helper("readers.py", **told, **numbers) as process, trio.open_nursery() as nursery:
        nursery.start_soon(_follow, process, heard)
        yield
        nursery.cancel_scope.cancel()


async def _follow(process: trio.Process, take: Callable[[dict[str, Any]], None]) -> None:
    """Take each line that a process prints.

    Raises:
        EOFError: it has ended, though it must go on until it is killed.
    """
    assert process.stdout is not None
    rest = b""
    async for chunk in process.stdout:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            take(json.loads(line))
    raise EOFError(f"{process.args} has ended with {process.poll()}")
