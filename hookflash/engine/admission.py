"""Whether a transfer may begin: checks the request's values, its call, and the account's rules.

Nothing is changed here. A valid request comes back as the transfer that it would begin.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.accounts import NOBODY as NO_ACCOUNT
from hookflash.called import MOST_RECALLS, MOST_TARGETS
from hookflash.dialling.digits import CodeTable
from hookflash.engine.in_flight import InFlight, Running
from hookflash.engine.legs import Leg, Legs
from hookflash.engine.record import Parties
from hookflash.engine.rules import Asker, check_rights
from hookflash.errors import InputError, NotFound, Refusal, RequestRefused
from hookflash.events import (
    FurtherTarget,
    Kind,
    LegId,
    NumberGiven,
    PickUpRequested,
    TransferOptions,
    TransferRequested,
)
from hookflash.fsm.begin import NOBODY, chosen, new_transfer
from hookflash.fsm.policy import OPTIONAL_SOUNDS, check_ends
from hookflash.parking import ALLOWED_SLOT, parse_slots
from hookflash.sounds import Media, Sound, check_sound
from hookflash.transfer_context import check_caller

ALLOWED_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}")
"""Characters of a transfer's ID, which becomes part of the names of timers and legs: what every
switch can carry."""

LONGEST_HOLD_S = 24 * 3600.0
"""A hold of more than a day is a mistake."""

LONGEST_RING_S = 24 * 3600.0
"""A ring timeout of more than a day is a mistake."""


ASKED_SOUNDS: Final = ("music", "ringback", "accept_prompt", *sorted(OPTIONAL_SOUNDS))
"""The options of a request that are sounds, or IDs of the media list."""

ALLOWED_KEYS: Final = re.compile(r"[0-9A-D*#]{1,8}")
"""What a target may have to press."""


class Admission:
    """Checks transfer requests against the state of one engine."""

    def __init__(self, legs: Legs, running: InFlight, target_leg: Callable[[str], LegId]) -> None:
        self.closing: str | None = None
        """Why no new transfers are accepted; `None`: they are accepted."""
        self._legs = legs
        self._running = running
        self._target_leg = target_leg

    def read(self, event: TransferRequested) -> TransferRequested:
        """Read the numbers and the sounds of a request by the rules of the leg's account.

        All that follows sees only the numbers that are dialled, however they were written, and
        sounds instead of media IDs. A request is read once.

        Raises:
            InputError: the target or the fallback target is not a number, or a media ID is unknown.
            RequestRefused: a number is in another domain.
        """
        leg = self._legs.get(event.leg)
        if leg is None:
            return event
        event = attrs.evolve(event, options=_with_sounds(event, leg))
        if event.kind is Kind.MOVE and not event.target:
            event = _to_own_devices(event, leg)
        read = leg.choices.numbers.number
        if fallback := event.options.fallback_target:
            options = attrs.evolve(event.options, fallback_target=read(fallback))
            event = attrs.evolve(event, options=options)
        if further := event.options.further_targets:
            numbers = tuple(attrs.evolve(one, number=read(one.number)) for one in further)
            options = attrs.evolve(event.options, further_targets=numbers)
            event = attrs.evolve(event, options=options)
        if not event.target or event.kind is Kind.PARK:
            return event
        number = read(event.target)
        written = "" if number == event.target else event.target
        return attrs.evolve(event, target=number, written=written)

    def admit(self, event: TransferRequested, at_s: float) -> Running:
        """Check a transfer request whose target has been read.

        Returns:
            The transfer in its first state; no command was given yet.

        Raises:
            InputError: a value is not allowed.
            RequestRefused: the transfer is not possible now, or not allowed for this party.
        """
        leg, peer = self._call_of(event)
        policy = leg.choices.policy
        check_values(event)
        _check_further(
            event, target_accepts=chosen(policy, event.options, event.kind).target_accepts
        )
        if peer is None:
            return self._admit_handover(event, leg, at_s)
        if event.kind is Kind.HANDOVER:
            raise RequestRefused("the call is bridged: its leg has a partner to transfer")
        if event.kind is Kind.PARK:
            event = self._in_slot(event, leg)
        for number in _numbers_of(event):
            _check_parties(number, leg, peer, is_own=event.kind is Kind.MOVE)
        self._check_rules(event, leg, peer, at_s)
        transfer = new_transfer(
            transfer=event.transfer,
            kind=event.kind,
            policy=policy,
            transferor=(leg.id, leg.number),
            transferee=(peer.id, peer.number),
            target=(self._target_leg(event.transfer), event.target),
            by=event.by,
            options=event.options,
            hops=max(leg.hops, peer.hops),
            account=leg.responsible,
            owner_id=leg.own_owner,
            outside=[one.id for one in (leg, peer) if one.outside],
            foreign=[one.id for one in (leg, peer) if _is_foreign(one, leg)],
            withheld=[one.id for one in (leg, peer) if one.withheld],
        )
        return Running(
            transfer=transfer,
            codes=leg.choices.codes_in_transfer(event.options),
            number=leg.choices.codes_for_number(),
            account=leg.responsible,
            parties=Parties.of(transfer),
        )

    def _admit_handover(self, event: TransferRequested, caller: Leg, at_s: float) -> Running:
        """Check a request for a caller who talks with nobody."""
        if event.kind is Kind.HOLD:
            raise RequestRefused("the call is not bridged: there is nobody to hold")
        if event.kind is Kind.MOVE:
            raise RequestRefused("the call is not bridged: there is nobody to take along")
        if event.kind is Kind.PARK:
            raise RequestRefused("the call is not bridged: there is nobody to park")
        if event.by == "digits":  # who is in a menu dials for the menu
            raise RequestRefused("the call is not bridged: there is nobody to transfer")
        if not caller.answered:
            raise RequestRefused("the call is not answered yet")
        if not event.target:
            raise RequestRefused("there is no transferor to ask for a number", Refusal.MALFORMED)
        for number in _numbers_of(event):
            _check_parties(number, caller, caller)
        self._check_rules(event, caller, None, at_s)
        transfer = new_transfer(
            transfer=event.transfer,
            kind=Kind.HANDOVER,
            policy=caller.choices.policy,
            transferor=NOBODY,
            transferee=(caller.id, caller.number),
            target=(self._target_leg(event.transfer), event.target),
            by=event.by,
            options=event.options,
            hops=caller.hops,
            account=caller.responsible,
            owner_id=caller.own_owner,
            outside=[caller.id] if caller.outside else [],
            withheld=[caller.id] if caller.withheld else [],
            return_to=caller.choices.returns_to(event.options),
        )
        return Running(
            transfer=transfer,
            codes=CodeTable(),
            account=caller.responsible,
            parties=Parties.of(transfer),
        )

    def _in_slot(self, event: TransferRequested, leg: Leg) -> TransferRequested:
        """Choose the slot of a call that is to be parked: the one asked for, or a free one.

        Raises:
            RequestRefused: the account has no such slot, or it is in use.
        """
        slots = parse_slots(leg.choices.policy.parking_slots)
        asked = event.options.slot
        if event.target:
            raise RequestRefused("a call is parked without a target", Refusal.MALFORMED)
        if asked and asked not in slots:
            allowed = leg.choices.policy.parking_slots or "none"
            why = f"{asked[:20]} is no slot of this account (allowed: {allowed})"
            raise RequestRefused(why, Refusal.TARGET_REFUSED)
        account = leg.responsible
        free = (one for one in slots if self._running.parked_in(account, one) is None)
        slot = asked or next(free, "")
        if not slot:
            raise RequestRefused("all slots of this account are in use", Refusal.TOO_MANY)
        if self._running.parked_in(account, slot) is not None:
            raise RequestRefused(f"a call is already parked in slot {slot}")
        return attrs.evolve(event, options=attrs.evolve(event.options, slot=slot))

    def pick_up(self, event: PickUpRequested) -> tuple[Running, PickUpRequested]:
        """Check a request to pick up a parked call.

        Only a leg of the account that has parked it may do so, by its own account, and no outside
        party.

        Returns:
            The transfer that has parked it, and the request with what is known of the leg.

        Raises:
            NotFound: there is no such leg.
            RequestRefused: it is not possible now, or not allowed for this leg.
        """
        leg = self._legs.get(event.leg)
        if leg is None:
            raise NotFound("there is no such call")
        if self._running.of(leg.id) is not None:
            raise RequestRefused("this leg is in a transfer")
        if leg.peer is not None:
            raise RequestRefused("this leg talks with somebody")
        if not leg.answered:
            raise RequestRefused("the call is not answered yet")
        stranger = leg.outside or leg.is_user is False or leg.account == NO_ACCOUNT
        if stranger or not leg.choices.rules.may_pick_up:
            raise RequestRefused("this party may not pick up parked calls", Refusal.NOT_ENTITLED)
        running = self._running.parked_in(leg.account, event.slot)
        if running is None:
            shown = event.slot[:20] if ALLOWED_SLOT.fullmatch(event.slot) else "this slot"
            raise RequestRefused(f"no call is parked in {shown}", Refusal.NO_SUCH_CALL)
        known = {"number": leg.number, "withheld": leg.withheld}
        return running, attrs.evolve(event, transfer=running.transfer.id, **known)

    def read_number(self, running: Running, event: NumberGiven) -> NumberGiven:
        """Read and check the number of a transfer that was requested without one.

        Raises:
            InputError: it is not a number.
            RequestRefused: the account may not call it, or nobody has asked for a number.
        """
        t = running.transfer
        leg = self._legs.get(t.transferor.leg)
        if leg is None or not t.lacks_number:
            raise RequestRefused("no number is asked for now")
        number = leg.choices.numbers.number(event.target)
        _check_parties(number, leg, self._legs.get(t.transferee.leg))
        leg.choices.rules.check_target(number)
        return attrs.evolve(
            event, target=number, written="" if number == event.target else event.target
        )

    def _call_of(self, event: TransferRequested) -> tuple[Leg, Leg | None]:
        """The transferor's leg, and the transferee's; or a caller's who talks with nobody."""
        if event.transfer in self._running:
            raise RequestRefused("there is already a transfer with this ID")
        if self._target_leg(event.transfer) in self._legs:
            raise RequestRefused("a leg of an earlier transfer with this ID still exists")
        leg = self._legs.get(event.leg)
        if leg is None:
            raise NotFound("there is no such call")
        peer = self._legs.partner_of(leg)
        if leg.peer and peer is None:
            raise RequestRefused("the other party of the call is not known")
        if peer is not None and self._running.of(peer.id) is not None:
            raise RequestRefused("the other party is in another transfer")
        return leg, peer

    def _check_rules(
        self, event: TransferRequested, leg: Leg, peer: Leg | None, at_s: float
    ) -> None:
        """Check a request against the rules of the leg's own account."""
        if self.closing is not None:
            raise RequestRefused(self.closing, Refusal.CLOSING)
        rules = leg.choices.rules
        theirs = "" if peer is None else peer.account
        settled = bool(leg.account or not theirs) if leg.is_user is None else leg.is_user
        is_user = settled and not leg.outside
        asker = Asker(is_user=is_user, may_transfer=leg.may_transfer)
        check_rights(rules, asker, event, leg.number)
        self._running.meters.check(leg.responsible, rules, event.kind, at_s)


def _with_sounds(event: TransferRequested, leg: Leg) -> TransferOptions:
    """The options of a request, with sounds instead of media IDs.

    A code may name an ID that is no longer there. Then the account's own sound plays:
    no call is lost for a melody.
    """
    options, account = event.options, leg.responsible or DEFAULT_ACCOUNT
    found: dict[str, Sound | None] = {}
    for name in ASKED_SOUNDS:
        asked = getattr(options, name)
        if not isinstance(asked, Media):
            continue
        try:
            found[name] = leg.choices.media.sound(asked, account, name)
        except InputError:
            if event.by != "digits":
                raise
            found[name] = None
    return attrs.evolve(options, **found) if found else options


def _is_foreign(party: Leg, transferor: Leg) -> bool:
    """Whether a party belongs to another account, in which the same numbers are other phones."""
    return party.account not in ("", transferor.responsible)


def _numbers_of(event: TransferRequested) -> tuple[str, ...]:
    return (event.target, *(one.number for one in event.options.further_targets))


def _to_own_devices(event: TransferRequested, leg: Leg) -> TransferRequested:
    """A move to the devices that the account or owner has, or to the number of the leg itself.

    A leg without a number, such as that of an anonymous caller, has no other device.
    """
    own = leg.number
    read = leg.choices.numbers.number
    first, *others = [one for one in leg.choices.move_to if own not in (one, read(one))] or [own]
    if not first:
        raise RequestRefused("this leg has no number, and no device to move to is configured")
    further = tuple(FurtherTarget(number=one) for one in others)
    options = attrs.evolve(event.options, further_targets=further, rings_all=bool(further))
    return attrs.evolve(event, target=first, options=options)


def _check_parties(
    target: str, transferor: Leg, transferee: Leg | None, *, is_own: bool = False
) -> None:
    """Check that the target is not a party already, whose number may be written differently.

    The number is one of the transferor's account: a party of another account may have the same.
    A call may be moved to the transferor's own number, at which other devices ring.
    """
    parties = [one for one in (None if is_own else transferor, transferee) if one is not None]
    for party in parties:
        if _is_foreign(party, transferor):
            continue
        try:
            number = party.choices.numbers.number(party.number)
        except (InputError, RequestRefused):
            continue  # such as a name, or none
        if number == target:
            what = "the target is already a party of this call"
            raise RequestRefused(what, Refusal.TARGET_REFUSED)


def check_values(event: TransferRequested) -> None:
    """Check the values of a request, except for its target.

    Raises:
        InputError: a value is not allowed.
    """
    if not ALLOWED_ID.fullmatch(event.transfer):
        raise InputError(
            "the ID may have only letters, digits and _ . -, must begin with a letter or a digit,"
            " and may have at most 64"
        )
    recalls = event.options.recall_attempts
    if recalls is not None and not 0 <= recalls <= MOST_RECALLS:
        raise InputError(f"a transferor is called back 0 to {MOST_RECALLS} times, not {recalls}")
    options = event.options
    for name in ASKED_SOUNDS:
        sound = getattr(options, name)
        if sound is not None and not (sound == "" and name in OPTIONAL_SOUNDS):
            check_sound(sound, name)
            check_ends(sound, name)
    _check_keys(options)
    check_caller(options.caller_number or "", options.caller_name or "")
    if options.context is not None:
        options.context.check()
    if options.slot and not ALLOWED_SLOT.fullmatch(options.slot):
        raise InputError(f"{options.slot[:20]!r} is not a slot", where="slot", hint="1 to 8 digits")
    _check_times(options)


def _check_times(options: TransferOptions) -> None:
    """Check that no time is longer than anybody can mean."""
    rings_s = (options.ring_timeout_s, *(one.ring_timeout_s for one in options.further_targets))
    limits = (
        (options.accept_limit_s, LONGEST_RING_S, "limit to accept"),
        (options.hold_limit_s, LONGEST_HOLD_S, "hold limit"),
        (options.parking_limit_s, LONGEST_HOLD_S, "parking limit"),
        *((ring_s, LONGEST_RING_S, "ring timeout") for ring_s in rings_s),
    )
    for limit_s, longest_s, what in limits:
        if limit_s is not None and not 0 < limit_s <= longest_s:
            raise InputError(f"the {what} must be more than 0 s, and at most a day")


def _check_keys(options: TransferOptions) -> None:
    accept, decline = options.accept_digits, options.decline_digits
    for name, keys in (("accept_digits", accept), ("decline_digits", decline or None)):
        if keys is not None and not ALLOWED_KEYS.fullmatch(keys):
            hint = "1 to 8 of 0-9, A-D, * and #"
            raise InputError(f"{keys[:20]!r} can't be pressed", where=name, hint=hint)


def _check_further(event: TransferRequested, *, target_accepts: bool) -> None:
    """Check the list of targets: there is a first one, they are few, and all differ."""
    further = event.options.further_targets
    if not further:
        return
    if event.options.rings_all and target_accepts:
        raise InputError(
            "targets that ring at once can't be asked to accept: let them ring one after the other"
        )
    if not event.target:
        raise InputError("further targets need a first one: give a `target`, too")
    if len(further) >= MOST_TARGETS:
        raise InputError(f"a transfer has at most {MOST_TARGETS} targets, not {len(further) + 1}")
    numbers = [event.target, *(one.number for one in further)]
    if twice := next((number for number in numbers if numbers.count(number) > 1), None):
        raise InputError(f"{twice} is a target twice: each is called once")
