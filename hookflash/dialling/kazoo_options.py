"""The options of a transfer in Kazoo's words. They are renamed here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from hookflash.document import place_in
from hookflash.events import TransferOptions
from hookflash.sounds import AskedSound, parse_asked_sound

KAZOO_SOUNDS: Final = ("moh", "ringback")
"""Kazoo's names of the options that are sounds."""


def options_from_kazoo(data: Mapping[str, object], where: str = "$") -> TransferOptions:
    """Read the options that a metaflow or a request of a program has.

    Args:
        data: Kazoo's `moh`, `ringback`, `takeback_dtmf` and `timeout` (in seconds), and our own
            `recall_attempts` and `fallback_target`, each of its type or missing. Other keys are
            ignored.
        where: the place of `data`, with which the places in errors begin.

    Raises:
        InputError: a text is not a sound.
    """
    sounds: dict[str, AskedSound | None] = {}
    for key in KAZOO_SOUNDS:
        text = cast("str | None", data.get(key))
        sounds[key] = None if text is None else parse_asked_sound(text, place_in(where, [key]))
    timeout_s = cast("float | None", data.get("timeout"))
    return TransferOptions(
        music=sounds["moh"],
        ringback=sounds["ringback"],
        takeback_digits=cast("str | None", data.get("takeback_dtmf")),
        ring_timeout_s=None if timeout_s is None else float(timeout_s),
        recall_attempts=cast("int | None", data.get("recall_attempts")),
        fallback_target=cast("str | None", data.get("fallback_target")),
    )


def options_to_kazoo(options: TransferOptions) -> dict[str, object]:
    """Write options in Kazoo's words; those that are `None` are left out."""
    timeout_s = options.ring_timeout_s
    written: dict[str, object] = {
        "takeback_dtmf": options.takeback_digits,
        "moh": None if options.music is None else str(options.music),
        "ringback": None if options.ringback is None else str(options.ringback),
        "timeout": int(timeout_s) if timeout_s is not None and timeout_s % 1 == 0 else timeout_s,
        "recall_attempts": options.recall_attempts,
        "fallback_target": options.fallback_target,
    }
    return {key: value for key, value in written.items() if value is not None}
