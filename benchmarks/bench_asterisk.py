"""hookflash beside Asterisk's own attended transfer (`atxfer`), on the same Asterisk, in one run.

An Asterisk is obtained by apt, without root, and runs with a second one as its telephones: real
SIP, real RTP, real digits (RFC 4733). Two calls take turns. One is `Dial(…)`, and hookflash
transfers it, through the dialplan. The other is `Dial(…,,tT)`, and Asterisk transfers it:
`atxfer = *2` in features.conf. Every time is the switch's own: the time stamps of its manager
events.

* **Digit to ring**: from the end of the last digit until the target's phone rings. Both may have to
  wait for digits that may follow, so there are three of these: numbers of a known length, where
  neither waits; a `#` at the end; a pause at the end, which is the digit timeout of each.
* **Answer to talk**: from the target's answer until transferor and target are bridged.
* **Hang-up to talk**: from the transferor's hang-up until the two others are bridged.
* **What becomes of the caller** if something goes wrong: observed, by the same events.

    python benchmarks/bench_asterisk.py [--transfers 30] [--no-stories]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

import attrs
import trio
from bench_core import Figure

from hookflash.backends.asterisk.client import open_asterisk
from hookflash.backends.asterisk.dialplan import dialplan
from hookflash.backends.asterisk.manager import open_manager
from hookflash.backends.asterisk.manager_wire import Message
from hookflash.backends.asterisk.primitives import DEFAULT_ACCOUNT_VARIABLE, TOLD
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.dialling.metaflows import parse_metaflows
from hookflash.engine.engine import Engine, open_engine
from hookflash.engine.legs import Account
from hookflash.fsm.policy import Policy
from hookflash.pbx.config import manager_conf, tone
from hookflash.pbx.obtain import AsteriskUnavailable, Installation, obtain
from hookflash.pbx.pair import Pair, PairSetup, open_pair, pair_setup
from hookflash.pbx.phones import Phones, open_phones

KEY_GAP_S: Final = 0.12
"""Between two keys: pressed without a gap, the phone's second tone is taken for two."""
LIMIT_S: Final = 60.0
SETTLED_S: Final = 0.3
"""People are slower than switches."""

DIGIT_TIMEOUT_S: Final = 2.0
"""hookflash's default."""
TRANSFER_DIGIT_TIMEOUT_S: Final = 3
"""Asterisk's default."""
RING_TIMEOUT_S: Final = 5
"""Of both, for the stories: by default hookflash has 20 s, Asterisk 15 s."""
LOOP_DELAY_S: Final = 2
"""Of Asterisk's recall, for the stories: by default 10 s."""
BEEP_BYTES: Final = 2_000
"""A quarter of a second."""

ALICE, BOB = "PJSIP/1001-", "PJSIP/1002-"


class System(StrEnum):
    """Who transfers."""

    HOOKFLASH = "hookflash"
    ATXFER = "atxfer"


class Ending(StrEnum):
    """By what a number ends."""

    LENGTH = "known length"
    HASH = "#"
    PAUSE = "pause"


FEATURES: Final = """\
[general]
transferdigittimeout = {digit_timeout_s}
atxfernoanswertimeout = {ring_timeout_s}
atxferloopdelay = {loop_delay_s}
transferannouncesound =
xfersound = {beep}
xferfailsound = {beep}
transferretrysound = {beep}
transferinvalidsound = {beep}

[featuremap]
atxfer = *2
"""

EXTENSIONS: Final = """
; Calls that Asterisk itself may transfer; with an open number plan behind 4.
[default]
exten => _5XXXX,1,Dial(PJSIP/${EXTEN:1},,tT)
 same => n,Hangup(${HANGUPCAUSE})
exten => _4XXXX,1,Set(__TRANSFER_CONTEXT=open)
 same => n,Dial(PJSIP/${EXTEN:1},,tT)
 same => n,Hangup(${HANGUPCAUSE})

[open]
exten => _X.,1,Goto(default,${EXTEN},1)
"""


def bench_setup(directory: Path) -> PairSetup:
    """Describe the pair: one switch for both."""
    include = directory / "hookflash.conf"
    include.write_text(dialplan() + EXTENSIONS, encoding="utf-8")
    beep = directory / "beep.ulaw"
    beep.write_bytes(tone()[:BEEP_BYTES])
    variables = (*TOLD, DEFAULT_ACCOUNT_VARIABLE)
    setup = pair_setup(directory, include=include, channel_variables=variables)
    switch = setup.switch
    features = FEATURES.format(
        digit_timeout_s=TRANSFER_DIGIT_TIMEOUT_S,
        ring_timeout_s=RING_TIMEOUT_S,
        loop_delay_s=LOOP_DELAY_S,
        beep=beep.with_suffix(""),
    )
    manager = manager_conf(switch.ports.ami, switch.secret, variables)
    files = {
        **switch.files,
        "features.conf": features,
        "manager.conf": manager.replace("[general]\n", "[general]\ntimestampevents = yes\n", 1),
    }
    return attrs.evolve(setup, switch=attrs.evolve(switch, files=files))


# ------------------------------------------------------------------------- the switch's own clock


@attrs.define(eq=False)
class Clock:
    """What the switch's events say of who talks with whom, and when."""

    now_s: float = 0.0
    states: dict[str, str] = attrs.field(factory=dict[str, str])
    """By the channel's name."""
    bridges: dict[str, set[str]] = attrs.field(factory=dict[str, set[str]])
    music: set[str] = attrs.field(factory=set[str])
    marks: dict[str, float] = attrs.field(factory=dict[str, float])
    """When each of these was seen last: `ringing PJSIP/2600-`, `digit 12`, …"""
    digits: int = 0
    """Keys that Alice has pressed."""
    log: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])
    """What Bob hears, and since when."""
    _waiting: list[tuple[Callable[[], bool], trio.Event, list[float]]] = attrs.field(
        factory=list[tuple[Callable[[], bool], trio.Event, list[float]]]
    )

    def take(self, event: Message) -> None:
        """Take an event."""
        channel, at = event.get("channel"), event.get("timestamp")
        if not channel or not at:
            return
        self.now_s = float(at)
        self._note_place(event, channel)
        self._note_mark(event, channel, channel[: channel.rfind("-") + 1])
        hears = self.heard_by(BOB)
        if not self.log or self.log[-1][1] != hears:
            self.log.append((self.now_s, hears))
        for waiting in list(self._waiting):
            so, come, when = waiting
            if so():
                self._waiting.remove(waiting)
                when.append(self.now_s)
                come.set()

    def _note_place(self, event: Message, channel: str) -> None:
        match event.event:
            case "BridgeEnter":
                self.bridges.setdefault(event.get("bridgeuniqueid"), set()).add(channel)
            case "BridgeLeave":
                self.bridges.get(event.get("bridgeuniqueid"), set()).discard(channel)
            case "MusicOnHoldStart":
                self.music.add(channel)
            case "MusicOnHoldStop":
                self.music.discard(channel)
            case "Hangup":
                self.states.pop(channel, None)
                self.music.discard(channel)
                for members in self.bridges.values():
                    members.discard(channel)
            case _:
                pass

    def _note_mark(self, event: Message, channel: str, phone: str) -> None:
        match event.event:
            case "Newchannel" | "Newstate":
                self.states[channel] = event.get("channelstatedesc")
                self.marks[f"{self.states[channel]} {phone}"] = self.now_s
            case "DTMFEnd" if phone == ALICE and event.get("direction") == "Received":
                self.digits += 1
                self.marks["digit"] = self.now_s
            case "HangupRequest":
                self.marks[f"hangs up {phone}"] = self.now_s
            case _:
                pass

    def begin(self) -> None:
        """Forget the call before."""
        self.marks.clear()
        self.log.clear()
        self.digits = 0

    def talks(self, phone: str) -> set[str]:
        """Whom a phone talks with, through whatever the dialplan has put between."""
        seen = {name for name in self.states if name.startswith(phone)}
        todo = list(seen)
        while todo:
            name = todo.pop()
            others = {
                other for members in self.bridges.values() if name in members for other in members
            }
            if name.startswith("Local/"):
                others.add(name[:-1] + ("2" if name.endswith("1") else "1"))
            todo += others - seen
            seen |= others
        return {name[: name.rfind("-") + 1] for name in seen if name.startswith("PJSIP/")} - {phone}

    def heard_by(self, phone: str) -> str:
        """What a phone hears now."""
        channels = [name for name in self.states if name.startswith(phone)]
        if not channels:
            return "is hung up"
        if others := self.talks(phone):
            return f"talks with {' and '.join(sorted(one[6:-1] for one in others))}"
        return "hears music" if channels[0] in self.music else "waits without music"

    async def until(self, so: Callable[[], bool], limit_s: float = LIMIT_S) -> float:
        """Wait until something is so, and return when it was by the switch's clock."""
        if so():
            return self.now_s
        come, when = trio.Event(), list[float]()
        self._waiting.append((so, come, when))
        with trio.fail_after(limit_s):
            await come.wait()
        return when[0]

    async def mark(self, name: str) -> float:
        """Wait until something was seen, and return when it was."""
        await self.until(lambda: name in self.marks)
        return self.marks[name]


# --------------------------------------------------------------------------------- both systems


@attrs.define(eq=False)
class Lab:
    """The pair, its phones, and the clock."""

    pair: Pair
    phones: Phones
    clock: Clock
    engine: Engine | None = None

    @asynccontextmanager
    async def hookflash(self, ending: Ending = Ending.LENGTH) -> AsyncGenerator[Engine]:
        """Run hookflash on the switch."""
        setup = self.pair.switch.setup
        settings = Asterisk(
            ari_port=setup.ports.http, ami_port=setup.ports.ami, password=setup.secret
        )
        pattern = r"2(26\d\d)" if ending is Ending.LENGTH else r"2(\d+)"
        metaflows = parse_metaflows(
            {
                "patterns": {pattern: {"module": "transfer"}},
                "digit_timeout": round(DIGIT_TIMEOUT_S * 1000),
            }
        )
        account = Account(metaflows=metaflows, policy=Policy(ring_timeout_s=RING_TIMEOUT_S))
        async with (
            open_asterisk(settings) as asterisk,
            open_engine(asterisk, accounts={"acme": account}) as engine,
        ):
            self.engine = engine
            yield engine
            self.engine = None

    @asynccontextmanager
    async def transferring(
        self, system: System, ending: Ending = Ending.LENGTH
    ) -> AsyncGenerator[None]:
        """Have one of them transfer, and not the other: both would hear the same code."""
        async with AsyncExitStack() as stack:
            if system is System.HOOKFLASH:
                await stack.enter_async_context(self.hookflash(ending))
            yield

    async def call(self, system: System, ending: Ending = Ending.LENGTH) -> str:
        """Alice calls Bob, and they talk.

        Returns:
            Alice's phone.
        """
        await self.phones.silence()
        self.clock.begin()
        prefix = "" if system is System.HOOKFLASH else "5" if ending is Ending.LENGTH else "4"
        alice = await self.phones.call("1001", f"{prefix}1002")
        await self.clock.until(lambda: BOB in self.clock.talks(ALICE))
        await trio.sleep(SETTLED_S)
        if self.engine is not None:
            assert sum(1 for leg in self.engine.legs() if leg.peer) == 2
        return alice

    async def dial(self, alice: str, keys: str) -> float:
        """Press keys.

        Returns:
            When the last one was released, by the switch's clock.
        """
        for key in keys:
            await self.phones.press(alice, key)
            await trio.sleep(KEY_GAP_S)
        await self.clock.until(lambda: self.clock.digits == len(keys))
        return self.clock.marks["digit"]


@asynccontextmanager
async def open_lab(installation: Installation) -> AsyncGenerator[Lab]:
    """Run the pair while the block runs."""
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="hookflash-bench-") as directory:
        async with open_pair(installation, bench_setup(Path(directory))) as pair:
            login = attrs.evolve(pair.switch.login, events="call,dtmf")
            async with (
                open_manager(login, clock.take),
                open_phones(pair.telephones.login, pair.switch.login) as phones,
            ):
                yield Lab(pair, phones, clock)
                await phones.silence()


# ---------------------------------------------------------------------------------------- times


@attrs.frozen
class Times:
    """Milliseconds of several transfers, by what was measured."""

    waits_ms: dict[tuple[System, str], list[float]] = attrs.field(
        factory=dict[tuple[System, str], list[float]]
    )

    def add(self, system: System, what: str, wait_s: float) -> None:
        """Add one."""
        self.waits_ms.setdefault((system, what), []).append(wait_s * 1000)

    def quantiles_ms(self, system: System, what: str) -> tuple[float, float]:
        """The median, and the 99th percentile."""
        cuts = statistics.quantiles(self.waits_ms[system, what], n=100, method="inclusive")
        return cuts[49], cuts[98]


TARGET: Final = "PJSIP/2600-"
ANSWER, HANG_UP = "answer to talk", "hang-up to talk"


def to_ring(ending: Ending) -> str:
    """What the time from the last digit is called."""
    return f"digit to ring, {ending}"


async def one_transfer(lab: Lab, system: System, ending: Ending, times: Times) -> None:
    """Measure one."""
    clock = lab.clock
    alice = await lab.call(system, ending)
    keys = "*22600" + ("#" if ending is Ending.HASH else "")
    pressed_s = await lab.dial(alice, keys)
    times.add(system, to_ring(ending), await clock.mark(f"Ringing {TARGET}") - pressed_s)
    # to the end in any case: to hang up everybody at once while the target of an atxfer rings has
    # crashed the switch (Asterisk 22.10.1, signal 11 in bridge_basic.c)
    answered_s = await clock.mark(f"Up {TARGET}")
    joined_s = await clock.until(lambda: TARGET in clock.talks(ALICE))
    if ending is Ending.LENGTH:
        times.add(system, ANSWER, joined_s - answered_s)
    await trio.sleep(SETTLED_S)
    await lab.phones.hang_up(alice)
    joined_s = await clock.until(lambda: TARGET in clock.talks(BOB))
    if ending is Ending.LENGTH:
        times.add(system, HANG_UP, joined_s - await clock.mark(f"hangs up {ALICE}"))


async def measure_times(lab: Lab, transfers: int, endings: Iterable[Ending]) -> Times:
    """Let both transfer, in turn."""
    times = Times()
    for ending in endings:
        count = transfers if ending is Ending.LENGTH else max(2, transfers // 5)
        for _ in range(count):
            for system in System:
                async with lab.transferring(system, ending):
                    await one_transfer(lab, system, ending, times)
    return times


# -------------------------------------------------------------------------------------- stories


STORIES: Final = {
    "the target is busy": ("2602", False, 6.0),
    "the target never answers": ("2601", False, RING_TIMEOUT_S + 8.0),
    "the transferor leaves early, the target answers": ("2600", True, 5.0),
    "the transferor leaves early, the target never answers": ("2601", True, RING_TIMEOUT_S + 15.0),
}
"""The target, whether the transferor leaves while it rings, and how long Bob is watched."""
SHORT_S: Final = 0.05
"""What lasts no longer is not heard."""
DIES: Final = "the controlling side dies in the consultation, then the transferor leaves"


def told(lab: Lab, begin_s: float) -> str:
    """What Bob has heard since then, in words."""
    log = lab.clock.log
    ends_s = [at_s for at_s, _ in log[1:]]
    parts: list[tuple[str, float]] = []
    for (at_s, hears), end_s in zip(log, [*ends_s, float("inf")], strict=True):
        lasts_s = end_s - max(at_s, begin_s)
        if lasts_s < SHORT_S:
            continue
        if parts and parts[-1][0] == hears:
            lasts_s += parts.pop()[1]
        parts.append((hears, lasts_s))
    return ", ".join(
        hears if lasts_s == float("inf") else f"{hears} for {lasts_s:.1f} s"
        for hears, lasts_s in parts
    )


async def one_story(lab: Lab, system: System, story: str) -> str:
    """Let it happen, and say what Bob has heard since the last digit."""
    number, leaves, watched_s = STORIES[story]
    alice = await lab.call(system)
    begin_s = await lab.dial(alice, f"*2{number}")
    if leaves:
        await lab.clock.mark(f"Ringing PJSIP/{number}-")
        await trio.sleep(SETTLED_S)
        await lab.phones.hang_up(alice)
    await trio.sleep(watched_s)
    heard = told(lab, begin_s)
    await lab.phones.silence()
    return heard


async def killed_story(lab: Lab) -> str:
    """Hookflash ends without a word during the consultation."""
    clock = lab.clock
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(lab.hookflash())
        alice = await lab.call(System.HOOKFLASH)
        begin_s = await lab.dial(alice, "*22600")
        await clock.until(lambda: TARGET in clock.talks(ALICE))
        await trio.sleep(SETTLED_S)
    await trio.sleep(SETTLED_S)  # nobody controls the switch any more
    await lab.phones.hang_up(alice)
    await trio.sleep(3.0)
    heard = told(lab, begin_s)
    await lab.phones.silence()
    return heard


async def tell_stories(lab: Lab) -> dict[str, dict[System, str]]:
    """Let everything go wrong, for both."""
    found: dict[str, dict[System, str]] = {}
    for story in STORIES:
        found[story] = {}
        for system in System:
            async with lab.transferring(system):
                found[story][system] = await one_story(lab, system, story)
    found[DIES] = {
        System.HOOKFLASH: await killed_story(lab),
        System.ATXFER: "the switch itself is the controlling side: all its calls end with it",
    }
    return found


# --------------------------------------------------------------------------------------- report


async def _times(installation: Installation, transfers: int, endings: Iterable[Ending]) -> Times:
    async with open_lab(installation) as lab:
        return await measure_times(lab, transfers, endings)


async def _stories(installation: Installation) -> dict[str, dict[System, str]]:
    async with open_lab(installation) as lab:
        return await tell_stories(lab)


def measure(transfers: int = 10) -> list[Figure]:
    """Measure the times, for the table of all benchmarks. No Asterisk: no figures, and a line."""
    try:
        installation = obtain()
    except AsteriskUnavailable as error:
        print(f"{error}: it was not measured", file=sys.stderr)
        return []
    times = trio.run(_times, installation, transfers, [Ending.LENGTH])
    figures: list[Figure] = []
    for what, (target_ms, target_ratio) in TARGETS.items():
        ours_ms, _ = times.quantiles_ms(System.HOOKFLASH, what)
        theirs_ms, _ = times.quantiles_ms(System.ATXFER, what)
        figures += [
            Figure(what=f"on an Asterisk: {what}", value=ours_ms, unit="ms p50", target=target_ms),
            Figure(
                what=f"… of what its own atxfer needs ({theirs_ms:.1f} ms)",
                value=ours_ms / max(theirs_ms, 0.1),
                unit="×",
                target=target_ratio,
            ),
        ]
    return figures


TARGETS: Final = {
    to_ring(Ending.LENGTH): (30.0, 8.0),
    ANSWER: (25.0, 40.0),
    HANG_UP: (25.0, 40.0),
}
"""Milliseconds, and how many times more than within the switch, which needs less than one: a person
notices some 100 ms."""
WHATS: Final = (*map(to_ring, Ending), ANSWER, HANG_UP)


def report(version: str, times: Times) -> None:
    """Print the times."""
    print(
        f"Asterisk {version}; digit timeout: hookflash {DIGIT_TIMEOUT_S:g} s, Asterisk"
        f" {TRANSFER_DIGIT_TIMEOUT_S} s; ring timeout of both {RING_TIMEOUT_S} s;"
        f" Asterisk's loop delay {LOOP_DELAY_S} s"
    )
    head = f"{'':28} {'hookflash':>18} {'atxfer':>18} {'ratio of p50':>13}"
    print(f"{head}\n{'milliseconds':28} {'p50      p99':>18} {'p50      p99':>18}")
    for what in WHATS:
        pairs = [times.quantiles_ms(system, what) for system in System]
        cells = [f"{p50:8.1f} {p99:8.1f}" for p50, p99 in pairs]
        ratio = pairs[0][0] / pairs[1][0] if pairs[1][0] else float("inf")
        print(f"{what:28} {cells[0]:>18} {cells[1]:>18} {ratio:12.2f}×")


def report_stories(found: dict[str, dict[System, str]]) -> None:
    """Print what became of Bob."""
    for story, by in found.items():
        print(f"\n{story}: Bob")
        for system in System:
            print(f"  {system:10} {by[system]}")


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="hookflash beside Asterisk's atxfer")
    parser.add_argument("--transfers", type=int, default=30, help="of each kind")
    parser.add_argument("--no-stories", action="store_true", help="measure times only")
    asked = parser.parse_args()
    try:
        installation = obtain()
    except AsteriskUnavailable as error:
        print(f"{error}: nothing is measured")
        return 0
    times = trio.run(_times, installation, asked.transfers, list(Ending))
    report(installation.version, times)
    if not asked.no_stories:
        report_stories(trio.run(_stories, installation))
    return 0


if __name__ == "__main__":
    sys.exit(main())
