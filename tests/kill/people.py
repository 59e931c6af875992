"""The people of one call: what they do, when they came and went, and why.

A `Group` is two who talk, the target whom one of them wants to transfer the other to, and that one
once more, if called back. Its ledger is what the verdict stands on: who hung up by their own will
and when, what was asked for, and when each phone rang, was answered and ended. `play` lets them act
by their plan on any rig, with any service: nobody waits for it, for people don't know of it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import attrs
import httpx
import trio
from programme import Act, Moment, Plan, Role, Way

from hookflash.scenarios.script import (
    ANSWERS,
    ASKS_COMPLETE,
    ASKS_SWAP,
    ASKS_TAKEBACK,
    HANGS_UP,
    Verb,
)

MOMENT_S: Final = 20.0
"""How long somebody waits for a moment of the plan before they give it up."""

REDIAL_S: Final = 4.0
"""Whoever has dialled a feature code and notices nothing for so long dials again."""

ASKS: Final = 4
"""How often somebody asks before they give it up."""


@attrs.define(eq=False)
class Person:
    """Somebody with a phone."""

    role: Role
    number: str
    phone: str = ""
    """The channel of their phone."""
    leg: str = ""
    """The channel on the switch that leads to it."""
    rang_s: float | None = None
    answered_s: float | None = None
    left_s: float | None = None
    """When they hung up, by their own will."""
    ended_s: float | None = None
    """When their phone's channel ended, by whomever."""
    cause: str = ""

    def present(self, at_s: float) -> bool:
        """Whether they were on the line, and had not hung up, at a time."""
        answered = self.answered_s is not None and self.answered_s <= at_s
        left = self.left_s is not None and self.left_s <= at_s
        ended = self.ended_s is not None and self.ended_s < at_s
        return answered and not left and not ended

    @property
    def is_here(self) -> bool:
        return self.answered_s is not None and self.left_s is None and self.ended_s is None


@attrs.define(eq=False)
class Group:
    """The people of one call, and the ledger of what they did."""

    index: int
    plan: Plan
    caller: Person
    called: Person
    target: Person
    recalled: Person
    began_s: float = 0.0
    asked: list[float] = attrs.field(factory=list[float])
    taken_back: list[float] = attrs.field(factory=list[float])
    """When a takeback was asked for that the service may have heard."""
    completed: list[float] = attrs.field(factory=list[float])
    """When it was asked for that the transferor be let go."""
    diary: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])
    ordinary: dict[Role, dict[str, str]] = attrs.field(factory=dict[Role, dict[str, str]])
    """The variables of both legs before the transfer."""
    is_up: bool = False
    is_done: bool = False

    @property
    def people(self) -> tuple[Person, Person, Person, Person]:
        return (self.transferor, self.transferee, self.target, self.recalled)

    @property
    def transferor(self) -> Person:
        return self.caller if self.plan.caller_transfers else self.called

    @property
    def transferee(self) -> Person:
        return self.called if self.plan.caller_transfers else self.caller

    def person(self, role: Role) -> Person:
        return next(one for one in self.people if one.role is role)

    def wish(self, action: str, at_s: float) -> None:
        """Write down that a program or a person has asked for something."""
        unjudged: list[float] = []
        wishes = {
            "swap": unjudged,
            "transfer": self.asked,
            "takeback": self.taken_back,
            "complete": self.completed,
        }
        wishes[action].append(at_s)

    def write(self, text: str) -> None:
        self.diary.append((trio.current_time(), text))


class Rig(Protocol):
    """Where people have phones: the emulator, or a pair of real switches."""

    async def call(self, group: Group) -> bool: ...
    async def press(self, person: Person, digits: str) -> None: ...
    async def hang_up(self, person: Person) -> None: ...
    async def answer(self, person: Person) -> None: ...
    def talks_with(self, person: Person) -> Person | None: ...
    async def changes(self) -> None: ...
    async def variables(self, person: Person) -> dict[str, str]: ...


class Controller(Protocol):
    """A service that is killed and started again."""

    @property
    def client(self) -> httpx.AsyncClient | None: ...
    @property
    def works_since_s(self) -> float | None: ...


async def until(rig: Rig, is_so: Callable[[], bool], limit_s: float) -> bool:
    """Wait for something that the rig tells."""
    with trio.move_on_after(limit_s):
        while not is_so():
            await rig.changes()
    return is_so()


async def play(group: Group, rig: Rig, service: Controller) -> None:
    """Let a group do what its plan says."""
    try:
        await trio.sleep(group.plan.begins_s)
        group.began_s = trio.current_time()
        group.is_up = await rig.call(group)
        if not group.is_up:
            group.write("the call does not come up")
            return
        for person in (group.caller, group.called):
            group.ordinary[person.role] = await rig.variables(person)
        await trio.sleep(group.plan.talks_s)
        if await ask(group, rig, service):
            await act(group, rig, service)
    finally:
        group.is_done = True


async def ask(group: Group, rig: Rig, service: Controller) -> bool:
    """Have the transfer asked for, until it has begun."""
    for _ in range(ASKS):
        if not (group.transferor.is_here and group.transferee.is_here):
            return False
        if group.plan.way is Way.DIGITS:
            group.asked.append(trio.current_time())
            hash_key = "#" if group.index % 2 else ""  # without it, the code ends by a pause
            await rig.press(group.transferor, f"*2{group.target.number}{hash_key}")
        else:
            await post(group, service, "transfer", target=group.target.number)
        if await until(rig, lambda: begun(group, rig), REDIAL_S):
            return True
    group.write("the transfer does not begin")
    return begun(group, rig)


def begun(group: Group, rig: Rig) -> bool:
    """Whether anybody could notice that a transfer has begun."""
    apart = rig.talks_with(group.transferor) is not group.transferee
    return group.target.rang_s is not None or apart


async def post(group: Group, service: Controller, action: str, **fields: str) -> bool:
    """Ask by HTTP, as programs do: again, if nobody is there.

    What was asked for counts from the moment of asking, for its effect may come before the answer;
    and it counts if there was no answer, for the service may have died after it had taken it.
    """
    body = json.dumps({"data": {"action": action, **fields}})
    for _ in range(TRIES):
        client, began_s = service.client, trio.current_time()
        status = 0
        if client is not None:
            status = await _request(client, f"channels/{group.transferor.leg}", body, group)
            if status in {0, TAKEN}:
                group.wish(action, began_s)
            if status == TAKEN:
                return True
            if status not in {0, *TRY_AGAIN} or (status == CONFLICT and action != "transfer"):
                return False
        begun = action == "transfer" and group.target.rang_s is not None
        if begun or not group.transferor.is_here:
            return begun
        await trio.sleep(0.5)
    return False


TRIES: Final = 30
TAKEN: Final = 202
CONFLICT: Final = 409
TRY_AGAIN: Final = frozenset({404, CONFLICT, 429, 503})
REQUEST_S: Final = 10.0


async def _request(client: httpx.AsyncClient, path: str, body: str, group: Group) -> int:
    """Send a request; the status, or 0 if there was no answer."""
    with trio.move_on_after(REQUEST_S):
        try:
            answer = await client.post(path, content=body)
        except (
            httpx.HTTPError,
            RuntimeError,  # its client is closed
            OSError,
            trio.BrokenResourceError,
            trio.ClosedResourceError,
        ) as error:
            group.write(f"a program asks {body}: {error!r}")
            return 0
        group.write(f"a program asks {body}: {answer.status_code} {answer.text[:120]}")
        return answer.status_code
    group.write(f"a program asks {body}: no answer")
    return 0


async def act(group: Group, rig: Rig, service: Controller) -> None:
    """Do the acts of a plan, each at its moment."""
    verbs = verbs_of(group, rig, service)
    for one in group.plan.acts:
        if not await comes(one, group, rig):
            group.write(f"not {one.moment}, so no party {one.verb}")
            return
        await trio.sleep(one.after_s)
        person = group.person(one.who)
        gone = person.left_s is not None or person.ended_s is not None
        rings = one.verb is ANSWERS and person.rang_s is not None
        if gone or not (rings or person.answered_s is not None):
            group.write(f"the {one.who} is not there, so no party {one.verb}")
            continue
        if one.verb is ANSWERS and person.answered_s is not None:
            continue  # a phone that answers by itself
        await verbs[one.verb](person)


async def comes(act: Act, group: Group, rig: Rig) -> bool:
    """Wait for the moment of an act."""
    transferor, transferee, target, recalled = group.people

    def it_is() -> bool:
        talks = rig.talks_with(transferor)
        if act.moment is Moment.RINGING:
            return target.rang_s is not None or not (transferor.is_here or transferee.is_here)
        if act.moment is Moment.RECALLED:
            return recalled.rang_s is not None or not transferee.is_here
        if act.moment is Moment.TALKING:
            gone = not transferor.is_here or target.ended_s is not None
            reunited = target.rang_s is not None and talks is transferee
            return talks is target or gone or reunited or target.left_s is not None
        return True

    return await until(rig, it_is, MOMENT_S)


def verbs_of(
    group: Group, rig: Rig, service: Controller
) -> dict[Verb, Callable[[Person], Awaitable[object]]]:
    """How each verb is performed: at the phones, and by the way in which this group asks."""

    async def hang_up(person: Person) -> None:
        group.write(f"the {person.role} hangs up")
        await rig.hang_up(person)

    async def answer(person: Person) -> None:
        group.write(f"the {person.role} answers")
        await rig.answer(person)

    async def take_back(_person: Person) -> None:
        if group.plan.way is Way.DIGITS:
            await take_back_by_digits(group, rig, service)
        else:
            await post(group, service, "takeback")

    async def complete(_person: Person) -> None:
        await post(group, service, "complete")

    async def swap(_person: Person) -> None:
        if group.plan.way is Way.DIGITS:
            group.write("the transferor dials *4")
            await rig.press(group.transferor, "*4")
        else:
            await post(group, service, "swap")

    return {
        HANGS_UP: hang_up,
        ANSWERS: answer,
        ASKS_TAKEBACK: take_back,
        ASKS_COMPLETE: complete,
        ASKS_SWAP: swap,
    }


async def take_back_by_digits(group: Group, rig: Rig, service: Controller) -> None:
    """Dial the takeback; once more, if nothing comes of it."""
    transferor, transferee = group.transferor, group.transferee
    for _ in range(3):
        began_s = trio.current_time()
        counts = service.works_since_s is not None
        group.write("the transferor dials *1")
        if counts:
            group.wish("takeback", began_s)
        await rig.press(transferor, "*1")
        if not counts and service.works_since_s is not None:
            counts = True
            group.wish("takeback", began_s)
        back = await until(
            rig,
            lambda: rig.talks_with(transferor) is transferee or not transferor.is_here,
            REDIAL_S,
        )
        if back and not counts:  # the engine hears people before its doors open for programs
            group.wish("takeback", began_s)
        if back or not transferor.is_here or not transferee.is_here:
            return


def make_group(index: int, plan: Plan, *, caller: str, called: str, target: str) -> Group:
    """Give the people of a plan their numbers."""
    roles = (Role.TRANSFEROR, Role.TRANSFEREE)
    first, second = roles if plan.caller_transfers else reversed(roles)
    return Group(
        index=index,
        plan=plan,
        caller=Person(role=first, number=caller),
        called=Person(role=second, number=called),
        target=Person(role=Role.TARGET, number=target),
        recalled=Person(role=Role.RECALLED, number=caller if plan.caller_transfers else called),
    )
