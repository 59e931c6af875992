"""Alice transfers Bob to Carol, within a program of your own. The switch is simulated."""

import trio

from hookflash import Follower, open_engine, open_simulator
from hookflash.backends.simulator.people import Answers


async def tell(records: Follower) -> None:
    """Follow what happens, for as long as the engine is open."""
    async for record in records:
        if record.row:
            print(f"{record.row}\n    {record.why}")


async def main() -> None:
    """Open a switch, open an engine on it, transfer, await the outcome."""
    async with trio.open_nursery() as tasks, open_simulator() as switch:
        switch.world.add_phone("2600", Answers(after_s=1.5))
        async with open_engine(switch) as engine:
            tasks.start_soon(tell, engine.follow())
            alice, _bob = await switch.call("1001", "1002")
            transfer = await engine.transfer(alice, "2600")
            await trio.sleep(3)  # Alice hears ringback, then she talks with Carol
            await transfer.complete()
            result = await transfer.outcome()
    print(result.outcome)


trio.run(main)
