"""Reads the events of ARI and AMI as facts.

While a list of the living legs is fetched, events are held back: they may be newer than the list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

import trio

from hookflash import events as e
from hookflash.backends.asterisk.ari_messages import AriChannel, AriMessage, AriPlayback
from hookflash.backends.asterisk.connection import AsteriskConnection, Link, trying
from hookflash.backends.asterisk.inbound import sound_of
from hookflash.backends.asterisk.manager_wire import Message
from hookflash.backends.asterisk.memory import LegMemory
from hookflash.backends.asterisk.primitives import HangUpChannel
from hookflash.backends.asterisk.requests import kill_request, stop_request
from hookflash.backends.asterisk.settings import Asterisk
from hookflash.backends.asterisk.steps import NORMAL
from hookflash.sounds import Tone

_MUSIC: Final = frozenset({"MusicOnHoldStart", "MusicOnHoldStop"})
_SPYING: Final = frozenset({"ChanSpyStart", "ChanSpyStop"})


class NewsReader:
    """Reads the events of one switch, over one connection after the other."""

    def __init__(
        self,
        settings: Asterisk,
        memory: LegMemory,
        link: Link,
        *,
        on_left_park: Callable[[e.LegId], None],
        on_replaced: Callable[[], None],
        log: Any,
    ) -> None:
        """Begin without held events.

        Args:
            settings: of the switch.
            memory: remembers the legs, and passes facts on.
            link: the connection, to stop sounds.
            on_left_park: called with a leg that has left our park.
            on_replaced: called when another controller has taken the switch from us.
            log: receives warnings.
        """
        self._settings = settings
        self._memory = memory
        self._link = link
        self._on_left_park = on_left_park
        self._on_replaced = on_replaced
        self._log = log
        self._put_off: list[AriMessage | Message] | None = None
        """Events since the list was requested: newer than the list."""
        self.caught_up = trio.Event()
        """Whether no events are held back."""
        self._barriers: dict[str, trio.Event] = {}
        self._missing_music: set[str] = set()
        """Missing music classes that were already logged."""

    def hold(self) -> None:
        """Hold events back from now on, while a list is fetched."""
        self._put_off = []
        self.caught_up = trio.Event()
        self._memory.outlet.hold()

    def catch_up(self, listed: Collection[e.LegId]) -> None:
        """Read the held events; legs in the list are not created again."""
        put_off, self._put_off = self._put_off or [], None
        for news in put_off:
            if not (isinstance(news, AriMessage) and news.begins in listed):
                self._read(news)
        self.caught_up.set()

    def let_go(self) -> None:
        """Drop the held events after a lost connection."""
        self._barriers.clear()
        self._put_off = None
        self._memory.outlet.let_go()

    def barrier(self, name: str) -> trio.Event:
        """The event that is set when the barrier of this name has come back."""
        passed = self._barriers[name] = trio.Event()
        return passed

    def take(self, event: AriMessage) -> None:
        """Take an event of ARI."""
        match event.type:
            case "ApplicationReplaced":
                self._on_replaced()
            case "ChannelUserevent":
                barrier = self._barriers.pop(event.eventname, None)
                if barrier is not None:
                    barrier.set()
            case _:
                if event.type == "StasisStart" and event.channel is not None:
                    self._memory.steps.parked(event.channel.id)
                self._put_off_or_read(event)

    def hear(self, event: Message) -> None:
        """Take an event of AMI."""
        if event.event in _MUSIC or event.event in _SPYING:
            self._put_off_or_read(event)

    def _put_off_or_read(self, news: AriMessage | Message) -> None:
        if self._put_off is None:
            self._read(news)
        elif len(self._put_off) < self._settings.event_buffer:
            self._put_off.append(news)
        else:
            self._memory.outlet.drop()

    def _read(self, news: AriMessage | Message) -> None:
        if isinstance(news, Message):
            self._check_music(news)
            inbound = self._memory.inbound
            read = inbound.spying if news.event in _SPYING else inbound.music
            for event in read(news):
                self._memory.give(event)
            return
        self._memory.note_heard(news)
        if news.type == "StasisEnd" and news.channel is not None:
            self._on_left_park(news.channel.id)
            return
        if news.type == "StasisStart" and news.channel is not None:
            self._came_to_park(news.channel)
        for event in self._memory.inbound.receive(news):
            self._memory.give(event)
        if news.playback is not None and self._whispers(news.type, news.playback):
            return
        if news.type == "PlaybackStarted" and news.playback is not None:
            self._time(news.playback)
        if news.type == "ChannelDestroyed" and news.channel is not None:
            self._memory.forget_heard(news.channel.id)

    def _check_music(self, news: Message) -> None:
        """Warn, once for each class, that the switch plays other music than was ordered."""
        if news.event != "MusicOnHoldStart":
            return
        plays = news.get("class")
        missing = self._memory.steps.missing_music(news.get("uniqueid"), plays)
        if missing and missing not in self._missing_music:
            self._missing_music.add(missing)
            self._log.warning(
                "music_class.missing",
                host=self._settings.host,
                music=missing,
                plays=plays,
                fix=f"add [{missing}] to musiconhold.conf, then `moh reload`",
            )

    def _whispers(self, what: str, playback: AriPlayback) -> bool:
        """Report a sound that a leg hears in its conversation; afterwards nobody whispers."""
        snoop = playback.target_uri.removeprefix("channel:")
        leg = self._memory.steps.whispers.get(snoop)
        if leg is None:
            return False
        if what == "PlaybackStarted":  # its end is not reported: nobody waits for it
            self._memory.give(e.SoundStarted(leg=leg, sound=sound_of(playback.media_uri)))
        else:
            self._link.start_soon(self._end_whisper, snoop)
        return True

    async def _end_whisper(self, connection: AsteriskConnection, snoop: str) -> None:
        self._memory.steps.whispers.pop(snoop, None)
        await trying(connection, connection.ask(kill_request(HangUpChannel(snoop, NORMAL))))

    def _time(self, playback: AriPlayback) -> None:
        """Stop a tone after its repetitions: it falls silent, but Asterisk does not end it."""
        sound = sound_of(playback.media_uri)
        if isinstance(sound, Tone) and sound.lasts_s is not None:
            leg = playback.target_uri.removeprefix("channel:")
            self._link.start_soon(self._end_after, leg, playback.id, sound.lasts_s)

    async def _end_after(
        self, connection: AsteriskConnection, leg: e.LegId, playback: str, after_s: float
    ) -> None:
        await trio.sleep(after_s)
        if self._memory.steps.plays.get(leg) == playback:
            del self._memory.steps.plays[leg]
            await trying(connection, connection.ask(stop_request(playback)))

    def _came_to_park(self, channel: AriChannel) -> None:
        """Handle a leg that enters our application, perhaps after a failed join."""
        if not channel.dialplan.app_data.endswith(",unjoined"):
            return  # it may come from a park that was ordered before the join
        join = self._memory.joins.pop(channel.id, None)
        if join is not None:
            reason = "the other leg is gone"
            self._memory.outlet.give(e.CommandFailed(command=join, reason=reason))
