"""The deeds of the tables: decisions, and who is to leave. Legs are moved by the arranger."""

from __future__ import annotations

from hookflash.fsm.arrange import dismiss
from hookflash.fsm.transfer import Role
from hookflash.fsm.work import Work


def blame_restart(work: Work) -> None:
    """The controller died in the middle of it."""
    work.note(cause="CONTROLLER_RESTARTED")


def dismiss_transferor(work: Work) -> None:
    """End the transferor's call: it was about to leave."""
    dismiss(work, Role.TRANSFEROR)
