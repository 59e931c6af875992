"""Plays rounds: many calls at once, blows at random instants, a rest, and the judgement.

The same rounds are played on every rig (see `rigs`) and with every service (see `killing`).
While a round's people act, the service is killed and started again, over and over; nothing waits
for it to settle. Then it is left alone until nothing moves any more, everybody who is left is
judged, one of each pair hangs up, and nobody may be left on the line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio
from asterisk_rig import AsteriskRig, open_rig
from event_socket import Commands, Listener
from killing import (
    Forker,
    InProcessService,
    Journal,
    ProcessService,
    Proxy,
    Service,
    Wishes,
    Written,
)
from people import Group, Person, make_group, play
from programme import Blow, Blows, Programme
from rigs import EmulatedRig, LabRig
from verdict import Fault, judge_between, judge_end, judge_ends, judge_variables

from hookflash.emulator.server import open_emulator
from hookflash.pbx.pair import Pair as Asterisks

RING_TIMEOUT_S: Final = 8.0
QUIET_S: Final = 1.6
"""So long nothing must have moved before somebody is judged: longer than any timer of a second."""
REST_S: Final = 120.0
"""How long it may take until nothing moves: longer than all attempts of a join."""
FORGOTTEN_S: Final = 15.0
"""Who has no partner for so long has been forgotten."""
PERSUADE_S: Final = 4.0
"""People who are still in a consultation then hang up."""
PART_S: Final = 12.0
"""How long a leg may live after its partner has hung up."""
OVER_S: Final = 10.0
"""Over how long the calls of a round begin."""


@attrs.define
class Figures:
    """What was played, and what came of it."""

    seed: int
    calls: int = 0
    transfers: int = 0
    kills: int = 0
    on_the_line: int = 0
    """Calls that were up when the service was hit, summed over all kills."""
    blows: Counter[str] = attrs.field(factory=Counter[str])
    hit: Counter[str] = attrs.field(factory=Counter[str])
    """In which states transfers were when the service was hit."""
    outcomes: Counter[str] = attrs.field(factory=Counter[str])
    reasons: Counter[str] = attrs.field(factory=Counter[str])
    not_begun: Counter[str] = attrs.field(factory=Counter[str])
    """Calls without a transfer: whatever was dialled, no service was there to hear it."""
    faults: list[Fault] = attrs.field(factory=list[Fault])
    stories: list[str] = attrs.field(factory=list[str])

    def lost(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.loses]

    def text(self) -> str:
        kinds = Counter(fault.kind for fault in self.faults)
        stays = Counter(
            f"{fault.who} {fault.text.partition('=')[0]}"
            for fault in self.faults
            if fault.kind == "stays behind"
        )
        lines = [
            f"seed {self.seed}: {self.kills} kills ({_counted(self.blows)})",
            f"  {self.calls} calls, {self.transfers} transfers",
            f"  calls in progress per kill: {self.on_the_line / max(self.kills, 1):.1f} on average",
            f"  transfers in flight at a kill: {_counted(self.hit)}",
            f"  outcomes: {_counted(self.outcomes)}",
            f"  calls without a transfer: {_counted(self.not_begun) or 'none'}",
            f"  reasons of ended legs: {_counted(self.reasons)}",
            f"  faults: {_counted(kinds) or 'none'}",
        ]
        if stays:
            lines.append(f"  left on survivors: {_counted(stays)}")
        lines.append(f"  {len(self.lost())} lost")
        return "\n".join(lines)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


@attrs.frozen(eq=False)
class Pair:
    """Two who talk, when all is at rest."""

    one: Person
    other: Person
    group: Group
    between: tuple[str, ...]
    """The loopback legs that they talk through."""


@attrs.define(eq=False)
class Player:
    """Plays rounds on one rig with one service."""

    rig: EmulatedRig | LabRig | AsteriskRig
    service: Service
    figures: Figures
    proxy: Proxy | Proxies | None
    blows: Blows
    programme: Programme
    over_s: float = OVER_S
    overload: Callable[[], trio.CancelScope] | None = None
    freeze: Callable[[float], Awaitable[None]] | None = None
    """Stops the service for so many seconds; None: it has no process of its own."""
    took: str = ""
    """How long the last round took."""
    _index: int = 0
    _began_s: float = 0.0
    _log: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])

    def write(self, text: str) -> None:
        self._log.append((trio.current_time(), f"service {text}"))

    # ------------------------------------------------------------------ one round

    async def round(self, size: int, *, kills: int) -> None:
        """Play one round: so many calls, and at most so many kills."""
        self.rig.begin_round()
        self._log.clear()
        self._began_s = trio.current_time()
        await self.service.begin_round()
        groups: list[Group] = []
        for plan in self.programme.round(size, over_s=self.over_s):
            caller, called, target = self.rig.numbers(self._index, plan)
            groups.append(
                make_group(self._index, plan, caller=caller, called=called, target=target)
            )
            self._index += 1
        async with trio.open_nursery() as nursery, trio.open_nursery() as acting:
            nursery.start_soon(self._blow, groups, kills)
            for group in groups:
                acting.start_soon(play, group, self.rig, self.service)
        acted_s = trio.current_time()
        if self.service.works_since_s is None:
            await self._start()
        self.write("is left running: the round is over")
        await self._rest(groups)
        rested_s = trio.current_time()
        await self._judge(groups)
        self.took = (
            f"{acted_s - self._began_s:.0f} s of calls, {rested_s - acted_s:.0f} s of rest,"
            f" {trio.current_time() - rested_s:.0f} s of hang-ups"
        )
        self.figures.calls += size

    async def _blow(self, groups: list[Group], kills: int) -> None:
        while kills > 0 and not all(group.is_done for group in groups):
            blow = self.blows.next()
            await trio.sleep(blow.after_s)
            if all(group.is_done for group in groups):
                return
            kills -= 1
            self.figures.on_the_line += sum(
                any(person.is_here for person in group.people) for group in groups
            )
            await self.strike(blow)

    async def strike(self, blow: Blow) -> None:
        """Do one thing to the service."""
        flight = Journal(self.service.folder).in_flight()
        self.figures.hit.update(flight.values())
        self.figures.blows[blow.how] += 1
        self.figures.kills += 1
        if blow.how == "cut":
            assert self.proxy is not None
            self.write(f"is cut off from the switch for {blow.away_s:.2f} s")
            await self.proxy.cut(blow.away_s)
        elif blow.how == "freeze":
            assert self.freeze is not None
            self.write(f"is stopped for {blow.away_s:.0f} s")
            await self.freeze(blow.away_s)
        else:
            scope = self.overload() if blow.how == "overload" and self.overload else None
            self.write(f"is killed, for {blow.away_s:.2f} s")
            await self.service.kill()
            self.write("is dead")
            await trio.sleep(blow.away_s)
            await self._start()
            if scope is not None:
                await trio.sleep(1)
                scope.cancel()

    async def _start(self) -> None:
        self.write("is started")
        await self.service.start()
        self.write("works")

    # ------------------------------------------------------------------ at rest

    async def _rest(self, groups: list[Group]) -> None:
        """Wait until nothing moves; whoever is still in a consultation hangs up after a while."""
        began_s = trio.current_time()
        while trio.current_time() - began_s < REST_S:
            await trio.sleep(0.25)
            flight = self._flight(groups)
            heard = self.rig.switch.heard
            quiet_s = trio.current_time() - max(heard[-1].at_s if heard else 0.0, began_s)
            if not flight and quiet_s >= QUIET_S:
                return
            if trio.current_time() - began_s > PERSUADE_S:
                for group in groups:
                    await self._persuade(group, flight)

    async def _persuade(self, group: Group, flight: dict[str, set[str]]) -> None:
        legs = {self.rig.find_leg(one) for one in group.people}
        talks = self.rig.talks_with(group.transferor) is group.target
        if talks and group.transferor.is_here and any(legs & told for told in flight.values()):
            group.write("the transferor hangs up in the end")
            await self.rig.hang_up(group.transferor)

    def _flight(self, groups: list[Group]) -> dict[str, set[str]]:
        """The transfers of these groups that have no outcome, and their legs."""
        journal = Journal(self.service.folder)
        unfinished = journal.in_flight()
        if not unfinished:
            return {}
        legs = {self.rig.find_leg(one) for group in groups for one in group.people} - {""}
        return {one.id: set(one.legs) for one in journal.transfers(legs) if one.id in unfinished}

    async def _judge(self, groups: list[Group]) -> None:
        journal = Journal(self.service.folder)
        up = [group for group in groups if group.is_up]
        faults = judge_ends(up, ring_timeout_s=RING_TIMEOUT_S)
        if gap := journal.gap():
            faults.append(Fault("outcome", "the history", gap, -1))
        bonds, dumps = await self._look_patiently(up)
        pairs: list[Pair] = []
        for group in up:
            ended, transfers = self._judge_transfers(group, journal)
            faults += ended
            running = any(one.outcome is None for one in transfers)
            here, found = self._judge_living(group, bonds, running=running)
            faults += found
            pairs += here
            if transfers and not running:
                faults += self._judge_variables(here, dumps)
        faults += await self._part(up, pairs)
        self._count(up, faults)

    def _count(self, groups: list[Group], faults: list[Fault]) -> None:
        """Add a round to the figures, and tell the stories of those who were lost."""
        self.figures.faults += faults
        for group in groups:
            for person in group.people:
                if person.ended_s is not None:
                    _, why = judge_end(person, group, ring_timeout_s=RING_TIMEOUT_S)
                    self.figures.reasons[why] += 1
            about = [fault for fault in faults if fault.index == group.index]
            if about:
                self.figures.stories.append(self.story(group, about))

    async def _look_patiently(
        self, groups: list[Group]
    ) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """All channels, once nobody waits for a tone to end: who is forgotten is so for ever."""
        began_s = trio.current_time()
        while True:
            bonds, dumps = await self._look()
            judged = [self._judge_living(group, bonds, running=False)[1] for group in groups]
            if not any(judged) or trio.current_time() - began_s > FORGOTTEN_S:
                return bonds, dumps
            await trio.sleep(1)

    async def _look(self) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """All channels of the switch: who is with whom, and all that is known of each."""
        dumps: dict[str, dict[str, str]] = {}
        for row in await self.rig.ask.rows():
            dump = await self.rig.ask.dump(row["uuid"])
            if dump:
                dumps[row["uuid"]] = dump
        bonds = {
            leg: dump["variable_signal_bond"]
            for leg, dump in dumps.items()
            if dump.get("variable_signal_bond") and leg not in self.rig.switch.parked
        }
        return bonds, dumps

    def _judge_transfers(self, group: Group, journal: Journal) -> tuple[list[Fault], list[Written]]:
        """Each transfer has one outcome."""
        legs = {self.rig.find_leg(person) for person in group.people} - {""}
        transfers = journal.transfers(legs)
        self.figures.transfers += len(transfers)
        if not transfers:
            self.figures.not_begun[group.plan.way] += 1
        faults: list[Fault] = []
        for one in transfers:
            self.figures.outcomes[str(one.outcome)] += 1
            if one.outcome is None:
                faults.append(Fault("outcome", one.id, f"none, in {one.state}", group.index))
            elif one.ends != 1:
                faults.append(Fault("outcome", one.id, f"{one.ends} ends", group.index))
        return faults, transfers

    def _judge_living(
        self, group: Group, bonds: dict[str, str], *, running: bool
    ) -> tuple[list[Pair], list[Fault]]:
        """Whoever is there talks with somebody of their own call, or is in a transfer."""
        pairs: dict[frozenset[str], Pair] = {}
        faults: list[Fault] = []
        for person in group.people:
            if not person.is_here:
                continue
            leg = self.rig.find_leg(person)
            path = self.rig.path(leg, bonds)
            other = self.rig.person_on(path[-1]) if path else None
            if other is None and not running:
                faults.append(Fault("forgotten", person.role, "has no partner", group.index))
            elif other is not None and other not in group.people:
                faults.append(Fault("stranger", person.role, "talks with a stranger", group.index))
            elif other is not None:
                ends = frozenset((person.role.value, other.role.value))
                pairs.setdefault(ends, Pair(person, other, group, tuple(path[:-1])))
        return list(pairs.values()), faults

    def _judge_variables(self, pairs: list[Pair], dumps: dict[str, dict[str, str]]) -> list[Fault]:
        """Nothing stays behind on the legs of those who talk."""
        faults: list[Fault] = []
        for pair in pairs:
            for person in (pair.one, pair.other):
                dump = dumps.get(self.rig.find_leg(person), {})
                faults += judge_variables(person, pair.group, dump)
            for leg in pair.between:
                faults += judge_between(pair.group, dumps.get(leg, {}))
        return faults

    async def _part(self, groups: list[Group], pairs: list[Pair]) -> list[Fault]:
        """One of each pair hangs up: the other's leg ends, too, and nothing is left."""
        paired = [person for pair in pairs for person in (pair.one, pair.other)]
        for group in groups:
            for person in group.people:
                if person.is_here and person not in paired:
                    group.write(f"the {person.role} gives up and hangs up at the end")
                    await self.rig.hang_up(person)
        for pair in pairs:
            pair.group.write(f"the {pair.one.role} hangs up at the end")
            await self.rig.hang_up(pair.one)
        with trio.move_on_after(PART_S):
            while await self.rig.left() != (0, 0) or any(
                pair.other.ended_s is None
                for pair in pairs  # we hear of it a little later
            ):
                await trio.sleep(0.1)
        told = "still lives after the partner has hung up"
        faults = [
            Fault("left over", pair.other.role, told, pair.group.index)
            for pair in pairs
            if pair.other.ended_s is None
        ]
        left = await self.rig.left()
        if left != (0, 0):
            names = [row["name"] for row in await self.rig.ask.rows()]
            if not faults:
                faults.append(Fault("channels", "the switch", f"{left} left: {names}", -1))
            await self.rig.clear()
            with trio.move_on_after(PART_S):
                while await self.rig.left() != (0, 0):
                    await trio.sleep(0.1)
        return faults

    # ------------------------------------------------------------------ the story

    def story(self, group: Group, faults: list[Fault]) -> str:
        """All that happened to a group, in the order of time."""
        legs = {self.rig.find_leg(person) for person in group.people} - {""}
        numbers = {group.caller.number, group.called.number}
        for heard in self.rig.switch.heard:
            about = {heard.get("Caller-Caller-ID-Number"), heard.get("Caller-Destination-Number")}
            if heard.at_s >= group.began_s and about & numbers:
                legs.add(heard.leg)
        lines = [(at_s, text) for at_s, text in self._log] + list(group.diary)
        lines += [
            (heard.at_s, heard.line())
            for heard in self.rig.switch.heard
            if heard.leg in legs and heard.at_s >= group.began_s
            if heard.name not in {"CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"}
        ]
        journal = Journal(self.service.folder)
        transfers = {one.id for one in journal.transfers(legs)}
        lines += [
            (at - self.service.epoch_s, text)
            for at, text in journal.steps(legs, transfers)
            if at - self.service.epoch_s >= group.began_s
        ]
        who = ", ".join(
            f"{person.role} {person.number} {self.rig.find_leg(person)}" for person in group.people
        )
        asked = f"asked for by {group.plan.way}, by the "
        asked += "caller" if group.plan.caller_transfers else "called party"
        head = [
            f"call {group.index} of seed {self.figures.seed}: {group.plan.kind}, {asked}",
            f"  {who}",
            *(f"  {fault.kind}: {fault.who} {fault.text}" for fault in faults),
        ]
        told = [
            f"  {at_s - group.began_s:8.3f} {text}"
            for at_s, text in sorted(lines, key=lambda line: line[0])
        ]
        return "\n".join(head + told)


# ---------------------------------------------------------------------- opening it


@attrs.frozen(kw_only=True)
class Setting:
    """What is to be played."""

    folder: Path
    seed: int
    hows: tuple[str, ...] = ("kill",)
    direct: bool = False
    """Whether targets are dialled without the dialplan."""
    freeze_s: float = 30.0
    pace: float = 1.0
    """How long the service works and is away, times this."""
    forker: Forker | None = None
    """Starts services fast; None: as anybody does."""
    over_s: float = OVER_S
    """Over how long the calls of a round begin."""


def _player(
    rig: EmulatedRig | LabRig | AsteriskRig,
    service: Service,
    proxy: Proxy | Proxies | None,
    setting: Setting,
) -> Player:
    return Player(
        rig=rig,
        service=service,
        figures=Figures(seed=setting.seed),
        proxy=proxy,
        blows=Blows(setting.seed, hows=setting.hows, freeze_s=setting.freeze_s, pace=setting.pace),
        programme=Programme(setting.seed, ring_timeout_s=RING_TIMEOUT_S),
        over_s=setting.over_s,
        freeze=service.freeze if isinstance(service, ProcessService) else None,
    )


@asynccontextmanager
async def on_the_emulator(setting: Setting, *, virtual: bool) -> AsyncGenerator[Player]:
    """A player on the emulator.

    Args:
        setting: what is to be played.
        virtual: the service in this process, on trio's virtual clock; else a process of its own.
    """
    emulator = EmulatedRig.make(setting.seed)
    async with open_emulator(emulator) as listening, trio.open_nursery() as tasks:
        proxy = Proxy(listening.host, listening.port)
        await tasks.start(proxy.serve)
        heard = Listener("switch", real_time=False)
        await tasks.start(heard.follow, listening.host, listening.port)
        ask = await Commands.open(listening.host, listening.port)
        rig = EmulatedRig(emulator, ask, heard, tasks)
        template = "sofia/internal/{number}@127.0.0.1:5090" if setting.direct else ""
        wishes = Wishes(
            host="127.0.0.1",
            port=proxy.port if "cut" in setting.hows else listening.port,
            ring_timeout_s=RING_TIMEOUT_S,
            template=template,
        )
        service: Service = (
            InProcessService(setting.folder, wishes, tasks, setting.seed)
            if virtual
            else ProcessService(setting.folder, wishes, setting.forker)
        )
        player = _player(rig, service, proxy, setting)
        try:
            yield player
        finally:
            with trio.CancelScope(shield=True):
                await service.stop()
                for commands in rig.asks():
                    await commands.stream.aclose()
        tasks.cancel_scope.cancel()


@attrs.frozen
class Proxies:
    """Those before ARI and AMI: both are cut at once."""

    ari: Proxy
    ami: Proxy

    async def cut(self, for_s: float) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ari.cut, for_s)
            nursery.start_soon(self.ami.cut, for_s)


@asynccontextmanager
async def on_asterisk(pair: Asterisks, setting: Setting) -> AsyncGenerator[Player]:
    """A player on an Asterisk of the project's own, with `hookflash serve` as a process."""
    setup = pair.switch.setup
    async with trio.open_nursery() as tasks, open_rig(pair) as rig:
        proxies = Proxies(*(Proxy("127.0.0.1", n) for n in (setup.ports.http, setup.ports.ami)))
        for proxy in (proxies.ari, proxies.ami):
            await tasks.start(proxy.serve)
        cut = "cut" in setting.hows
        wishes = Wishes(
            host="127.0.0.1",
            port=0,
            ring_timeout_s=RING_TIMEOUT_S,
            template="PJSIP/{number}" if setting.direct else "",
            account="acme",
            asterisk=f"ari_port = {proxies.ari.port if cut else setup.ports.http}\n"
            f"ami_port = {proxies.ami.port if cut else setup.ports.ami}\n"
            f'password = "{setup.secret}"\n',
        )
        service = ProcessService(setting.folder, wishes, setting.forker)
        player = _player(rig, service, proxies, setting)
        await rig.clear()
        try:
            yield player
        finally:
            with trio.CancelScope(shield=True):
                await service.stop()
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def on_the_switch(named: str, setting: Setting) -> AsyncGenerator[Player]:
    """A player on a real switch, with `hookflash serve` as a process.

    Args:
        named: HOST:PORT/HOST:PORT, the event sockets of the switch and of the telephones.
        setting: what is to be played.
    """
    (host, port), (phones_host, phones_port) = (_address(one) for one in named.split("/"))
    async with trio.open_nursery() as tasks:
        proxy = Proxy(host, port)
        await tasks.start(proxy.serve)
        switch, phones = (Listener(name, real_time=True) for name in ("switch", "phones"))
        await tasks.start(switch.follow, host, port)
        await tasks.start(phones.follow, phones_host, phones_port)
        ask = await Commands.open(host, port)
        ask_phones = await Commands.open(phones_host, phones_port)
        rig = LabRig(host, ask, ask_phones, switch, phones)
        template = f"sofia/internal/{{number}}@{host}:5090" if setting.direct else ""
        cut = "cut" in setting.hows
        wishes = Wishes(
            host="127.0.0.1" if cut else host,
            port=proxy.port if cut else port,
            ring_timeout_s=RING_TIMEOUT_S,
            template=template,
        )
        service = ProcessService(setting.folder, wishes, setting.forker)
        player = _player(rig, service, proxy, setting)
        player.overload = partial(_overload, tasks, host, port)
        await rig.clear()
        try:
            yield player
        finally:
            with trio.CancelScope(shield=True):
                await service.stop()
                for commands in rig.asks():
                    await commands.stream.aclose()
        tasks.cancel_scope.cancel()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port)


FLOODERS: Final = 6


def _overload(tasks: trio.Nursery, host: str, port: int) -> trio.CancelScope:
    """Give the switch more to do than it can, until the scope is cancelled."""
    scope = trio.CancelScope()

    async def flood() -> None:
        commands = await Commands.open(host, port)
        async with commands.stream:
            while True:
                await commands.api("show channels as json")

    async def flood_all() -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                for _ in range(FLOODERS):
                    nursery.start_soon(flood)

    tasks.start_soon(flood_all)
    return scope
