"""Whose targets are called how: dial strings that depend on the account.

A switch with several tenants has a dialplan context for each, in which the same extension leads to
another phone. The account of the call decides where its targets are looked up, and nothing that a
caller may choose does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Final, Generic, TypeVar

import attrs

from hookflash.errors import InputError

ALLOWED_TENANT: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}")
"""The allowed characters of an account that stands in a dial string: those of domains and IDs. It
chooses where a number is looked up, so nothing that separates the parts of a dial string."""

TENANT_HINT: Final = "letters, digits and _ . -, beginning with a letter or a digit, at most 128"

PLACES: Final = frozenset({"number", "context", "account"})
"""The fields of a template. In a context, only the account has a place."""

PLACES_HINT: Final = (
    "write {number} where the number goes, {context} where the context goes, and {account} where"
    " the account goes"
)


def fields_of(text: str) -> frozenset[str]:
    """The fields in braces.

    Raises:
        ValueError: there is a lone brace.
    """
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def is_usable(template: str, context: str) -> bool:
    """Whether a template and a context can be filled in."""
    try:
        fields = fields_of(template)
        usable = "number" in fields and fields <= PLACES and fields_of(context) <= {"account"}
        filled(template, context, "1", "a")
    except (ValueError, LookupError, AttributeError):  # a lone brace, or an unknown field
        return False
    return usable


def filled(template: str, context: str, number: str, account: str) -> str:
    """Fill in a template.

    Args:
        template: the operator's.
        context: the operator's.
        number: a number that has passed the allow-list.
        account: the account of the call; empty if it has none.

    Raises:
        InputError: the account is needed, and is none that may stand there.
    """
    needs_account = "account" in fields_of(template) | fields_of(context)
    if needs_account and not ALLOWED_TENANT.fullmatch(account):
        what = f"the account {account[:80]!r} can't stand in a dial string"
        what = what if account else "the call has no account, which the dial string needs"
        raise InputError(what, where="account", hint=TENANT_HINT)
    context = context.format(account=account)
    return template.format(number=number, context=context, account=account)


def check_one_line(texts: Iterable[str]) -> None:
    """Check that no text would begin another command.

    Raises:
        InputError: one does.
    """
    if any(char in text for text in texts for char in "\r\n\0"):
        raise InputError("the dialling contains a line break", hint="one line each")


_Dialling = TypeVar("_Dialling")


@attrs.frozen
class Tenants(Generic[_Dialling]):
    """How the targets of each account are called."""

    default: _Dialling
    """For accounts that are not in `named`."""
    named: Mapping[str, _Dialling] = attrs.field(factory=dict[str, _Dialling])

    def of(self, account: str) -> _Dialling:
        """How the targets of an account are called."""
        return self.named.get(account, self.default)

    def all(self) -> Iterable[_Dialling]:
        """Every way in which targets are called."""
        return (self.default, *self.named.values())
