"""Who was lost: the rules, and the judgement of a round.

**Who may be ended by the switch.** Somebody who has answered, and has not hung up, may be ended

* when nobody else of their call is there any more: all others have hung up by their own will, or
  were ended by one of these rules before. That is the partner who leaves, and the tone and clear
  end of somebody who is left alone. But a target's phone that still rang when it was given up,
  before the ring timeout and with no takeback, was somebody to wait for: then it is a loss. So is
  the phone of a transferor who is called back;
* as a target, when a takeback was asked for, or when the ring timeout passed in the moment of the
  answer;
* as a transferor, when a program has asked for completion.

What was asked for counts if the service may have heard it: it was at work at some time meanwhile.

Nobody else. In particular: while transferor and transferee are both there, neither may be ended;
and while one of them and a target that has answered are there, neither of these two.

Whoever is to be let go by those rules (a target after a takeback, a transferor after a completion)
is not counted as somebody whom the others could still have talked to.

**At rest** everybody who is there must be bridged with somebody of their own call, each transfer
must have one outcome, and the history no gap.

**Nothing stays behind** (promise 8): the variables of survivors are those of a call that was never
transferred. The legs of caller and called are compared with what they had before the transfer, the
target's with none of all that.

**When one of two hangs up at the end**, the other's leg ends, and no channel is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs
from people import Group, Person
from programme import Role

SLACK_S: Final = 1.6
"""The switch counts an originate's timeout in whole seconds, and up to one too few."""

FORBIDDEN: Final = (
    "exec_after_bridge_app",
    "exec_after_bridge_arg",
    "park_after_bridge",
    "park_timeout",
    "playback_timeout_sec",
    "uuid_bridge_park_on_cancel",
    "execute_on_answer",
    "playback_terminators",
    "ignore_display_updates",
    "transfer_after_bridge",
    # on an Asterisk
    "connected_line_send_sub",
    "timeout(absolute)",
)

COMPARED: Final = ("hangup_after_bridge",)

_CALLED: Final = frozenset({Role.TARGET, Role.RECALLED})
"""Who has been called by a transfer."""


@attrs.frozen
class Fault:
    """Something that must not be."""

    kind: str
    """`lost`, `forgotten`, `stranger`, `outcome`, `left over`, or `stays behind`."""
    who: str
    text: str
    index: int
    """The group's."""

    @property
    def loses(self) -> bool:
        """Whether a caller is lost by it."""
        return self.kind in {"lost", "forgotten", "stranger", "left over"}


def judge_end(person: Person, group: Group, *, ring_timeout_s: float) -> tuple[bool, str]:
    """Say whether somebody was ended by right, and why.

    Args:
        person: somebody whose leg has ended.
        group: the people of the call.
        ring_timeout_s: how long a target may ring.
    """
    assert person.ended_s is not None
    at_s = person.ended_s
    why = _own_reason(person, group, at_s, ring_timeout_s)
    if why:
        return True, why
    others = _others(person, group, at_s)
    if others:
        return False, f"although the {' and the '.join(o.role for o in others)} was there"
    dismissed = _before(group.taken_back, at_s)
    for waited in (group.target, group.recalled):
        if _given_up(waited, at_s, ring_timeout_s) and not dismissed:
            return (
                False,
                f"although the {waited.role}'s phone still rang, and was cancelled too early",
            )
    uncalled = group.target.rang_s is None and bool(group.asked)
    return True, "was left alone" + ("; the target had not been called" if uncalled else "")


def _before(times: Iterable[float], at_s: float) -> bool:
    return any(one_s <= at_s for one_s in times)


def _own_reason(person: Person, group: Group, at_s: float, ring_timeout_s: float) -> str:
    """Why somebody may be ended whoever else is there; empty: for no reason."""
    if person.left_s is not None and person.left_s <= at_s:
        return "hung up"
    if person.answered_s is None:
        return "had not answered"
    if person is group.target and _before(group.taken_back, at_s):
        return "the transferor took the transferee back"
    if person is group.transferor and _before(group.completed, at_s):
        return "was released, as a program requested"
    late_s = at_s - (person.rang_s or 0.0) - ring_timeout_s
    just = late_s >= -SLACK_S and at_s - person.answered_s < SLACK_S
    return "answered at its ring timeout" if person is group.target and just else ""


def _others(person: Person, group: Group, at_s: float) -> list[Person]:
    """Who is there, and is not to be let go anyhow."""
    let_go: list[Person] = []
    if _before(group.taken_back, at_s):
        let_go.append(group.target)
    if _before(group.completed, at_s):
        let_go.append(group.transferor)
    return [
        other
        for other in group.people
        if other is not person and other not in let_go and other.present(at_s)
    ]


def _given_up(target: Person, at_s: float, ring_timeout_s: float) -> bool:
    """Whether a phone rang, and was given up before its time, though nobody had refused."""
    if target.rang_s is None or target.answered_s is not None or target.left_s is not None:
        return False
    ended_s = at_s if target.ended_s is None else target.ended_s
    return ended_s <= at_s and ended_s - target.rang_s < ring_timeout_s - SLACK_S


def judge_ends(groups: Iterable[Group], *, ring_timeout_s: float) -> list[Fault]:
    """Judge every leg that has ended."""
    return [
        Fault("lost", person.role, f"ended {person.cause} {why}", group.index)
        for group in groups
        if group.is_up
        for person in group.people
        if person.ended_s is not None
        for right, why in (judge_end(person, group, ring_timeout_s=ring_timeout_s),)
        if not right
    ]


def judge_variables(person: Person, group: Group, variables: Mapping[str, str]) -> list[Fault]:
    """Say what was left on a survivor's leg."""
    before = group.ordinary.get(person.role, {})
    left = {
        name: value
        for name, value in variables.items()
        if value and not before.get(name)
        if name.removeprefix("variable_") in FORBIDDEN or name.startswith("variable_hookflash_")
    }
    for name in COMPARED:
        key = f"variable_{name}"
        if person.role not in _CALLED and variables.get(key, "") != before.get(key, ""):
            left[key] = f"{before.get(key, '')} → {variables.get(key, '')}"
        elif person.role in _CALLED and variables.get(key, ""):
            left[key] = variables[key]
    return [
        Fault("stays behind", person.role, f"{name.removeprefix('variable_')}={value}", group.index)
        for name, value in left.items()
    ]


def judge_between(group: Group, variables: Mapping[str, str]) -> list[Fault]:
    """Say what was left on a loopback leg that two talk through.

    Its far side has what the dialplan sets for calls of its own, so that is not compared.
    """
    return [
        Fault(
            "stays behind", "loopback leg", f"{name.removeprefix('variable_')}={value}", group.index
        )
        for name, value in variables.items()
        if value
        if name.removeprefix("variable_") in FORBIDDEN or name.startswith("variable_hookflash_")
    ]
