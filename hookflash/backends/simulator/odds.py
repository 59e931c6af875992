"""How long things take on the switch, and how often they go which way.

The thread of each leg checks for orders every 20 ms. When orders or people cross within that time,
the outcome depends on which thread was quicker. Odds that are not said to be measured are guesses
about what was seen to happen either way; see docs/explanation/what-is-chance.md.
"""

from __future__ import annotations

from typing import Final

TICK_S: Final = 0.020
"""A leg's thread checks for orders once in a packet of sound."""

TO_TAKE_S: Final = (0.0003, 0.0205)
"""From the order until the leg's thread takes it off the queue."""
TO_SOUND_S: Final = (0.0997, 0.2050)
"""From there to the sound: five frames, or twice as many if they are empty (from the order:
target-drops: 102.6 ms, complete: 125.5 and 204.0 ms; between two sounds: 100.6 ms)."""
TO_READ_S: Final = (0.0003, 0.030)
"""From the end of that preparation until the keys are reported that it has read."""

# ---- how long things take, in seconds: from, to. Drawn evenly. In brackets: the recording.

TO_PARK_S: Final = (0.0003, 0.0215)
"""From the order to the park: until the leg's thread looks. (An event socket reports it up to 20 ms
later: complete: 20.4 ms, partial: 21.7 ms.)"""
TO_BEGIN_S: Final = (0.0003, 0.0215)
"""From the order to the beginning of a join (measured: 3.8 to 19.3 ms)."""
TO_FINISH_S: Final = (0.0265, 0.036)
"""From the beginning of a join to its finish (measured: 30 ms after the order 1 of 50 is finished,
after 35 ms 1 of 3, after 50 ms 9 of 10)."""
TO_RIPEN_S: Final = 0.012
"""From the beginning of a join to the time when it holds its second leg fast."""
TO_UNBRIDGE_S: Final = (0.0003, 0.025)
"""From a hang-up to the end of its bridge (complete: 0.3 and 24.8 ms, noanswer: 23.1 ms)."""
TO_STARVE_S: Final = (0.0003, TICK_S)
"""From the end of one half of a loopback pair to the other half's silence."""
HALF_STARVES: Final = 0.02
TO_REACH_HALF_S: Final = (0.0003, 0.010)
"""How often the other half falls silent although the first ends by itself; and when the hang-up
then reaches it (seen once on an overloaded switch, after 2 ms; 0 of 61 on a calm one)."""
AT_ONCE_S: Final = 0.0003
"""From an action of a leg's own thread to its effect on others."""
CLOCK_STEP_S: Final = 1.0
"""`originate_timeout` and `park_timeout` count whole seconds of the switch's clock, so that they
end up to one second early (noanswer: 2.55 s of 3 s; measured: 2.49 to 2.82 s)."""
SECOND_QUICKER: Final = 0.95
"""How often the remaining second leg of a bridge is parked before the first reports the end of the
bridge (measured: 98 of 100)."""
SECOND_SENT_QUICKER: Final = 0.5
"""The same if it was the second that was sent away (measured: 31 to 94 of 100)."""
FIRST_WAITS: Final = 0.3
"""How often a join that has not begun loses its first leg to another that wants it as its second,
and so loses its second leg too (34 of 60, 7 ms after the order; the first was parked)."""
TURNED_BACK: Final = 0.3
"""How often a join that is ordered again with its legs swapped, before it began, keeps its first
leg (measured: 16 of 48)."""
DESERTED: Final = 0.16
SURVIVES_DESERTED: Final = 0.05
"""How often such a join, ordered after the first has begun, fails: the leg that led the first hangs
up (30 ms after the order 18 of 120, after 19 ms 17, after 7 ms 4); how often that leg goes adrift
instead (1 of 40)."""
CAUGHT_EARLY: Final = 0.25
"""How often the second leg of a join hangs up because another join takes the first, although it has
not left its bridge yet (27 of 97, 7 ms after the order)."""
LOCKED: Final = 0.55
"""How often two legs wait for each other for ever, if one has an order while it looks for the
other (57 of 115)."""

OLD_WINS: Final = {"before it began": 0.5, "begun": 0.15, "ripe": 0.8}
"""How often a join keeps its second leg when another, of a third leg, wants the same second
(measured for 3, 14 and 30 ms after the order: 18, 10 and 25 of 36)."""

AT_ONCE: Final = 0.85
TO_NEXT_S: Final = (0.0003, 0.015)
"""How often a leg continues as soon as its bridge has ended; and otherwise how long it takes:
another order, or its end, may come in between."""
SOUND_LOST: Final = 0.5
"""How often a sound is lost that is ordered to a second leg during its join."""
SETTLES_S: Final = (0.20, 0.24)
"""From the join of two legs until their threads look for sounds (`DEFAULT_LEAD_FRAMES`: ten)."""
SETTLES_LATE: Final = 0.05
SETTLES_LATE_S: Final = (0.05, 0.20)
"""How often it takes longer, and by how much (seen once: more than 0.35 s in all, for an unknown
reason)."""
NAMES_THE_DEAD: Final = 0.4
"""How often a first leg keeps the variable `bridge_to` of a bridge that was not up when its second
hung up (23 of 60)."""
WAITED_FOR: Final = 0.5
"""How often a first leg does not notice that its second, which heard a sound before the bridge was
up, is ordered away: it sets the bridge up, and waits for it (4 of 4; elsewhere never)."""
BREAKS_OFF_S: Final = 10.0
"""How long a first leg waits for a second that was ordered away before the bridge was up."""
STOP_FIRST: Final = 0.5
"""How often a second leg that is fetched reports the end of its sound before that of its bridge."""
LEFT_BUSY: Final = 0.75
"""How often the first leg of a bridge leaves it at once when the second is sent away while it still
prepares a sound (measured: 31 of 40)."""
HALF_TAKEN: Final = 0.5
"""How often an intercept fails of a leg that was about to lead a bridge with another leg."""
NOT_FOUND: Final = 0.5
"""How often a second leg that died before the join began no longer exists when it begins."""
LEFT_ALREADY: Final = 0.5
"""How often two legs to be joined again have left their old bridge when a transfer comes."""

LOST: Final = "DESTINATION_OUT_OF_ORDER"
"""The cause with which the second leg of a join that had begun is hung up when another order takes
the first."""
LOST_LATE: Final = 0.15
"""How often a second leg's death during a join is noticed only when the join is almost finished."""
LATER_LEFT: Final = 0.2
TO_LEAVE_S: Final = (0.0003, 0.018)
"""How often, of two legs fetched from two bridges, the first's partner notices later; and when."""
FOUND_WANTING: Final = 0.15
"""How often a leg that has lost the second leg of its join finds that it has ended, and parks."""
LOST_CAUSE: Final = 0.1
"""How often a leg whose join failed ends with the other of the two causes."""
TO_FIND_S: Final = (0.020, 0.060)
"""From an order to join the leg that it seeks until it finds that leg."""
SEEKS_S: Final = 20.0
"""How long it looks for that leg otherwise (switch: 1,000 looks, 20 ms apart)."""
HELD_LOST: Final = 0.6
"""How often a leg that was held up by a sound is hung up if the first leg of its join is dead by
then (measured: 7 of 12)."""
HELD_WINS: Final = 0.5
"""How often such a join keeps its first leg when another wants that leg as its second: the first
leg of the other goes adrift (20 of 24; elsewhere never)."""
FIRST_LEAVES_LATER: Final = 0.7
EARLY: Final = 0.9
"""How often a sound that was ordered before a join finished is played before the bridge is up."""
BOTH_FIND: Final = 0.15
"""How often both the leg that seeks another and the leg that fetches it join it."""
STAYS_WITH: Final = 0.3
"""How often it then takes the first of the two for its partner."""
TOLD_LATE: Final = 0.05
"""How often the second leg arrives some milliseconds before the bridge's end is reported."""
SOUND_LATE: Final = 0.05
LATE: Final = 0.02
LATE_S: Final = (0.010, 0.040)
VERY_LATE: Final = 0.3
SOUND_VERY_LATE: Final = 0.1
VERY_LATE_S: Final = (0.040, 0.150)
"""How often a sound begins late, or a thread looks late, on a busy machine; and by how much. Some
are later still on an overloaded machine (4 of 1,050 programs)."""
FIRST_ENDS_LATE: Final = 0.1
"""How often a first leg that ends by its variables ends some milliseconds after its bridge: an
order may still fetch it."""
SECOND_RESCUES: Final = 0.7
"""How often an armed second leg intercepts before its bridge's end is reported."""
ENDS_UNTOLD: Final = 0.97
"""How often a second leg that ends by its variables has hung up before its bridge's end is
reported."""
STRANDED_FIRST: Final = 0.5
"""How often a leg whose join fails does not follow its variables if it is left alone in its bridge
at the same time."""
LEFT_EARLY: Final = 0.2
"""How often the second leg has left its bridge before a join begins that is overtaken."""
WANTED_PARKED: Final = 0.15
"""How often a leg without a partner is parked before an intercept takes it
(`switch_ivr_intercept_session`)."""
SEEN_TO_END: Final = 0.01
"""How often a partner notices a hang-up before it is reported (seen once; later 0 of 12)."""
PARKED_UNFOUND: Final = 0.5
"""How often a second leg that is hung up because its bridge is not up yet was parked before, if its
variables park it (14 of 14 if the first is parked; elsewhere not measured), or was ended by them
(24 of 55)."""
RESCUES_LATE: Final = 0.15
RESCUES_LATE_S: Final = (0.0003, 0.040)
"""How often an armed first leg intercepts only some time after its bridge's end, and when: the
phone that its partner calls may ring by then (6 of 12)."""
LEAVES_FIRST: Final = 0.8
"""How often a leg that is hung up by the leg that it is ordered to join reports that it leaves its
bridge."""
REMEMBERS: Final = 0.3
"""How often a leg that ignores orders, fetched by the leg that it sought, hangs up the second leg
of a join that it was ordered to lead before."""
PARKED_BETWEEN: Final = 0.04
"""How often a second leg is parked between the end of its bridge and an ordered transfer
(`audio_bridge_on_exchange_media`: a park of 3 s, which the transfer ends)."""
PARKS_FIRST: Final = 0.02
"""How often a first leg that is sent to the park is parked by its own variables first (1 of 40)."""
FREED: Final = 0.5
"""How often a first leg goes adrift because its second begins to lead another join, and then plays
what is ordered (60 of 60 if the orders were 6 ms apart; 0 if they were 59 ms apart)."""
FINDS: Final = 0.45
DISTURBED_FINDS: Final = 0.6
SEES_LEADER: Final = 0.7
"""How often it finds that leg while another join fetches it (measured: 11 of 24); the same if it
was ordered elsewhere meanwhile (29 of 48); and while that leg begins to lead a join."""
LEADER_PARKS: Final = 0.8
"""How often a leg that leads a join is parked (`uuid_bridge_park_on_cancel`) by an intercept."""
LEADER_STRAYS: Final = 0.35
"""How often it goes adrift, without that variable (measured: 7 of 20)."""
SECOND_TAKEN: Final = 0.05
"""How often an intercept fails of a leg that another join wanted as its second."""
FRESH_S: Final = 0.05
SLIPS: Final = 0.1
NOT_UP: Final = 0.1
"""How long after its report a bridge may not quite be up; how often a join that takes its second
leg in that time fails (the first leg waits for it and ignores orders); and how often the second is
hung up because the first is ordered elsewhere in that time (seen twice)."""
SECOND_MISSED: Final = 0.3
"""How often the second leg of a bridge that is not up yet is hung up because the first is sent
away."""
STOPS_LATE: Final = 0.1
"""How often a leg that is fetched out of the park continues to play until its join begins."""
SECOND_LOST: Final = 0.03
"""How often the second leg of a join is hung up when the first has died."""
TAKES_ALONG: Final = 0.5
"""The same when the first is half of a dead pair that intercepts (seen once)."""
ENDS_WITH_PARTNER: Final = 0.15
"""How often a leg that is armed with its own partner, and is to join a leg that dies, ends with
that partner (6 of 40)."""
SECOND_FORGOTTEN: Final = 0.15
"""How often it is not, when the first is ordered elsewhere before their bridge is up (2 of 20)."""
GIVES_UP: Final = 0.5
"""How often a leg that intercepts a leg about to join another ends, instead of going adrift."""

ANSWERS_TWICE: Final = 0.005
"""How often the answer of a loopback leg is reported once more (3 of some 3,000)."""

KEYS_READ: Final = 0.5
"""How often keys that were pressed while a leg waited for an answer are reported in its next
bridge."""

KEYS_WAIT: Final = 0.5
"""How often keys that are pressed on a leg that is adrift are read only when it is parked."""
JOINED_YET: Final = 0.15
"""How often a second leg is still joined although it has been ordered elsewhere meanwhile."""

ORDER_LOST: Final = 0.2
"""How often that loses the order: the leg leaves the bridge and follows its variables (1 of 41)."""
WAITS_FOR_OWN: Final = 0.5
"""How often a first leg that is to be joined again with its own partner waits for it if that
partner is ordered elsewhere before the join begins (40 of 40 in one program, never in another)."""

LOOKS_AGAIN_S: Final = 0.005
