"""Translates ARI's events into facts.

* **A called leg has no number when it is created.** It has one 0.6 ms later, in the first `Dial`
  event, which also names the leg for which it is called. So its creation is reported then, or with
  the first other event about it.
* **A bridge reports its members one by one.** Two in one bridge are a pair; one alone is not.
* **A leg's last fact is `LegHungUp`**, from `ChannelDestroyed`. Later events about it are dropped.
* **Who ended a leg** is in `ChannelHangupRequest`, which comes before: soft, if the switch or a
  program wants it to end; else from the leg's own technology, with the SIP status of a refusal as
  `tech_cause`. A leg that the switch ends while it rings has none. (The `tech_cause` of
  `ChannelDestroyed` is no status of the party: 480 if nobody answered.) The phone behind a call
  through the dialplan is destroyed last, so its request is noted for the near half at once.
* **Both halves of a call through the dialplan** (`Local/…;1` and `;2`) are reported, with their
  other half; `halves` filters out the legs behind the near one.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import Final

import attrs

from hookflash import events as e
from hookflash.backends.asterisk.ari_messages import AriBridge, AriChannel, AriMessage
from hookflash.backends.asterisk.manager_wire import Message
from hookflash.backends.asterisk.primitives import MAY_TRANSFER, PRESENTATION
from hookflash.causes import word_for
from hookflash.sounds import Conversation, HeardSound, heard_sound

DEFAULT_OUTSIDE_CONTEXTS: Final = frozenset(
    {"public", "from-external", "from-pstn", "from-trunk", "from-sip-external"}
)
"""The contexts of outside lines in the default configurations of Asterisk and FreePBX."""

MAX_GONE: Final = 16_384
"""How many ended legs are remembered, so that their late events are dropped."""

ALLOWED_LEG: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,148}(?:;2)?")
"""The allowed characters of a channel's id: `SYSTEM-SECONDS.NUMBER`, or what a program has chosen
for a channel that it originates; the far half of such a Local channel has a `;2` added. Asterisk
allows 149 characters."""

ALLOWED_LEG_WORDS: Final = (
    "letters, digits and _ . -, beginning with a letter or a digit, at most 149"
)
"""The allow-list in words, for error messages."""

REFUSALS: Final = range(300, 700)
"""The SIP statuses that refuse a call; others are those of a call that was answered."""

_KEYS: Final = frozenset("0123456789ABCD*#")
_NOBODY: Final = re.compile(r"(?:AsyncGoto|Surrogate|Message|Recorder|Announcer|Snoop)/|.*<")
"""Channels without a party: the switch creates them for a moment when it moves one."""
_LOCAL: Final = re.compile(r"(Local/.*);([12])")
_ENDPOINT: Final = re.compile(r"PJSIP/([^/(),]+)-[0-9a-f]{8}")


def is_party(name: str) -> bool:
    """Whether a channel with this name may have a party."""
    return not _NOBODY.match(name)


def is_leg(channel: AriChannel) -> bool:
    """Whether a channel may be reported: it may have a party, and can stand in an order."""
    return is_party(channel.name) and ALLOWED_LEG.fullmatch(channel.id) is not None


def endpoint_of(name: str) -> str:
    """The PJSIP endpoint in a channel's name; empty if there is none."""
    found = _ENDPOINT.fullmatch(name)
    return found[1] if found is not None else ""


def local_half(name: str) -> tuple[str, str]:
    """The common part of the names of two halves of a call through the dialplan, and the half.

    Returns:
        Both empty if the channel is not a half.
    """
    found = _LOCAL.fullmatch(name)
    return (found[1], found[2]) if found is not None else ("", "")


@attrs.frozen(kw_only=True)
class AsteriskReading:
    """Reads the channels of one switch."""

    account_variable: str
    owner_variable: str
    outside_contexts: Collection[str]

    def account(self, channel: AriChannel) -> str:
        """The account of a leg."""
        return channel.channelvars.get(self.account_variable, "") or channel.accountcode

    def owner(self, channel: AriChannel) -> str:
        """The user or device that a leg belongs to."""
        return channel.channelvars.get(self.owner_variable, "")

    def created(
        self,
        channel: AriChannel,
        direction: e.Direction,
        *,
        outside: bool,
        called_for: e.LegId = "",
    ) -> e.LegCreated:
        """The creation of a leg, without its other half."""
        calls = direction is e.Direction.INBOUND
        return e.LegCreated(
            leg=channel.id,
            number=channel.caller.number,
            direction=direction,
            account=self.account(channel),
            owner_id=self.owner(channel),
            outside=outside,
            may_transfer=may_transfer(channel),
            name=channel.caller.name if calls else "",
            withheld=calls and is_withheld(channel),
            called_for=called_for,
        )


def may_transfer(channel: AriChannel) -> bool | None:
    """Read an operator's setting of a leg's rights; None if it is not a word for yes or no."""
    return {"true": True, "false": False}.get(channel.channelvars.get(MAY_TRANSFER, ""))


def is_withheld(channel: AriChannel) -> bool:
    """Whether a caller withholds its number."""
    return channel.channelvars.get(PRESENTATION, "").startswith("prohib")


@attrs.define
class _LegState:
    """The data kept for one leg."""

    name: str
    direction: e.Direction
    outside: bool
    other_half: e.LegId = ""
    account: str = ""
    owner_id: str = ""
    may_transfer: bool | None = None
    withheld: bool = False
    is_reported: bool = False
    answered: bool = False
    bridge: str = ""
    ended_by: e.EndedBy | None = None
    sip_status: int | None = None


class AsteriskInbound:
    """Translates the events of one connection into facts."""

    def __init__(
        self,
        reading: AsteriskReading,
        on_unusable: Callable[[e.LegId], None] = lambda _leg: None,
        on_ending: Callable[[e.LegHungUp], None] = lambda _ending: None,
    ) -> None:
        """Begin without known legs.

        Args:
            reading: reads the channels of this switch.
            on_unusable: called with a new leg whose name can't stand in an order.
            on_ending: called with what is known of a leg's end before it is reported.
        """
        self.reading = reading
        self._on_unusable = on_unusable
        self._on_ending = on_ending
        self.skipped = 0
        """Events without a field that their kind must have."""
        self._legs: dict[e.LegId, _LegState] = {}
        self._gone: OrderedDict[e.LegId, None] = OrderedDict()
        self._bridges: dict[str, list[e.LegId]] = {}
        self._locals: dict[str, e.LegId] = {}
        """Halves whose other half has not been reported, by the common part of their names."""
        self._music: dict[e.LegId, HeardSound] = {}
        self._parts: dict[e.LegId, e.LegId] = {}
        """In whose conversations legs take part."""
        self._readers: dict[str, Callable[[AriMessage], Iterator[e.CallEvent]]] = {
            "ChannelCreated": self._created,
            "ChannelStateChange": self._changed,
            "Dial": self._dialled,
            "StasisStart": self._parked,
            "ChannelEnteredBridge": self._entered,
            "ChannelLeftBridge": self._left,
            "ChannelDtmfReceived": self._pressed,
            "PlaybackStarted": self._sound_started,
            "PlaybackFinished": self._sound_stopped,
            "ChannelHangupRequest": self._hang_up_requested,
            "ChannelDestroyed": self._destroyed,
        }

    @property
    def kept(self) -> int:
        """How many legs, bridges and sounds are remembered: 0 without calls."""
        return sum(map(len, (self._legs, self._bridges, self._locals, self._music, self._parts)))

    def name_of(self, leg: e.LegId) -> str:
        """The name of a leg's channel; empty if it is unknown."""
        known = self._legs.get(leg)
        return known.name if known is not None else ""

    def is_gone(self, leg: e.LegId) -> bool:
        """Whether a leg has ended."""
        return leg in self._gone

    def is_alone(self, leg: e.LegId) -> bool:
        """Whether a leg lives, and is in no bridge."""
        known = self._legs.get(leg)
        return known is not None and not known.bridge

    def receive(self, event: AriMessage) -> tuple[e.CallEvent, ...]:
        """Translate an event: the facts, in order; usually at most one."""
        reader = self._readers.get(event.type)
        return () if reader is None else tuple(reader(event))

    def music(self, event: Message) -> tuple[e.CallEvent, ...]:
        """Translate AMI's events about music on hold."""
        leg = event.get("uniqueid")
        if not self._is_reported(leg):
            return ()
        if event.event == "MusicOnHoldStart":
            sound = self._music[leg] = heard_sound(f"music:{event.get('class')}")
            return (e.SoundStarted(leg=leg, sound=sound),)
        sound = self._music.pop(leg, None)
        return () if sound is None else (e.SoundStopped(leg=leg, sound=sound),)

    def spying(self, event: Message) -> tuple[e.CallEvent, ...]:
        """Translate AMI's events about `ChanSpy`: a leg takes part in a conversation."""
        leg, of = event.get("spyeruniqueid"), event.get("spyeeuniqueid")
        if not self._is_reported(leg):
            return ()
        if event.event == "ChanSpyStart" and of:
            self._parts[leg] = of
            return (e.SoundStarted(leg=leg, sound=Conversation(of)),)
        of = self._parts.pop(leg, "")
        return (e.SoundStopped(leg=leg, sound=Conversation(of)),) if of else ()

    # ------------------------------------------------------------------ one leg

    def _known(self, channel: AriChannel | None) -> _LegState | None:
        """The leg of an event; None if it has no party, or has ended."""
        if channel is None or channel.id in self._gone or not is_leg(channel):
            return None
        leg = self._legs.get(channel.id)
        if leg is None:  # its creation event was missed
            leg = self._meet(channel)
        leg.name = channel.name
        return leg

    def _meet(self, channel: AriChannel) -> _LegState:
        direction = e.Direction.INBOUND if channel.state == "Ring" else e.Direction.OUTBOUND
        # The context of a new leg is that of its endpoint, which identifies outside lines, for
        # incoming and outgoing calls
        outside = channel.dialplan.context in self.reading.outside_contexts
        common, half = local_half(channel.name)
        if common:
            direction = e.Direction.OUTBOUND if half == "1" else e.Direction.INBOUND
            outside = False
        leg = _LegState(channel.name, direction, outside)
        self._legs[channel.id] = leg
        if common:
            other = self._locals.pop(common, "")
            if not other:
                self._locals[common] = channel.id
            elif half == "2":
                leg.other_half = other
            else:
                self._legs[other].other_half = channel.id
        return leg

    def _report(
        self, channel: AriChannel, leg: _LegState, called_for: e.LegId = ""
    ) -> Iterator[e.CallEvent]:
        """Report a leg's creation, unless that has been done."""
        if leg.is_reported:
            return
        leg.is_reported = True
        self._learn(channel, leg)
        created = self.reading.created(
            channel, leg.direction, outside=leg.outside, called_for=called_for
        )
        yield attrs.evolve(created, other_half=leg.other_half)

    def _learn(self, channel: AriChannel, leg: _LegState) -> bool:
        """Whether a channel reports more about its account than was known."""
        said = (self.reading.account(channel), may_transfer(channel))
        owner_id = self.reading.owner(channel) or leg.owner_id
        is_new = said not in {(leg.account, leg.may_transfer), ("", None)}
        is_new = is_new or owner_id != leg.owner_id
        leg.account, leg.may_transfer = said[0] or leg.account, said[1]
        leg.owner_id = owner_id
        withheld = leg.direction is e.Direction.INBOUND and is_withheld(channel)
        is_new = is_new or (withheld and not leg.withheld)
        leg.withheld = leg.withheld or withheld
        return is_new

    def _identified(self, channel: AriChannel, leg: _LegState) -> Iterator[e.CallEvent]:
        """Report what the creation event could not know.

        The dialplan has set the account; and whether a caller withholds its number is set just
        after the channel was created.
        """
        if self._learn(channel, leg):
            yield e.LegIdentified(
                leg=channel.id,
                account=leg.account,
                owner_id=leg.owner_id,
                may_transfer=leg.may_transfer,
                withheld=leg.withheld or None,
            )

    def _created(self, event: AriMessage) -> Iterator[e.CallEvent]:
        channel = event.channel
        if channel is None or not is_party(channel.name):
            return
        if not is_leg(channel):
            self._on_unusable(channel.id)
            return
        self._gone.pop(channel.id, None)  # an id may be used again, for a new leg
        leg = self._meet(channel)
        # a far half without its near one would be treated as a party
        is_half = self._locals.get(local_half(channel.name)[0]) == channel.id
        if leg.direction is e.Direction.INBOUND and not is_half:
            yield from self._report(channel, leg)

    def _dialled(self, event: AriMessage) -> Iterator[e.CallEvent]:
        caller = self._known(event.caller)
        if event.caller is not None and caller is not None and caller.is_reported:
            yield from self._identified(event.caller, caller)
        channel = event.peer
        leg = self._known(channel)
        if channel is None or leg is None:
            return
        called_for = event.caller.id if event.caller is not None else ""
        yield from self._report(channel, leg, called_for)
        if event.dialstatus in ("RINGING", "PROGRESS") and not leg.answered:
            early = event.dialstatus == "PROGRESS"
            yield e.LegProgressed(leg=channel.id, early_media=early)

    def _changed(self, event: AriMessage) -> Iterator[e.CallEvent]:
        channel = event.channel
        leg = self._known(channel)
        if channel is None or leg is None or channel.state != "Up":
            return
        yield from self._report(channel, leg)
        yield from self._identified(channel, leg)
        yield from self._up(channel.id, leg)

    @staticmethod
    def _up(leg_id: e.LegId, leg: _LegState) -> Iterator[e.CallEvent]:
        if not leg.answered:
            leg.answered = True
            yield e.LegAnswered(leg=leg_id)

    def _parked(self, event: AriMessage) -> Iterator[e.CallEvent]:
        channel = event.channel
        leg = self._known(channel)
        if channel is None or leg is None:
            return
        yield from self._report(channel, leg)
        if channel.state == "Up":
            yield from self._up(channel.id, leg)
        yield e.LegParked(leg=channel.id, pick_up=pick_up_of(channel))

    def _pressed(self, event: AriMessage) -> Iterator[e.CallEvent]:
        channel = event.channel
        leg = self._known(channel)
        digit = event.digit.upper()
        if channel is None or leg is None or digit not in _KEYS:
            self.skipped += 1
            return
        yield from self._report(channel, leg)
        yield e.DigitPressed(leg=channel.id, digit=digit)

    def _hang_up_requested(self, event: AriMessage) -> Iterator[e.CallEvent]:
        channel = event.channel
        leg = self._legs.get(channel.id) if channel is not None else None
        if channel is None or leg is None:
            return
        self._asked_to_end(event, channel.id, leg)
        if not event.soft and leg.is_reported and self._is_held_by_spying(channel.id, leg):
            yield e.LegHungUp(
                leg=channel.id,
                cause=word_for(event.cause),
                sip_status=leg.sip_status,
                ended_by=leg.ended_by,
            )
            self.note_gone(channel.id)

    def _is_held_by_spying(self, leg_id: e.LegId, leg: _LegState) -> bool:
        """Whether `ChanSpy` keeps a leg whose party has hung up.

        It keeps the partner of the leg that it is about, and its own leg until the next packet
        (measured on 22.10.1).
        """
        members = self._bridges.get(leg.bridge, [])
        spied = any(of in members and of != leg_id for of in self._parts.values())
        return spied or leg_id in self._parts

    def _asked_to_end(self, event: AriMessage, leg_id: e.LegId, leg: _LegState) -> None:
        """Note who ends a leg."""
        if leg.ended_by is not None:
            return  # the first request ends it
        if not event.soft and local_half(leg.name)[0]:
            return  # of a half, the other half asks
        leg.ended_by = e.EndedBy.SWITCH if event.soft else e.EndedBy.PARTY
        if not event.soft and event.tech_cause in REFUSALS:
            leg.sip_status = event.tech_cause
        ending = e.LegHungUp(
            leg=leg_id,
            cause=word_for(event.cause),
            sip_status=leg.sip_status,
            ended_by=leg.ended_by,
        )
        self._on_ending(ending)

    def _destroyed(self, event: AriMessage) -> Iterator[e.CallEvent]:
        channel = event.channel
        leg = self._known(channel)
        if channel is None or leg is None:
            return
        yield from self._report(channel, leg)
        yield e.LegHungUp(
            leg=channel.id,
            cause=word_for(event.cause),
            sip_status=leg.sip_status,
            ended_by=leg.ended_by,
        )
        self.note_gone(channel.id)

    # ------------------------------------------------------------------ sounds

    def _sound_started(self, event: AriMessage) -> Iterator[e.CallEvent]:
        for leg, sound in self._playing(event):
            yield e.SoundStarted(leg=leg, sound=sound)

    def _sound_stopped(self, event: AriMessage) -> Iterator[e.CallEvent]:
        for leg, sound in self._playing(event):
            yield e.SoundStopped(leg=leg, sound=sound)

    def _playing(self, event: AriMessage) -> Iterator[tuple[e.LegId, HeardSound]]:
        playback = event.playback
        if playback is None:
            return
        leg = playback.target_uri.removeprefix("channel:")
        if self._is_reported(leg):
            yield leg, sound_of(playback.media_uri)

    def _is_reported(self, leg: e.LegId) -> bool:
        known = self._legs.get(leg)
        return known is not None and known.is_reported

    # ------------------------------------------------------------------ bridges

    def _entered(self, event: AriMessage) -> Iterator[e.CallEvent]:
        channel, bridge = event.channel, event.bridge
        leg = self._known(channel)
        if channel is None or bridge is None or leg is None:
            return
        yield from self._report(channel, leg)
        yield from self._up(channel.id, leg)
        if leg.bridge == bridge.id:  # a list has already shown it there
            return
        yield from self._out_of(channel.id, leg)
        members = self._bridges.setdefault(bridge.id, [])
        leg.bridge = bridge.id
        members.append(channel.id)
        match members:
            case [first, second]:
                yield e.LegsJoined(first=first, second=second)
            case [first, second, _]:  # a conference is not a pair
                yield e.LegsSeparated(first=first, second=second)
            case _:
                pass

    def _left(self, event: AriMessage) -> Iterator[e.CallEvent]:
        channel, bridge = event.channel, event.bridge
        leg = self._known(channel)
        if channel is None or bridge is None or leg is None or leg.bridge != bridge.id:
            return
        yield from self._out_of(channel.id, leg)

    def _out_of(self, leg_id: e.LegId, leg: _LegState) -> Iterator[e.CallEvent]:
        members = self._bridges.get(leg.bridge, [])
        if leg_id not in members:
            return
        pair = tuple(members)
        members.remove(leg_id)
        if not members:
            del self._bridges[leg.bridge]
        leg.bridge = ""
        match (pair, members):
            case ([first, second], _):
                yield e.LegsSeparated(first=first, second=second)
            case (_, [first, second]):
                yield e.LegsJoined(first=first, second=second)
            case _:
                pass

    # --------------------------------------------------------- what is learned in other ways

    def note_gone(self, leg: e.LegId) -> None:
        """Note that a leg has ended: late events of it are dropped."""
        known = self._legs.pop(leg, None)
        self._music.pop(leg, None)
        self._parts.pop(leg, None)
        if known is not None:
            for _ in self._out_of(leg, known):
                pass
            self._locals.pop(local_half(known.name)[0], None)
        self._gone[leg] = None
        if len(self._gone) > MAX_GONE:
            self._gone.popitem(last=False)

    def note_living(self, channel: AriChannel, seen: e.LegSnapshot) -> None:
        """Note that a leg lives, as learned in another way."""
        leg = self._legs.get(channel.id)
        if leg is None:
            leg = _LegState(channel.name, seen.direction, seen.outside, seen.other_half)
            self._legs[channel.id] = leg
        leg.name, leg.is_reported, leg.answered = channel.name, True, seen.answered
        leg.withheld = leg.withheld or seen.withheld

    def note_bridge(self, bridge: AriBridge) -> None:
        """Note a bridge's channels, as learned in another way."""
        self._bridges[bridge.id] = [*bridge.channels]
        for member in bridge.channels:
            if member in self._legs:
                self._legs[member].bridge = bridge.id


def sound_of(media: str) -> HeardSound:
    """The sound with this name in ARI."""
    kind, _, rest = media.partition(":")
    if kind == "sound":
        return heard_sound(f"file:{rest}")
    if kind == "tone" and rest.startswith("!"):
        return _repeated(rest.replace("!", ""))
    return heard_sound(media)


def _repeated(bursts: str) -> HeardSound:
    """Read a tone whose repetitions are written out."""
    parts = bursts.split(",")
    for length in range(1, len(parts) + 1):
        times, left = divmod(len(parts), length)
        if not left and parts == parts[:length] * times:
            return heard_sound(f"tone:{','.join(parts[:length])}*{times}")
    return heard_sound(f"tone:{bursts}")  # pragma: no cover - the whole is a repetition of itself


_PICK_UP: Final = re.compile(r".*,pick-up-([0-9]{1,8})")


def pick_up_of(channel: AriChannel) -> str:
    """The slot whose parked call a leg in our application is to have; empty: none."""
    found = _PICK_UP.fullmatch(channel.dialplan.app_data)
    return found[1] if found else ""
