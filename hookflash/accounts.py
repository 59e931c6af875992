"""IDs of accounts and owners: which names are allowed, wherever they come in.

They come from the configuration, from keys, from programs (paths, messages), and from the switch (a
variable of each leg). A leg whose variable is no allowed name belongs to nobody, and may not
transfer by digits: whoever can set the variable must not get the rights of the default account.
"""

from __future__ import annotations

import re
from typing import Final

ACCOUNT_PATTERN: Final = r"[0-9A-Za-z_.:@+-]{1,128}"
"""As Kazoo and telephone companies name them: IDs, numbers, domains, SIP addresses."""

ALLOWED_ACCOUNT: Final = re.compile(ACCOUNT_PATTERN)

ACCOUNT_HINT: Final = "letters, digits and _ . : @ + -, at most 128"

DEFAULT_ACCOUNT: Final = "default"
"""The account ID, for programs, of legs without an account."""

NOBODY: Final = "?"
"""The account, or the owner, of legs whose own is not an allowed name. No key and no program can
name it."""


def account_of_leg(name: str) -> str:
    """The account that a switch reports for a leg; empty if it reports none."""
    return name if not name or ALLOWED_ACCOUNT.fullmatch(name) else NOBODY


def owner_of_leg(name: str) -> str:
    """The owner (user or device) that a switch reports for a leg; empty if it reports none."""
    return account_of_leg(name)
