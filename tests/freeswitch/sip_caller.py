"""A caller who chooses its own Call-ID: just enough SIP for a call, without sound."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

_SDP = (
    "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio 49170 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


class SipCaller:
    """One call over UDP."""

    def __init__(
        self, socket: trio.socket.SocketType, switch: tuple[str, int], call_id: str
    ) -> None:
        self.status = 0
        """Of the last response to the INVITE."""
        self._socket = socket
        self._switch = switch
        self._call_id = call_id
        self._here = socket.getsockname()
        self._to = ""

    async def invite(self, number: str) -> None:
        """Call a number."""
        host, port = self._switch
        self._uri = f"sip:{number}@{host}:{port}"
        self._to = f"<{self._uri}>"
        await self._request("INVITE", 1, _SDP.format(host=self._here[0]))

    async def hang_up(self) -> None:
        """End the call."""
        await self._request("BYE", 2)

    async def run(self) -> None:
        """Answer what the switch sends, until cancelled."""
        while True:
            data, _ = await self._socket.recvfrom(65_536)
            head, _, _ = data.decode().partition("\r\n\r\n")
            line, *headers = head.split("\r\n")
            if line.startswith("SIP/2.0"):
                await self._responded(int(line.split()[1]), headers)
            elif not line.startswith("ACK"):
                await self._respond(line.partition(" ")[0], headers)

    async def _responded(self, status: int, headers: list[str]) -> None:
        if _header(headers, "CSeq").endswith("INVITE"):
            self.status = status
            self._to = _header(headers, "To")
            if status >= 200:
                await self._request("ACK", 1)

    async def _respond(self, method: str, headers: list[str]) -> None:
        kept = [
            one
            for one in headers
            if one.partition(":")[0] in {"Via", "From", "To", "Call-ID", "CSeq"}
        ]
        body = _SDP.format(host=self._here[0]) if method == "INVITE" else ""
        await self._send(["SIP/2.0 200 OK", *kept], body)

    async def _request(self, method: str, number: int, body: str = "") -> None:
        # branch and tag are new for each call: a Call-ID may be used again within seconds, and the
        # switch would take the call for the one before (RFC 3261, 8.2.2.2 and 17.2.3)
        host, port = self._here
        await self._send(
            [
                f"{method} {self._uri} SIP/2.0",
                f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{method}{port}",
                f"From: <sip:1001@{host}:{port}>;tag={port}",
                f"To: {self._to}",
                f"Call-ID: {self._call_id}",
                f"CSeq: {number} {method}",
                "Max-Forwards: 70",
            ],
            body,
        )

    async def _send(self, lines: list[str], body: str) -> None:
        host, port = self._here
        lines += [f"Contact: <sip:1001@{host}:{port}>", f"Content-Length: {len(body)}"]
        if body:
            lines.append("Content-Type: application/sdp")
        await self._socket.sendto("\r\n".join([*lines, "", body]).encode(), self._switch)


def _header(headers: list[str], name: str) -> str:
    return next(one.partition(":")[2].strip() for one in headers if one.startswith(f"{name}:"))


@asynccontextmanager
async def calling(
    host: str, number: str, call_id: str, port: int = 5060
) -> AsyncGenerator[SipCaller]:
    """Call a number of the switch. The call ends with the block."""
    socket = trio.socket.socket(type=trio.socket.SOCK_DGRAM)
    await socket.bind((host, 0))
    with socket:
        caller = SipCaller(socket, (host, port), call_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.run)
            await caller.invite(number)
            yield caller
            await caller.hang_up()
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
