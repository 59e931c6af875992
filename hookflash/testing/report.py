"""The result of a check of a backend."""

from __future__ import annotations

import attrs


@attrs.frozen
class Unchecked:
    """A promise that was not checked."""

    promise: str
    why: str
    """The capability that the backend does not claim, or what the lab lacks."""


@attrs.frozen
class Report:
    """What was checked, and what was not. `print` it."""

    checked: tuple[str, ...]
    """The promises that were checked, and kept."""
    unchecked: tuple[Unchecked, ...]
    races: int
    """How many races were run."""

    def __str__(self) -> str:
        """Render the report."""
        lines = [f"{len(self.checked)} promises kept, {self.races} races survived:"]
        lines += [f"  kept         {promise}" for promise in self.checked]
        lines += [f"  not checked  {left.promise}: {left.why}" for left in self.unchecked]
        return "\n".join(lines)
