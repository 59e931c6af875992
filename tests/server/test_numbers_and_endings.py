"""By HTTP: numbers as people write them, and what the switch says of the end of a leg."""

from __future__ import annotations

from pathlib import Path

import trio
from lab import open_lab
from trio.testing import MockClock

from hookflash.backends.freeswitch.client import open_freeswitch
from hookflash.backends.freeswitch.settings import FreeSwitch
from hookflash.emulator.server import open_emulator
from hookflash.journal import transfers

NUMBERS = {"domains": ["example.org"], "rewrites": [r"00(\d+) -> +$1", "4... -> 26..."]}


async def test_why_a_target_failed(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_emulator() as listening:
        settings = FreeSwitch(host=listening.host, port=listening.port)
        async with (
            open_freeswitch(settings) as backend,
            open_lab(tmp_path, backend=backend) as lab,
        ):
            alice, _ = listening.emulator.call("1001", "1002", account="acme")
            await trio.sleep(3)
            transfer = await lab.acme.transfer(alice, "2602")
            over = await lab.acme.ended(transfer)
            assert (over["cause"], over["sip_status"], over["ended_by"]) == (
                "USER_BUSY",
                486,
                "party",
            )
            story = await lab.acme.look(f"transfers/{transfer}")
            (end,) = (entry for entry in story["timeline"] if entry["cause"] is not None)
            assert (end["cause"], end["sip_status"], end["ended_by"]) == ("USER_BUSY", 486, "party")
            past = await lab.service.journal.read(
                lambda connection: transfers.find_transfer(connection, transfer)
            )
            assert past is not None
            assert (past.sip_status, past.ended_by) == (486, "party")
            (listed,) = await lab.acme.look("transfers")
            assert (listed["sip_status"], listed["ended_by"]) == (486, "party")


async def test_a_number_is_read_before_it_is_checked(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    acme = {"numbers": NUMBERS, "rules": {"targets_denied": ["2601"]}}
    async with open_lab(tmp_path, accounts={"acme": acme}) as lab:
        alice, _ = await lab.call()
        for target, status, word in (
            ("sip:2600@example.com", 422, "allowed are example.org"),
            ("2600!", 400, "target"),
            ("tel:26-01", 422, "calls to 2601 are not allowed"),
            ("(4)01", 422, "calls to 2601 are not allowed"),
        ):
            refused = await lab.acme.act(alice, "transfer", target=target)
            assert refused.status_code == status, refused.text
            assert word in refused.text
        transfer = await lab.acme.transfer(alice, "sip:4-00@example.org;user=phone")
        story = await lab.acme.until(transfer, "consulting")
        assert story["target"] == story["target_leg"]["number"] == "2600"
        events = (await lab.acme.look(f"transfers/{transfer}"))["timeline"]
        assert events[0]["kind"] == "transfer.requested"
        over = await lab.acme.act(alice, "takeback")
        assert over.status_code == 202


async def test_a_code_s_fixed_number_is_checked_when_it_is_set(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_lab(tmp_path, accounts={"acme": {"numbers": NUMBERS}}) as lab:
        for target, status in (("sip:2600@example.com", 400), ("sip:2600@example.org", 200)):
            code = {"module": "transfer", "data": {"target": target}}
            answered = await lab.acme.ask("POST", "metaflows", {"numbers": {"5": code}})
            assert answered.status_code == status, answered.text
        assert "example.org" in answered.text


async def test_a_media_id_is_of_the_account_alone(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    accounts = {
        "acme": {"media": {"greeting": "music:acme-jingle"}},
        "globex": {"media": {"secret": "music:globex-jingle"}},
    }
    async with open_lab(tmp_path, accounts=accounts) as lab:
        alice, bob = await lab.call()
        for unknown in ("secret", "/globex/secret", "media:secret"):
            code = {"5": {"module": "hold", "data": {"moh": unknown}}}
            for refused in (
                await lab.acme.act(alice, "transfer", target="2600", moh=unknown),
                await lab.acme.act(alice, "hold", moh=unknown),
                await lab.acme.ask("POST", "metaflows", {"numbers": code}),
            ):
                assert refused.status_code == 400, refused.text
                assert "the IDs are greeting" in refused.text
                assert "jingle" not in refused.text
        await lab.acme.transfer(alice, "2601", moh="/acme/greeting", ringback="greeting")
        await trio.sleep(2)
        assert lab.hears(bob) == lab.hears(alice) == "music:acme-jingle"
