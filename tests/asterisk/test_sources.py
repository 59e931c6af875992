"""Which archive the machine's apt is configured with."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookflash.pbx.sources import Archive, find_archive

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://mirror.example.org/debian"


def etc_with(tmp_path: Path, **files: str) -> Path:
    parts = tmp_path / "apt" / "sources.list.d"
    parts.mkdir(parents=True)
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    for name, text in files.items():
        path = tmp_path / "apt" / "sources.list"
        if name != "main":
            path = parts / name.replace("_", ".")
        path.write_text(text)
    return tmp_path


DEB822 = f"""\
# comment
Types: deb deb-src
URIs: {MIRROR}
# another
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEYRING}

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.mark.parametrize(
    ("files", "archive"),
    [
        ({"debian_sources": DEB822}, Archive(uri=MIRROR, options={"Signed-By": KEYRING})),
        ({"main": f"deb {MIRROR} stable main\n"}, Archive(uri=MIRROR)),
        ({"main": f"# deb {MIRROR} stable main\n"}, None),
        ({"main": f"deb-src {MIRROR} stable main\ndeb {MIRROR}\n"}, None),
        ({"main": f"deb {MIRROR} bookworm contrib\n"}, None),
        ({"debian_sources": f"Enabled: no\n{DEB822.partition(chr(10) * 2)[0]}"}, None),
        ({"debian_disabled": DEB822}, None),
        (
            {"a_list": f"deb [arch=amd64 signed-by={KEYRING},/b trusted=yes] {MIRROR} sid main"},
            Archive(uri=MIRROR, options={"Signed-By": f"{KEYRING} /b", "Trusted": "yes"}),
        ),
        (
            # others use the release's name, too: the one that is named debian is meant
            {
                "a_list": "deb [signed-by=/k] https://apt.example.org bookworm main",
                "b_list": f"deb {MIRROR}/ bookworm main",
            },
            Archive(uri=f"{MIRROR}/"),
        ),
        ({}, None),
    ],
)
def test_the_entry_of_the_main_archive_is_found(
    tmp_path: Path, files: dict[str, str], archive: Archive | None
) -> None:
    assert find_archive(etc_with(tmp_path, **files)) == archive


def test_a_machine_without_apt_has_none(tmp_path: Path) -> None:
    assert find_archive(tmp_path) is None


def test_a_key_among_the_fields_is_kept(tmp_path: Path) -> None:
    key = (
        "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----"
    )
    text = f"Types: deb\nURIs: {MIRROR}\nSuites: testing\nComponents: main\nSigned-By:{key}\n"
    archive = find_archive(etc_with(tmp_path, x_sources=text))
    assert archive is not None
    assert archive.options == {"Signed-By": key}
    assert archive.entry("testing", "arm64").endswith(f"\nArchitectures: arm64\nSigned-By: {key}\n")
