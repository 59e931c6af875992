"""Sounds as FreeSWITCH's paths, in `uuid_broadcast` and in events.

| sound | path |
| --- | --- |
| `music:default` | `local_stream://moh`, the stock music on hold |
| `music:jazz` | `local_stream://jazz` |
| `tone:440+480/2000,0/4000` | `tone_stream://%(2000,4000,440,480);loops=-1` |
| `tone:480+620/250,0/250*8` | `tone_stream://%(250,250,480,620);loops=8` |
| `file:ivr/one-moment.wav` | `ivr/one-moment.wav` |

A rendered sound is read back as the same value, with one exception: `music:moh` is another name for
the stream of `music:default`, and is read back as that.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hookflash.sounds import (
    SILENCE,
    Burst,
    Conversation,
    HeardSound,
    Music,
    OtherSound,
    Recording,
    Sound,
    Tone,
    heard_sound,
)

_STREAMS: Final = {"default": "moh"}
"""FreeSWITCH has a stream `default` too; its default music on hold is `moh`."""


@lru_cache(maxsize=256)
def path_of(sound: Sound) -> str:
    """Render a sound. Its names have passed an allow-list."""
    match sound:
        case Music(name):
            return f"local_stream://{_STREAMS.get(name, name)}"
        case Recording(name):
            return name
        case Tone(bursts, times):
            return _path_of_tone(sound, bursts, times)


@lru_cache(maxsize=256)
def sound_at(path: str) -> HeardSound:
    """Read the path of a reported sound, of ours or of another program."""
    return heard_sound(path)


def sound_played(path: str) -> HeardSound:
    """Read a path that a program plays, so that `path_heard` returns it unchanged."""
    sound = sound_at(path)
    return sound if path_heard(sound) == path else OtherSound(path)


def path_heard(sound: HeardSound) -> str:
    """The path that FreeSWITCH reports for a sound."""
    if isinstance(sound, Conversation):
        return str(sound)  # it is no sound of the switch
    return sound.text if isinstance(sound, OtherSound) else path_of(sound)


def _path_of_tone(tone: Tone, bursts: tuple[Burst, ...], times: int | None) -> str:
    if tone == SILENCE:
        return "silence_stream://-1"
    if times == 1 and len(bursts) == 1 and not bursts[0].frequencies_hz:
        return f"silence_stream://{bursts[0].lasts_ms}"
    loops = {None: ";loops=-1", 1: ""}.get(times, f";loops={times}")
    return f"tone_stream://{_script(bursts)}{loops}"


def _script(bursts: tuple[Burst, ...]) -> str:
    """Write bursts in TGML, where a silence usually belongs to the sound before it.

    A silence of its own is `%(0,MS,0)`: where the first frequency is 0, FreeSWITCH skips the sound
    and keeps the silence (`teletone_mux_tones`).
    """
    script: list[str] = []
    sounding: Burst | None = None
    for burst in bursts:
        if burst.frequencies_hz:
            if sounding is not None:
                script.append(_scripted(sounding, 0))
            sounding = burst
        elif sounding is None:
            script.append(f"%(0,{burst.lasts_ms},0)")
        else:
            script.append(_scripted(sounding, burst.lasts_ms))
            sounding = None
    if sounding is not None:
        script.append(_scripted(sounding, 0))
    return "".join(script)


def _scripted(burst: Burst, off_ms: int) -> str:
    return f"%({burst.lasts_ms},{off_ms},{','.join(map(str, burst.frequencies_hz))})"
