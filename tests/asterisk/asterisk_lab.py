"""A real Asterisk as the switch, and a second one as the telephones: one pair per test process.

The pair is started by the first test that asks for it, and ended when the process ends. Tests are
skipped, with the reason in one line, where Asterisk can't be had.

    pytestmark = needs_asterisk

    async def test_a_call(pair: Pair) -> None:
        async with open_lab(pair) as lab:
            caller = await lab.phones.call("1001", "1002")
"""

from __future__ import annotations

import atexit
import functools
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from hookflash.backends.asterisk.dialplan import dialplan
from hookflash.backends.asterisk.manager import EventHandler, Manager, ignore_event, open_manager
from hookflash.backends.asterisk.primitives import DEFAULT_ACCOUNT_VARIABLE, TOLD
from hookflash.pbx.obtain import AsteriskUnavailable, Installation, obtain
from hookflash.pbx.pair import Pair, pair_setup
from hookflash.pbx.phones import ListedChannel, Phones, channels, open_phones
from hookflash.pbx.switch import Softphone

needs_asterisk = [
    pytest.mark.asterisk,
    # one pair for all of them: they take turns
    pytest.mark.xdist_group("asterisk"),
]
needs_another_asterisk = [
    pytest.mark.asterisk,
    # these take turns on a pair of their own, where tests run in several processes
    pytest.mark.xdist_group("asterisk-2"),
]

PASSWORD = secrets.token_urlsafe()
SOFTPHONES = (Softphone(number="1101", password=PASSWORD, name="Dora"),)


@functools.cache
def _obtained() -> Installation | AsteriskUnavailable:
    try:
        return obtain()
    except AsteriskUnavailable as error:
        return error


def installation() -> Installation:
    """The unpacked Asterisk; skips the test where there is none. To be asked for by a fixture."""
    found = _obtained()
    if isinstance(found, AsteriskUnavailable):
        pytest.skip(str(found))
    return found


@functools.cache
def start_pair() -> Pair:
    """Start a pair, set up as an operator sets up a switch for us; it runs until the process ends.

    Not to be called inside of trio: ask for it in a plain fixture.
    """
    directory = Path(tempfile.mkdtemp(prefix="hookflash-asterisk-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    include = directory / "hookflash.conf"
    include.write_text(dialplan(), encoding="utf-8")
    setup = pair_setup(
        directory,
        include=include,
        softphones=SOFTPHONES,
        channel_variables=(*TOLD, DEFAULT_ACCOUNT_VARIABLE),
    )
    pair = Pair.start(installation(), setup)
    atexit.register(pair.stop)
    trio.run(pair.ready)
    return pair


@attrs.frozen
class Lab:
    """The phones, and a manager connection to the switch of the test's own."""

    pair: Pair
    phones: Phones
    switch: Manager

    async def legs(self, count: int = 2) -> list[ListedChannel]:
        """Wait until the switch has so many channels, all of them in bridges."""
        with trio.fail_after(10):
            while True:
                legs = await channels(self.switch)
                if len(legs) == count and all(leg.bridge for leg in legs):
                    return sorted(legs, key=lambda leg: leg.unique_id)
                await trio.sleep(0.01)


@asynccontextmanager
async def open_lab(pair: Pair, on_event: EventHandler = ignore_event) -> AsyncGenerator[Lab]:
    """Open the phones and the switch, with nobody on the line before and after."""
    async with (
        open_phones(pair.telephones.login, pair.switch.login) as phones,
        open_manager(pair.switch.login, on_event) as switch,
    ):
        await phones.silence()
        yield Lab(pair, phones, switch)
        await phones.silence()
