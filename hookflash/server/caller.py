"""Who sends a request, and for which account it may act."""

from __future__ import annotations

import attrs

from hookflash.errors import Forbidden


@attrs.frozen(kw_only=True)
class Caller:
    """A program that has signed in."""

    key: str
    """The ID of its key."""
    account: str | None
    """`None`: an administrator's key, for all accounts."""
    read_only: bool = False
    """Whether it may only look."""

    def check(self, account: str) -> None:
        """Check that the caller may act for an account.

        Raises:
            Forbidden: the key is for another account.
        """
        if self.account is not None and self.account != account:
            raise Forbidden

    def check_change(self) -> None:
        """Check that the caller may change something.

        Raises:
            Forbidden: the key is read-only.
        """
        if self.read_only:
            raise Forbidden("this key is read-only: use one made without --read-only")

    @property
    def name(self) -> str:
        """The caller's name in the journal."""
        return f"key {self.key}"
