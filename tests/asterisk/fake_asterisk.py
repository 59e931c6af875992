"""A switch made of memory: it lets in, answers, and says what a test wants it to say.

It has the two doors of an Asterisk, ARI (a WebSocket) and AMI, and carries nothing out: what an
order leads to is for the test to tell, with `tell` and `tell_ami`.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import h11
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from hookflash.backends.asterisk.dialplan import NEWEST
from hookflash.backends.asterisk.readiness import NEEDED, NOBODY

ARI_PORT: Final = 8088
AMI_PORT: Final = 5038

PINGS: Final = ("Ping", "GET asterisk/ping")
"""What is asked of a quiet switch, again and again."""

Json: TypeAlias = dict[str, Any]


def channel(
    leg: str = "a",
    *,
    name: str = "",
    state: str = "Up",
    number: str = "1001",
    context: str = "default",
    exten: str = "1002",
    app: str = "Dial",
    data: str = "",
    **more: Any,
) -> Json:
    """A channel, as ARI tells of it; `more` are its variables."""
    return {
        "id": leg,
        "name": name or f"PJSIP/{leg}-0000000{len(leg)}",
        "state": state,
        "caller": {"name": "", "number": number},
        "accountcode": "",
        "dialplan": {"context": context, "exten": exten, "app_name": app, "app_data": data},
        "channelvars": more,
    }


def parked(leg: str = "a", *, said: str = "", **more: Any) -> Json:
    """A channel in our keeping."""
    place = {"context": "hookflash", "exten": "park", "app": "Stasis"}
    return channel(leg, data=f"hookflash,park,{said}", **{**place, **more})


def event(kind: str, of: Json | None = None, **more: Any) -> Json:
    """An event of ARI."""
    return {"type": kind, **({} if of is None else {"channel": of}), **more}


class FakeAsterisk:
    """Does what it is told, and says what an Asterisk would say."""

    def __init__(self, nursery: trio.Nursery, password: str = "") -> None:
        self.nursery = nursery
        self.password = password
        self.ami_password: str | None = None
        """Where it differs."""
        self.channels: dict[str, Json] = {}
        self.bridges: dict[str, list[str]] = {}
        self.modules = {*NEEDED}
        self.values: dict[str, str] = {
            "DIALPLAN_EXISTS(hookflash,park,1)": "1",
            f"DIALPLAN_EXISTS(hookflash,park,{NEWEST})": "1",
        }
        """What `Getvar` answers, for `NAME` or `CHANNEL NAME`."""
        self.replies: dict[str, tuple[int, str] | str | None] = {}
        """Answers to what begins so: of ARI a status and a body, of AMI the reason of a refusal;
        `None`: no answer at all."""
        self.happens: dict[str, Callable[[], None]] = {}
        """What is done before the answer to what begins so, once."""
        self.said: list[str] = []
        self.tried_s: dict[int, list[float]] = {ARI_PORT: [], AMI_PORT: []}
        self.sockets_s: list[float] = []
        """When a WebSocket was asked for."""
        self.refusals: dict[int, int] = {ARI_PORT: 0, AMI_PORT: 0}
        """So many connections are refused."""
        self.ghosts = 0
        """So many WebSockets hear nothing."""
        self.status: int | None = None
        """The status with which ARI refuses a WebSocket."""
        self.tls: dict[int, ssl.SSLContext] = {}
        self.mute = False
        """Whether the next connection to ARI is not answered at all."""
        self.goes_on = trio.Event()
        """Not set while it is frozen: its kernel still accepts connections and data."""
        self.goes_on.set()
        self.is_taken = False
        """Whether another controller has the application."""
        self.open: set[trio.abc.Stream] = set()
        """The other side's ends of the connections that it has not closed."""
        self.ari: trio.abc.Stream | None = None
        self.socket: WebSocketConnection | None = None
        self.ami: trio.abc.Stream | None = None

    async def connect(self, port: int) -> trio.abc.Stream:
        self.tried_s[port].append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.refusals[port]:
            self.refusals[port] -= 1
            raise OSError("connection refused")
        near, far = memory_stream_pair()
        self.open.add(near)
        near.send_stream.close_hook = lambda: self.open.discard(near)
        self.nursery.start_soon(self._serve, port, far)
        return near

    async def _serve(self, port: int, stream: trio.abc.Stream) -> None:
        if port in self.tls:
            stream = trio.SSLStream(stream, self.tls[port], server_side=True, https_compatible=True)
        serve = self._serve_ari if port == ARI_PORT else self._serve_ami
        try:
            async with stream:
                await serve(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed):
            pass  # the other side has gone

    @property
    def orders(self) -> list[str]:
        """What it was told to do: not what it was asked."""
        asked = ("GET", "Getvar", "PUT", "POST events", "Challenge", "Login")
        return [line for line in self.said if not line.startswith(asked) and NOBODY not in line]

    def _happen(self, said: str) -> None:
        if said not in PINGS:
            self.said.append(said)
        for begin in [begin for begin in self.happens if said.startswith(begin)]:
            self.happens.pop(begin)()

    # ------------------------------------------------------------------ ARI

    async def _serve_ari(self, stream: trio.abc.Stream) -> None:
        if self.mute:
            self.mute = False
            while await stream.receive_some():
                pass
            return
        begins = bytes(await stream.receive_some())
        await self.goes_on.wait()
        if not begins.startswith(b"GET /ari/events"):
            await self._serve_list(stream, begins)
            return
        self.ari = stream
        self.sockets_s.append(trio.current_time())
        async with trio.open_nursery() as nursery:
            carrier: Any = _Begun(stream, begins)
            request = await wrap_server_stream(nursery, carrier)
            login = b64encode(f"hookflash:{self.password}".encode())
            if (b"authorization", b"Basic " + login) not in request.headers:
                await request.reject(401)
            elif self.status is not None:
                await request.reject(self.status)
            else:
                assert request.path == "/ari/events?app=hookflash&subscribeAll=true"
                await self._talk(await request.accept())
            nursery.cancel_scope.cancel()

    async def _serve_list(self, stream: trio.abc.Stream, asked: bytes) -> None:
        """Answer a request by HTTP, as Asterisk does: with a length, and the connection's end."""
        http = h11.Connection(h11.SERVER)
        http.receive_data(asked)
        request = http.next_event()
        assert isinstance(request, h11.Request)
        said = f"GET {request.target.decode().removeprefix('/ari/')}"
        login = b64encode(f"hookflash:{self.password}".encode())
        assert (b"authorization", b"Basic " + login) in [*request.headers]
        self._happen(said)
        answer = self._answer(said)
        if answer is None:
            await trio.sleep_forever()
            return
        status, body = answer[0], answer[1].encode()
        head = h11.Response(status_code=status, headers=[("Content-Length", str(len(body)))])
        for part in (head, h11.Data(data=body), h11.EndOfMessage()):
            await stream.send_all(http.send(part) or b"")

    async def _talk(self, socket: WebSocketConnection) -> None:
        is_ghost, self.ghosts = self.ghosts > 0, max(0, self.ghosts - 1)
        if not is_ghost:
            self.socket = socket
        while True:
            message = json.loads(await socket.get_message())
            await self.goes_on.wait()
            said = f"{message['method']} {message['uri']}"
            if body := message.get("message_body"):
                said += f" {body}"
            self._happen(said)
            answer = None if is_ghost else self._answer(said)
            if answer is not None:
                status, text = answer
                told = {"type": "RESTResponse", "request_id": message["request_id"]}
                told |= {"status_code": status, "message_body": text}
                await socket.send_message(json.dumps(told))

    def _answer(self, said: str) -> tuple[int, str] | None:  # noqa: PLR0911 - one for each kind
        for begin, reply in self.replies.items():
            if said.startswith(begin):
                assert not isinstance(reply, str)
                return reply
        method, uri = said.split()[:2]
        if said == "GET channels":
            return 200, json.dumps(list(self.channels.values()))
        if said == "GET bridges":
            bridges = [{"id": name, "channels": legs} for name, legs in self.bridges.items()]
            return 200, json.dumps(bridges)
        if said.startswith("GET applications/"):
            return (200, "{}") if self.is_taken else (404, '{"message":"Application not found"}')
        if uri.startswith("asterisk/modules/"):
            runs = uri.removeprefix("asterisk/modules/") in self.modules
            return (200, '{"status":"Running"}') if runs else (404, '{"message":"not found"}')
        if uri.startswith("events/user/"):
            name = uri.removeprefix("events/user/").partition("?")[0]
            self.nursery.start_soon(self.tell, event("ChannelUserevent", eventname=name))
        if method == "DELETE" and uri.startswith("channels/") and "/moh" not in uri:
            known = uri.removeprefix("channels/").partition("?")[0] in self.channels
            return (204, "") if known else (404, '{"message":"Channel not found"}')
        return 204, ""

    async def tell(self, *events: Mapping[str, Any]) -> None:
        """Say what happens, by ARI."""
        assert self.socket is not None
        for one in events:
            await self.socket.send_message(json.dumps(one))
        await wait_all_tasks_blocked()

    async def close_ari(self) -> None:
        assert self.ari is not None
        await self.ari.aclose()
        await wait_all_tasks_blocked()

    # ------------------------------------------------------------------ AMI

    async def _serve_ami(self, stream: trio.abc.Stream) -> None:
        self.ami = stream
        await self.goes_on.wait()
        await stream.send_all(b"Asterisk Call Manager/11.0.0\r\n")
        buffer = ""
        while data := await stream.receive_some(65_536):
            await self.goes_on.wait()
            buffer += data.decode(errors="replace")
            while "\r\n\r\n" in buffer:
                block, _, buffer = buffer.partition("\r\n\r\n")
                if answer := self._act(dict(_headers(block))):
                    await stream.send_all(answer)

    def _act(self, action: Json) -> bytes | None:
        said = " ".join(value for name, value in action.items() if name in _SHOWN)
        if action["Action"] == "Setvar":
            said += f"={action['Value']}"
        self._happen(said)
        for begin, reply in self.replies.items():
            if said.startswith(begin):
                assert not isinstance(reply, tuple)
                return None if reply is None else _response(action, "Error", Message=reply)
        return self._acted(action, said)

    def _acted(self, action: Json, said: str) -> bytes:
        if action.get("Channel") == NOBODY:
            return _response(action, "Error", Message="No such channel")
        match action["Action"]:
            case "Challenge":
                return _response(action, "Success", Challenge="4711")
            case "Login":
                password = self.password if self.ami_password is None else self.ami_password
                key = hashlib.md5(f"4711{password}".encode()).hexdigest()  # noqa: S324 - AMI's
                if action["Username"] != "hookflash" or action["Key"] != key:
                    return _response(action, "Error", Message="Authentication failed")
                return _response(action, "Success")
            case "Getvar":
                asked = said.removeprefix("Getvar ")
                inside = "default" if asked.startswith("PJSIP_ENDPOINT") else ""
                value = self.values.get(asked, inside)
                return _response(action, "Success", Value=value)
            case _:
                return _response(action, "Success")

    async def tell_ami(self, kind: str, leg: str, **more: str) -> None:
        """Say what happens, by AMI."""
        await self.send_ami(_block(Event=kind, Uniqueid=leg, **more))

    async def send_ami(self, data: bytes) -> None:
        assert self.ami is not None
        await self.ami.send_all(data)
        await wait_all_tasks_blocked()

    async def close_ami(self) -> None:
        assert self.ami is not None
        await self.ami.aclose()
        await wait_all_tasks_blocked()


class _Begun(trio.abc.Stream):
    """A stream of which the first bytes have been read already."""

    def __init__(self, stream: trio.abc.Stream, begins: bytes) -> None:
        self.stream = stream
        self.begins = begins

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        begins, self.begins = self.begins, b""
        if begins:
            await trio.lowlevel.checkpoint()
        return begins or await self.stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


_SHOWN: Final = {"Action", "Channel", "ExtraChannel", "Variable", "Exten", "Username"}


def _headers(block: str) -> list[tuple[str, str]]:
    lines = (line.partition(":") for line in block.split("\r\n"))
    return [(name, value.removeprefix(" ")) for name, _, value in lines]


def _response(action: Json, said: str, **more: str) -> bytes:
    return _block(Response=said, ActionID=action["ActionID"], **more)


def _block(**headers: str) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return "".join([*lines, "\r\n"]).encode()


class FakeNetwork:
    """Where the switches are."""

    def __init__(self) -> None:
        self.switches: dict[str, FakeAsterisk] = {}

    async def connect(self, host: str, port: int, **_more: Any) -> trio.abc.Stream:
        return await self.switches[host].connect(port)
