"""Asterisk by package name, unpacked into a cache directory: no root, and nothing is installed.

Asterisk 22 is in Debian's `testing` suite. apt gets lists, state and a cache of its own, with one
entry for that suite of the archive that this machine is configured with. The packages are
unpacked beside each other, and the program is run by the loader that comes with them: its C
library is newer than that of most machines.

apt knows which packages are needed: those of Asterisk, and the libraries that the program depends
on, about 27 in all. The loader then checks that the program and our modules find every library. If
not, everything that Asterisk's packages depend on is fetched.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import attrs

from hookflash.errors import HookflashError
from hookflash.pbx.modules import SWITCH
from hookflash.pbx.sources import Archive, find_archive

SUITE: Final = "testing"
PACKAGES: Final = ("asterisk", "asterisk-modules")
DEADLINE_S: Final = 300
"""For each program that is started. On a normal network, all of them together take 5 s."""

_TOOLS: Final = ("apt-get", "apt-cache", "dpkg", "dpkg-deb")

_ONLY: Final = tuple(
    f"--no-{kind}"
    for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
)

_APT_CONF: Final = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "root";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{apt}/sources.list.d";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "{apt}/preferences.d";
Dir::State "{apt}/state";
Dir::State::Lists "{apt}/state/lists";
Dir::State::Status "{apt}/state/status";
Dir::Cache "{apt}/cache";
Dir::Cache::PkgCache "pkgcache.bin";
Dir::Cache::SrcPkgCache "srcpkgcache.bin";
Dir::Log "{apt}/log";
"""


class AsteriskUnavailable(HookflashError):
    """Asterisk is not available on this machine. The message says in one line what is missing."""

    def __init__(self, what: str, hint: str) -> None:
        """Say what is missing.

        Args:
            what: what is missing, in a clause.
            hint: what to do.
        """
        self.what, self.hint = (" ".join(text.split()) for text in (what, hint))
        super().__init__(self.what, self.hint)

    def __str__(self) -> str:
        return f"Asterisk is not available: {self.what} ({self.hint})"


@attrs.frozen(kw_only=True)
class Installation:
    """An unpacked Asterisk."""

    root: Path
    """The directory that the packages were unpacked into."""
    version: str
    """As the program reports it, for example `22.10.1`."""

    @property
    def loader(self) -> Path:
        """The dynamic loader that runs the program."""
        return next(self.root.glob("usr/lib/*/ld-linux-*.so.*"))

    @property
    def modules(self) -> Path:
        """The directory with the modules."""
        return self.loader.parent / "asterisk" / "modules"

    @property
    def data(self) -> Path:
        """The directory with the program's data, such as the documentation that it reads."""
        return self.root / "usr/share/asterisk"

    def command(self, *arguments: str) -> list[str]:
        """Build the command that runs the program."""
        return [*self._loaded(), str(self.root / "usr/sbin/asterisk"), *arguments]

    def _loaded(self) -> list[str]:
        loader = self.loader
        return [str(loader), "--inhibit-cache", "--library-path", str(loader.parent)]

    def missing_libraries(self, modules: Iterable[str] = SWITCH) -> set[str]:
        """Ask the loader which libraries the program and the modules do not find."""
        objects = [self.root / "usr/sbin/asterisk"]
        objects += [self.modules / f"{module}.so" for module in modules]
        return {name for path in objects for name in self._missing_for(path)}

    def _missing_for(self, path: Path) -> set[str]:
        if not path.is_file():
            return {path.name}
        done = _run([*self._loaded(), "--list", str(path)])
        found = re.findall(r"^\s*(\S+) => not found", done.stdout, flags=re.MULTILINE)
        failed = re.findall(r"(\S+): cannot open shared object", done.stderr)
        return {*found, *failed}


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory that unpacked programs are kept in.

    It is `HOOKFLASH_CACHE`, else `hookflash` in `XDG_CACHE_HOME`, else `~/.cache/hookflash`.
    """
    if named := environment.get("HOOKFLASH_CACHE"):
        return Path(named).expanduser().absolute()
    if shared := environment.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "hookflash"
    return Path.home() / ".cache" / "hookflash"


def obtain(cache: Path | None = None, *, etc: Path = Path("/etc")) -> Installation:
    """Unpack Asterisk into the cache, unless it is there.

    Several processes may do this at once: one does the work, the others wait for it. Leftovers of
    an interrupted process are removed.

    Args:
        cache: the cache directory; `default_cache()` if left out. To fetch a newer version,
            remove its subdirectory `asterisk`.
        etc: the directory that holds `apt` and `os-release`.

    Raises:
        AsteriskUnavailable: it is not available on this machine.
    """
    cache = default_cache() if cache is None else cache.absolute()
    root = cache / "asterisk"
    if not root.is_dir():
        with _locked(cache):
            if not root.is_dir():
                _build(cache / "asterisk.partial", root, etc)
    return Installation(root=root, version=(root / "version").read_text(encoding="utf-8"))


@contextmanager
def _locked(cache: Path) -> Generator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "asterisk.lock").open("w", encoding="utf-8")
    except OSError as error:
        raise AsteriskUnavailable(
            f"the cache directory {cache} can't be written: {error.strerror}",
            "name another directory in HOOKFLASH_CACHE",
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(partial: Path, root: Path, etc: Path) -> None:
    try:
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "root").mkdir(parents=True)
        installation = _unpack(partial, etc)
        version = _version(installation)
        (partial / "root" / "version").write_text(version, encoding="utf-8")
        (partial / "root").rename(root)
    except OSError as error:
        raise AsteriskUnavailable(
            f"it can't be unpacked below {partial.parent}: {error.strerror or error}",
            "it needs about 150 MB; name another directory in HOOKFLASH_CACHE",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack(partial: Path, etc: Path) -> Installation:
    _require_tools()
    apt = _Apt.set_up(partial / "apt", _require_archive(etc), _architecture())
    apt.update()
    installation = Installation(root=partial / "root", version="")
    for packages in (apt.few, apt.all):
        apt.unpack(packages(), installation.root)
        missing = installation.missing_libraries()
        if not missing:
            return installation
    raise AsteriskUnavailable(
        f"the packages of Debian's {SUITE} suite lack {', '.join(sorted(missing))}",
        "packages may have been renamed there: try again later, or report it",
    )


def _require_tools() -> None:
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            raise AsteriskUnavailable(
                f"this machine has no {tool}", "run this on Debian, or in a container of it"
            )


def _require_archive(etc: Path) -> Archive:
    archive = find_archive(etc)
    if archive is None:
        raise AsteriskUnavailable(
            f"the sources of apt in {etc / 'apt'} do not name Debian's main archive",
            "run this on Debian, or add an entry of a Debian mirror to the sources",
        )
    return archive


def _architecture() -> str:
    return _run(["dpkg", "--print-architecture"]).stdout.strip()


def _version(installation: Installation) -> str:
    done = _run(installation.command("-V"))
    match = re.match(r"Asterisk (\d+\.\d+\.\d+)", done.stdout)
    if done.returncode or match is None:
        raise AsteriskUnavailable(
            f"the unpacked program does not run: {_last_line(done.stderr) or done.returncode}",
            "the kernel may be too old, or the cache directory may be mounted noexec",
        )
    return match[1]


@attrs.frozen
class _Apt:
    """apt with lists, state and cache of its own."""

    conf: Path
    archives: Path

    @classmethod
    def set_up(cls, apt: Path, archive: Archive, architecture: str) -> _Apt:
        for name in ("sources.list.d", "preferences.d", "state/lists/partial", "debs", "log"):
            (apt / name).mkdir(parents=True)
        (apt / "cache/archives/partial").mkdir(parents=True)
        (apt / "state/status").touch()
        entry = archive.entry(SUITE, architecture)
        (apt / "sources.list.d/debian.sources").write_text(entry, encoding="utf-8")
        conf = apt / "apt.conf"
        conf.write_text(_APT_CONF.format(apt=apt), encoding="utf-8")
        return cls(conf=conf, archives=apt / "debs")

    def update(self) -> None:
        """Fetch the list of packages."""
        done = self._apt("apt-get", "--quiet", "update")
        shown = self._apt("apt-cache", "show", "--no-all-versions", *PACKAGES)
        if shown.returncode and (done.returncode or done.stderr.strip()):
            self._give_up(f"the package list of the {SUITE} suite can't be fetched", done)
        if shown.returncode:
            raise AsteriskUnavailable(
                f"Debian's {SUITE} suite has no {' and '.join(PACKAGES)} for {_architecture()}",
                "use a machine of another architecture; amd64 and arm64 usually have them",
            )

    def few(self) -> list[str]:
        """Asterisk, and all libraries that the program depends on."""
        graph = _dependencies(self._apt("apt-cache", "depends", "--recurse", *_ONLY, *PACKAGES))
        wanted = {*PACKAGES}
        new = {name for name in graph.get(PACKAGES[0], ()) if name.startswith(("lib", "zlib"))}
        while new:
            wanted |= new
            new = {name for known in new for name in graph.get(known, ())} - wanted
        return sorted(wanted)

    def all(self) -> list[str]:
        """Everything that installing Asterisk would install."""
        done = self._apt("apt-get", "--simulate", "--no-install-recommends", "install", *PACKAGES)
        return re.findall(r"^Inst (\S+)", done.stdout, flags=re.MULTILINE)

    def unpack(self, packages: Sequence[str], root: Path) -> None:
        """Download packages, and unpack them beside each other."""
        before = set(self.archives.glob("*.deb"))
        done = self._apt("apt-get", "--quiet", "download", *packages)
        if done.returncode or not packages:
            self._give_up(f"the packages of the {SUITE} suite can't be downloaded", done)
        for deb in sorted(set(self.archives.glob("*.deb")) - before):
            unpacked = _run(["dpkg-deb", "--extract", str(deb), str(root)])
            if unpacked.returncode:
                self._give_up(f"{deb.name} can't be unpacked", unpacked)

    def _apt(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run([tool, f"--config-file={self.conf}", *arguments], cwd=self.archives)

    def _give_up(self, what: str, done: subprocess.CompletedProcess[str]) -> NoReturn:
        said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        raise AsteriskUnavailable(
            f"{what}: {said[0] if said else _last_line(done.stderr) or 'no reason was given'}",
            "the mirror in apt's sources must be reachable: try `apt-get update`",
        )


def _dependencies(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """Parse the output of `apt-cache depends`."""
    graph: dict[str, list[str]] = {}
    depending = ""
    for line in done.stdout.splitlines():
        if re.match(r"[a-z0-9]", line):
            depending = line.strip()
        elif match := re.match(r"[ |]*(?:Pre)?Depends: ([a-z0-9]\S+)", line):
            graph.setdefault(depending, []).append(match[1])
    return graph


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _run(command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=DEADLINE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise AsteriskUnavailable(
            f"{Path(command[0]).name} took longer than {DEADLINE_S} s",
            "the mirror in apt's sources must be reachable: try `apt-get update`",
        ) from error
