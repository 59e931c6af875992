r"""The names of legs: which of them can stand in an order.

A leg's name is the channel's UUID. With `inbound-use-callid-as-uuid` in a SIP profile it is the
caller's Call-ID, and so chosen by a stranger: a word, or two with an `@` between them (RFC 3261,
section 25.1). FreeSWITCH cuts it after 256 characters.

Measured on 1.10.12, in every kind of order: arguments of `uuid_…`, values in `uuid_setvar_multi`
and in an `originate`'s braces, `&intercept(…)`, and our failsafe's `sched_transfer`.

* `- . ! % * _ + ~ : / [ ] ? @ =` pass unchanged;
* a quote `'`, `)`, `{`, `}`, `;`, `,`, `${`, a space and `:_:` end the name, or make the order
  another one;
* `"`, `\`, `<`, `>`, `(`, `` ` ``, `|`, `&`, `#`, `^` pass, too. But each of them has a meaning
  somewhere in FreeSWITCH's syntax, and no telephone is known that uses them.

A leg whose name does not pass does not exist for us: it is not reported, so that nobody can order
anything for it. Its partner seems to talk with nobody, and can't be transferred.
"""

from __future__ import annotations

import re
from typing import Final

from hookflash.events import LegId

ALLOWED_LEG: Final = re.compile(r"(?!-)(?:[0-9A-Za-z_.@!%*+~/?=\[\]-]|:(?!_:)){1,256}")
"""The allowed characters of a channel's id."""

ALLOWED_LEG_WORDS: Final = (
    "letters, digits and - . ! % * _ + ~ : / [ ] ? @ =, not beginning with -, at most 256"
)
"""The allow-list in words, for error messages."""


def is_usable(leg: LegId) -> bool:
    """Whether a leg of this name can stand in an order."""
    return ALLOWED_LEG.fullmatch(leg) is not None
