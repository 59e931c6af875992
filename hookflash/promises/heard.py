"""What people hear, in the terms of a scenario: `music`, `ringback`, and the names of parties."""

from __future__ import annotations

from collections.abc import Mapping

from hookflash.commands import Announce, HoldWithMusic, PlayRingback, PlayTone
from hookflash.engine.record import Record
from hookflash.events import CallEvent, LegId, LegsJoined, SoundStarted
from hookflash.fsm.policy import Policy
from hookflash.sounds import Conversation, HeardSound, Sound


class HeardLog:
    """What each party has heard, in order."""

    def __init__(self, names: Mapping[LegId, str]) -> None:
        """Begin.

        Args:
            names: the party on each leg.
        """
        self._names = names
        self._heard: dict[str, list[str]] = {}
        self._kinds: dict[HeardSound, str] = {}
        self._peers: dict[LegId, LegId] = {}
        """With whom each leg was joined last."""

    def fact(self, fact: CallEvent) -> None:
        """Note a fact: a conversation, or a sound that starts."""
        match fact:
            case LegsJoined(first=first, second=second):
                self._peers |= {first: second, second: first}
                self._note(first, self._names.get(second, second))
                self._note(second, self._names.get(first, first))
            case SoundStarted(leg=leg, sound=Conversation(leg=of)):
                self._note_three(leg, of, self._peers.get(of, ""))
            case SoundStarted(leg=leg, sound=sound):
                self._note(leg, self._kinds.get(sound, str(sound)))
            case _:
                pass

    def record(self, record: Record, policy: Policy) -> None:
        """Note the purpose of a sound from the order to play it."""
        for command in record.commands:
            match command:
                case HoldWithMusic(music=sound):
                    kind = _kind_of_music(sound, policy)
                case PlayRingback(ringback=sound):
                    kind = _kind_of(sound, policy)
                case PlayTone(tone=sound):
                    kind = "tone"
                case Announce(sound=sound):
                    kind = "connected" if sound == policy.connected_sound else "refusal"
                case _:
                    continue
            self._kinds[sound] = kind

    def of(self, name: str) -> list[str]:
        """What a party has heard: kinds of sound, and the names of its partners."""
        return self._heard.get(name, [])

    def _note_three(self, third: LegId, *two: LegId) -> None:
        """A third party takes part in the conversation of two."""
        for leg in filter(None, two):
            self._note(third, self._names.get(leg, leg))
            self._note(leg, self._names.get(third, third))

    def _note(self, leg: LegId, what: str) -> None:
        self._heard.setdefault(self._names.get(leg, leg), []).append(what)


def _kind_of_music(sound: Sound, policy: Policy) -> str:
    if sound == policy.announcement:
        return "announcement"
    return "fallback" if sound == policy.fallback_sound else "music"


def _kind_of(sound: Sound, policy: Policy) -> str:
    """What a waiting party hears."""
    kinds = {
        policy.hold_tone: "reminder",
        policy.dial_tone: "dial tone",
        policy.wrong_number_tone: "wrong number",
        policy.accept_prompt: "prompt",
        policy.briefing: "briefing",
        policy.failure_sound: "failure",
    }
    return kinds.get(sound, "ringback")
