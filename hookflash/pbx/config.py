"""The configuration files of every instance, rendered as text.

Everything listens on one address, loopback by default, on ports that the caller chooses. Each
instance has its own directories.
"""

from __future__ import annotations

import math
import secrets
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs

from hookflash.pbx.obtain import Installation

LOOPBACK: Final = "127.0.0.1"
USER: Final = "hookflash"
"""The user that logs in to AMI and ARI."""

RTP_PORTS: Final = 4000
"""Ports of one instance for media. A leg takes two: 2000 legs, three times 200 transfers."""
_FIRST_RTP_PORT: Final = 10_000
_RTP_BLOCKS: Final = 5
"""Up to port 29,999: systems assign the ports above to other programs."""

SAMPLE_RATE: Final = 8000
MUSIC_S: Final = 4
_DIRECTORIES: Final = (
    "conf",
    "lib",
    "db",
    "keys/keys",
    "spool",
    "run",
    "log",
    "sbin",
    "cache",
    "music",
)

_EMPTY: Final = tuple(
    f"{name}.conf" for name in ("acl", "ccss", "features", "pjproject", "udptl", "websocket_client")
)
"""Files whose absence is logged as an error."""


@attrs.frozen(kw_only=True)
class Ports:
    """The ports of one instance."""

    sip: int
    """UDP."""
    ami: int
    http: int
    """ARI: its HTTP requests and its WebSocket."""
    rtp_first: int
    """The first of `RTP_PORTS` ports for media. Two instances may share them: Asterisk skips ports
    that are in use."""

    @classmethod
    def free(cls, address: str = LOOPBACK) -> Ports:
        """Find ports that are free at this moment."""
        return cls(
            sip=_free_port(socket.SOCK_DGRAM, address),
            ami=_free_port(socket.SOCK_STREAM, LOOPBACK),
            http=_free_port(socket.SOCK_STREAM, LOOPBACK),
            rtp_first=_FIRST_RTP_PORT + RTP_PORTS * secrets.randbelow(_RTP_BLOCKS),
        )


def _free_port(kind: socket.SocketKind, address: str) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


@attrs.frozen(kw_only=True)
class Setup:
    """The setup of one instance: its directory, its ports, its files."""

    name: str
    """For logs and error messages, for example `switch`."""
    directory: Path
    """Its own directory; it may be removed when the instance has ended."""
    ports: Ports
    secret: str = attrs.field(repr=False, factory=lambda: secrets.token_urlsafe(24))
    """The password of `USER`, for AMI and for ARI."""
    address: str = LOOPBACK
    """Where SIP and media listen. AMI and HTTP always listen on loopback."""
    modules: tuple[str, ...]
    files: Mapping[str, str]
    """Its own configuration files, by name: `pjsip.conf`, `extensions.conf`."""
    channel_variables: tuple[str, ...] = ()
    """Variables that AMI and ARI events carry."""

    @property
    def conf(self) -> Path:
        """The directory with the configuration files."""
        return self.directory / "conf"

    @property
    def log(self) -> Path:
        """The log: notices, warnings and errors."""
        return self.directory / "log" / "messages.log"

    def write(self, installation: Installation) -> None:
        """Create the directories and write all files."""
        for name in _DIRECTORIES:
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "music" / "tone.ulaw").write_bytes(tone())
        for name, text in {**self._common(installation), **self.files}.items():
            path = self.conf / name
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")

    def _common(self, installation: Installation) -> dict[str, str]:
        return {
            "asterisk.conf": asterisk_conf(self.directory, installation, self.name),
            "modules.conf": modules_conf(self.modules),
            "logger.conf": LOGGER_CONF,
            "http.conf": http_conf(self.ports.http),
            "ari.conf": ari_conf(self.secret, self.channel_variables),
            "manager.conf": manager_conf(self.ports.ami, self.secret, self.channel_variables),
            "rtp.conf": rtp_conf(self.ports.rtp_first),
            "musiconhold.conf": music_conf(self.directory / "music"),
            "indications.conf": INDICATIONS_CONF,
            "cdr.conf": "[general]\nenable = no\n",
            "cel.conf": "[general]\nenable = no\n",
            **dict.fromkeys(_EMPTY, ""),
        }


TELEPHONES: Final = "telephones"
"""The name of the Asterisk that stands for the telephones."""


def asterisk_conf(directory: Path, installation: Installation, name: str) -> str:
    """Name every directory: Asterisk requires each of them to exist.

    Telephones send media while they wait, as real ones do: without it `ChanSpy` on the switch does
    not notice that one hangs up (measured on 22.10.1).
    """
    media = "transmit_silence = yes\n" if name == TELEPHONES else ""
    return f"""\
[directories]
astetcdir => {directory}/conf
astmoddir => {installation.modules}
astvarlibdir => {directory}/lib
astdbdir => {directory}/db
astkeydir => {directory}/keys
astdatadir => {installation.data}
astagidir => {directory}/lib
astspooldir => {directory}/spool
astrundir => {directory}/run
astlogdir => {directory}/log
astsbindir => {directory}/sbin
astcachedir => {directory}/cache

[options]
systemname = {name}
nocolor = yes
hideconnect = yes
live_dangerously = no
{media}"""


def modules_conf(modules: Iterable[str]) -> str:
    """Load these modules and no others. Asterisk ends if one of them does not load."""
    lines = "".join(f"require => {module}.so\n" for module in modules)
    return f"[modules]\nautoload = no\n{lines}"


LOGGER_CONF: Final = """\
[general]
dateformat = %F %T.%3q

[logfiles]
messages.log => notice,warning,error
"""

INDICATIONS_CONF: Final = """\
[general]
country = us

[us]
description = United States
ringcadence = 2000,4000
dial = 350+440
busy = 480+620/500,0/500
ring = 440+480/2000,0/4000
congestion = 480+620/250,0/250
callwaiting = 440/300,0/10000
dialrecall = !350+440/100,!0/100,!350+440/100,!0/100,!350+440/100,!0/100,350+440
record = 1400/500,0/15000
info = !950/330,!1400/330,!1800/330,0
stutter = !350+440/100,!0/100,!350+440/100,!0/100,!350+440/100,!0/100,350+440
"""


def http_conf(port: int) -> str:
    """Serve ARI, on loopback."""
    return f"""\
[general]
enabled = yes
bindaddr = {LOOPBACK}
bindport = {port}
sessionlimit = 1000
"""


def _variables_line(variables: Iterable[str]) -> str:
    joined = ",".join(variables)
    return f"channelvars = {joined}\n" if joined else ""


def ari_conf(secret: str, variables: Iterable[str] = ()) -> str:
    """Let one user in."""
    return f"""\
[general]
enabled = yes
{_variables_line(variables)}
[{USER}]
type = user
read_only = no
password = {secret}
"""


def manager_conf(port: int, secret: str, variables: Iterable[str] = ()) -> str:
    """Let one user in, from loopback."""
    return f"""\
[general]
enabled = yes
bindaddr = {LOOPBACK}
port = {port}
authlimit = 1000
{_variables_line(variables)}
[{USER}]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = {LOOPBACK}/255.255.255.255
read = all
write = all
writetimeout = 5000
"""


def rtp_conf(first: int) -> str:
    """Use a range of ports for media."""
    return f"[general]\nrtpstart = {first}\nrtpend = {first + RTP_PORTS - 1}\nicesupport = no\n"


def music_conf(directory: Path) -> str:
    """Play the generated tone as music on hold."""
    return f"""\
[general]
cachertclasses = no

[default]
mode = files
directory = {directory}
"""


def tone() -> bytes:
    """Generate a few seconds of a soft, pulsating tone, as µ-law samples."""
    samples = bytearray()
    for n in range(SAMPLE_RATE * MUSIC_S):
        t = n / SAMPLE_RATE
        loudness = 4000 * math.sin(math.pi * t) ** 2
        samples.append(_ulaw(round(loudness * math.sin(2 * math.pi * 440 * t))))
    return bytes(samples)


def _ulaw(sample: int) -> int:
    """Encode one 16-bit sample (ITU-T G.711)."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32_635) + 132
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF
