"""The options of a transfer in Kazoo's words. They are renamed here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from hookflash.document import place_in
from hookflash.events import AtLimit, FurtherTarget, TransferOptions
from hookflash.sounds import OptionalSound, parse_asked_sound, parse_optional_sound
from hookflash.transfer_context import NO_CONTEXT, TransferContext, program_data

KAZOO_OPTIONAL_SOUNDS: Final = (
    "briefing",
    "announcement",
    "failure_sound",
    "refusal_tone",
    "connected_sound",
)
"""The options that are sounds or none (an empty text)."""
KAZOO_SOUNDS: Final = ("moh", "ringback", "accept_prompt", *KAZOO_OPTIONAL_SOUNDS)
"""The options that are sounds, in Kazoo's words."""


def read_kazoo_sound(key: str, text: str, where: str = "") -> OptionalSound:
    """Read an option that is a sound.

    Raises:
        InputError: the text is not a sound, or is empty where there must be one.
    """
    reader = parse_optional_sound if key in KAZOO_OPTIONAL_SOUNDS else parse_asked_sound
    return reader(text, where)


def options_from_kazoo(data: Mapping[str, object], where: str = "$") -> TransferOptions:
    """Read the options that a metaflow or a request of a program has.

    Args:
        data: Kazoo's `moh`, `ringback`, `takeback_dtmf` and `timeout` (in seconds), and our own
            `swap_dtmf`, `three_way_dtmf`, `complete_dtmf`, `further_targets`, `rings_all`,
            `recall_attempts`, `fallback_target`, `target_accepts`, `accept_dtmf`, `decline_dtmf`,
            `accept_prompt`, `accept_limit` (in seconds), `briefing`, `announcement`,
            `failure_sound`, `refusal_tone`, `connected_sound`, `return_to`, `hold_limit` (in
            seconds), `at_hold_limit`, `slot`, `parking_limit` (in seconds), `caller_id_number`,
            `caller_id_name`, `variables`, `headers` and `data`, each of its type or missing. Other
            keys are ignored.
        where: the place of `data`, with which the places in errors begin.

    Raises:
        InputError: a text is not a sound, or the data is too large.
    """
    sounds: dict[str, Any] = {}
    for key in KAZOO_SOUNDS:
        text = cast("str | None", data.get(key))
        place = place_in(where, [key])
        sounds[key] = None if text is None else read_kazoo_sound(key, text, place)
    timeout_s = cast("float | None", data.get("timeout"))
    limit_s = cast("float | None", data.get("accept_limit"))
    further = data.get("further_targets")
    hold_limit_s = cast("float | None", data.get("hold_limit"))
    parking_limit_s = cast("float | None", data.get("parking_limit"))
    at_limit = cast("str | None", data.get("at_hold_limit"))
    return TransferOptions(
        music=sounds["moh"],
        ringback=sounds["ringback"],
        takeback_digits=cast("str | None", data.get("takeback_dtmf")),
        swap_digits=cast("str | None", data.get("swap_dtmf")),
        three_way_digits=cast("str | None", data.get("three_way_dtmf")),
        complete_digits=cast("str | None", data.get("complete_dtmf")),
        ring_timeout_s=None if timeout_s is None else float(timeout_s),
        further_targets=tuple(map(_further, cast("Iterable[object]", further or ()))),
        rings_all=bool(data.get("rings_all")),
        recall_attempts=cast("int | None", data.get("recall_attempts")),
        fallback_target=cast("str | None", data.get("fallback_target")),
        target_accepts=cast("bool | None", data.get("target_accepts")),
        accept_digits=cast("str | None", data.get("accept_dtmf")),
        decline_digits=cast("str | None", data.get("decline_dtmf")),
        accept_prompt=sounds["accept_prompt"],
        briefing=sounds["briefing"],
        announcement=sounds["announcement"],
        failure_sound=sounds["failure_sound"],
        refusal_tone=sounds["refusal_tone"],
        connected_sound=sounds["connected_sound"],
        accept_limit_s=None if limit_s is None else float(limit_s),
        return_to=cast("str | None", data.get("return_to")),
        hold_limit_s=None if hold_limit_s is None else float(hold_limit_s),
        at_hold_limit=None if at_limit is None else AtLimit(at_limit),
        slot=cast("str | None", data.get("slot")) or "",
        parking_limit_s=None if parking_limit_s is None else float(parking_limit_s),
        caller_number=cast("str | None", data.get("caller_id_number")),
        caller_name=cast("str | None", data.get("caller_id_name")),
        context=_context(data, where),
    )


def _further(one: object) -> FurtherTarget:
    written = cast("Mapping[str, object]", one)
    timeout_s = cast("float | None", written.get("timeout"))
    return FurtherTarget(
        number=cast("str", written["target"]),
        ring_timeout_s=None if timeout_s is None else float(timeout_s),
    )


def _context(data: Mapping[str, object], where: str) -> TransferContext | None:
    variables, headers, own = (data.get(key) for key in ("variables", "headers", "data"))
    if not variables and not headers and own is None:
        return None
    return TransferContext(
        variables=tuple(cast("Mapping[str, str]", variables or {}).items()),
        headers=tuple(cast("Mapping[str, str]", headers or {}).items()),
        data=None if own is None else program_data(own, place_in(where, ["data"])),
    )


def options_to_kazoo(options: TransferOptions) -> dict[str, object]:
    """Write options in Kazoo's words; those that are `None` are left out."""
    written: dict[str, object] = {
        "takeback_dtmf": options.takeback_digits,
        "swap_dtmf": options.swap_digits,
        "three_way_dtmf": options.three_way_digits,
        "complete_dtmf": options.complete_digits,
        "moh": _text(options.music),
        "ringback": _text(options.ringback),
        "timeout": _number(options.ring_timeout_s),
        "further_targets": [
            {"target": one.number}
            | ({} if one.ring_timeout_s is None else {"timeout": _number(one.ring_timeout_s)})
            for one in options.further_targets
        ]
        or None,
        "rings_all": options.rings_all or None,
        "recall_attempts": options.recall_attempts,
        "fallback_target": options.fallback_target,
        "target_accepts": options.target_accepts,
        "accept_dtmf": options.accept_digits,
        "decline_dtmf": options.decline_digits,
        "accept_prompt": _text(options.accept_prompt),
        "briefing": _text(options.briefing),
        "announcement": _text(options.announcement),
        "failure_sound": _text(options.failure_sound),
        "refusal_tone": _text(options.refusal_tone),
        "connected_sound": _text(options.connected_sound),
        "accept_limit": _number(options.accept_limit_s),
        "return_to": options.return_to,
        "hold_limit": _number(options.hold_limit_s),
        "at_hold_limit": options.at_hold_limit and options.at_hold_limit.value,
        "slot": options.slot or None,
        "parking_limit": _number(options.parking_limit_s),
        "caller_id_number": options.caller_number,
        "caller_id_name": options.caller_name,
        **_written(options.context or NO_CONTEXT),
    }
    return {key: value for key, value in written.items() if value is not None}


def _text(sound: OptionalSound | None) -> str | None:
    return None if sound is None else str(sound)


def _number(duration_s: float | None) -> float | None:
    whole = duration_s is not None and duration_s % 1 == 0
    return int(duration_s) if duration_s is not None and whole else duration_s


def _written(context: TransferContext) -> dict[str, object]:
    return {
        "variables": dict(context.variables) or None,
        "headers": dict(context.headers) or None,
        "data": context.data and context.data.value,
    }
