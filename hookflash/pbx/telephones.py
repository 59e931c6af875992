"""The telephones instance: phones whose number decides how they behave; they call via the switch.

| number | behaviour when called |
| --- | --- |
| 2600 | answers after 1.5 s of ringing |
| 2601 | rings, and never answers |
| 2602 | is busy (486) |
| 2603 | refuses (603) |
| 2604 | sends early media (183), and answers after 2 s |
| 2605 | answers, and hangs up after 2.5 s |
| any other | answers at once |
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hookflash.pbx.config import LOOPBACK, Ports, Setup
from hookflash.pbx.modules import BASE
from hookflash.pbx.switch import transport_conf


def telephones_setup(
    directory: Path,
    *,
    switch_port: int,
    ports: Ports | None = None,
    address: str = LOOPBACK,
) -> Setup:
    """Describe the telephones.

    Args:
        directory: their own directory.
        switch_port: where the switch listens for SIP.
        ports: their own ports; free ones if left out.
        address: where SIP and media listen, also those of the switch.
    """
    ports = Ports.free(address) if ports is None else ports
    return Setup(
        name="telephones",
        directory=directory,
        ports=ports,
        address=address,
        modules=BASE,
        files={
            "pjsip.conf": pjsip_conf(address, ports.sip, switch_port),
            "extensions.conf": EXTENSIONS,
        },
    )


def pjsip_conf(address: str, port: int, switch_port: int) -> str:
    """Render the phones' only endpoint: the switch."""
    return f"""\
{transport_conf(address, port)}
[switch](any)
context = phones
identify_by = ip
aors = switch
[switch]
type = aor
contact = sip:{address}:{switch_port}
[switch]
type = identify
endpoint = switch
match = {address}
"""


EXTENSIONS: Final = """\
[general]
static = yes
writeprotect = yes

[phones]
exten => _X.,1,Answer()
 same => n,Wait(86400)

exten => _+X.,1,Answer()
 same => n,Wait(86400)

exten => 2600,1,Ringing()
 same => n,Wait(1.5)
 same => n,Answer()
 same => n,Wait(86400)

exten => 2601,1,Ringing()
 same => n,Wait(86400)

exten => 2602,1,PJSIPHangup(486)

exten => 2603,1,PJSIPHangup(603)

exten => 2604,1,Progress()
 same => n,PlayTones(440)
 same => n,Wait(2)
 same => n,StopPlayTones()
 same => n,Answer()
 same => n,Wait(86400)

exten => 2605,1,Answer()
 same => n,Wait(2.5)
 same => n,Hangup(16)
"""
