"""The real thing: two Asterisks, their phones, and their end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from asterisk_lab import Lab, needs_asterisk, open_lab

from hookflash.backends.asterisk.manager import Manager, ManagerLost, Message, open_manager
from hookflash.pbx.instance import Instance, InstanceDied, open_instance
from hookflash.pbx.obtain import Installation
from hookflash.pbx.pair import Pair, open_pair, pair_setup
from hookflash.pbx.phones import ListedChannel, PhoneError, get_variable
from hookflash.pbx.switch import PbxAccount

pytestmark = needs_asterisk

FEW = (PbxAccount("acme", range(1001, 1003)),)


async def test_two_phones_talk_and_see_each_other(pair: Pair) -> None:
    async with open_lab(pair) as lab:
        alice = await lab.phones.call("1001", "1002")
        await lab.phones.answered(alice)
        caller, called = await lab.legs()
        assert caller.bridge == called.bridge
        assert caller.name.startswith("PJSIP/1001-")
        assert called.name.startswith("PJSIP/1002-")
        assert (caller.context, caller.account, called.account) == ("default", "acme", "acme")
        assert await lab.phones.phone(caller.name) == alice
        bob = await lab.phones.phone(called.name)
        assert await lab.phones.shown(bob) == ("Alice", "1001")
        assert (await lab.phones.shown(alice))[1] == "1002"
        await lab.phones.hang_up(bob)
        with trio.fail_after(5):
            while await lab.phones.channels():
                await trio.sleep(0.01)


async def test_keys_arrive_at_the_switch(pair: Pair) -> None:
    keys: list[tuple[str, str]] = []

    def note(event: Message) -> None:
        if event.event == "DTMFEnd" and event.get("direction") == "Received":
            keys.append((event.get("channel"), event.get("digit")))

    async with open_lab(pair, note) as lab:
        alice = await lab.phones.call("1001", "1502")
        caller, called = await lab.legs()
        for digit in "*2":
            await lab.phones.press(alice, digit)
        await lab.phones.press(await lab.phones.phone(called.name), "#")
        with trio.fail_after(5):
            while len(keys) < 3:
                await trio.sleep(0.01)
        accounts = [await account(lab, leg) for leg in (caller, called)]
    assert keys == [(caller.name, "*"), (caller.name, "2"), (called.name, "#")]
    assert accounts == ["acme", "beta"]
    assert called.account == "acme", "Dial gives the called leg the caller's accountcode"


@pytest.mark.parametrize(("number", "cause"), [("2602", "17"), ("2603", "21")])
async def test_a_phone_is_busy_or_refuses(pair: Pair, number: str, cause: str) -> None:
    causes: set[str] = set()

    def note(event: Message) -> None:
        if event.event == "Hangup" and event.get("channel").startswith(f"PJSIP/{number}-"):
            causes.add(event.get("cause"))

    async with open_lab(pair, note) as lab:
        alice = await lab.phones.call("1001", number)
        with pytest.raises(PhoneError, match="ended before it was answered"):
            await lab.phones.answered(alice)
    assert causes == {cause}


async def test_phones_that_answer_late_never_after_early_media_and_not_for_long(pair: Pair) -> None:
    async with open_lab(pair) as lab:
        phones = lab.phones
        began = trio.current_time()
        calls = {n: await phones.call("1001", n) for n in ("2600", "2601", "2604", "2605")}
        await phones.answered(calls["2605"])
        assert trio.current_time() - began < 1
        for number, after_s in (("2600", 1.5), ("2604", 2.0)):
            await phones.answered(calls[number])
            assert trio.current_time() - began == pytest.approx(after_s, abs=0.6)
        states = {leg.name: leg.state for leg in await phones.channels()}
        assert states[calls["2601"]] == "Ringing"
        with trio.fail_after(5):
            while calls["2605"] in {leg.name for leg in await phones.channels()}:
                await trio.sleep(0.02)
        assert trio.current_time() - began == pytest.approx(2.5, abs=0.8)


async def test_calls_through_the_dialplan_the_trunk_and_with_accounts(pair: Pair) -> None:
    async with open_lab(pair) as lab:
        await lab.phones.call("1001", "61002")
        legs = await lab.legs(4)
        local = next(leg.name for leg in legs if leg.name.endswith(";1"))
        real = next(leg.name for leg in legs if leg.name.startswith("PJSIP/1002-"))
        bob = await lab.phones.phone(local)
        assert lab.phones.chain(local) == [local, f"{local[:-1]}2", real]
        assert await lab.phones.phone(real) == bob
        await lab.phones.silence()
        await lab.phones.call("1501", "72606")
        caller, called = await lab.legs()
        assert [await account(lab, leg) for leg in (caller, called)] == ["acme", ""]
        await lab.phones.silence()
        await lab.phones.call("1501", "82606")
        caller, called = await lab.legs()
        assert [await account(lab, leg) for leg in (caller, called)] == ["acme", "acme"]


async def account(lab: Lab, leg: ListedChannel) -> str:
    return await get_variable(lab.switch, leg.name, "HOOKFLASH_ACCOUNT")


async def test_outside_callers_and_outside_targets(pair: Pair) -> None:
    async with open_lab(pair) as lab:
        await lab.phones.call("+15550100", "1002", name="Zoe")
        caller, called = await lab.legs()
        assert caller.name.startswith("PJSIP/trunk-")
        assert called.name.startswith("PJSIP/1002-")
        zoe = await lab.phones.phone(called.name)
        assert await lab.phones.shown(zoe) == ("Zoe", "+15550100")
        await lab.phones.silence()
        await lab.phones.call("1001", "915550101", withheld=True)
        caller, called = await lab.legs()
        assert called.name.startswith("PJSIP/trunk-")
        pres = await get_variable(lab.switch, caller.name, "CALLERID(pres)")
        assert pres.startswith("prohib")


async def test_softphones_register_with_a_password(pair: Pair) -> None:
    async with open_manager(pair.switch.login) as switch:
        shown = await switch.listing("PJSIPShowEndpoint", Endpoint="1101")
    details = {event.event: event for event in shown}
    assert details["AuthDetail"].get("username") == "1101"
    assert details["EndpointDetail"].get("accountcode") == "acme"
    assert details["AorDetail"].get("maxcontacts") == "2"
    assert not details["AorDetail"].get("contacts")


async def test_a_pair_includes_a_dialplan_and_ends_without_a_trace(
    tmp_path: Path, asterisk: Installation
) -> None:
    include = tmp_path / "more.conf"
    include.write_text("[more]\nexten => s,1,NoOp()\n")
    setup = pair_setup(tmp_path, include=include, accounts=FEW)
    async with open_pair(asterisk, setup) as pair:
        async with open_manager(pair.switch.login) as switch:
            more = await switch.listing("ShowDialPlan", Context="more")
            modules = await switch.action("Command", Command="module show like bridge_")
        pids = [pair.switch.process.pid, pair.telephones.process.pid]
    assert any(event.get("extension") == "s" for event in more)
    assert not any("native" in line for line in modules.all("output"))
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert pair.switch.death is None
    for side in (setup.switch, setup.telephones):
        assert " ERROR[" not in side.log.read_text(encoding="utf-8")


async def test_on_every_address_the_telephones_are_still_reached(
    tmp_path: Path, asterisk: Installation
) -> None:
    keys: list[str] = []

    def note(event: Message) -> None:
        if event.event == "DTMFEnd" and event.get("direction") == "Received":
            keys.append(event.get("digit"))

    setup = pair_setup(tmp_path, accounts=FEW, address="0.0.0.0")  # noqa: S104 - for a moment
    async with open_pair(asterisk, setup) as pair, open_lab(pair, note) as lab:
        await lab.phones.call("1001", "1002")
        for leg in await lab.legs():
            await lab.phones.press(await lab.phones.phone(leg.name), "7")
        with trio.fail_after(5):
            while len(keys) < 2:
                await trio.sleep(0.01)
    assert keys == ["7", "7"]


async def test_a_crash_is_noticed_with_the_last_lines_of_the_log(
    tmp_path: Path, asterisk: Installation
) -> None:
    setup = pair_setup(tmp_path, accounts=FEW).telephones

    async def crash() -> None:
        async with open_instance(asterisk, setup) as instance:
            os.kill(instance.process.pid, signal.SIGKILL)
            await trio.sleep_forever()

    with pytest.raises(InstanceDied, match=r"telephones \(Asterisk\) ended with signal 9:\n\S"):
        await crash()


async def test_a_faulty_configuration_is_noticed(tmp_path: Path, asterisk: Installation) -> None:
    setup = pair_setup(tmp_path, accounts=FEW).telephones
    setup = attrs.evolve(setup, modules=(*setup.modules, "no_such_module"))
    with pytest.raises(InstanceDied, match="no_such_module"):
        async with open_instance(asterisk, setup):
            pass


async def test_a_connection_that_is_lost_fails_whoever_waits(
    tmp_path: Path, asterisk: Installation
) -> None:
    setup = pair_setup(tmp_path, accounts=FEW).telephones
    instance = Instance.start(asterisk, setup)
    try:
        await instance.ready()
        async with open_manager(instance.login) as manager:
            freeze(instance.process.pid)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(expect_loss, manager)
                nursery.start_soon(expect_loss, manager)
                await trio.testing.wait_all_tasks_blocked()
                os.kill(instance.process.pid, signal.SIGKILL)
            assert manager.dead is await manager.lost()
            await expect_loss(manager)
    finally:
        instance.stop()


def freeze(pid: int) -> None:
    """Stop a process, and wait until all of its threads have stopped."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


async def expect_loss(manager: Manager) -> None:
    with pytest.raises(ManagerLost):
        await manager.action("Ping")
