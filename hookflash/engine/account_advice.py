"""Advice on an account's rules: denied numbers that can be called all the same.

Rules apply to the number that is dialled. A pattern such as `0900*` no longer denies anything once
a rewrite turns `0900…` into `+49900…`, and nobody would notice before the telephone bill.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from hookflash.dialling.advice import Advice
from hookflash.engine.legs import Account
from hookflash.errors import InputError, RequestRefused

_WITH_A_PREFIX: Final = re.compile(r"(?P<prefix>\+?[0-9]+)(?P<rest>[*?]*)")
_MOST_DIGITS: Final = 15
"""Digits of an international number (ITU-T E.164)."""


def account_advice(account: Account, where: str = "rules") -> Iterator[Advice]:
    """Warn of patterns in `targets_denied` that rewrites make useless.

    Args:
        account: the settings.
        where: the location of its rules.
    """
    for pattern in account.rules.targets_denied:
        dialled, number = _example(account, pattern)
        if dialled:
            yield Advice(
                path=f"{where}.targets_denied",
                sentence=f"{pattern} does not deny {dialled}, since a rewrite makes {number} of it",
                hint="deny the form that is dialled",
            )


def _example(account: Account, pattern: str) -> tuple[str, str]:
    """A number of the pattern that is rewritten to one that is not denied; empty: none is known."""
    parts = _WITH_A_PREFIX.fullmatch(pattern)
    prefix = parts["prefix"] if parts else ""
    for length in range(len(prefix), _MOST_DIGITS + 1) if prefix else ():
        dialled = prefix + "123456789012345"[: length - len(prefix)]
        try:
            number = account.numbers.number(dialled)
        except (InputError, RequestRefused):
            continue
        denied = account.rules.targets_denied
        if fnmatchcase(dialled, pattern) and not any(fnmatchcase(number, one) for one in denied):
            return dialled, number
    return "", ""
