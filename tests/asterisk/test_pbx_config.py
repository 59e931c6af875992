"""The configuration files, as text."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from hookflash.pbx.config import MUSIC_S, RTP_PORTS, SAMPLE_RATE, Ports, tone
from hookflash.pbx.obtain import Installation
from hookflash.pbx.pair import PairSetup, pair_setup
from hookflash.pbx.switch import PbxAccount, Softphone

PASSWORD = secrets.token_urlsafe()
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only written to a file
FEW = (PbxAccount("acme", range(1101, 1103)), PbxAccount("beta", range(1501, 1502)))


def installation(tmp_path: Path) -> Installation:
    loader = tmp_path / "root/usr/lib/some/ld-linux-some.so.2"
    loader.parent.mkdir(parents=True)
    loader.touch()
    return Installation(root=tmp_path / "root", version="22.1.0")


def sections(text: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append((line, {}))
        elif line:
            key, _, value = line.replace("=>", "=").partition("=")
            found[-1][1][key.strip()] = value.strip()
    return found


def endpoint(setup: PairSetup, name: str) -> list[tuple[str, dict[str, str]]]:
    parts = sections(setup.switch.files["pjsip.conf"])
    return [part for part in parts if part[0].startswith(f"[{name}]")]


def test_every_directory_is_made_and_named_and_secrets_are_not_for_others(tmp_path: Path) -> None:
    setup = pair_setup(tmp_path / "pair", accounts=FEW).switch
    setup.write(installation(tmp_path))
    ((_, directories), (_, options)) = sections((setup.conf / "asterisk.conf").read_text())
    assert directories.pop("astmoddir").startswith(str(tmp_path / "root"))
    assert directories.pop("astdatadir").startswith(str(tmp_path / "root"))
    for directory in directories.values():
        assert Path(directory).is_dir()
        assert Path(directory).is_relative_to(setup.directory)
    assert options["live_dangerously"] == "no"
    for name in ("manager.conf", "ari.conf", "pjsip.conf"):
        assert (setup.conf / name).stat().st_mode & 0o077 == 0
    assert setup.secret in (setup.conf / "manager.conf").read_text()
    assert setup.secret not in repr(setup)
    assert "autoload = no" in (setup.conf / "modules.conf").read_text()


def test_everything_listens_on_loopback_on_ports_of_its_own(tmp_path: Path) -> None:
    setup = pair_setup(tmp_path, accounts=FEW)
    for side, other in ((setup.switch, setup.telephones), (setup.telephones, setup.switch)):
        pjsip = side.files["pjsip.conf"]
        assert f"bind = 127.0.0.1:{side.ports.sip}\n" in pjsip
        assert f"127.0.0.1:{other.ports.sip}\n" in pjsip
        assert "media_address = 127.0.0.1" in pjsip
    ports = [setup.switch.ports, setup.telephones.ports]
    assert len({port for each in ports for port in (each.sip, each.ami, each.http)}) == 6
    for each in ports:
        assert 10_000 <= each.rtp_first <= 30_000 - RTP_PORTS


def test_softphones_take_the_place_of_a_phone_on_another_address(tmp_path: Path) -> None:
    softphones = (
        Softphone(number="1101", password=PASSWORD, name="Dora"),
        Softphone(number="3001", password=PASSWORD),
    )
    setup = pair_setup(
        tmp_path, address=EVERYWHERE, sip_port=5060, accounts=FEW, softphones=softphones
    )
    pjsip = setup.switch.files["pjsip.conf"]
    assert "bind = 0.0.0.0:5060\n" in pjsip
    assert "media_address" not in pjsip
    assert f"contact = sip:1102@127.0.0.1:{setup.telephones.ports.sip}\n" in pjsip
    (first, auth, aor) = endpoint(setup, "1101")
    assert first[0] == "[1101](acme)"
    assert first[1]["callerid"] == '"Dora" <1101>'
    assert auth[1] == {
        "type": "auth",
        "auth_type": "digest",
        "username": "1101",
        "password": PASSWORD,
    }
    assert "contact" not in aor[1]
    assert endpoint(setup, "3001")[0][0] == "[3001](phone)"
    assert PASSWORD not in repr(softphones[0])


def test_the_dialplan_of_others_is_included(tmp_path: Path) -> None:
    path = tmp_path / "hookflash.conf"
    setup = pair_setup(tmp_path, include=path, channel_variables=("A", "B"))
    assert setup.switch.files["extensions.conf"].endswith(f'\n#include "{path}"\n')
    assert "#include" not in pair_setup(tmp_path).switch.files["extensions.conf"]
    setup.switch.write(installation(tmp_path))
    for name in ("ari.conf", "manager.conf"):
        assert "\nchannelvars = A,B\n" in (setup.switch.conf / name).read_text()


def test_ports_are_free_and_the_music_is_a_soft_tone() -> None:
    ports = Ports.free()
    assert len({ports.sip, ports.ami, ports.http}) == 3
    samples = tone()
    assert len(samples) == SAMPLE_RATE * MUSIC_S
    assert samples[0] == 0xFF  # µ-law's silence
    assert len(set(samples)) > 100
    assert samples.count(0xFF) < len(samples) / 4


@pytest.mark.parametrize("account", ["acme", "beta"])
def test_the_phones_of_an_account_carry_it(tmp_path: Path, account: str) -> None:
    setup = pair_setup(tmp_path)
    ((_, template),) = endpoint(setup, account)
    assert template == {"accountcode": account, "set_var": f"HOOKFLASH_ACCOUNT={account}"}
    number = {"acme": "1499", "beta": "1501"}[account]
    assert endpoint(setup, number)[0][0] == f"[{number}]({account})"
