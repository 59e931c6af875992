"""The switch and the telephones, running side by side."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from hookflash.pbx.config import LOOPBACK, Ports, Setup
from hookflash.pbx.instance import Instance, open_instance
from hookflash.pbx.obtain import Installation
from hookflash.pbx.switch import ACCOUNTS, PbxAccount, Softphone, switch_setup
from hookflash.pbx.telephones import telephones_setup


@attrs.frozen(kw_only=True)
class PairSetup:
    """Both setups: each knows the other's SIP port."""

    switch: Setup
    telephones: Setup
    softphones: tuple[Softphone, ...] = ()


@attrs.frozen
class Pair:
    """Both, running."""

    switch: Instance
    telephones: Instance

    @classmethod
    def start(cls, installation: Installation, setup: PairSetup) -> Pair:
        """Start both. They are not ready yet."""
        telephones = Instance.start(installation, setup.telephones)
        try:
            return cls(Instance.start(installation, setup.switch), telephones)
        except BaseException:
            telephones.stop()
            raise

    async def ready(self) -> None:
        """Wait until both take calls.

        Raises:
            InstanceDied: one ended instead (perhaps in a group).
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.switch.ready)
            nursery.start_soon(self.telephones.ready)

    def stop(self) -> None:
        """End both. May be called again."""
        self.switch.stop()
        self.telephones.stop()


def pair_setup(
    directory: Path,
    *,
    include: Path | None = None,
    address: str = LOOPBACK,
    sip_port: int | None = None,
    accounts: tuple[PbxAccount, ...] = ACCOUNTS,
    softphones: tuple[Softphone, ...] = (),
    channel_variables: tuple[str, ...] = (),
) -> PairSetup:
    """Describe a switch and its telephones, on free ports.

    Args:
        directory: theirs; each has a subdirectory.
        include: a file with more of the switch's dialplan.
        address: where SIP and media of the switch listen. The telephones stay on loopback
            if it is loopback or every address.
        sip_port: where the switch listens for SIP; a free port if left out.
        accounts: the accounts, and the numbers of their phones.
        softphones: the phones that register with the switch.
        channel_variables: variables that the switch's AMI and ARI events carry.
    """
    host = LOOPBACK if address == "0.0.0.0" else address  # noqa: S104 - compared, not bound
    ports = Ports.free(address)
    if sip_port is not None:
        ports = attrs.evolve(ports, sip=sip_port)
    telephones = telephones_setup(directory / "telephones", switch_port=ports.sip, address=host)
    switch = switch_setup(
        directory / "switch",
        telephones_port=telephones.ports.sip,
        ports=ports,
        address=address,
        accounts=accounts,
        softphones=softphones,
        include=include,
        channel_variables=channel_variables,
    )
    return PairSetup(switch=switch, telephones=telephones, softphones=softphones)


@asynccontextmanager
async def open_pair(installation: Installation, setup: PairSetup) -> AsyncGenerator[Pair]:
    """Run both while the block runs.

    Yields:
        Both, once they take calls.

    Raises:
        InstanceDied: one ended first, and the block was cancelled.
    """
    async with (
        open_instance(installation, setup.telephones) as telephones,
        open_instance(installation, setup.switch) as switch,
    ):
        yield Pair(switch, telephones)
