"""An account's rules: who may transfer, to which targets, and how often.

By default, an account's own users may transfer, and outside parties may not. Calling in and then
dialling `*2` and an expensive number is the oldest fraud in the trade.

A program with a key of the account has the account's own rights: who may transfer is a question for
digits only. Targets and limits apply to both.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

import attrs

from hookflash.errors import Refusal, RequestRefused
from hookflash.events import Kind, TransferRequested
from hookflash.transfer_context import TransferContext, matches

MINUTE_S = 60.0


class Rights(StrEnum):
    """Who may transfer by digits."""

    USERS = "users"
    """Only the account's own users."""
    ANYBODY = "anybody"
    """Users and outside parties."""
    NOBODY = "nobody"
    """Nobody; only programs may transfer."""


@attrs.frozen(kw_only=True)
class Rules:
    """What an account allows."""

    may_transfer: Rights = Rights.USERS
    """Who may transfer by digits. A leg's own mark (`LegCreated.may_transfer`) takes precedence."""
    kinds_allowed: tuple[Kind, ...] = ()
    """The allowed kinds of requests: `attended`, `blind`, `hold`, `park`. Empty: all of them."""
    may_pick_up: bool = True
    """Whether the account's legs may pick up its parked calls. Outside parties never may."""
    targets_allowed: tuple[str, ...] = ()
    """Shell patterns of the allowed numbers (`*`, `?`, `[2-9]`; a dialled star is `[*]`). Empty:
    every number that is not denied."""
    targets_denied: tuple[str, ...] = ()
    """Shell patterns of denied numbers; they take precedence over `targets_allowed`."""
    variables_allowed: tuple[str, ...] = ()
    """Shell patterns of the channel variables that a request may set on the target's leg, such as
    `crm_*`. Empty: none. Variables that the switch itself understands are never allowed."""
    headers_allowed: tuple[str, ...] = ("X-*",)
    """Shell patterns of the SIP headers that a request may add to the target's call; all begin with
    `X-`. Empty: none."""
    caller_numbers_allowed: tuple[str, ...] = ()
    """Shell patterns of the numbers that a request may show to the target, besides the transferor's
    own: the numbers that belong to the account."""
    transfers_at_once: int | None = None
    """How many transfers may be in flight. `None`: any number."""
    transfers_per_minute: int | None = None
    """How many transfers may begin within 60 seconds. `None`: any number."""

    def check_target(self, target: str) -> None:
        """Check a number.

        Raises:
            RequestRefused: the account may not call it.
        """
        denied = any(fnmatchcase(target, pattern) for pattern in self.targets_denied)
        allowed = not self.targets_allowed or any(
            fnmatchcase(target, pattern) for pattern in self.targets_allowed
        )
        if denied or not allowed:
            raise RequestRefused(
                f"calls to {target} are not allowed for this account", Refusal.TARGET_REFUSED
            )

    def check_context(self, context: TransferContext) -> None:
        """Check what a request gives along.

        Raises:
            RequestRefused: the account does not allow a variable or a header.
        """
        for pairs, patterns, what in (
            (context.variables, self.variables_allowed, "variable"),
            (context.headers, self.headers_allowed, "header"),
        ):
            for name, _ in pairs:
                if not matches(name, patterns):
                    allowed = ", ".join(patterns) or "none"
                    why = f"the {what} {name} is not allowed for this account (allowed: {allowed})"
                    raise RequestRefused(why, Refusal.CONTEXT_REFUSED)

    def check_caller(self, number: str, own: str) -> None:
        """Check the number that a request shows to the target.

        Args:
            number: the number; empty: the transferor's.
            own: the transferor's number.

        Raises:
            RequestRefused: it does not belong to the account.
        """
        if number not in ("", own) and not matches(number, self.caller_numbers_allowed):
            allowed = ", ".join(("the transferor's own", *self.caller_numbers_allowed))
            why = f"the number {number} may not be shown (allowed: {allowed})"
            raise RequestRefused(why, Refusal.CONTEXT_REFUSED)


@attrs.frozen(kw_only=True)
class Asker:
    """The rights of the party that requests a transfer."""

    is_user: bool
    """Whether it is one of the account's own users."""
    may_transfer: bool | None
    """The operator's setting for this leg; `None`: not set."""


def check_rights(rules: Rules, asker: Asker, request: TransferRequested, own_number: str) -> None:
    """Check a request against the rules, except for the limits.

    Args:
        rules: the account's rules.
        asker: the rights of the party that requests it.
        request: the request.
        own_number: that party's number.

    Raises:
        RequestRefused: the party may not transfer, or not to this target, or not with this context.
    """
    if request.by == "digits" and not _entitled(rules, asker):
        raise RequestRefused("this party may not transfer", Refusal.NOT_ENTITLED)
    if rules.kinds_allowed and request.kind not in rules.kinds_allowed:
        allowed = ", ".join(rules.kinds_allowed)
        why = f"requests of the kind {request.kind} are not allowed for this party ({allowed})"
        raise RequestRefused(why, Refusal.NOT_ENTITLED)
    if request.target:
        rules.check_target(request.target)
    for further in request.options.further_targets:
        rules.check_target(further.number)
    if request.options.fallback_target:
        rules.check_target(request.options.fallback_target)
    if request.options.caller_number:
        rules.check_caller(request.options.caller_number, own_number)
    if request.options.context is not None:
        rules.check_context(request.options.context)


def _entitled(rules: Rules, asker: Asker) -> bool:
    if asker.may_transfer is not None:
        return asker.may_transfer
    return rules.may_transfer is Rights.ANYBODY or (
        rules.may_transfer is Rights.USERS and asker.is_user
    )


class Meter:
    """Counts the transfers of one account: in flight, and begun within a minute."""

    __slots__ = ("_begun_s", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self._begun_s: deque[float] = deque()

    def check(self, rules: Rules, at_s: float) -> None:
        """Check whether one more transfer may begin.

        Args:
            rules: the account's rules.
            at_s: the time, in seconds of the engine's clock.

        Raises:
            RequestRefused: the account has reached its limit.
        """
        if rules.transfers_at_once is not None and self.in_flight >= rules.transfers_at_once:
            raise RequestRefused(
                f"the account already has {self.in_flight} transfers in flight", Refusal.TOO_MANY
            )
        if rules.transfers_per_minute is None:
            return
        while self._begun_s and self._begun_s[0] <= at_s - MINUTE_S:
            self._begun_s.popleft()
        if len(self._begun_s) >= rules.transfers_per_minute:
            raise RequestRefused(
                f"the account began {len(self._begun_s)} transfers within a minute",
                Refusal.TOO_MANY,
            )

    def begin(self, rules: Rules, at_s: float) -> None:
        """Count a transfer that begins."""
        self.in_flight += 1
        if rules.transfers_per_minute is not None:
            self._begun_s.append(at_s)

    def end(self) -> None:
        """Count a transfer that has ended."""
        self.in_flight -= 1

    @property
    def idle(self) -> bool:
        """Whether there is nothing to count."""
        return self.in_flight == 0 and not self._begun_s


_UNCOUNTED: Final = (Kind.HOLD, Kind.PARK)


class Meters:
    """The meters of all accounts. To hold or park a call does not count as a transfer."""

    def __init__(self) -> None:
        self._of: dict[str, Meter] = {}

    def check(self, account: str, rules: Rules, kind: Kind, at_s: float) -> None:
        """Check whether an account may begin one more (see `Meter.check`).

        Raises:
            RequestRefused: the account has reached its limit.
        """
        if kind not in _UNCOUNTED:
            self._of.get(account, Meter()).check(rules, at_s)

    def begin(self, account: str, rules: Rules, kind: Kind, at_s: float) -> None:
        """Count a transfer that begins."""
        if kind not in _UNCOUNTED:
            self._of.setdefault(account, Meter()).begin(rules, at_s)

    def end(self, account: str, kind: Kind) -> None:
        """Count a transfer that has ended."""
        meter = self._of.get(account) if kind not in _UNCOUNTED else None
        if meter is not None:
            meter.end()
            if meter.idle:
                del self._of[account]
