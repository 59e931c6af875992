"""`hookflash pbx`: a real Asterisk with active calls, and the service on it, in a minute."""

from __future__ import annotations

import secrets
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import Parameter

from hookflash.backends.asterisk.dialplan import dialplan
from hookflash.backends.asterisk.primitives import (
    DEFAULT_ACCOUNT_VARIABLE,
    DEFAULT_OWNER_VARIABLE,
    TOLD,
)
from hookflash.cli.service import DEMO_CALLS, Demo, log_to_stderr, run_demo
from hookflash.errors import HookflashError, first_of
from hookflash.pbx.config import LOOPBACK
from hookflash.pbx.obtain import Installation, obtain
from hookflash.pbx.pair import PairSetup, open_pair, pair_setup
from hookflash.pbx.phones import open_phones
from hookflash.pbx.switch import Softphone
from hookflash.server.config import AsteriskKeys, Config, JournalKeys, Listen

ACCOUNT: Final = "acme"
"""The account of the demo phones."""

SOFTPHONES: Final = ("1101", "1102")
"""The numbers under which users' own softphones can register."""


def pbx(
    *,
    address: Annotated[
        str, Parameter(help="IP address of SIP and media, for softphones on other machines.")
    ] = LOOPBACK,
    sip_port: Annotated[int | None, Parameter(help="SIP port; default: a free one.")] = None,
) -> int:
    """Run a real Asterisk with active calls, and the service on it.

    Debian's package of Asterisk 22 is unpacked into a cache directory. Nothing is installed, and
    root is not needed.

    Example: hookflash pbx --address 192.0.2.10
    """
    log_to_stderr("text")
    _say("obtaining Asterisk (29 MB, the first time only) …")
    installation = obtain()
    failed: BaseException | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="hookflash-pbx-") as folder:
            setup = _setup(Path(folder), address, sip_port)
            trio.run(_run, installation, setup, Path(folder))
    except* HookflashError as errors:
        failed = first_of(errors)
    if failed is not None:
        raise failed
    return 0


def _setup(folder: Path, address: str, sip_port: int | None) -> PairSetup:
    include = folder / "hookflash.conf"
    include.write_text(dialplan(), encoding="utf-8")
    return pair_setup(
        folder,
        include=include,
        address=address,
        sip_port=sip_port,
        softphones=tuple(
            Softphone(number=number, password=secrets.token_urlsafe(9)) for number in SOFTPHONES
        ),
        channel_variables=(*TOLD, DEFAULT_ACCOUNT_VARIABLE, DEFAULT_OWNER_VARIABLE),
    )


async def _run(installation: Installation, setup: PairSetup, folder: Path) -> None:
    """Run the switch, its phones, the calls and the service."""
    async with (
        open_pair(installation, setup) as pair,
        open_phones(pair.telephones.login, pair.switch.login) as phones,
    ):
        for caller, called in DEMO_CALLS:
            await phones.call(caller, called)
        await run_demo(_demo(setup), folder)


def _demo(setup: PairSetup) -> Demo:
    ports = setup.switch.ports
    keys = AsteriskKeys(ari_port=ports.http, ami_port=ports.ami, password=setup.switch.secret)
    where = f"{setup.switch.address}:{ports.sip}"
    hints = (
        "",
        (
            f"Your own softphone can register at {where} (UDP), and dial 1001, or *2 and a number"
            " during a call:"
        ),
        *(f"  user {phone.number}, password {phone.password}" for phone in setup.softphones),
    )
    config = Config(
        listen=Listen(http="127.0.0.1:8080", websocket="127.0.0.1:8081"),
        journal=JournalKeys(file="demo.sqlite"),
        switches={"asterisk": keys},
    )
    return Demo(config=config, switch="asterisk", account=ACCOUNT, hints=hints)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
