"""The actions of the tables: decisions, and who is to leave. The arranger moves the legs."""

from __future__ import annotations

from hookflash.fsm.arrange import dismiss
from hookflash.fsm.transfer import Role
from hookflash.fsm.work import Work


def blame_restart(work: Work) -> None:
    """Name the restart of the controller as the cause."""
    work.note(cause="CONTROLLER_RESTARTED")


def dismiss_transferor(work: Work) -> None:
    """End the transferor's call."""
    dismiss(work, Role.TRANSFEROR)
