"""hookflash: attended transfer for any phone.

What stands here is what is promised: whatever you import from `hookflash` itself keeps its meaning
until the changelog says otherwise. Four modules are part of the promise as they are:
`hookflash.events` and `hookflash.commands` (the words of a backend), `hookflash.sounds` (what
parties hear), and `hookflash.testing` (the check that a backend keeps its promises).
`hookflash.client` is a program's end of a service that runs elsewhere; its names stand here, too.

A name is fetched from its module when it is first used, so that ``import hookflash`` costs nothing,
and the pure core can be imported without trio.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hookflash.backends.asterisk.client import Asterisk, AsteriskBackend, open_asterisk
    from hookflash.backends.base import Backend
    from hookflash.backends.freeswitch.client import (
        FreeSwitch,
        FreeSwitchBackend,
        open_freeswitch,
    )
    from hookflash.backends.freeswitch.procedures import Dialling
    from hookflash.backends.simulator.backend import SimulatedBackend, open_simulator
    from hookflash.backends.simulator.faults import Faults, parse_faults
    from hookflash.client import Client, LineLost, Refused, connect
    from hookflash.dialling.metaflows import Metaflows, parse_metaflows
    from hookflash.engine.engine import (
        Engine,
        FellBehind,
        Follower,
        Result,
        TransferHandle,
        open_engine,
    )
    from hookflash.engine.exchange import Entry, Exchange, open_exchange
    from hookflash.engine.lines import Account, Line
    from hookflash.engine.record import Record
    from hookflash.engine.rules import Rights, Rules
    from hookflash.errors import (
        BackendClosed,
        BackendError,
        Forbidden,
        HookflashError,
        InputError,
        InternalError,
        NotFound,
        Refusal,
        RequestRefused,
        SpecError,
        Unauthorized,
    )
    from hookflash.events import Kind, LegSnapshot
    from hookflash.fsm.transfer import Choice, Outcome, PartialSound, Policy, State, Transfer
    from hookflash.sounds import Burst, Music, Recording, Sound, Tone, parse_sound

    __version__: str

__all__ = [
    "Account",
    "Asterisk",
    "AsteriskBackend",
    "Backend",
    "BackendClosed",
    "BackendError",
    "Burst",
    "Choice",
    "Client",
    "Dialling",
    "Engine",
    "Entry",
    "Exchange",
    "Faults",
    "FellBehind",
    "Follower",
    "Forbidden",
    "FreeSwitch",
    "FreeSwitchBackend",
    "HookflashError",
    "InputError",
    "InternalError",
    "Kind",
    "LegSnapshot",
    "Line",
    "LineLost",
    "Metaflows",
    "Music",
    "NotFound",
    "Outcome",
    "PartialSound",
    "Policy",
    "Record",
    "Recording",
    "Refusal",
    "Refused",
    "RequestRefused",
    "Result",
    "Rights",
    "Rules",
    "SimulatedBackend",
    "Sound",
    "SpecError",
    "State",
    "Tone",
    "Transfer",
    "TransferHandle",
    "Unauthorized",
    "__version__",
    "connect",
    "open_asterisk",
    "open_engine",
    "open_exchange",
    "open_freeswitch",
    "open_simulator",
    "parse_faults",
    "parse_metaflows",
    "parse_sound",
]

_NAMES_OF: Mapping[str, str] = {
    "backends.asterisk.client": "Asterisk AsteriskBackend open_asterisk",
    "backends.base": "Backend",
    "backends.freeswitch.client": "FreeSwitch FreeSwitchBackend open_freeswitch",
    "backends.freeswitch.procedures": "Dialling",
    "backends.simulator.backend": "SimulatedBackend open_simulator",
    "backends.simulator.faults": "Faults parse_faults",
    "client": "Client LineLost Refused connect",
    "engine.engine": "Engine FellBehind Follower Result TransferHandle open_engine",
    "engine.exchange": "Entry Exchange open_exchange",
    "engine.record": "Record",
    "engine.rules": "Rights Rules",
    "engine.lines": "Account Line",
    "errors": "BackendClosed BackendError Forbidden HookflashError InputError InternalError "
    "NotFound Refusal RequestRefused SpecError Unauthorized",
    "events": "Kind LegSnapshot",
    "fsm.transfer": "Choice Outcome PartialSound Policy State Transfer",
    "sounds": "Burst Music Recording Sound Tone parse_sound",
    "dialling.metaflows": "Metaflows parse_metaflows",
}
"""The same as the imports above, for those who run the program instead of reading it."""

_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names.split()}


if not TYPE_CHECKING:  # else a type checker would believe in any name at all

    def __getattr__(name: str) -> object:
        """Fetch a public name from its module, once."""
        if name == "__version__":
            value: object = import_module(f"{__name__}.version").version()
        elif name in _MODULE_OF:
            value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
