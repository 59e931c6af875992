"""What a real Asterisk takes and refuses in features.conf is what the converter does."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
import trio
from asterisk_lab import installation, needs_asterisk

from hookflash.backends.asterisk.manager import Manager, open_manager
from hookflash.dialling.features_conf import (
    KNOWN,
    convert_features,
    features_faults,
    parse_features,
)
from hookflash.pbx.config import Setup
from hookflash.pbx.instance import open_instance
from hookflash.pbx.pair import pair_setup
from hookflash.pbx.switch import PbxAccount
from hookflash.server.read_config import parse_config

pytestmark = needs_asterisk

ENTRY = "[applicationmap]\nx = *5,self,NoOp\n"
TAKEN = [
    *(
        f"[{section}]\n{key} = {'yes' if key == 'atxferdropcall' else '5'}"
        for section, keys in KNOWN.items()
        for key in keys
        if key != "automon"  # Asterisk 21 removed it; others still have it
    ),
    "[General]\nXferSound = x",
    "[general]\natxferdropcall = t\natxferabort =",
    ENTRY,
    f"{ENTRY}[group]\nx = *6\n[group](+)\nx =",
    "[applicationmap]\nx = *5,peer/nobody,NoOp(a,b),default",
    "[base](!)\natxfer = *5\n[featuremap](base)",
    "[general]\n;-- atxfer ;-- = --; 3\n--; xfersound = x\\;y",
]
REFUSED = [
    "[general]\ntransferdigittimeout = 1.5",
    "[general]\natxferloopdelay = soon",
    "[general]\nfoo = 1",
    "[featuremap]\natxferabort = *1",
    "[general]\nfoo",
    "[general",
    "[general](+)",
    "[general](base)",
    "atxfer = *2",
    "#foo",
    "[applicationmap]\nx = *5,self",
    "[applicationmap]\nx = *5,both,NoOp",
    "[group]\nx = *5",
]


async def complaints(manager: Manager, setup: Setup, text: str, serial: int) -> str:
    """Let the Asterisk read a features.conf, and return what it logs."""
    file = setup.conf / "features.conf"
    file.write_text(f"{text}\n", encoding="utf-8")
    os.utime(file, (serial, serial))  # a file of the same age is not read again
    before = setup.log.stat().st_size
    await manager.action("Command", Command="module reload features")
    await trio.sleep(0.05)  # the log has a thread of its own
    return setup.log.read_bytes()[before:].decode()


async def test_the_real_one_takes_what_we_take_and_refuses_what_we_refuse(tmp_path: Path) -> None:
    setup = pair_setup(tmp_path, accounts=(PbxAccount("acme", range(1001, 1003)),)).switch
    async with (
        open_instance(installation(), setup) as instance,
        open_manager(instance.login) as manager,
    ):
        for serial, text in enumerate([*TAKEN, *REFUSED]):
            said = await complaints(manager, setup, text, serial)
            assert bool(features_faults(text)) == bool(said) == (text in REFUSED), (text, said)


def test_the_sample_that_comes_with_asterisk_is_converted() -> None:
    sample = installation().data / "conf" / "samples" / "features.conf.sample"
    if not sample.is_file():
        pytest.skip("this package of Asterisk has no sample of features.conf")
    text = sample.read_text(encoding="utf-8")
    switched_on = re.sub(r"^;(?=\w+ *=)", "", text, flags=re.MULTILINE)  # nearly all is a comment
    for given in (text, switched_on):
        assert not features_faults(given)
        parse_config(tomllib.loads(convert_features(parse_features(given))))
    assert "'2(\\d*)' = {module = \"transfer\"}" in convert_features(parse_features(switched_on))
