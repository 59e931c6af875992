"""How long a sound plays: music forever, tones and recordings for their own length."""

from __future__ import annotations

from typing import Final

from hookflash.sounds import (
    Conversation,
    HeardSound,
    Music,
    OtherSound,
    Recording,
    Tone,
    heard_sound,
)

FILE_S: Final = 2.0
"""How long a recorded sound plays by default."""


def sound_length_s(sound: HeardSound, *, file_s: float = FILE_S) -> float | None:
    """Return how long a sound plays; None: forever.

    Measured for a tone of 300 ms and a pause of 100 ms: 402 ms. Music from a file ends with the
    file.

    Args:
        sound: the sound.
        file_s: how long a recorded sound plays.
    """
    match sound:
        case Music():
            return None
        case Tone():
            return sound.lasts_s
        case Recording():
            return file_s
        case Conversation():
            return None
        case OtherSound(text):
            return _length_of_other_s(text, file_s)


def _length_of_other_s(text: str, file_s: float) -> float | None:
    """Return how long a sound of another program plays, in any notation."""
    for end in ("", ")"):  # `originate … &playback(…)` cuts the bracket off
        sound = heard_sound(text + end)
        if not isinstance(sound, OtherSound):
            return sound_length_s(sound, file_s=file_s)
    return 0.0 if "_stream://" in text else file_s
