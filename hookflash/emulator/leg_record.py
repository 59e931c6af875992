"""FreeSWITCH's record of a leg: who, where, when, how it ended, and its variables."""

from __future__ import annotations

import attrs

from hookflash.emulator.events import Value
from hookflash.events import LegId


@attrs.define(eq=False, kw_only=True)
class LegRecord:
    """The data from which a leg's variables are built. A time is 0 until it has come."""

    id: LegId
    session: int
    """The number of its session, from 1."""
    inbound: bool
    name: str
    """`sofia/internal/1002@127.0.0.1:5090`."""
    destination: str
    caller_name: str
    caller_number: str
    original_name: str = attrs.field(init=False)
    original_number: str = attrs.field(init=False)
    endpoint: str = "sofia"
    call_uuid: str = attrs.field(init=False)
    created_us: int
    profile_us: int = attrs.field(init=False)
    progress_us: int = 0
    media_us: int = 0
    answered_us: int = 0
    bridged_us: int = 0
    hangup_us: int = 0
    cause: str = ""
    ended_by_switch: bool = False
    digits: str = ""
    variables: dict[str, Value] = attrs.field(factory=dict[str, Value])
