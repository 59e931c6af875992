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

if TYPE_CHECKING:  # `as` makes a name public to a type checker
    from hookflash.backends.asterisk.client import (
        AsteriskBackend as AsteriskBackend,
        open_asterisk as open_asterisk,
    )
    from hookflash.backends.asterisk.procedures import (
        AsteriskDialling as AsteriskDialling,
    )
    from hookflash.backends.asterisk.settings import (
        Asterisk as Asterisk,
    )
    from hookflash.backends.base import (
        Backend as Backend,
    )
    from hookflash.backends.freeswitch.client import (
        FreeSwitchBackend as FreeSwitchBackend,
        open_freeswitch as open_freeswitch,
    )
    from hookflash.backends.freeswitch.procedures import (
        Dialling as Dialling,
    )
    from hookflash.backends.freeswitch.settings import (
        FreeSwitch as FreeSwitch,
    )
    from hookflash.backends.simulator.backend import (
        SimulatedBackend as SimulatedBackend,
        open_simulator as open_simulator,
    )
    from hookflash.backends.simulator.faults import (
        Faults as Faults,
        parse_faults as parse_faults,
    )
    from hookflash.client.client import Client as Client, connect as connect
    from hookflash.client.errors import (
        ConnectionLost as ConnectionLost,
        RefusedByService as RefusedByService,
    )
    from hookflash.dialling.metaflows import (
        Metaflows as Metaflows,
        parse_metaflows as parse_metaflows,
    )
    from hookflash.dialling.numbers import (
        NumberRules as NumberRules,
        parse_rewrites as parse_rewrites,
    )
    from hookflash.engine.engine import Engine as Engine, open_engine as open_engine
    from hookflash.engine.group import (
        EngineGroup as EngineGroup,
        open_engine_group as open_engine_group,
    )
    from hookflash.engine.handles import (
        FellBehind as FellBehind,
        Follower as Follower,
        Result as Result,
        TransferHandle as TransferHandle,
    )
    from hookflash.engine.legs import (
        Account as Account,
        Leg as Leg,
    )
    from hookflash.engine.record import (
        Record as Record,
    )
    from hookflash.engine.rules import (
        Rights as Rights,
        Rules as Rules,
    )
    from hookflash.errors import (
        BackendClosed as BackendClosed,
        BackendError as BackendError,
        Forbidden as Forbidden,
        HookflashError as HookflashError,
        InputError as InputError,
        InternalError as InternalError,
        NotFound as NotFound,
        Refusal as Refusal,
        RequestRefused as RequestRefused,
        SpecError as SpecError,
        Unauthorized as Unauthorized,
    )
    from hookflash.events import (
        Kind as Kind,
        LegSnapshot as LegSnapshot,
        TransferOptions as TransferOptions,
    )
    from hookflash.fsm.policy import (
        Choice as Choice,
        PartialSound as PartialSound,
        Policy as Policy,
    )
    from hookflash.fsm.transfer import Outcome as Outcome, State as State, Transfer as Transfer
    from hookflash.sounds import (
        Burst as Burst,
        Media as Media,
        MediaList as MediaList,
        Music as Music,
        Recording as Recording,
        Sound as Sound,
        Tone as Tone,
        parse_sound as parse_sound,
    )
    from hookflash.version import __version__ as __version__

_NAMES_OF: Mapping[str, str] = {
    "backends.asterisk.client": "AsteriskBackend open_asterisk",
    "backends.asterisk.procedures": "AsteriskDialling",
    "backends.asterisk.settings": "Asterisk",
    "backends.base": "Backend",
    "backends.freeswitch.client": "FreeSwitchBackend open_freeswitch",
    "backends.freeswitch.procedures": "Dialling",
    "backends.freeswitch.settings": "FreeSwitch",
    "backends.simulator.backend": "SimulatedBackend open_simulator",
    "backends.simulator.faults": "Faults parse_faults",
    "client.client": "Client connect",
    "client.errors": "ConnectionLost RefusedByService",
    "engine.engine": "Engine open_engine",
    "engine.handles": "FellBehind Follower Result TransferHandle",
    "engine.group": "EngineGroup open_engine_group",
    "engine.record": "Record",
    "engine.rules": "Rights Rules",
    "engine.legs": "Account Leg",
    "errors": "BackendClosed BackendError Forbidden HookflashError InputError InternalError "
    "NotFound Refusal RequestRefused SpecError Unauthorized",
    "events": "Kind LegSnapshot TransferOptions",
    "fsm.policy": "Choice PartialSound Policy",
    "fsm.transfer": "Outcome State Transfer",
    "sounds": "Burst Media MediaList Music Recording Sound Tone parse_sound",
    "dialling.metaflows": "Metaflows parse_metaflows",
    "dialling.numbers": "NumberRules parse_rewrites",
    "version": "__version__",
}
"""The same as the imports above, for those who run the program instead of reading it:
`tests/test_exports.py` holds the two against each other. Everything else is derived from this."""

_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names.split()}

if not TYPE_CHECKING:  # else a type checker would believe in any name at all
    __all__ = list(_MODULE_OF)

    def __getattr__(name: str) -> object:
        """Fetch a public name from its module, once."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
