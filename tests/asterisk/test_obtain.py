"""Obtaining Asterisk, with an apt that only pretends: no network, and nothing is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from hookflash.pbx import obtain as module
from hookflash.pbx.modules import NEVER, SWITCH
from hookflash.pbx.obtain import AsteriskUnavailable, default_cache, obtain

APT_GET = """\
echo "apt-get $*" >> "$FAKE/calls"
case "$3" in
    update) cat "$FAKE/update" >&2 ;;
esac
case "$*" in
    *--simulate*) echo "Inst asterisk (1)"; echo "Inst libextra (1)" ;;
    *download*)
        [ -e "$FAKE/offline" ] && { echo "E: Failed to fetch it" >&2; exit 100; }
        for name; do touch "$name.deb"; done; rm -f -- *--* download.deb ;;
esac
exit 0
"""
APT_CACHE = """\
case "$*" in
    *show*) [ -e "$FAKE/unknown" ] && exit 100 ;;
    *depends*) cat "$FAKE/depends" ;;
esac
exit 0
"""
DPKG_DEB = """\
[ -e "$FAKE/broken" ] && { echo "dpkg-deb: error: no end of file" >&2; exit 2; }
cp -r "$FAKE/tree/." "$3"
case "$2" in *libextra*) rm -f "$FAKE/missing" ;; esac
exit 0
"""
LOADER = """\
case "$*" in
    *--list*) [ -e "$FAKE/missing" ] && echo "	libodd.so.1 => not found" ;;
    *-V*) cat "$FAKE/version" ;;
esac
exit 0
"""
Fault = Callable[["FakeApt"], None]
DEPENDS = """\
asterisk
  Depends: adduser
 |Depends: asterisk-config
  Depends: <asterisk-config-custom>
  PreDepends: libc6
  Depends: libedit2
libedit2
  Depends: libc6
  Depends: libtinfo6
adduser
  Depends: passwd
"""


@attrs.frozen
class FakeApt:
    """What its scripts look at lies in `home`: a file there is a fault."""

    home: Path

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    def fault(self, name: str, text: str = "") -> None:
        (self.home / name).write_text(text)

    def obtain(self) -> module.Installation:
        return obtain(self.cache, etc=self.home / "etc")

    def calls(self) -> list[str]:
        text = (self.home / "calls").read_text() if (self.home / "calls").exists() else ""
        return text.splitlines()


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApt:
    tree = tmp_path / "tree/usr"
    script(tree / "lib/some-linux-gnu/ld-linux-some.so.2", LOADER)
    script(tree / "sbin/asterisk", "")
    modules = tree / "lib/some-linux-gnu/asterisk/modules"
    modules.mkdir(parents=True)
    for name in SWITCH:
        (modules / f"{name}.so").touch()
    for name, text in (
        ("apt-get", APT_GET),
        ("apt-cache", APT_CACHE),
        ("dpkg-deb", DPKG_DEB),
        ("dpkg", "echo amd64"),
    ):
        script(tmp_path / "bin" / name, text)
    (tmp_path / "etc/apt").mkdir(parents=True)
    (tmp_path / "etc/apt/sources.list").write_text(
        "deb http://mirror.example.org/debian stable main\n"
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE", str(tmp_path))
    fake = FakeApt(tmp_path)
    fake.fault("version", "Asterisk 22.1.0+dfsg\n")
    fake.fault("depends", DEPENDS)
    fake.fault("update")
    return fake


@pytest.mark.slow
def test_asterisk_and_the_libraries_of_the_program_are_unpacked_once(apt: FakeApt) -> None:
    installation = apt.obtain()
    assert installation.version == "22.1.0"
    assert installation.root == apt.cache / "asterisk"
    assert installation.modules.is_dir()
    command = installation.command("-V")
    assert command[0].endswith("ld-linux-some.so.2")
    assert command[-2:] == [str(installation.root / "usr/sbin/asterisk"), "-V"]
    (update, download) = apt.calls()
    assert update.endswith("update")
    wanted = "asterisk asterisk-modules libc6 libedit2 libtinfo6"
    assert download.endswith(f"download {wanted}")
    assert apt.obtain() == installation
    assert len(apt.calls()) == 2
    assert sorted(path.name for path in apt.cache.iterdir()) == ["asterisk", "asterisk.lock"]


@pytest.mark.slow
def test_where_libraries_are_missing_everything_is_fetched(apt: FakeApt) -> None:
    apt.fault("missing")
    assert apt.obtain().version == "22.1.0"
    assert apt.calls()[-1].endswith("download asterisk libextra")


def no_source(apt: FakeApt) -> None:
    (apt.home / "etc/apt/sources.list").write_text("")


def no_apt(apt: FakeApt) -> None:
    (apt.home / "bin/apt-get").rename(apt.home / "bin/apt-got")


def no_network(apt: FakeApt) -> None:
    apt.fault("unknown")
    apt.fault("update", "N: so\nW: Failed to fetch it: could not resolve\nW: more\n")


def no_directory(apt: FakeApt) -> None:
    apt.cache.write_text("")


def no_library(apt: FakeApt) -> None:
    apt.fault("missing")
    (apt.home / "bin/dpkg-deb").write_text('#!/bin/sh\ncp -r "$FAKE/tree/." "$3"\n')


def no_module(apt: FakeApt) -> None:
    (apt.home / "tree/usr/lib/some-linux-gnu/asterisk/modules/res_ari.so").unlink()


def no_program(apt: FakeApt) -> None:
    apt.fault("version", "Segmentation fault")


def no_space(apt: FakeApt) -> None:
    apt.cache.mkdir()
    (apt.cache / "asterisk.partial").write_text("")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (no_apt, "this machine has no apt-get"),
        (no_source, "do not name Debian's main archive"),
        (no_network, "can't be fetched: W: Failed to fetch it: could not resolve"),
        ("unknown", "has no asterisk and asterisk-modules for amd64"),
        ("offline", "can't be downloaded: E: Failed to fetch it"),
        ("broken", "can't be unpacked: dpkg-deb: error: no end of file"),
        (no_program, "the unpacked program does not"),
        (no_library, "lack libodd.so.1"),
        (no_module, "lack res_ari.so"),
        (no_directory, "can't be written"),
        (no_space, "it can't be unpacked below"),
    ],
)
def test_each_error_says_in_one_line_what_is_missing_and_what_to_do(
    apt: FakeApt, monkeypatch: pytest.MonkeyPatch, fault: Fault | str, what: str
) -> None:
    if isinstance(fault, str):
        apt.fault(fault)
    else:
        fault(apt)
    if fault is no_apt:
        monkeypatch.setenv("PATH", str(apt.home / "bin"))
    with pytest.raises(AsteriskUnavailable) as caught:
        apt.obtain()
    message = str(caught.value)
    assert what in message
    assert "\n" not in message
    assert message.startswith("Asterisk is not available: ")
    assert message.endswith(f"({caught.value.hint})")
    if fault not in {no_directory, no_space}:
        assert [path.name for path in apt.cache.iterdir()] == ["asterisk.lock"]


def test_a_program_that_hangs_is_an_error_too(
    apt: FakeApt, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(apt.home / "bin/apt-get", "exec sleep 5")
    monkeypatch.setattr(module, "DEADLINE_S", 0.05)
    with pytest.raises(AsteriskUnavailable, match=r"apt-get took longer than 0\.05 s"):
        apt.obtain()


def test_what_an_interrupted_one_left_is_removed(apt: FakeApt) -> None:
    left = apt.cache / "asterisk.partial/root/usr"
    left.mkdir(parents=True)
    (left / "old").touch()
    assert not (apt.obtain().root / "usr/old").exists()


@pytest.mark.slow
def test_two_processes_at_once_fetch_it_once(apt: FakeApt) -> None:
    program = (
        "import sys; from pathlib import Path; from hookflash.pbx.obtain import obtain;"
        "print(obtain(Path(sys.argv[1]), etc=Path(sys.argv[2])).version)"
    )
    command = [sys.executable, "-c", program, str(apt.cache), str(apt.home / "etc")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    assert [one.communicate()[0] for one in both] == [b"22.1.0\n", b"22.1.0\n"]
    assert len(apt.calls()) == 2


def test_the_cache_is_where_the_environment_says(tmp_path: Path) -> None:
    assert default_cache({"HOOKFLASH_CACHE": str(tmp_path), "XDG_CACHE_HOME": "/x"}) == tmp_path
    assert default_cache({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "hookflash"
    assert default_cache({}) == Path.home() / ".cache" / "hookflash"


def test_the_modules_that_break_things_are_not_loaded() -> None:
    assert not NEVER & set(SWITCH)
    assert len(set(SWITCH)) == len(SWITCH)
