"""What became of a program's legs on an Asterisk."""

from __future__ import annotations

from collections.abc import Mapping

from fidelity_outcome import Names, Told

from hookflash.events import CallEvent, CommandFailed, LegMovedAway


class AsteriskTold(Told):
    """The facts of one program, and what the backend says besides."""

    def hear(self, event: CallEvent) -> None:
        match event:
            case CommandFailed(command=command):
                leg = getattr(command, "leg", "") or getattr(command, "first", "")
                self._add(leg, f"{type(command).__name__} failed")
            case LegMovedAway(leg=leg):
                self._add(leg, "is moved away")
            case _:
                super().hear(event)


def said(value: str, called: Mapping[str, str], names: Names) -> str:
    """A variable's value, with the names of legs in place of those of channels."""
    is_channel = value.startswith(("PJSIP/", "Local/"))
    return called.get(value, "gone") if is_channel else names.in_text(value)


__all__ = ["AsteriskTold", "Names", "said"]
