"""A Python client for a service that runs elsewhere: commands and events on one connection.

    async with connect("ws://127.0.0.1:8081/v2/events", api_key=key) as client:
        transfer = await client.transfer(call_id=call_id, target="2600")
        async for event in client.events(transfer_id=transfer["transfer_id"]):
            print(event["kind"], event.get("state"))

A lost connection is opened again, with back-off and jitter. Subscriptions resume after the last
event, without a gap or a repeat; requests are sent again, and the service performs each command
once. After a crash of the service, a repeated command may be refused because it was performed.
"""

from __future__ import annotations

from hookflash.client.client import Client as Client
from hookflash.client.client import connect as connect
from hookflash.client.errors import ConnectionLost as ConnectionLost
from hookflash.client.errors import RefusedByService as RefusedByService
from hookflash.client.events import EventStream as EventStream
