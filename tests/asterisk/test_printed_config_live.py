"""What `hookflash asterisk config` prints is enough for a real Asterisk."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from asterisk_lab import installation, needs_asterisk
from live_asterisk import AsteriskLab, both_known, consult, everybody_talks, settings_for

from hookflash.backends.asterisk.client import open_asterisk
from hookflash.backends.asterisk.manager import open_manager
from hookflash.backends.base import Rejected
from hookflash.cli import main
from hookflash.engine.engine import open_engine
from hookflash.fsm.transfer import Outcome
from hookflash.pbx.config import USER, manager_conf
from hookflash.pbx.pair import open_pair, pair_setup
from hookflash.pbx.phones import open_phones
from hookflash.pbx.switch import PbxAccount

pytestmark = needs_asterisk

PRINTED = "printed"
"""What the printed user is called here: `USER` is the lab's own, which may do everything."""


def printed(capsys: pytest.CaptureFixture[str], command: str) -> str:
    assert main(["asterisk", command]) == 0
    return capsys.readouterr().out


def files_in(text: str) -> dict[str, str]:
    """Cut what is printed at its headlines: `; ---- ari.conf: …`."""
    parts = re.split(r"^; ---- (\w+\.conf)", text, flags=re.MULTILINE)
    return {
        name: part.partition("\n")[2] for name, part in zip(parts[1::2], parts[2::2], strict=True)
    }


@asynccontextmanager
async def open_printed_lab(
    directory: Path, config: str, dialplan: str, edit: tuple[str, str, str] = ("", "", "")
) -> AsyncGenerator[AsteriskLab]:
    """A switch with the printed lines, of which one may be changed in one file."""
    include = directory / "hookflash.conf"
    include.write_text(dialplan, encoding="utf-8")
    accounts = (PbxAccount("acme", range(1001, 1003)),)
    setup = pair_setup(directory, include=include, accounts=accounts)
    switch = setup.switch
    files = files_in(config.replace("CHANGE-ME", switch.secret).replace(USER, PRINTED))
    file, old, new = edit
    if file:
        assert old in files[file]
        files[file] = files[file].replace(old, new)
    user = files["manager.conf"].partition(f"[{PRINTED}]")[2]
    changed = {
        "http.conf": files["http.conf"].replace("8088", str(switch.ports.http)),
        "ari.conf": files["ari.conf"].replace(PRINTED.upper(), USER.upper()),
        "manager.conf": manager_conf(switch.ports.ami, switch.secret) + f"\n[{PRINTED}]{user}",
    }
    setup = attrs.evolve(setup, switch=attrs.evolve(switch, files={**switch.files, **changed}))
    async with open_pair(installation(), setup) as pair:
        settings = attrs.evolve(settings_for(pair), username=PRINTED)
        async with (
            open_phones(pair.telephones.login, pair.switch.login) as phones,
            open_manager(pair.switch.login) as manager,
            open_asterisk(settings) as backend,
        ):
            yield AsteriskLab(backend, phones, manager, settings)
            await phones.silence()


async def test_a_transfer_needs_no_more_than_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, dialplan = printed(capsys, "config"), printed(capsys, "dialplan")
    async with (
        open_printed_lab(tmp_path, config, dialplan) as lab,
        open_engine(lab.backend) as engine,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        transfer = await engine.transfer(legs[0], "2602")
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.RECONNECTED
        transfer, _ = await consult(engine, legs[0])
        await transfer.complete()
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
        await everybody_talks(lab)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (
            ("manager.conf", "write = call", "write = originate"),
            "may not use Redirect, Setvar, Getvar: in manager.conf",
        ),
        (
            ("manager.conf", "write = call", "write = reporting"),
            "may not use Redirect, Setvar: in manager.conf, give it `write = call`",
        ),
        (("ari.conf", "password = ", "password = not-"), "does not accept the user"),
    ],
)
async def test_with_less_it_is_rejected_when_it_connects(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    edit: tuple[str, str, str],
    complaint: str,
) -> None:
    config, dialplan = printed(capsys, "config"), printed(capsys, "dialplan")
    with pytest.raises(Rejected, match=complaint):
        async with open_printed_lab(tmp_path, config, dialplan, edit):
            pass


@pytest.mark.parametrize(
    "added",
    [
        ("ari.conf", "channelvars = ", "[general](+)\nchannelvars = "),
        ("ari.conf", "[general]", "[general]\npretty = no\n\n[general](+)"),
        ("http.conf", "[general]", "[general]\nservername = pbx\n\n[general](+)"),
        ("manager.conf", "write = call", "write = call\n\n[general](+)\nenabled = yes"),
    ],
    ids=["a-setting", "ari", "http", "manager"],
)
async def test_what_is_printed_may_be_added_to_files_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], added: tuple[str, str, str]
) -> None:
    """With a plain second [general] in ari.conf, Asterisk would not serve ARI at all."""
    config, dialplan = printed(capsys, "config"), printed(capsys, "dialplan")
    async with open_printed_lab(tmp_path, config, dialplan, added) as lab:
        assert await lab.backend.snapshot() == ()
