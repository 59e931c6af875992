"""The scenarios that ship, read once for all the tests of a process."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import hookflash
from hookflash.scenarios.format import load_scenario

FOLDER: Final = Path(hookflash.__file__).parent / "specs" / "scenarios"
FILES: Final = sorted(FOLDER.glob("*.toml"))
SCENARIOS: Final = {file.stem: load_scenario(file) for file in FILES}
