"""Which version of hookflash this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


@cache
def version() -> str:
    """The version that is installed; `0+unknown` for a copy of the sources that never was."""
    try:
        return installed("hookflash")
    except PackageNotFoundError:
        return "0+unknown"


__version__ = version()
