"""How long a sound plays: streams for ever, tones as they say, files as long as they are."""

from __future__ import annotations

import re
from typing import Final

_TONE: Final = re.compile(r"%\((?P<on_ms>\d+),(?P<off_ms>\d+)[^)]*(?:\)|$)")  # `&playback(…)` cuts
_LOOPS: Final = re.compile(r"loops=(?P<loops>-?\d+)")

FILE_S: Final = 2.0
"""How long a recorded sound plays, where nobody says otherwise."""


def sound_length_s(sound: str, *, file_s: float = FILE_S) -> float | None:
    """Say how long a sound plays; None: for ever.

    Measured for a tone of 300 ms and a pause of 100 ms: 402 ms. A file has a length, and ends:
    music from a file does not go on for ever.

    Args:
        sound: what is played.
        file_s: how long a recorded sound plays.
    """
    if sound.startswith("local_stream://"):
        return None
    if sound.startswith("silence_stream://"):
        ms = sound.removeprefix("silence_stream://").partition(",")[0]
        return None if ms in {"-1", "0"} else int(ms) / 1000 if ms.isdecimal() else 0.0
    parts = [int(m["on_ms"]) + int(m["off_ms"]) for m in _TONE.finditer(sound)]
    loops = _LOOPS.search(sound)
    times = int(loops["loops"]) if loops else 1
    if times < 0:
        return None
    return sum(parts) / 1000 * times if parts else file_s * times
