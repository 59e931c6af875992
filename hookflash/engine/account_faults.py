"""What an account's feature codes ask for that its other settings do not allow.

A code may name a number and sounds. Whether they can be used is decided by the account: by the
domains it has, and by its rewrites. What is wrong is reported when the settings are read, not when
somebody dials the code.
"""

from __future__ import annotations

from collections.abc import Iterator

from hookflash.document import place_in
from hookflash.engine.legs import Account
from hookflash.errors import InputError, RequestRefused
from hookflash.events import TransferOptions


def account_faults(account: Account, name: str, where: str = "metaflows") -> Iterator[InputError]:
    """Find what an account's feature codes ask for that it does not have.

    Args:
        account: the settings.
        name: the account's ID.
        where: the location of its feature codes.
    """
    codes = account.metaflows
    for part, entries in (("numbers", codes.numbers), ("patterns", codes.patterns)):
        for dialled, action in entries:
            place = place_in(where, [part, dialled, "data"])
            if action.target is not None:
                yield from _of_target(account, action.target, f"{place}.target")
            for position, further in enumerate(action.options.further_targets):
                yield from _of_target(
                    account, further.number, f"{place}.further_targets[{position}].target"
                )
            if fallback := action.options.fallback_target:
                yield from _of_target(account, fallback, f"{place}.fallback_target")
            for key, sound in (
                ("moh", action.options.music),
                ("ringback", action.options.ringback),
            ):
                try:
                    if sound is not None:
                        account.media.sound(sound, name, f"{place}.{key}")
                except InputError as fault:
                    yield fault
            yield from _of_context(account, action.options, place)


def _of_context(account: Account, options: TransferOptions, where: str) -> Iterator[InputError]:
    """What the account's rules do not allow. Who will dial is not known, nor that number."""
    try:
        if options.caller_number:
            account.rules.check_caller(options.caller_number, "")
        if options.context is not None:
            account.rules.check_context(options.context)
    except RequestRefused as refused:
        yield InputError(refused.why, where=where, hint="see the account's rules")


def _of_target(account: Account, target: str, where: str) -> Iterator[InputError]:
    try:
        account.numbers.number(target)
    except InputError as fault:
        yield InputError(fault.what, where=where, hint=fault.hint)
    except RequestRefused as refused:
        yield InputError(refused.why, where=where)
