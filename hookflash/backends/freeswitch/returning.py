"""Where a leg is in the dialplan, and how it is sent back there.

A leg that is parked by `uuid_transfer … park inline` keeps the destination and context of the
extension that it left. But they are an extension only if the leg was in one: a leg that was
originated to an application, or sent to one with `inline`, has the number of its party there, and
would call it. So where a leg is gets noted on it before it is parked, and survives the controller.

It goes back by one order, `uuid_transfer LEG 'm:^:set:…^unset:…^transfer:7000 XML default' inline`:
the leg itself removes all that is ours, and goes. There is no moment at which it carries only half
of it, and the same order can be scheduled, for the case that no controller is left (measured on
1.10.12).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from hookflash.backends.freeswitch import primitives as p
from hookflash.errors import InputError
from hookflash.events import LegId
from hookflash.returns import ALLOWED_PLACE, ORIGIN, PARK, PLACE_HINT

ASKED: Final = (
    p.KEPT,
    p.ORIGIN,
    "bridge_to",
    "destination_number",
    "dialplan",
    "context",
    "direction",
    "transfer_source",
    "current_application",
    "max_forwards",
)
"""The variables to query before a leg is parked or sent back."""

JOINED: Final = "the leg talks with somebody"
NOT_KNOWN: Final = "the leg is in no extension to which it could go back: choose another return_to"

_EXTENSION: Final = re.compile(r"[0-9A-Za-z+*#_.-]{1,64}")
_DIALPLAN: Final = re.compile(r"(?!inline)[0-9A-Za-z_]{1,32}")
_CONTEXT: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_UNKNOWN: Final = "unknown"


@attrs.frozen(kw_only=True)
class Asked:
    """What a leg has answered."""

    leg: LegId
    said: Mapping[str, str]

    @classmethod
    def of(cls, leg: LegId, answers: Sequence[str]) -> Asked:
        """Read the answers to `ASKED`."""
        pairs = zip(ASKED, map(str.strip, answers), strict=True)
        return cls(leg=leg, said={name: value for name, value in pairs if value != p.UNDEFINED})

    @property
    def is_joined(self) -> bool:
        """Whether it is in a bridge."""
        return bool(self.said.get("bridge_to"))

    @property
    def origin(self) -> str:
        """Where it is, or was when it was parked: in the form of the note."""
        if noted := self.said.get(p.ORIGIN):
            return noted
        hops = self.said.get("max_forwards", "")
        hops = hops if hops.isdigit() else ""
        place = tuple(self.said.get(name, "") for name in ASKED[3:6])
        put = self.said.get("transfer_source") or self.said.get("direction") != "outbound"
        allowed = zip((_EXTENSION, _DIALPLAN, _CONTEXT), place, strict=True)
        if put and all(pattern.fullmatch(text) for pattern, text in allowed):
            return "/".join((*place, hops))
        return PARK if self.said.get("current_application") == "park" else _UNKNOWN

    def place(self, to: str) -> p.DialplanEntry | None:
        """The extension that is meant; None: the park.

        Raises:
            InputError: it is not known, or not allowed.
        """
        origin = self.origin
        if to == PARK or (to == ORIGIN and origin == PARK):
            return None
        if to == ORIGIN:
            if origin == _UNKNOWN:
                raise InputError(NOT_KNOWN)
            extension, dialplan, context, _ = origin.split("/")
            return p.DialplanEntry(extension, dialplan, context)
        found = ALLOWED_PLACE.fullmatch(to)
        if found is None:
            raise InputError(f"{to[:80]!r} is not an extension", hint=PLACE_HINT)
        return p.DialplanEntry(found["extension"], "XML", found["context"])

    def sent(self, to: str, *, kept: str = "", after_s: int = 0) -> p.SendTo:
        """The order that sends it there, with the variables that it had before.

        Args:
            to: where it goes, as in `commands.SendBack`.
            kept: its saved variables, if it is about to get them.
            after_s: when; 0: now.
        """
        before = kept or self.said.get(p.KEPT, "")
        hops = self.origin.rpartition("/")[2] if "/" in self.origin else ""
        # the transfers of ours do not count: after so many of them, the switch would end the call
        own = (("max_forwards", str(int(hops) + 1)),) if hops else ()
        variables = (*p.as_before(before), *p.OURS_REMOVED, *own)
        return p.SendTo(self.leg, variables, self.place(to), after_s)


def with_return(
    steps: Sequence[p.Primitive],
    returns: p.Return,
    answers: Sequence[str],
    keeps: Sequence[p.SetVariables],
) -> Sequence[p.Primitive]:
    """Add to the steps of a command what lets its leg go back.

    Args:
        steps: of the command.
        returns: where the leg is to go, and when.
        answers: of the leg, to `ASKED`.
        keeps: its variables that are about to be saved.

    Raises:
        InputError: the leg is in a bridge, or it is not known where it was.
    """
    asked = Asked.of(returns.leg, answers)
    if returns.now:
        return (*steps, asked.sent(returns.to))
    if asked.is_joined:
        raise InputError(JOINED)
    kept = next((dict(keep.variables)[p.KEPT] for keep in keeps), "")
    later = asked.sent(returns.to, kept=kept, after_s=returns.after_s or 0) if returns.to else None
    noted = ((p.ORIGIN, asked.origin),)
    added: list[p.Primitive] = []
    for step in steps:
        if isinstance(step, p.SetVariables):
            added.append(attrs.evolve(step, variables=step.variables + noted))
            if later is not None and returns.after_s is not None:
                added.append(later)
        else:
            added.append(step)
    return added
