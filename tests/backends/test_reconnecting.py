"""One switch must not end the service of all, by nothing that it sends or that we do with it."""

from __future__ import annotations

import attrs
import pytest
import structlog
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from hookflash.backends.base import Rejected
from hookflash.backends.reconnecting import LONGEST_REJECTED_S, Ended, Reconnection
from hookflash.commands import HangUp
from hookflash.events import LONGEST_TEXT, CommandFailed, LegCreated, LegHungUp, SwitchLost


@attrs.define
class Switch:
    """We fail on all that it sends."""

    fault: Exception
    tried_s: list[float] = attrs.field(factory=list[float])
    reported: list[str] = attrs.field(factory=list[str])

    async def use(self) -> Ended:
        self.tried_s.append(trio.current_time())
        await trio.sleep(0.1)
        raise self.fault

    async def report(self, why: str) -> None:
        self.reported.append(why)

    def reconnection(self) -> Reconnection:
        log = structlog.get_logger()
        return Reconnection(first_s=0.1, longest_s=5.0, report=self.report, log=log)


@pytest.mark.parametrize(
    "fault",
    [
        RecursionError("too deep"),
        ExceptionGroup("", [ExceptionGroup("", [RecursionError("too deep")])]),
    ],
)
async def test_a_fault_of_ours_is_told_and_tried_again_slowly(
    autojump_clock: MockClock, fault: Exception
) -> None:
    switch = Switch(fault)
    with capture_logs() as logs, trio.move_on_after(1000):
        await switch.reconnection().run(switch.use, opening=False)
    (why,) = switch.reported  # once, not with each attempt
    assert "RecursionError('too deep')" in why
    assert "report" in why
    assert {entry["event"] for entry in logs} == {"switch.fault", "switch.rejected"}
    assert 10 < len(switch.tried_s) < 40
    assert switch.tried_s[-1] > 1000 - 2 * LONGEST_REJECTED_S


async def test_whoever_waits_for_the_first_connection_is_told(autojump_clock: MockClock) -> None:
    switch = Switch(ValueError("5,000 digits"))
    with pytest.raises(Rejected, match="5,000 digits"):
        await switch.reconnection().run(switch.use, opening=True)


def test_what_a_switch_says_in_words_is_cut() -> None:
    words = "word " * 200_000
    reported = (
        Ended(words).why,
        SwitchLost(reason=words).reason,
        CommandFailed(command=HangUp(leg="a"), reason=words).reason,
        LegHungUp(leg="a", cause=words).cause,
        LegCreated(leg="a", number=words).number,
        LegCreated(leg="a", number="1", name=words).name,
    )
    assert {len(text) for text in reported} == {LONGEST_TEXT}
    assert Ended("the line was cut").why == "the line was cut"
