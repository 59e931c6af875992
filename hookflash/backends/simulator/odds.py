"""How long things take on the switch, and how often they go which way.

Each leg has a thread of its own, which looks up every 20 ms; when orders or people cross within
that time, the outcome depends on which thread was quicker. What is not said to be measured was seen
to happen either way, and its odds are a guess; see docs/explanation/what-is-chance.md.
"""

from __future__ import annotations

from typing import Final

TICK_S: Final = 0.020
"""A leg's thread looks up once in a packet of sound."""

TO_TAKE_S: Final = (0.0003, 0.0205)
"""From the order until the leg's thread takes it off the queue."""
TO_SOUND_S: Final = (0.0997, 0.2050)
"""From there to the sound: five frames, or twice as many if they are empty (from the order:
target-drops: 102.6 ms, complete: 125.5 and 204.0 ms; between two sounds: 100.6 ms)."""

# ---- how long things take, in seconds: from, to. Drawn evenly. In brackets: the recording.

TO_PARK_S: Final = (0.0003, 0.0215)
"""From the order to the park: until the leg's thread looks up. (An event socket reports it up to 20
ms later: complete: 20.4 ms, partial: 21.7 ms.)"""
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
"""From the end of one half of a loopback pair to the moment when the other hears nothing."""
HALF_STARVES: Final = 0.02
TO_REACH_HALF_S: Final = (0.0003, 0.010)
"""How often it hears nothing although that half ends by itself, and so at once; and when the
hang-up reaches it then (seen once on an overloaded switch, after 2 ms; 0 of 61 on a calm one)."""
AT_ONCE_S: Final = 0.0003
"""From what a leg's own thread does to its effect on others."""
CLOCK_STEP_S: Final = 1.0
"""`originate_timeout` and `park_timeout` count whole seconds of the switch's clock, so that they
end up to one second early (noanswer: 2.55 s of 3 s; measured: 2.49 to 2.82 s)."""
SECOND_QUICKER: Final = 0.95
"""How often the second leg of a bridge, left alone, is parked before the first reports the
end of the bridge (measured: 98 of 100)."""
SECOND_SENT_QUICKER: Final = 0.5
"""The same, where it is the second that was sent away (measured: 31 to 94 of 100)."""
FIRST_WAITS: Final = 0.3
"""How often a join that has not begun loses its first leg to another that wants it as its second,
and so its second leg too (34 of 60, 7 ms after the order; the first was parked)."""
TURNED_BACK: Final = 0.3
"""How often a join that is ordered again the other way round, before it began, keeps its first leg
(measured: 16 of 48)."""

OLD_WINS: Final = {"before it began": 0.5, "begun": 0.15, "ripe": 0.8}
"""How often a join keeps its second leg when another, of a third leg, wants the same second
(measured for 3, 14 and 30 ms after the order: 18, 10 and 25 of 36)."""

AT_ONCE: Final = 0.85
TO_NEXT_S: Final = (0.0003, 0.015)
"""How often a leg goes where it goes as soon as its bridge is over; and how long it takes
otherwise: another order, or its end, may come in between."""
SOUND_LOST: Final = 0.5
"""How often a sound that is ordered to a second leg while its join is under way is lost."""
SETTLES_S: Final = (0.20, 0.24)
"""From the join of two legs until their threads look for sounds (`DEFAULT_LEAD_FRAMES`: ten)."""
SETTLES_LATE: Final = 0.05
SETTLES_LATE_S: Final = (0.05, 0.20)
"""How often it takes longer, and by how much (seen once: more than 0.35 s in all; why, is not
known)."""
NAMES_THE_DEAD: Final = 0.4
"""How often a first leg keeps the variable `bridge_to` of a bridge that was not up when its second
hung up (23 of 60)."""
WAITED_FOR: Final = 0.5
"""How often a first leg does not notice that its second, which heard a sound before the bridge was
up, is ordered away: it goes on to set the bridge up, and waits for it (4 of 4; elsewhere not)."""
BREAKS_OFF_S: Final = 10.0
"""How long a first leg waits for its second, which was ordered away before the bridge was up."""
STOP_FIRST: Final = 0.5
"""How often a second leg that is fetched reports the end of its sound before that of its bridge."""
LEFT_BUSY: Final = 0.75
"""How often the first leg of a bridge leaves it at once when the second is sent away, and still
prepares a sound (measured: 31 of 40)."""
HALF_TAKEN: Final = 0.5
"""How often an intercept fails of a leg that was about to lead a bridge with somebody else."""
NOT_FOUND: Final = 0.5
"""How often a second leg that died before the join began is gone for good when it begins."""
LEFT_ALREADY: Final = 0.5
"""How often two who are to be joined again have left their old bridge when a transfer comes."""

LOST: Final = "DESTINATION_OUT_OF_ORDER"
"""Why the second leg of a join that had begun is hung up when another order takes the first."""
LOST_LATE: Final = 0.15
"""How often a second leg that dies in a join is missed only when that is all but finished."""
LATER_LEFT: Final = 0.2
TO_LEAVE_S: Final = (0.0003, 0.018)
"""How often of two who are fetched from two bridges the first's partner notices later; and when."""
FOUND_WANTING: Final = 0.15
"""How often a leg that has lost the second leg of its join finds that it is gone, and parks."""
LOST_CAUSE: Final = 0.1
"""How often a leg whose join failed ends with the other of the two causes."""
TO_FIND_S: Final = (0.020, 0.060)
"""From an order that joins it with whom it seeks to its finding that one."""
SEEKS_S: Final = 20.0
"""How long it looks for that leg otherwise (switch: 1,000 looks, 20 ms apart)."""
HELD_LOST: Final = 0.6
"""How often a leg that was held up by a sound is hung up, if the first leg of its join is dead by
then (measured: 7 of 12)."""
HELD_WINS: Final = 0.5
"""How often such a join keeps its first leg when another wants that as its second: that one's first
leg goes adrift (20 of 24; elsewhere not)."""
FIRST_LEAVES_LATER: Final = 0.7
EARLY: Final = 0.9
"""How often a sound that was ordered before a join was finished is played before the bridge
is up."""
BOTH_FIND: Final = 0.15
"""How often both the leg that seeks another and the leg that fetches it join it."""
STAYS_WITH: Final = 0.3
"""How often it is then the first of the two whom that leg takes for its partner."""
TOLD_LATE: Final = 0.05
"""How often the second leg is where it goes some milliseconds before the bridge's end is told."""
SOUND_LATE: Final = 0.05
LATE: Final = 0.02
LATE_S: Final = (0.010, 0.040)
VERY_LATE: Final = 0.3
SOUND_VERY_LATE: Final = 0.1
VERY_LATE_S: Final = (0.040, 0.150)
"""How often a sound begins later than it should, or a thread looks up later, on a busy machine; and
by how much. Some of these are later yet, where the machine has more to do than it can (4 of 1,050
programs)."""
FIRST_ENDS_LATE: Final = 0.1
"""How often a first leg that ends by its variables does so some milliseconds after its bridge: an
order may fetch it yet."""
SECOND_RESCUES: Final = 0.7
"""How often an armed second leg intercepts before its bridge's end is reported."""
ENDS_UNTOLD: Final = 0.97
"""How often a second leg that ends by its variables has hung up before its bridge's end is
reported."""
STRANDED_FIRST: Final = 0.5
"""How often a leg whose join comes to nothing does not do what its variables say, if it is left
alone in its bridge at the same time."""
LEFT_EARLY: Final = 0.2
"""How often the second leg has left its bridge before a join begins that is overtaken."""
WANTED_PARKED: Final = 0.15
"""How often a leg that is not joined is parked before an intercept takes it
(`switch_ivr_intercept_session`)."""
SEEN_TO_END: Final = 0.01
"""How often a partner sees that a leg hangs up before that is reported (seen once; 0 of 12
again)."""
PARKED_UNFOUND: Final = 0.5
"""How often a second leg that is hung up because its bridge is not up yet was parked before, if
its variables park it (14 of 14 where the first is parked; elsewhere not measured), or has ended by
them (24 of 55)."""
RESCUES_LATE: Final = 0.15
RESCUES_LATE_S: Final = (0.0003, 0.040)
"""How often an armed first leg intercepts only some time after its bridge's end, and when: the
phone that its partner calls may ring by then (6 of 12)."""
LEAVES_FIRST: Final = 0.8
"""How often a leg that is hung up by the leg that it is ordered to join reports that it leaves its
bridge."""
REMEMBERS: Final = 0.3
"""How often a deaf leg that is fetched by whom it sought hangs up the second leg of a join that it
was ordered to lead before."""
PARKED_BETWEEN: Final = 0.04
"""How often a second leg is parked between the end of its bridge and a transfer that was ordered
(`audio_bridge_on_exchange_media`: a park of 3 s, which the transfer ends)."""
PARKS_FIRST: Final = 0.02
"""How often a first leg that is sent to the park is parked by its own variables first (1 of 40)."""
FREED: Final = 0.5
"""How often a first leg whose second begins to lead another join, and that is adrift by that, plays
what is ordered (60 of 60 where the orders were 6 ms apart; not where they were 59)."""
FINDS: Final = 0.45
DISTURBED_FINDS: Final = 0.6
SEES_LEADER: Final = 0.7
"""How often it finds that leg as another join fetches that (measured: 11 of 24); the same, if it
was ordered elsewhere meanwhile (29 of 48); and as that leg begins to lead a join."""
LEADER_PARKS: Final = 0.8
"""How often a leg that leads a join is parked (`uuid_bridge_park_on_cancel`) by an intercept."""
LEADER_STRAYS: Final = 0.35
"""How often it goes adrift, without that variable (measured: 7 of 20)."""
SECOND_TAKEN: Final = 0.05
"""How often an intercept fails of a leg that another join wanted as its second."""
FRESH_S: Final = 0.05
SLIPS: Final = 0.1
NOT_UP: Final = 0.1
"""For how long after it was reported a bridge may not quite be up, and how often a join that takes
its second leg in that time comes to nothing: the first leg waits for it, deaf; and how often the
second is hung up as the first is ordered elsewhere in that time (seen twice)."""
SECOND_MISSED: Final = 0.3
"""How often the second leg of a bridge that is not up yet is hung up as the first is sent away."""
STOPS_LATE: Final = 0.1
"""How often a leg that is fetched out of the park goes on playing until its join begins."""
SECOND_LOST: Final = 0.03
"""How often the second leg of a join is hung up, when the first has died."""
TAKES_ALONG: Final = 0.5
"""The same, when the first is the half of a dead pair that intercepts (seen once)."""
ENDS_WITH_PARTNER: Final = 0.15
"""How often a leg that is armed with its own partner, and is to join somebody who dies, ends with
that partner (6 of 40)."""
SECOND_FORGOTTEN: Final = 0.15
"""How often it is not, when the first is ordered elsewhere before their bridge is up (2 of 20)."""
GIVES_UP: Final = 0.5
"""How often a leg that intercepts somebody who is about to join another ends, and is not adrift."""

KEYS_READ: Final = 0.5
"""How often keys that were pressed while a leg waited for an answer are reported in its next
bridge."""

KEYS_WAIT: Final = 0.5
"""How often keys that are pressed on a leg that is adrift are read only when it is parked."""
JOINED_YET: Final = 0.15
"""How often a second leg is joined yet, although it has been ordered elsewhere in the meantime."""

ORDER_LOST: Final = 0.2
"""How often that order is lost by it: the leg leaves the bridge, and does what its variables say (1
of 41)."""
WAITS_FOR_OWN: Final = 0.5
"""How often a first leg that is to be joined once more with its own partner, which is ordered
elsewhere before the join begins, waits for it (40 of 40 in one program, never in another)."""

LOOKS_AGAIN_S: Final = 0.005
