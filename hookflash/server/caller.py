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

    def check(self, account: str) -> None:
        """Check that it may act for an account.

        Raises:
            Forbidden: the key is for another account, whether or not there is such an account.
        """
        if self.account is not None and self.account != account:
            raise Forbidden

    @property
    def name(self) -> str:
        """The name in the history of a program that asked for something."""
        return f"key {self.key}"
