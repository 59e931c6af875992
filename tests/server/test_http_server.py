"""The HTTP server against strangers: every wait has a deadline, every number a limit.

The streams are in memory, under the virtual clock; one test has real sockets.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import attrs
import h11
import msgspec
import pytest
import trio
import trustme
from certificates import showing, trusting
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from hookflash.server.arrivals import WITHIN_S, Arrivals
from hookflash.server.config import Listen
from hookflash.server.connections import Connections
from hookflash.server.http.message import SIGNED_IN
from hookflash.server.http.server import (
    REQUESTS_PER_CONNECTION,
    AsgiApp,
    HttpServer,
    serve_http,
    serve_stream,
)
from hookflash.server.http.wire import HEAD_BYTES, Patience
from hookflash.server.proxies import proxies_of
from hookflash.server.unsent import Unsent

HERE: Final = "192.0.2.1"
GET: Final = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
POST: Final = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
P: Final = Patience()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class App:
    """Answers with what was asked, sleeps, fails, or does not read the body."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.begun = trio.Event()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.seen.append(scope["path"])
        self.begun.set()
        if scope["query_string"] == b"key":
            scope["extensions"][SIGNED_IN]("one")
        body = b""
        match scope["path"]:
            case "/sleep":
                await trio.sleep_forever()
            case "/fail":
                raise ZeroDivisionError("secret of the house")
            case "/deaf":
                pass
            case "/echo-late":
                while (await receive())["more_body"]:
                    pass
                await trio.sleep(1)
            case "/large":
                body = b"x" * 10_000
            case _:
                while True:
                    message = await receive()
                    body += message["body"]
                    if not message["more_body"]:
                        break
        answer = f"{scope['method']} {scope['path']} ".encode() + body
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})


@attrs.define
class Client:
    """A client that sends any bytes, and reads answers."""

    stream: trio.abc.Stream
    ended: trio.Event
    reader: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))

    async def send(self, what: bytes) -> None:
        await self.stream.send_all(what)

    async def drip(self, what: bytes, every_s: float) -> None:
        """Send the same again and again, until the server closes the connection."""
        with suppress(trio.BrokenResourceError):
            while True:
                await trio.sleep(every_s)
                await self.send(what)

    async def answer(self, method: str = "GET") -> tuple[h11.Response, bytes]:
        """Read one answer."""
        self.reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        self.reader.send(h11.EndOfMessage())
        head, body = None, b""
        while True:
            event = self.reader.next_event()
            if event is h11.NEED_DATA:
                self.reader.receive_data(bytes(await self.stream.receive_some(65_536)))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        assert head is not None
        if self.reader.their_state is h11.DONE and self.reader.our_state is h11.DONE:
            self.reader.start_next_cycle()
        return head, body

    async def ask(self, what: bytes, method: str = "GET") -> tuple[int, bytes]:
        await self.send(what)
        head, body = await self.answer(method)
        return head.status_code, body

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        read = b""
        while some := await self.stream.receive_some(65_536):
            read += some
        return read


@attrs.define
class Rig:
    """A server, and clients."""

    server: HttpServer
    app: App
    nursery: trio.Nursery

    def connect(self, address: str = HERE, *, pair: Any = memory_stream_pair) -> Client:
        there, here = pair()
        ended = trio.Event()

        async def serve() -> None:
            await serve_stream(self.server, here, address)
            ended.set()

        self.nursery.start_soon(serve)
        return Client(there, ended)


@asynccontextmanager
async def open_rig(**how: Any) -> AsyncGenerator[Rig]:
    app = App()
    door = how.pop("connections", Connections(most=100, most_per_address=100))
    server = HttpServer(app=how.pop("app", app), connections=door, **how)
    async with trio.open_nursery() as nursery:
        yield Rig(server, app, nursery)
        nursery.cancel_scope.cancel()
    assert door.total == 0


async def closed_after(client: Client) -> tuple[bytes, float]:
    """What a client still gets, and how long it takes until the server closes the connection."""
    began_s = trio.current_time()
    read = await client.rest()
    await client.ended.wait()
    return read, trio.current_time() - began_s


def error_of(answer: bytes) -> tuple[int, str]:
    """The status and the message of an error, which is in Kazoo's envelope."""
    head, _, body = answer.partition(b"\r\n\r\n")
    told = msgspec.json.decode(body)
    assert set(told) == {"data", "error", "message", "request_id", "status"}
    assert told["request_id"].encode() in head
    assert b"connection: close" in head.lower()
    return int(told["error"]), told["message"]


# ------------------------------------------------------------------------ requests


async def test_requests_are_answered_one_after_the_other(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        assert await client.ask(GET) == (200, b"GET /echo ")
        assert await client.ask(POST % 5 + b"hello") == (200, b"POST /echo hello")
        await client.send(POST % 3 + b"one" + POST % 3 + b"two" + GET)  # without waiting
        answers = [await client.answer() for _ in range(3)]
        assert [body[-3:] for _, body in answers] == [b"one", b"two", b"ho "]
        assert all(b"close" not in dict(head.headers).values() for head, _ in answers)


async def test_a_chunked_body_is_read(autojump_clock: MockClock) -> None:
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with open_rig() as rig:
        client = rig.connect()
        assert (await client.ask(chunked + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))[1][-5:] == b"abcde"
        assert (await client.ask(GET))[0] == 200


async def test_an_honest_request_may_come_byte_by_byte(autojump_clock: MockClock) -> None:
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with open_rig() as rig:
        client = rig.connect(pair=lockstep_stream_pair)
        for whole in (GET, chunked + b"2\r\n\n\n\r\n0\r\n\r\n", POST % 3 + b"a\nb"):
            for at in range(len(whole)):
                await client.send(whole[at : at + 1])
            assert (await client.answer())[0].status_code == 200


async def test_head_has_the_headers_of_get_and_no_body(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(GET.replace(b"GET", b"HEAD"))
        head, body = await client.answer("HEAD")
        assert (dict(head.headers)[b"content-length"], body) == (b"11", b"")
        assert (await client.ask(GET))[0] == 200


async def test_a_client_that_waits_for_100_gets_it(autojump_clock: MockClock) -> None:
    expects = POST.replace(b"Host", b"Expect: 100-continue\r\nHost") % 5
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(expects)
        interim = bytes(await client.stream.receive_some(1000))
        assert interim.startswith(b"HTTP/1.1 100 ")
        assert (await client.ask(b"hello"))[1] == b"POST /echo hello"
        deaf = rig.connect()
        answer = (await deaf.ask(expects.replace(b"/echo", b"/deaf")))[1]
        assert answer == b"POST /deaf "  # at once: nobody wants the body


async def test_a_client_whose_body_nobody_reads_gets_the_answer(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(POST.replace(b"/echo", b"/deaf") % 50_000 + b"x" * 40_000)
        head, body = await client.answer("POST")
        assert (body, dict(head.headers)[b"connection"]) == (b"POST /deaf ", b"close")
        await client.stream.send_all(b"x" * 1_000)
        assert (await closed_after(client))[1] <= P.farewell_s


async def test_a_connection_has_a_limited_number_of_requests(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        for left in reversed(range(REQUESTS_PER_CONNECTION)):
            await client.send(GET)
            head, _ = await client.answer()
            assert (b"connection" in dict(head.headers)) is (left == 0)
        assert (await closed_after(client))[0] == b""


# --------------------------------------------------------------------- deadlines


async def test_who_says_nothing_is_closed(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        assert await closed_after(rig.connect()) == (b"", P.head_s)


async def test_a_slow_head_is_closed(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()

        await client.send(b"GET / HTTP/1.1\r\n")
        rig.nursery.start_soon(client.drip, b"X: y\r\n", 1.0)
        answer, took_s = await closed_after(client)
        assert error_of(answer)[0] == 408
        assert took_s <= P.head_s + P.farewell_s


async def test_an_idle_connection_is_closed(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        await client.ask(GET)
        assert await closed_after(client) == (b"", P.idle_s)


async def test_an_idle_connection_is_closed_soon_while_there_are_many(
    autojump_clock: MockClock,
) -> None:
    door = Connections(most=2, most_per_address=2)
    async with open_rig(connections=door) as rig:
        client, _ = rig.connect(), rig.connect()
        await client.ask(GET)
        assert await closed_after(client) == (b"", P.crowded_idle_s)


async def test_the_next_head_has_its_own_deadline(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        await client.ask(GET)
        await trio.sleep(P.idle_s - 1)
        await client.send(b"GET")
        answer, took_s = await closed_after(client)
        assert error_of(answer)[0] == 408
        assert P.head_s <= took_s <= P.head_s + P.farewell_s


@pytest.mark.parametrize("every_s", [100.0, 1.0])
async def test_a_slow_body_is_closed(autojump_clock: MockClock, every_s: float) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(POST % 50_000)
        rig.nursery.start_soon(client.drip, b"x" * 100, every_s)
        answer, took_s = await closed_after(client)
        assert error_of(answer)[0] == 408
        assert took_s <= P.transfer_s + 1 + P.farewell_s


async def test_a_body_at_a_fair_pace_is_read(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(POST % 60_000)
        for _ in range(12):
            await trio.sleep(1)
            await client.send(b"x" * 5_000)
        assert len((await client.answer("POST"))[1]) == 60_011


async def test_who_never_reads_the_answer_is_closed(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect(pair=lockstep_stream_pair)
        began_s = trio.current_time()
        await client.send(GET.replace(b"/echo", b"/large"))
        await client.ended.wait()
        assert trio.current_time() - began_s <= P.transfer_s + 11_000 / P.bytes_per_s


async def test_an_answer_that_does_not_come_is_503(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(GET.replace(b"/echo", b"/sleep"))
        answer, took_s = await closed_after(client)
        assert error_of(answer) == (503, "the answer took too long")
        assert took_s <= P.request_s + P.farewell_s


async def test_a_tls_handshake_has_a_deadline(autojump_clock: MockClock) -> None:
    async with open_rig(arrivals=Arrivals(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))) as rig:
        client = rig.connect()
        assert await closed_after(client) == (b"", WITHIN_S)
        junk = rig.connect()
        await junk.send(GET)
        assert (await closed_after(junk))[1] == 0


async def test_a_cancel_ends_everything_at_once(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        await rig.connect().ask(GET)
        await rig.connect().send(b"GET /")
        await rig.connect().send(POST % 100 + b"x")
        await rig.connect().send(GET.replace(b"/echo", b"/sleep"))
        await rig.connect(pair=lockstep_stream_pair).send(GET.replace(b"/echo", b"/large"))
        gone = rig.connect()
        await gone.send(b"junk\r\n\r\n")
        await trio.sleep(0.5)
        assert rig.server.connections.total == 6
        began_s = trio.current_time()
        rig.nursery.cancel_scope.cancel()
    assert trio.current_time() == began_s


# ------------------------------------------------- what another reader might understand otherwise


def request(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((*lines, b"", body))


LINE: Final = b"POST /first HTTP/1.1"
HOST: Final = b"Host: a"
CHUNKED: Final = b"Transfer-Encoding: chunked"

AMBIGUOUS: Final = {
    "both lengths": (400, request(LINE, HOST, CHUNKED, b"Content-Length: 3", body=b"0\r\n\r\n")),
    "chunked in 1.0": (400, request(b"POST / HTTP/1.0", HOST, CHUNKED, body=b"0\r\n\r\n")),
    "two lengths": (400, request(LINE, HOST, b"Content-Length: 3", b"Content-Length: 4")),
    "a negative length": (400, request(LINE, HOST, b"Content-Length: -3")),
    "a signed length": (400, request(LINE, HOST, b"Content-Length: +3", body=b"abc")),
    "the same length twice": (
        400,
        request(LINE, HOST, b"Content-Length: 3", b"content-length: 3", body=b"abc"),
    ),
    "a list of lengths": (400, request(LINE, HOST, b"Content-Length: 3, 3", body=b"abc")),
    "a folded coding": (
        400,
        request(LINE, HOST, b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    ),
    "a bare LF": (400, LINE + b"\r\nX: y\nHost: a\r\n\r\n"),
    "only bare LFs": (400, LINE + b"\nHost: a\n\n"),
    "a bare LF at the end": (400, LINE + b"\r\nHost: a\r\n\n"),
    "a bare LF at the start": (400, b"\n" + request(LINE, HOST, b"")),
    "a bare CR": (400, request(LINE, HOST, b"X: a\rY: b")),
    "trailers": (400, request(LINE, HOST, CHUNKED, body=b"0\r\nX: y\r\n\r\n")),
    "a bare LF at the end of chunks": (400, request(LINE, HOST, CHUNKED, body=b"0\r\n\n")),
    "a bare LF in a chunk": (400, request(LINE, HOST, CHUNKED, body=b"1\na\r\n0\r\n\r\n")),
    "another coding": (501, request(LINE, HOST, b"Transfer-Encoding: gzip, chunked")),
    "two codings": (501, request(LINE, HOST, CHUNKED, CHUNKED)),
    "no host": (400, request(LINE)),
    "two hosts": (400, request(LINE, HOST, b"Host: b")),
    "a space before the colon": (400, request(LINE, HOST, b"Content-Length : 3")),
    "a NUL": (400, request(LINE, HOST, b"X: a\0b")),
    "no target": (400, request(b"GET HTTP/1.1", HOST)),
    "a full URL": (400, request(b"GET http://b/ HTTP/1.1", HOST)),
    "a tunnel": (400, request(b"CONNECT b:80 HTTP/1.1", HOST)),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS without TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600),
    "a large head": (431, request(LINE, HOST, b"X: " + b"y" * 2 * HEAD_BYTES)),
    "an endless head": (431, LINE + b"\r\n" + b"X: y\r\n" * HEAD_BYTES),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
async def test_an_ambiguous_request_is_refused_and_nothing_behind_it_is_done(
    autojump_clock: MockClock, kind: str
) -> None:
    status, sent = AMBIGUOUS[kind]
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(sent + GET)
        answer, took_s = await closed_after(client)
        assert error_of(answer)[0] == status
        assert took_s <= P.head_s + P.farewell_s
        assert rig.app.seen == []


@pytest.mark.parametrize(
    "chunk", [b"g\r\n", b"-1\r\n", b"0x3\r\nabc\r\n", b"3\r\nabcde\r\n0\r\n\r\n"]
)
async def test_a_chunk_that_is_none_is_refused(autojump_clock: MockClock, chunk: bytes) -> None:
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(request(b"POST /echo HTTP/1.1", HOST, CHUNKED, body=chunk + GET))
        answer, _ = await closed_after(client)
        assert error_of(answer)[0] == 400
        assert rig.app.seen in ([], ["/echo"])


async def test_chunks_that_are_mostly_overhead_are_refused(autojump_clock: MockClock) -> None:
    async with open_rig(most_body_bytes=1_000) as rig:
        client = rig.connect()
        chunk = b"1;" + b"x" * 1_000 + b"\r\na\r\n"
        await client.send(request(b"POST /echo HTTP/1.1", HOST, CHUNKED, body=chunk * 100))
        assert error_of((await closed_after(client))[0])[0] == 413


async def test_an_upgrade_is_not_accepted_and_ends_the_connection(
    autojump_clock: MockClock,
) -> None:
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    async with open_rig() as rig:
        client = rig.connect()
        await client.send(request(b"GET /echo HTTP/1.1", HOST, *upgrade))
        answer, _ = await closed_after(client)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer


# ----------------------------------------------------------------------- many, faults


async def test_a_proxy_says_who_its_client_is(autojump_clock: MockClock) -> None:
    proxies = proxies_of(Listen(trusted_proxies=("10.0.0.0/8",)))
    door = Connections(most=10, most_per_address=1, is_exempt=proxies.trusts)
    arrivals = Arrivals(proxies=proxies, proxy_protocol=True)
    async with open_rig(connections=door, arrivals=arrivals) as rig:
        clients = [rig.connect("10.0.0.1") for _ in range(3)]
        for number, client in enumerate(clients):
            await client.send(b"PROXY TCP4 203.0.113.%d 10.0.0.1 1 2\r\n" % (number // 2))
            assert (await client.ask(GET))[0] == 200
        assert (door.of("203.0.113.0"), door.of("203.0.113.1"), door.evicted) == (1, 1, 1)
        assert await clients[0].rest() == b""
        without = rig.connect("10.0.0.1")
        await without.send(GET)
        assert (await closed_after(without)) == (b"", 0)


SLOW: Final = POST % 60_000 + b"{"


@pytest.mark.parametrize(
    ("begun", "stays"),
    [
        (SLOW, False),
        (SLOW.replace(b"/echo", b"/echo?key"), False),
        (GET.replace(b"/echo", b"/sleep"), False),
        (POST.replace(b"/echo", b"/sleep") % 3 + b"abc", False),
        (GET.replace(b"/echo", b"/sleep?key"), True),
        (POST.replace(b"/echo", b"/sleep?key") % 3 + b"abc", True),
        (GET[:9], False),
        (b"", False),
    ],
)
async def test_only_whole_requests_of_who_has_signed_in_hold_a_full_door(
    autojump_clock: MockClock, begun: bytes, *, stays: bool
) -> None:
    door = Connections(most=40, most_per_address=10)
    async with open_rig(connections=door) as rig:
        for number in range(40):
            await rig.connect(f"192.0.2.{number % 4}").send(begun)
        await wait_all_tasks_blocked()
        honest = rig.connect("203.0.113.9")
        if stays:
            assert (await closed_after(honest))[0].startswith(b"HTTP/1.1 503 ")
        else:
            assert (await honest.ask(GET))[0] == 200
        assert (door.evicted, door.refused) == ((0, 1) if stays else (1, 0))


async def test_a_body_that_became_whole_is_kept_while_it_is_answered(
    autojump_clock: MockClock,
) -> None:
    door = Connections(most=1, most_per_address=10)
    async with open_rig(connections=door) as rig:
        client = rig.connect()
        await client.send(POST.replace(b"/echo", b"/echo-late?key") % 2 + b"a")
        await wait_all_tasks_blocked()
        await client.send(b"b")
        await wait_all_tasks_blocked()
        assert (await closed_after(rig.connect("203.0.113.9")))[0].startswith(b"HTTP/1.1 503 ")
        assert (await client.answer())[0].status_code == 200
        assert (await rig.connect("203.0.113.9").ask(GET))[0] == 200


async def test_one_client_behind_a_proxy_does_not_hold_the_door(
    autojump_clock: MockClock,
) -> None:
    proxies = proxies_of(Listen(trusted_proxies=("10.0.0.0/8",)))
    door = Connections(most=40, most_per_address=10, is_exempt=proxies.trusts)

    def of(client: bytes, what: bytes) -> bytes:
        return what.replace(b"\r\n", b"\r\nX-Forwarded-For: " + client + b"\r\n", 1)

    async with open_rig(connections=door, arrivals=Arrivals(proxies=proxies)) as rig:
        for _ in range(40):
            await rig.connect("10.0.0.1").send(of(b"203.0.113.6", SLOW))
            await wait_all_tasks_blocked()
        assert (door.of("203.0.113.6"), door.of("10.0.0.1")) == (10, 0)
        sleeps = of(b"203.0.113.6", GET.replace(b"/echo", b"/sleep?key"))
        for _ in range(10):
            await rig.connect("10.0.0.1").send(sleeps)
            await wait_all_tasks_blocked()
        refused = rig.connect("10.0.0.1")
        await refused.send(sleeps)
        assert error_of((await closed_after(refused))[0]) == (
            503,
            "this address has too many connections",
        )
        kept_alive = rig.connect("10.0.0.1")
        for number in range(30):
            assert (await kept_alive.ask(of(b"203.0.113.%d" % (10 + number % 3), GET)))[0] == 200
        assert (door.of("203.0.113.12"), door.of("203.0.113.11"), door.total) == (1, 0, 11)


async def test_answers_that_a_key_does_not_read_are_limited_over_all_its_connections(
    autojump_clock: MockClock,
) -> None:
    unsent = Unsent(25_000)
    async with open_rig(unsent=unsent) as rig:
        clients = [rig.connect(pair=lockstep_stream_pair) for _ in range(5)]
        for client in clients:
            await client.send(GET.replace(b"/echo", b"/large?key"))
            await wait_all_tasks_blocked()
            assert unsent.of("one") <= 25_000
        assert [client.ended.is_set() for client in clients] == [True] * 3 + [False] * 2
        assert (await rig.connect().ask(GET.replace(b"/echo", b"/large")))[0] == 200
        assert len((await clients[-1].answer())[1]) > 10_000
    assert unsent.of("one") == 0


async def test_a_full_door_says_so(autojump_clock: MockClock) -> None:
    door = Connections(most=2, most_per_address=10)
    async with open_rig(connections=door) as rig:
        for _ in range(2):
            busy = rig.connect()
            await busy.send(GET.replace(b"/echo", b"/sleep?key"))
        await trio.sleep(0.1)
        answer, took_s = await closed_after(rig.connect())
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert took_s == 0


@pytest.mark.slow
async def test_thousands_of_idle_connections_do_not_lock_out_an_honest_client(
    autojump_clock: MockClock,
) -> None:
    door = Connections(most=200, most_per_address=500)
    async with open_rig(connections=door) as rig:
        for number in range(3_000):
            rig.connect(f"198.51.100.{number % 40}")
            if number % 300 == 0:
                honest = rig.connect()
                assert (await honest.ask(GET))[0] == 200
                await honest.stream.aclose()
        await wait_all_tasks_blocked()
        assert door.total == 200
        assert door.evicted > 2_700


async def test_a_bug_in_the_application_is_500_and_nothing_else_ends(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_rig() as rig:
        other, client = rig.connect(), rig.connect()
        await client.send(GET.replace(b"/echo", b"/fail"))
        answer, _ = await closed_after(client)
        assert error_of(answer)[0] == 500
        assert b"secret" not in answer
        assert (await other.ask(GET))[0] == 200
    assert "secret of the house" in caplog.text


async def test_who_leaves_in_the_middle_leaves_no_trace(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_rig() as rig:
        for sent in (b"", b"GET /", POST % 10 + b"x", GET, GET.replace(b"/echo", b"/large")):
            client = rig.connect()
            await client.send(sent)
            await client.stream.aclose()
            await client.ended.wait()
    assert not caplog.records


# ------------------------------------------------------------------------- real sockets


async def test_real_sockets_with_tls_and_a_stop_that_nobody_can_delay() -> None:
    authority = trustme.CA()
    here, there = showing(authority, "127.0.0.1"), trusting(authority)
    here.set_alpn_protocols(["http/1.1"])
    there.set_alpn_protocols(["h2", "http/1.1"])
    app: AsgiApp = _answers_without_end
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            door = Connections(most=10, most_per_address=10)
            server = HttpServer(app=app, connections=door, arrivals=Arrivals(tls=here))
            server = attrs.evolve(server, unsent=Unsent(100_000_000))
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            nursery.start_soon(serve_http, server, (listener,))
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            secure = trio.SSLStream(stream, there, server_hostname="127.0.0.1")
            await secure.send_all(GET)  # and its answer is never read
            assert secure.selected_alpn_protocol() == "http/1.1"
            await trio.sleep(0.2)
            assert door.total == 1
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)
    assert door.total == 0


async def _answers_without_end(_: Any, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 50_000_000})
