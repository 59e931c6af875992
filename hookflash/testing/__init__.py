"""For authors of a backend: `check_backend` checks it against every promise of `Backend`.

The check plays both sides. It controls the backend by commands, and the people by means of what
the author provides: a `Lab`, which places a call and lets a phone hang up or press a key. The lab
names three numbers (one that answers, one that is busy, one that never answers) and an endless
sound. A lab may do more (cut the connection, open a second backend, read a phone's display); then
more is checked.

    async def test_my_backend():
        print(await check_backend(open_my_lab))

`Backend.capabilities` states what a backend can do; exactly that is required. The check returns a
`Report` of what was checked and what was not. The first broken promise raises `AssertionError` with
the promise as its message.

`lab` is what an author implements. The checks are in `calls`, `orders`, `failsafe` and `line`; in
`races` people hang up at the worst moments; all checks observe through `observer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio
import trio.testing

from hookflash.backends.base import Capabilities
from hookflash.testing import calls, failsafe, line, orders
from hookflash.testing.lab import Lab, NotInThisLab
from hookflash.testing.observer import Check, Scene
from hookflash.testing.races import laps
from hookflash.testing.report import Report, Unchecked
from hookflash.testing.reported import Log

__all__ = ["CHECKS", "Lab", "NotInThisLab", "Report", "Unchecked", "check_backend"]

CHECKS: Final = (*calls.CHECKS, *orders.CHECKS, *failsafe.CHECKS, *line.CHECKS)
"""The checks of every backend, besides the races."""

DEFAULT_RACES: Final = 4
"""How many races of each kind, for each of the two parties that hang up."""


async def check_backend(
    open_lab: Callable[[], AbstractAsyncContextManager[Lab]],
    *,
    races: int = DEFAULT_RACES,
    seed: int = 1,
) -> Report:
    """Check a backend against its promises.

    Args:
        open_lab: opens a fresh backend, with people on its switch. It is opened once for each
            check, so that no check can disturb another; or, if the lab holds several calls at once,
            once for all checks that do not disturb each other.
        races: how many races of each kind to run, for each of the two parties that hang up.
        seed: of the delays in the races.

    Returns:
        What was checked, and what was not.

    Raises:
        AssertionError: a promise was broken; the message says which, and what was seen instead.
    """
    run = _CheckRun(open_lab)
    broken: list[AssertionError] = []
    try:
        await run.all(CHECKS)
        await run.all(tuple(laps(races, seed)), are_races=True)
    except* AssertionError as group:
        broken = list(_leaves(group.exceptions))
    if broken:
        raise broken[0]
    return Report(tuple(run.checked), tuple(run.unchecked.values()), run.races)


def _leaves(
    errors: Iterable[AssertionError | BaseExceptionGroup[AssertionError]],
) -> Iterator[AssertionError]:
    for error in errors:
        if isinstance(error, AssertionError):
            yield error
        else:
            yield from _leaves(error.exceptions)


class _CheckRun:
    """One run of the checks."""

    def __init__(self, open_lab: Callable[[], AbstractAsyncContextManager[Lab]]) -> None:
        self._open_lab = open_lab
        self._scenes = 0
        self.checked: list[str] = []
        self.unchecked: dict[str, Unchecked] = {}
        self.races = 0

    async def all(self, checks: Sequence[Check], *, are_races: bool = False) -> None:
        """Run checks, as many in one lab as it can hold."""
        todo = list(checks)
        while todo:
            async with self._open_lab() as lab, trio.open_nursery() as nursery:
                log = Log()
                nursery.start_soon(log.listen, lab)
                await trio.testing.wait_all_tasks_blocked()
                await log.found()
                todo = [check for check in todo if self._is_demanded(check, lab)]
                together = _together(todo, lab.calls_at_once)
                todo = [check for check in todo if check not in together]
                await self._together(lab, log, together, are_races=are_races)
                nursery.cancel_scope.cancel()

    def _is_demanded(self, check: Check, lab: Lab) -> bool:
        can: Capabilities = lab.backend.capabilities
        missing = [need for need in check.needs if not getattr(can, need)]
        if missing:
            why = f"the backend does not claim {', '.join(missing)}"
            self.unchecked[check.promise] = Unchecked(check.promise, why)
        return not missing

    async def _together(
        self, lab: Lab, log: Log, checks: Sequence[Check], *, are_races: bool
    ) -> None:
        room = trio.CapacityLimiter(lab.calls_at_once)
        lock = trio.Lock()

        async def run(check: Check, name: str) -> None:
            async with room:
                scene = Scene(lab, log, name, lock)
                try:
                    await check.run(scene)
                except NotInThisLab as missing:
                    scene.skip(check.promise, f"the lab does not have {missing}")
                scene.review()
                if not check.is_alone:
                    await scene.clear()
            self.races += are_races
            for promise, why in scene.unchecked.items():
                self.unchecked[promise] = Unchecked(promise, why)
            if not are_races and check.promise not in self.unchecked:
                self.checked.append(check.promise)

        async with trio.open_nursery() as nursery:
            for check in checks:
                self._scenes += 1
                nursery.start_soon(run, check, f"check-{self._scenes}")


def _together(checks: Sequence[Check], calls_at_once: int) -> list[Check]:
    """The checks that run next, in one lab."""
    if not checks:
        return []
    if calls_at_once == 1 or checks[0].is_alone:
        return list(checks[:1])
    return [check for check in checks if not check.is_alone]
