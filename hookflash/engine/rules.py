"""Who may transfer, to which number, and how often: an account's rules, as pure questions.

The default is the one that costs nobody a telephone bill: an account's own users may transfer, an
outside party may not. Whoever dials in and then dials `*2` and an expensive number is the oldest
fraud in the trade.

A program that asks with a key of the account has the account's own rights: who may transfer is a
question for people's digits. Targets and limits hold for both.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from fnmatch import fnmatchcase

import attrs

from hookflash.errors import Refusal, RequestRefused
from hookflash.events import Kind, TransferRequested

MINUTE_S = 60.0


class Rights(StrEnum):
    """Who may transfer by digits."""

    USERS = "users"
    """The account's own users, and no outside party."""
    ANYBODY = "anybody"
    """Outside parties too."""
    NOBODY = "nobody"
    """Programs only."""


@attrs.frozen(kw_only=True)
class Rules:
    """What an account allows."""

    may_transfer: Rights = Rights.USERS
    """Who may transfer by digits; a leg's own mark (see `LegCreated.may_transfer`) goes before."""
    targets_allowed: tuple[str, ...] = ()
    """Patterns of numbers that may be called, as a shell has them (`*`, `?`, `[2-9]`; a star to be
    dialled is `[*]`). Empty: every number that is not denied."""
    targets_denied: tuple[str, ...] = ()
    """Patterns of numbers that may not be called; they go before `targets_allowed`."""
    transfers_at_once: int | None = None
    """How many transfers may be in flight. `None`: any number."""
    transfers_per_minute: int | None = None
    """How many transfers may begin within sixty seconds. `None`: any number."""

    def check_target(self, target: str) -> None:
        """Let a number pass, or not.

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


@attrs.frozen(kw_only=True)
class Asker:
    """The party that asks for a transfer, as far as its rights go."""

    is_user: bool
    """Whether it is one of the account's own users."""
    may_transfer: bool | None
    """What the operator says of this very leg; `None`: nothing."""


def check_rights(rules: Rules, asker: Asker, request: TransferRequested) -> None:
    """Hold a request against the rules, but for the limits.

    Raises:
        RequestRefused: whoever asks may not, or not to this target.
    """
    if request.by == "digits" and not _entitled(rules, asker):
        raise RequestRefused("this party may not transfer", Refusal.NOT_ENTITLED)
    if request.kind is not Kind.HOLD:
        rules.check_target(request.target)


def _entitled(rules: Rules, asker: Asker) -> bool:
    if asker.may_transfer is not None:
        return asker.may_transfer
    return rules.may_transfer is Rights.ANYBODY or (
        rules.may_transfer is Rights.USERS and asker.is_user
    )


class Meter:
    """Counts the transfers of one account: how many are in flight, and how many have begun."""

    __slots__ = ("_begun_s", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self._begun_s: deque[float] = deque()

    def check(self, rules: Rules, at_s: float) -> None:
        """Let one more begin, or not.

        Args:
            rules: the account's.
            at_s: now, by the engine's clock.

        Raises:
            RequestRefused: the account has as many as it may.
        """
        if rules.transfers_at_once is not None and self.in_flight >= rules.transfers_at_once:
            raise RequestRefused(
                f"the account has {self.in_flight} transfers in flight already", Refusal.TOO_MANY
            )
        if rules.transfers_per_minute is None:
            return
        while self._begun_s and self._begun_s[0] <= at_s - MINUTE_S:
            self._begun_s.popleft()
        if len(self._begun_s) >= rules.transfers_per_minute:
            raise RequestRefused(
                f"the account has begun {len(self._begun_s)} transfers within a minute",
                Refusal.TOO_MANY,
            )

    def begin(self, rules: Rules, at_s: float) -> None:
        """Count one that begins."""
        self.in_flight += 1
        if rules.transfers_per_minute is not None:
            self._begun_s.append(at_s)

    def end(self) -> None:
        """Count one that has ended."""
        self.in_flight -= 1

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember."""
        return self.in_flight == 0 and not self._begun_s


class Meters:
    """The meters of all accounts. To put a party on hold is not counted as a transfer."""

    def __init__(self) -> None:
        self._of: dict[str, Meter] = {}

    def check(self, account: str, rules: Rules, kind: Kind, at_s: float) -> None:
        """Let an account begin one more, or not (see `Meter.check`).

        Raises:
            RequestRefused: the account has as many as it may.
        """
        if kind is not Kind.HOLD:
            self._of.get(account, Meter()).check(rules, at_s)

    def begin(self, account: str, rules: Rules, kind: Kind, at_s: float) -> None:
        """Count one that begins."""
        if kind is not Kind.HOLD:
            self._of.setdefault(account, Meter()).begin(rules, at_s)

    def end(self, account: str, kind: Kind) -> None:
        """Count one that has ended."""
        meter = self._of.get(account) if kind is not Kind.HOLD else None
        if meter is not None:
            meter.end()
            if meter.idle:
                del self._of[account]
