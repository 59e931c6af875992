"""How long a sound plays: music for ever, tones as they say, recordings as long as they are."""

from __future__ import annotations

from typing import Final

from hookflash.sounds import HeardSound, Music, OtherSound, Recording, Tone, heard_sound

FILE_S: Final = 2.0
"""How long a recorded sound plays, where nobody says otherwise."""


def sound_length_s(sound: HeardSound, *, file_s: float = FILE_S) -> float | None:
    """Say how long a sound plays; None: for ever.

    Measured for a tone of 300 ms and a pause of 100 ms: 402 ms. A file has a length, and ends:
    music from a file does not go on for ever.

    Args:
        sound: what is played.
        file_s: how long a recorded sound plays.
    """
    match sound:
        case Music():
            return None
        case Tone():
            return sound.lasts_s
        case Recording():
            return file_s
        case OtherSound(text):
            return _length_of_other_s(text, file_s)


def _length_of_other_s(text: str, file_s: float) -> float | None:
    """Say how long a sound plays that another program ordered, in whatever spelling."""
    for end in ("", ")"):  # `originate … &playback(…)` cuts the bracket off
        sound = heard_sound(text + end)
        if not isinstance(sound, OtherSound):
            return sound_length_s(sound, file_s=file_s)
    return 0.0 if "_stream://" in text else file_s
