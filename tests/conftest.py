"""How the tests roll their dice.

`ci`, the default, draws the same examples in every run: a red test is red for everybody, and a
green one did not depend on luck. `quick` draws the first few of them. `soak` draws fresh ones, and
many. A failure prints the blob that repeats it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest
import structlog
from coverage import Coverage
from hypothesis import HealthCheck, settings

from hookflash.backends.freeswitch import prompting

# A shell without job control starts background jobs with SIGINT ignored. Children would inherit
# that, and a test that interrupts one would wait forever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: a loaded machine is slow, not wrong. No database: each run starts from the same.
settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None, database=None)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=10)
settings.register_profile(
    "soak",
    print_blob=True,
    deadline=None,
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def seldom_nudged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In virtual time a nudge is sent seldom: an emulator sends its events at once anyway."""
    if "autojump_clock" in request.fixturenames:
        monkeypatch.setattr(prompting, "NUDGED_EVERY_S", 1.0)


# Out of the box structlog has rich colour the sources of every traceback: 0.3 s of a core for each.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage while a test runs that is marked as exhaustive.

    It takes a fraction of the time then, and reaches hardly a line that others have not reached.
    The `no_cover` mark of pytest-cov does not do it: a worker of pytest-xdist has two measurements
    running, one over the other, and that mark stops only one.
    """
    stopped: list[Coverage] = []
    if item.get_closest_marker("exhaustive"):
        while (running := Coverage.current()) is not None:
            running.stop()
            stopped.append(running)
    try:
        return (yield)
    finally:
        for measurement in reversed(stopped):
            measurement.start()


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
