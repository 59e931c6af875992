"""The dialplan that operators include, run step by step.

The text is that of `hookflash.backends.asterisk.dialplan`. Only the applications in it are
simulated.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from hookflash.backends.asterisk.dialplan import (
    DEFAULT_APPLICATION,
    DEFAULT_CONTEXT,
    dialplan,
)
from hookflash.backends.asterisk.primitives import EXTENSION, NOW, PARTNER, PICK_UP, TIMEOUT
from hookflash.backends.simulator.asterisk.bridges import CLEARING, TO_GO_ON_S, AsteriskBridges
from hookflash.backends.simulator.asterisk.channel import App, AsteriskChannel
from hookflash.backends.simulator.asterisk.expressions import chosen, expand
from hookflash.backends.simulator.asterisk.extensions import (
    DialplanPlace,
    DialplanStep,
    place_of,
    read_extensions,
)
from hookflash.backends.simulator.asterisk.hearing import DEFAULT_MUSIC, NO_SUCH_CHANNEL, TO_STEP_S
from hookflash.causes import word_for
from hookflash.errors import InputError
from hookflash.events import LegId, LegParked, SoundStarted
from hookflash.sounds import Conversation

CONTEXT, EXTENSIONS = read_extensions(dialplan())
"""The dialplan with the default names."""

MOST_STEPS: Final = 200
"""A channel that takes more steps without a pause is in an endless loop."""

LOST_ON_THE_WAY: Final = 0.03
"""How often a leg that was sent somewhere a moment before can't be found (a guess)."""
AT_ONCE: Final = 0.04
"""How often a leg that the dialplan sends somewhere is there before the dialplan goes on
(measured: 1 of 41)."""

_FUNCTION: Final = re.compile(r"(?P<name>[A-Z_]+)\((?P<text>.*)\)")
_AFTER: Final = re.compile(r"F\((?P<place>[^)]*)\)")
_FIRST_S: Final = 1_700_000_000
"""The time on the switch's clock when the world begins."""

assert DEFAULT_CONTEXT == CONTEXT  # noqa: S101 - it was read back


class Dialplan(AsteriskBridges, ABC):
    """The part of the switch that runs the dialplan."""

    connected: bool
    """Whether a controller is connected: the application is registered."""
    now: Callable[[], float]
    """The time, in seconds."""
    on_parked: Callable[[LegId, str], None]
    """Called when a leg is about to be parked, with the reason."""

    # ---- moving

    def redirect(self, leg: LegId, place: DialplanPlace, other: LegId = "") -> str | None:
        """AMI `Redirect` of one or two; return the reason of a refusal: then neither moves."""
        legs = [self._channels.get(one) for one in (leg, other) if one]
        channels = [channel for channel in legs if channel is not None]
        if len(channels) < len(legs):
            return NO_SUCH_CHANNEL
        if any(channel.is_sent for channel in channels) and self._random() < LOST_ON_THE_WAY:
            return NO_SUCH_CHANNEL
        for channel in channels:
            self._send(channel, place)
        return None

    def _send(self, channel: AsteriskChannel, place: DialplanPlace) -> None:
        channel.place = place
        channel.moves += 1
        channel.is_sent = True
        self._after(self.span(TO_STEP_S), partial(self._arrive, channel, channel.moves))

    def _arrive(self, channel: AsteriskChannel, moves: int) -> None:
        if channel.cause or channel.moves != moves:
            return
        channel.is_sent = False
        if self._is_torn(channel):
            self._end(channel, CLEARING)
            return
        parts = channel.peer is not None
        self._leave(channel)
        self._hear(channel)
        if parts:
            self._after(self.span(TO_GO_ON_S), partial(self._go_on_after, channel, moves))
        else:
            self._go_on(channel)

    def _go_on_after(self, channel: AsteriskChannel, moves: int) -> None:
        if not channel.cause and channel.moves == moves:
            self._go_on(channel)

    # ---- running

    def _go_on(self, channel: AsteriskChannel) -> None:
        for _ in range(MOST_STEPS):
            if channel.cause:
                return
            place = channel.place
            channel.app = App.NONE
            if place.context != CONTEXT:
                self._run_elsewhere(channel)
                return
            steps = EXTENSIONS[place.exten].steps
            if place.step >= len(steps):
                self._end(channel, CLEARING)
                return
            channel.place = attrs.evolve(place, step=place.step + 1)
            if self._run(channel, steps[place.step]):
                return
        raise InputError(f"{channel.name} is in an endless loop of the dialplan at {channel.place}")

    def _run(self, channel: AsteriskChannel, step: DialplanStep) -> bool:
        """Run an application; return whether it keeps the channel."""
        text = expand(step.text, partial(self.value, channel))
        return self._apply(channel, step.app, text)

    def _apply(self, channel: AsteriskChannel, app: str, text: str) -> bool:  # noqa: C901, PLR0911, PLR0912 - a table
        match app:
            case "Set":
                name, _, value = text.partition("=")
                self.set_variable(channel, name, value)
            case "Goto":
                channel.place = place_of(text, channel.place, EXTENSIONS)
            case "GotoIf":
                where = chosen(text)
                if where:
                    channel.place = place_of(where, channel.place, EXTENSIONS)
            case "ExecIf":
                what = chosen(text)
                name, _, given = what.partition("(")
                return bool(what) and self._apply(channel, name, given.removesuffix(")"))
            case "Stasis":
                return self._stasis(channel, text.split(","))
            case "StartMusicOnHold":
                if channel.music is None:
                    self._begin_music(channel, DEFAULT_MUSIC)
                    self._hear(channel)
            case "Wait":
                channel.app = App.WAIT
                self._after(float(text), partial(self._waited, channel, channel.moves))
                return True
            case "Bridge":
                peer, _, options = text.partition(",")
                found = _AFTER.search(options)
                after = found and place_of(
                    found["place"].replace("^", ","), channel.place, EXTENSIONS
                )
                return self.bridge(channel, peer, after or None)
            case "ChanSpy":
                return self._take_part(channel, text.partition(",")[0])
            case "ChannelRedirect":
                return self._redirect_other(channel, *text.split(","))
            case "Hangup":
                cause = word_for(int(text)) if text else channel.cause_of_partner
                self._end(channel, cause or CLEARING)
                return True
            case _:
                raise InputError(f"the simulated Asterisk does not know the application {app}")
        return False

    def _waited(self, channel: AsteriskChannel, moves: int) -> None:
        if channel.app is App.WAIT and channel.moves == moves and not channel.is_sent:
            self._go_on(channel)

    def _stasis(self, channel: AsteriskChannel, arguments: list[str]) -> bool:
        if not self.connected or arguments[0] != DEFAULT_APPLICATION:
            return False
        channel.app = App.STASIS
        self.on_parked(channel.id, ",".join(arguments[2:]))
        slot = channel.variables.get(PICK_UP, "")
        self._report(LegParked(leg=channel.id, pick_up=slot))
        self._hear(channel)
        return True

    def _take_part(self, channel: AsteriskChannel, name: str) -> bool:
        """`ChanSpy(NAME,uBqES)`: without that channel it goes on at once."""
        of = next((one for one in self._channels.values() if one.name == name), None)
        if of is None or of is channel:
            return False
        channel.app, channel.part_of = App.CHANSPY, of
        self._report(SoundStarted(leg=channel.id, sound=Conversation(of.id)))
        self._hear(channel)
        return True

    def _redirect_other(
        self, channel: AsteriskChannel, name: str, context: str, exten: str, priority: str
    ) -> bool:
        """Send another channel somewhere; return whether this one has moved with it."""
        other = next((one for one in self._channels.values() if one.name == name), None)
        channel.variables["CHANNELREDIRECT_STATUS"] = "NOCHANNEL" if other is None else "SUCCESS"
        if other is not None:
            self._send(other, DialplanPlace(context, exten, int(priority) - 1))
            if self._random() < AT_ONCE:
                other.moves += 1
                self._arrive(other, other.moves)
        return channel.bridge is not None

    # ---- variables

    def value(self, channel: AsteriskChannel, name: str) -> str:
        """The value of a variable, or of a function with its arguments; empty: not set."""
        found = _FUNCTION.fullmatch(name)
        if found is None:
            peer = channel.peer
            known = {
                NOW: str(_FIRST_S + int(self.now())),
                EXTENSION: channel.place.exten,
                "CONTEXT": channel.place.context,
                "PRIORITY": str(channel.place.step + 1),
                "CHANNEL": channel.name,
                PARTNER: "" if peer is None or peer.is_leaving else peer.name,
            }
            return known.get(name) or channel.variables.get(name, "")
        if found["name"] == "SHARED":
            return channel.shared.get(found["text"], "")
        if found["name"] == "DIALPLAN_EXISTS":
            context, exten, _ = found["text"].split(",")
            return "1" if context != CONTEXT or exten in EXTENSIONS else "0"
        if found["name"] == "SHIFT":  # all of our values have one part
            return channel.variables.pop(found["text"].partition(",")[0], "")
        if name == TIMEOUT:
            return "0" if channel.ends_s is None else f"{channel.ends_s - self.now():.3f}"
        raise InputError(f"the simulated Asterisk does not know the function {name}")

    def set_variable(self, channel: AsteriskChannel, name: str, value: str) -> None:
        """`Set()`, or AMI `Setvar`: of a variable, or of a function."""
        found = _FUNCTION.fullmatch(name)
        if found is None:
            self._set_plain(channel, name, value)
            return
        match found["name"], found["text"].split(","):
            case "SHARED", [shared]:
                channel.shared[shared] = value
            case "SHARED", [shared, other]:
                whose = self._named(other)
                if whose is not None:
                    whose.shared[shared] = value
            case "TIMEOUT", ["absolute"]:
                self._limit(channel, value)
            case "CONNECTEDLINE", [part, *when]:
                self._connected_line(channel, part, value, now=not when)
            case _:
                self._set_plain(channel, name, value)

    @staticmethod
    def _set_plain(channel: AsteriskChannel, name: str, value: str) -> None:
        if value:
            channel.variables[name.lstrip("_")] = value
        else:
            channel.variables.pop(name.lstrip("_"), None)

    def _limit(self, channel: AsteriskChannel, seconds: str) -> None:
        channel.limits += 1
        channel.ends_s = self.now() + float(seconds) if float(seconds) > 0 else None
        if channel.ends_s is not None:
            self._after(float(seconds), partial(self._time_out, channel, channel.limits))

    def _time_out(self, channel: AsteriskChannel, limits: int) -> None:
        if channel.cause or channel.limits != limits:
            return
        channel.ends_s = None
        if channel.place.context == CONTEXT:
            self._send(channel, DialplanPlace(CONTEXT, "T"))
        else:
            self._end(channel, CLEARING)

    # ---- what `switch` does

    @abstractmethod
    def _run_elsewhere(self, channel: AsteriskChannel) -> None:
        """Run the operator's own dialplan."""

    @abstractmethod
    def _connected_line(
        self, channel: AsteriskChannel, part: str, value: str, *, now: bool
    ) -> None:
        """Set what the phone shows; `now`: update it at once."""
