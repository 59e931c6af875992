"""How the tests roll their dice.

`ci`, the default, draws the same examples in every run: a red test is red for everybody, and a
green one did not depend on luck. `soak` draws fresh ones, and many. A failure prints the blob
that repeats it.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a loaded machine is slow, not wrong. No database: each run starts from the same.
settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None, database=None)
settings.register_profile(
    "soak",
    print_blob=True,
    deadline=None,
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much of the tables was run through: rows, and pairs of rows that follow each other.

    The figures come from test_explore.py and test_scenarios.py, in whatever process they ran.
    """
    reports: list[pytest.TestReport] = terminalreporter.stats.get("passed", [])
    lines = sorted(
        f"{name}: {told}"
        for report in reports
        for name, told in report.user_properties
        if name.endswith((" in runs", " in the search"))
    )
    if lines:
        terminalreporter.section("rows of the transfer tables")
        terminalreporter.write_line("\n".join(lines))
