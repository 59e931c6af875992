"""The switch instance: accounts, softphones, a trunk, and the dialplan's numbers.

| number | who |
| --- | --- |
| 1001–1499 | phones of the account `acme`, in the context `default` |
| 1501–1999 | phones of the account `beta`, in the context `default` |
| 26xx | phones without an account, that answer late, never, … (see `telephones`) |
| 6N | N through the dialplan, as a ring group does: `Dial(Local/N@default/n)` |
| 7N | N, with `HOOKFLASH_ACCOUNT=acme` on the caller's leg alone |
| 8N | N, with `HOOKFLASH_ACCOUNT=acme` on both legs |
| 9N | N through the trunk, as an outside number |
| away | nobody; tests send legs there, as another program would |

A phone's account is its `accountcode` and the variable `HOOKFLASH_ACCOUNT`. They may differ:
`Dial()` gives the called leg the caller's `accountcode`, not that of its endpoint.

A caller whose number belongs to no phone comes from the trunk, into the context `public`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

from hookflash.pbx.config import LOOPBACK, Ports, Setup
from hookflash.pbx.modules import SWITCH

TARGETS: Final = range(2600, 2610)


@attrs.frozen
class PbxAccount:
    """An account, and its phones."""

    name: str
    numbers: range


ACCOUNTS: Final = (PbxAccount("acme", range(1001, 1500)), PbxAccount("beta", range(1501, 2000)))


@attrs.frozen(kw_only=True)
class Softphone:
    """A phone that registers with a password. It replaces the account's phone of this number."""

    number: str
    password: str = attrs.field(repr=False)
    name: str = ""


def switch_setup(
    directory: Path,
    *,
    telephones_port: int,
    ports: Ports | None = None,
    address: str = LOOPBACK,
    accounts: tuple[PbxAccount, ...] = ACCOUNTS,
    softphones: tuple[Softphone, ...] = (),
    include: Path | None = None,
    channel_variables: tuple[str, ...] = (),
) -> Setup:
    """Describe the switch.

    Args:
        directory: its own directory.
        telephones_port: where the telephones listen for SIP.
        ports: its own ports; free ones if left out.
        address: where SIP and media listen. Telephones that do not register are reached on
            loopback, or on this address if it is a certain one.
        accounts: the accounts, and the numbers of their phones.
        softphones: the phones that register.
        include: a file with more of the dialplan.
        channel_variables: variables that AMI and ARI events carry.
    """
    ports = Ports.free(address) if ports is None else ports
    host = LOOPBACK if address == "0.0.0.0" else address  # noqa: S104 - compared, not bound
    return Setup(
        name="switch",
        directory=directory,
        ports=ports,
        address=address,
        modules=SWITCH,
        files={
            "pjsip.conf": pjsip_conf(
                address=address,
                port=ports.sip,
                telephones=f"{host}:{telephones_port}",
                accounts=accounts,
                softphones=softphones,
            ),
            "extensions.conf": extensions_conf(include),
        },
        channel_variables=channel_variables,
    )


def transport_conf(address: str, port: int) -> str:
    """Render the head of a `pjsip.conf`: UDP on one address, and the template of all endpoints."""
    bound = address != "0.0.0.0"  # noqa: S104 - compared, not bound
    media = f"media_address = {address}\nbind_rtp_to_media_address = yes\n" if bound else ""
    return f"""\
[global]
type = global
endpoint_identifier_order = username,ip
user_agent = hookflash

[system]
type = system
disable_tcp_switch = yes

[udp]
type = transport
protocol = udp
bind = {address}:{port}

[any](!)
type = endpoint
disallow = all
allow = ulaw
direct_media = no
dtmf_mode = rfc4733
trust_id_inbound = yes
trust_id_outbound = yes
send_pai = yes
{media}"""


def pjsip_conf(
    *,
    address: str,
    port: int,
    telephones: str,
    accounts: Iterable[PbxAccount],
    softphones: Iterable[Softphone],
) -> str:
    """Render the switch's endpoints."""
    registered = {phone.number: phone for phone in softphones}
    parts = [transport_conf(address, port), _PHONE, _trunk(telephones)]
    for account in accounts:
        parts.append(f"[{account.name}](!,phone)\n{_account(account.name)}")
        for number in map(str, account.numbers):
            softphone = registered.pop(number, None)
            if softphone is None:
                parts.append(_phone(number, account.name, telephones))
            else:
                parts.append(_softphone(softphone, account.name))
    parts += [_softphone(phone, "phone") for phone in registered.values()]
    parts += [_phone(str(number), "phone", telephones) for number in TARGETS]
    return "\n".join(parts)


def _account(name: str) -> str:
    return f"accountcode = {name}\nset_var = HOOKFLASH_ACCOUNT={name}\n"


_PHONE: Final = """\
[phone](!,any)
context = default
identify_by = username
"""


def _phone(number: str, template: str, telephones: str) -> str:
    return f"""\
[{number}]({template})
aors = {number}
[{number}]
type = aor
contact = sip:{number}@{telephones}
"""


def _softphone(phone: Softphone, template: str) -> str:
    return f"""\
[{phone.number}]({template})
aors = {phone.number}
auth = {phone.number}
callerid = "{phone.name or phone.number}" <{phone.number}>
rtp_symmetric = yes
force_rport = yes
rewrite_contact = yes
[{phone.number}]
type = auth
auth_type = digest
username = {phone.number}
password = {phone.password}
[{phone.number}]
type = aor
max_contacts = 2
remove_existing = yes
"""


def _trunk(telephones: str) -> str:
    return f"""\
[trunk](any)
context = public
identify_by = ip
aors = trunk
[trunk]
type = aor
contact = sip:{telephones}
[trunk]
type = identify
endpoint = trunk
match = {telephones.partition(":")[0]}
"""


def extensions_conf(include: Path | None = None) -> str:
    """Render the switch's dialplan."""
    return _EXTENSIONS + (f'\n#include "{include}"\n' if include else "")


_EXTENSIONS: Final = """\
[general]
static = yes
writeprotect = yes
clearglobalvars = no

[default]
exten => _1XXX,1,Dial(PJSIP/${EXTEN})
 same => n,Hangup(${HANGUPCAUSE})

exten => _26XX,1,Dial(PJSIP/${EXTEN},,b(hookflash^headers^1))
 same => n,Hangup(${HANGUPCAUSE})

exten => _6XXXX,1,Dial(Local/${EXTEN:1}@default/n)
 same => n,Hangup(${HANGUPCAUSE})

exten => _7XXXX,1,Set(CHANNEL(accountcode)=acme)
 same => n,Set(HOOKFLASH_ACCOUNT=acme)
 same => n,Dial(PJSIP/${EXTEN:1})
 same => n,Hangup(${HANGUPCAUSE})

exten => _8XXXX,1,Set(CHANNEL(accountcode)=acme)
 same => n,Set(_HOOKFLASH_ACCOUNT=acme)
 same => n,Dial(PJSIP/${EXTEN:1})
 same => n,Hangup(${HANGUPCAUSE})

exten => away,1,Wait(86400)

exten => _9X.,1,Dial(PJSIP/${EXTEN:1}@trunk)
 same => n,Hangup(${HANGUPCAUSE})

[public]
exten => _1XXX,1,Goto(default,${EXTEN},1)
exten => _26XX,1,Goto(default,${EXTEN},1)
"""
