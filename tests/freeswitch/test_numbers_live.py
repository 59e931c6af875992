"""Numbers as people write them, and media IDs, on a real FreeSWITCH."""

from __future__ import annotations

import trio
from live import LiveLab, both_known, needs_freeswitch, noting, open_live_lab, settings, talking

from hookflash.dialling.numbers import NumberRules, parse_rewrites
from hookflash.engine.engine import open_engine
from hookflash.engine.legs import Account
from hookflash.events import SoundStarted, TransferOptions
from hookflash.fsm.transfer import Outcome
from hookflash.sounds import Media, MediaList, parse_sound

pytestmark = needs_freeswitch

GREETING = parse_sound("tone:300/500,0/500")
ACCOUNT = Account(
    numbers=NumberRules(domains=("example.org",), rewrites=parse_rewrites(["4... -> 26..."])),
    media=MediaList({"greeting": GREETING}),
)


async def test_a_number_and_a_media_id_reach_the_switch_as_what_they_mean() -> None:
    async with (
        open_live_lab(settings()) as lab,
        open_engine(lab.backend, account=ACCOUNT) as engine,
        noting(engine) as records,
    ):
        legs = await lab.call()
        await both_known(engine, legs)
        options = TransferOptions(music=Media("greeting"))
        transfer = await engine.transfer(legs[0], "sip:(4)-00@example.org", options=options)
        target = f"{transfer.id}-target"
        await talking(engine, legs[0], target)
        assert await number_called(lab, target) == "2600"
        await lab.hang_up(legs[0])
        with trio.fail_after(20):
            assert (await transfer.outcome()).outcome is Outcome.TRANSFERRED
    heard = [record.event for record in records if isinstance(record.event, SoundStarted)]
    assert SoundStarted(leg=legs[1], sound=GREETING) in heard


async def number_called(lab: LiveLab, leg: str) -> str:
    return await lab.variable(leg, "sip_to_user")
