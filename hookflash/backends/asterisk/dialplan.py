"""The dialplan that an operator includes: what the switch itself does with our legs.

The controller may be dead, so everything that must work without it is here. A leg carries its
orders as channel variables, and the controller changes them at any time (`Setvar`); nothing else
has to be undone.

* **park**: the leg stands alone in `Stasis`, controlled by hookflash. Without a controller `Stasis`
  returns at once: the party hears music, and the leg tries again each second. So nobody is lost,
  and a controller that comes back gets every leg.
* **join**: the leg bridges itself with the one that HOOKFLASH_PEER names. Afterwards both continue
  at *left*.
* **part**: the leg takes part in the conversation of the one that HOOKFLASH_PART names: the three
  hear each other. When that one ends, the leg goes to the park.
* **left**: the partner has gone. HOOKFLASH_AFTER says what follows: `park`, `rescue`, or a hang-up.
* **back**: a caller who came from a menu, a queue or a bot goes back where HOOKFLASH_BACK says: by
  order, or when its time in the park is over.
* **rescue**: the failsafe. The controller has not acted in time, so the leg sends the one that
  HOOKFLASH_RESCUE names to `fetched`.

The leg to be rescued is redirected, and bridges itself: only a leg itself can remove its park
limit, which would otherwise end the conversation half an hour later.

**A leg's own time limit stays in effect.** An operator may have set `TIMEOUT(absolute)`. The first
time a leg is parked, it notes when that limit passes (HOOKFLASH_UNTIL); in the park the earlier of
the two limits counts, and in a conversation only its own.

All names are channel names (`PJSIP/1001-0000003a`): `Bridge` matches every channel whose name
begins with its argument, so that an id could match a stranger's channel.
"""

from __future__ import annotations

import re
from typing import Final

from hookflash.backends.asterisk.primitives import BACK, OURS, SHOWN, SHOWN_BY
from hookflash.errors import InputError

RESCUE_AFTER_S: Final = 1.5
"""How long a leg with a failsafe waits for its controller before it acts. Not a multiple of the
controller's own back-off, which starts at one second and doubles each time: at the same instant
each would undo what the other does."""

PARK_LIMIT_S: Final = 1860
"""After this time the switch itself ends a parked leg, unless the controller sets another limit:
longer than any hold limit."""

DEFAULT_CONTEXT: Final = "hookflash"
DEFAULT_APPLICATION: Final = "hookflash"

ALLOWED_SETTING: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")
"""The allowed characters of names that an operator chooses: the dialplan and every order contain
them."""

_OWN_LIMIT: Final = (
    "${IF($[0${HOOKFLASH_UNTIL} = 0]?0:"
    "${IF($[0${HOOKFLASH_UNTIL} > ${EPOCH}]?$[0${HOOKFLASH_UNTIL} - ${EPOCH}]:0.1)})}"
)
"""The rest of the time limit that a leg had before it was parked; 0: no limit.

A limit that has passed counts as 0.1 s, since 0 would mean no limit. The leading 0 avoids a syntax
error if the variable is empty."""

_REMOVED: Final = tuple(name for name in OURS if name not in (BACK, SHOWN, SHOWN_BY))
"""What a leg that goes back does not keep; the place where it goes is removed last. An outside
party that goes back without a controller keeps the subroutine that decides what its phone shows,
and so the note of the operator's own."""

NEWEST: Final = "brief"
"""A label of `park` that older versions of the dialplan don't have."""

# The long lines are Asterisk's: an application's arguments can't be broken.
_DIALPLAN: Final = """\
[CONTEXT]
; A leg alone, held by hookflash. A leg with a failsafe waits only for a moment.
; A leg that hookflash has called has its own number from now on, and not its caller's.
; Your dialplan sends a phone here that is to have the call in a slot: HOOKFLASH_PICK_UP=${EXTEN}.
exten => park,1,GotoIf($["${HOOKFLASH_NUMBER}" = ""]?known)
 same => n,Set(CALLERID(num)=${HOOKFLASH_NUMBER})
 same => n,Set(CALLERID(name)=)
 same => n,Set(CALLERID(pres)=allowed)
 same => n,Set(HOOKFLASH_NUMBER=)
 same => n(known),Set(HOOKFLASH_WHY=${IF($["${HOOKFLASH_PICK_UP}" != ""]?pick-up-${HOOKFLASH_PICK_UP}:)})
; The leg's own time limit stays in effect. HOOKFLASH_UNTIL is the time at which it ends; 0: no limit.
 same => n(own),ExecIf($["${HOOKFLASH_UNTIL}" = ""]?Set(HOOKFLASH_UNTIL=${IF($[${TIMEOUT(absolute)} > 0]?$[${EPOCH} + ${TIMEOUT(absolute)}]:0)}))
 same => n(stay),Set(HOOKFLASH_SOUND=)
 same => n,Set(TIMEOUT(absolute)=${IF($["${HOOKFLASH_LIMIT_S}" = ""]?PARK_LIMIT:${HOOKFLASH_LIMIT_S})})
 same => n,ExecIf($[0${HOOKFLASH_UNTIL} > 0 & 0${HOOKFLASH_UNTIL} < ${EPOCH} + ${TIMEOUT(absolute)}]?Set(TIMEOUT(absolute)=OWN_LIMIT))
 same => n(brief),Set(HOOKFLASH_BRIEF=${HOOKFLASH_ARMED})
 same => n,ExecIf($["${HOOKFLASH_BRIEF}" != ""]?Set(TIMEOUT(absolute)=RESCUE_AFTER))
 same => n(wait),Stasis(APPLICATION,park,${HOOKFLASH_WHY})
; Reached only if no controller is connected.
 same => n,GotoIf($["${HOOKFLASH_ARMED}" != ""]?rescue,1)
 same => n,StartMusicOnHold()
 same => n,Wait(1)
 same => n,Goto(wait)

; The time limit has passed. A leg whose failsafe was removed at the same moment waits on. A caller
; who came from a menu, a queue or a bot goes back there.
exten => T,1,GotoIf($["${HOOKFLASH_ARMED}" != ""]?rescue,1)
 same => n,GotoIf($["${HOOKFLASH_BRIEF}" != ""]?park,1)
 same => n,GotoIf($["${HOOKFLASH_BACK}" != ""]?back,1)
 same => n,Hangup(102)

; The caller goes back where it came from, with nothing of hookflash.
exten => back,1,Set(TIMEOUT(absolute)=OWN_LIMIT)
REMOVED
 same => n,Goto(${SHIFT(HOOKFLASH_BACK,|)})

; The leg bridges itself with its new partner. Afterwards both continue at `left`.
exten => join,1,Set(TIMEOUT(absolute)=OWN_LIMIT)
 same => n,Set(HOOKFLASH_ARMED=)
 same => n,Bridge(${HOOKFLASH_PEER},F(CONTEXT^left^1))
 same => n,GotoIf($["${BRIDGERESULT}" = "SUCCESS"]?left,1)
 same => n,Set(HOOKFLASH_WHY=unjoined)
 same => n,Goto(park,stay)

; The leg takes part in the conversation of another one, until that one ends.
exten => part,1,Set(TIMEOUT(absolute)=OWN_LIMIT)
 same => n,Set(HOOKFLASH_SOUND=)
 same => n,ChanSpy(${HOOKFLASH_PART},uBqES)
 same => n,Goto(park,1)

; The partner has left.
exten => left,1,Set(HOOKFLASH_PEER=)
 same => n,GotoIf($["${HOOKFLASH_AFTER}" = "park"]?park,1)
 same => n,Set(HOOKFLASH_ARMED=${IF($["${HOOKFLASH_AFTER}" = "rescue"]?yes:)})
 same => n,GotoIf($["${HOOKFLASH_ARMED}" != ""]?park,1)
 same => n,Hangup()

; The failsafe: the leg to be rescued is sent to `fetched`, and bridges itself with this leg.
exten => rescue,1,Set(HOOKFLASH_ARMED=)
 same => n,Set(HOOKFLASH_AFTER=)
 same => n,Set(TIMEOUT(absolute)=OWN_LIMIT)
 same => n,Set(SHARED(HOOKFLASH_PEER,${HOOKFLASH_RESCUE})=${CHANNEL})
 same => n,ChannelRedirect(${HOOKFLASH_RESCUE},CONTEXT,fetched,1)
 same => n,Set(HOOKFLASH_RESCUE=)
 same => n,ExecIf($["${CHANNELREDIRECT_STATUS}" = "SUCCESS"]?Wait(RESCUE_AFTER):Hangup())
 same => n,Goto(park,1)

; The leg to be rescued arrives here.
exten => fetched,1,Set(HOOKFLASH_PEER=${SHARED(HOOKFLASH_PEER)})
 same => n,Set(SHARED(HOOKFLASH_PEER)=)
 same => n,Set(HOOKFLASH_AFTER=)
 same => n,Set(HOOKFLASH_RESCUE=)
 same => n,Goto(join,1)

; The phone shows what the controller allows, and not the number of the new partner.
exten => undisclosed,1,Set(CONNECTEDLINE(name,i)=${HOOKFLASH_SHOWN})
 same => n,Set(CONNECTEDLINE(num,i)=${HOOKFLASH_SHOWN})
 same => n,Return()

; The SIP headers that a request gives along, for a phone that your dialplan calls:
; Dial(PJSIP/${EXTEN},20,b(CONTEXT^headers^1)).
exten => headers,1,Set(LOCAL(LEFT)=${HOOKFLASH_HEADERS})
 same => n,Set(HOOKFLASH_HEADERS=)
 same => n(next),GotoIf($["${LEFT}" = ""]?done)
 same => n,Set(LOCAL(ONE)=${SHIFT(LEFT,|)})
 same => n,Set(PJSIP_HEADER(add,${CUT(ONE,=,1)})=${CUT(ONE,=,2-)})
 same => n,Goto(next)
 same => n(done),Return()
"""


def dialplan(context: str = DEFAULT_CONTEXT, application: str = DEFAULT_APPLICATION) -> str:
    """Render the dialplan for a backend with these names.

    Args:
        context: the context's name.
        application: the name under which the controller registers with ARI.

    Raises:
        InputError: a name is not allowed in a dialplan.
    """
    words = {
        "CONTEXT": checked_setting(context, "the context"),
        "APPLICATION": checked_setting(application, "the application"),
        "PARK_LIMIT": str(PARK_LIMIT_S),
        "RESCUE_AFTER": str(RESCUE_AFTER_S),
        "OWN_LIMIT": _OWN_LIMIT,
        "REMOVED": "\n".join(f" same => n,Set({name}=)" for name in _REMOVED),
    }
    return re.sub("|".join(words), lambda word: words[word[0]], _DIALPLAN)


def checked_setting(name: str, what: str) -> str:
    """Check a name that an operator has chosen, and return it.

    Raises:
        InputError: it contains something that a dialplan could understand as more than a name.
    """
    if not ALLOWED_SETTING.fullmatch(name):
        raise InputError(
            f"{what} {name[:80]!r} is not allowed",
            hint="allowed: letters, digits and _ . -, 1 to 64 of them",
        )
    return name
