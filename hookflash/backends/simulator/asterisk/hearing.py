"""What parties hear, and what ARI plays to them.

* **Sounds can be played only in Stasis** (409 elsewhere). Requests are executed in order: a sound
  that is requested while another plays waits until that one has ended.
* **A tone never ends by itself**, not even one that is written to be played once: after it there is
  silence, and no event until it is stopped (measured on 22.10.1).
* **A missing music class** plays the default class, and the event names that one (measured).
* **A missing recording** begins and ends at once (measured).
* **A leg that leaves Stasis loses its sounds**: they end before anything else is reported about it.
  But AMI reports music, and may be late: by then the leg may be back in the park, or has ended and
  its music never stops (measured: 6 of 40 on a busy machine).
"""

from __future__ import annotations

from typing import Final

from hookflash.backends.simulator.asterisk.channel import App, AsteriskChannel, AsteriskPlayback
from hookflash.backends.simulator.channel import SILENCE, Audible, Sense
from hookflash.backends.simulator.surroundings import Surroundings
from hookflash.events import LegId, SoundStarted, SoundStopped
from hookflash.sounds import Conversation, HeardSound, Music, Recording

TO_STEP_S: Final = (0.0002, 0.002)
"""From an event of a channel to the reaction of its thread."""

LATE: Final = 0.08
"""How often AMI is late with the end of the music of a leg that leaves …"""
LATE_S: Final = (0.0005, 0.003)
"""… by so much."""

NO_SUCH_CHANNEL: Final = "No such channel"
NOT_FOUND: Final = '404 {"message":"Channel not found"}'
NOT_IN_STASIS: Final = '409 {"message":"Channel not in Stasis application"}'
DEFAULT_MUSIC: Final = Music()


class AsteriskHearing:
    """The part of the switch that plays sounds."""

    def __init__(self, around: Surroundings) -> None:
        self._after = around.after
        self._report = around.report
        self._listen = around.listen
        self._random = around.dice.random
        self._missing = around.missing
        self._channels: dict[LegId, AsteriskChannel] = {}
        self._playbacks: dict[str, AsteriskChannel] = {}
        self._late: list[SoundStarted | SoundStopped] = []
        self.slowness = 1.0
        """The factor by which everything takes longer than on a calm machine."""

    def find(self, leg: LegId) -> AsteriskChannel | None:
        """Find a living leg."""
        return self._channels.get(leg)

    def span(self, bounds: tuple[float, float]) -> float:
        """Draw a duration."""
        shortest, longest = bounds
        return (shortest + (longest - shortest) * self._random()) * self.slowness

    # ---- ARI's requests

    def _refusal(self, leg: LegId) -> str | None:
        channel = self._channels.get(leg)
        if channel is None:
            return NOT_FOUND
        return None if channel.app is App.STASIS else NOT_IN_STASIS

    def whisper(self, leg: LegId, sound: HeardSound) -> str | None:
        """`POST /channels/LEG/snoop`: mix a sound into what a leg hears; its bridge goes on.

        The client reports its beginning, and not its end.
        """
        if leg not in self._channels:
            return NOT_FOUND
        if sound not in self._missing:
            self._report(SoundStarted(leg=leg, sound=sound))
        return None

    def play(self, leg: LegId, playback: AsteriskPlayback) -> str | None:
        """`POST /channels/LEG/play/ID`, or `/moh`; return the reason of a refusal."""
        refused = self._refusal(leg)
        if refused is None:
            channel = self._channels[leg]
            channel.playbacks.append(playback)
            self._playbacks[playback.id] = channel
            self._play_next(channel)
        return refused

    def stop(self, playback: str) -> str | None:
        """`DELETE /playbacks/ID`."""
        channel = self._playbacks.get(playback)
        if channel is None:
            return '404 {"message":"Playback not found"}'
        self._over(channel, playback)
        return None

    def stop_music(self, leg: LegId) -> str | None:
        """`DELETE /channels/LEG/moh`."""
        refused = self._refusal(leg)
        if refused is None:
            self._end_music(self._channels[leg])
            self._hear(self._channels[leg])
        return refused

    # ---- the effects of requests

    def _play_next(self, channel: AsteriskChannel) -> None:
        while channel.playbacks and channel.playing is None:
            playback = channel.playbacks[0]
            self._end_music(channel)
            if isinstance(playback.sound, Music):
                channel.playbacks.pop(0)
                self._playbacks.pop(playback.id, None)
                self._begin_music(channel, playback.sound)
            else:
                self._begin(channel, playback)
        self._hear(channel)

    def _begin(self, channel: AsteriskChannel, playback: AsteriskPlayback) -> None:
        playback.begun = True
        self._report(SoundStarted(leg=channel.id, sound=playback.sound))
        if playback.sound in self._missing:
            self._after(0.001, lambda: self._over(channel, playback.id))
        elif isinstance(playback.sound, Recording) and playback.lasts_s is not None:
            self._after(playback.lasts_s, lambda: self._over(channel, playback.id))
        elif playback.lasts_s is not None:
            self._after(playback.lasts_s, lambda: self._fall_silent(channel, playback))

    def _over(self, channel: AsteriskChannel, playback_id: str) -> None:
        if self._playbacks.pop(playback_id, None) is None:
            return
        playback = next(one for one in channel.playbacks if one.id == playback_id)
        channel.playbacks.remove(playback)
        if playback.begun:
            self._report(SoundStopped(leg=channel.id, sound=playback.sound))
        self._play_next(channel)

    def _fall_silent(self, channel: AsteriskChannel, playback: AsteriskPlayback) -> None:
        if channel.playing is playback:
            playback.sense = Sense.SILENCE
            self._hear(channel)

    def _begin_music(self, channel: AsteriskChannel, music: Music) -> None:
        sound: HeardSound = music if music not in self._missing else DEFAULT_MUSIC
        if sound in self._missing:
            return
        channel.music = sound
        self._report_music(SoundStarted(leg=channel.id, sound=sound))

    def _end_music(self, channel: AsteriskChannel, *, leaves: bool = False) -> None:
        sound, channel.music = channel.music, None
        if sound is not None:
            is_late = leaves and self._random() < LATE
            self._report_music(SoundStopped(leg=channel.id, sound=sound), is_late=is_late)

    def _end_part(self, channel: AsteriskChannel) -> None:
        """A channel takes part in a conversation no longer."""
        of, channel.part_of = channel.part_of, None
        if of is not None:
            self._report(SoundStopped(leg=channel.id, sound=Conversation(of.id)))

    def _report_music(self, event: SoundStarted | SoundStopped, *, is_late: bool = False) -> None:
        """Report music in order, by AMI, which may be late compared with ARI."""
        if not self._late and not is_late:
            self._report(event)
            return
        self._late.append(event)
        if is_late:
            self._after(self.span(LATE_S), self._report_late)

    def _report_late(self) -> None:
        late, self._late = self._late, []
        for event in late:
            if event.leg in self._channels:
                self._report(event)

    def _silence(self, channel: AsteriskChannel) -> None:
        """End all sounds: the channel leaves."""
        for playback in channel.playbacks:
            self._playbacks.pop(playback.id, None)
            if playback.begun:
                self._report(SoundStopped(leg=channel.id, sound=playback.sound))
        channel.playbacks.clear()
        self._end_music(channel, leaves=True)

    def _hear(self, channel: AsteriskChannel) -> None:
        """Notify the listener if the leg's party hears something else."""
        peer = channel.peer
        if channel.cause:
            hears = SILENCE
        elif channel.playing is not None:
            hears = channel.playing.hears
        elif channel.music is not None:
            hears = Audible(Sense.MUSIC, str(channel.music))
        elif channel.part_of is not None:
            hears = channel.part_of.voice
        elif peer is not None:
            hears = peer.voice if peer.half is None else peer.half.hears
        else:
            hears = channel.announced
        if hears == channel.hears:
            return
        channel.hears = hears
        if channel.half is None:
            self._listen(channel.id, hears)
        elif channel.half.peer is not None:
            self._hear(channel.half.peer)
