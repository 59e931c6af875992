"""Whose word counts about a client's address: a trusted proxy's, and nobody else's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from lab import config_of, open_lab
from trio.testing import MockClock, memory_stream_pair

from hookflash.errors import InputError
from hookflash.server.arrivals import (
    MORE_BYTES,
    SIGNATURE,
    WITHIN_S,
    Arrivals,
    BadArrival,
    read_proxy_header,
)
from hookflash.server.config import Listen
from hookflash.server.http.server import serve_stream
from hookflash.server.proxies import Proxies, proxies_of

LISTEN = Listen(trusted_proxies=("10.0.0.0/8", "2001:db8:5::/48", "192.0.2.7"))
PROXIES = proxies_of(LISTEN)

# ------------------------------------------------------------------------ X-Forwarded-For


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody's proxy
        ("10.0.0.1", "198.51.100.1, 203.0.113.5", "203.0.113.5"),  # the first is made up
        ("10.0.0.1", "198.51.100.1,10.0.0.9 , 203.0.113.5,10.1.1.1, 192.0.2.7", "203.0.113.5"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),  # all are proxies
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, unknown, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("2001:db8:5::9", "::ffff:203.0.113.5", "203.0.113.5"),
        ("::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "1.2.3.4, " + "10.0.0.2, " * 100 + "10.0.0.3", "10.0.0.2"),
        ("10.0.0.1", "'; DROP TABLE, \xff", "10.0.0.1"),
        ("", "203.0.113.5", ""),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_no_proxy(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert PROXIES.client_of(peer, forwarded) == client
    if peer:
        assert Proxies().client_of(peer, forwarded) == peer


@given(st.text(), st.ip_addresses())
def test_whatever_a_client_writes_its_proxy_has_the_last_word(
    made_up: str, address: IPv4Address | IPv6Address
) -> None:
    found = PROXIES.client_of("10.0.0.1", f"{made_up}, {address}")
    mapped = getattr(address, "ipv4_mapped", None)
    if not PROXIES.trusts(str(address)):
        assert found == str(mapped or address).partition("%")[0]


async def test_wrong_keys_are_counted_by_the_clients_address(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    wrong = "hookflash_0123456789ab_" + "x" * 32
    mallory, honest = "1.1.1.1, 6.6.6.6", "1.1.1.1, 7.7.7.7"
    listen = {"trusted_proxies": ["10.0.0.0/8"]}
    async with open_lab(tmp_path, listen=listen, limits={"wrong_keys_per_minute": 3}) as lab:
        good = await lab.make_key("acme")

        async def status(peer: str, key: str, forwarded: str) -> int:
            there, here = memory_stream_pair()
            body = b'{"data": {"api_key": "%s"}}' % key.encode()
            lines = [f"X-Forwarded-For: {one}" for one in forwarded.split(", ")]
            head = ["PUT /v2/api_auth HTTP/1.1", "Host: a", "Connection: close", *lines]
            head.append(f"Content-Length: {len(body)}")
            await there.send_all("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            await there.send_eof()
            await serve_stream(lab.doors.http, here, peer)
            return int((await there.receive_some()).split(b" ", 2)[1])

        proxied = [await status("10.0.0.1", wrong, mallory) for _ in range(4)]
        assert proxied == [401] * 3 + [429]
        assert await status("10.0.0.1", good, honest) == 201
        direct = [await status("9.9.9.9", wrong, f"8.8.8.{number}") for number in range(4)]
        assert direct == [401] * 3 + [429], "a stranger is not believed"


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({"trusted_proxies": ["10.0.0.0/33"]}, "$.listen.trusted_proxies[0]"),
        ({"trusted_proxies": ["10.0.0.0/8", "10.0.0.1/8"]}, "$.listen.trusted_proxies[1]"),
        ({"trusted_proxies": ["proxy.example.org"]}, "$.listen.trusted_proxies[0]"),
        ({"proxy_protocol": True}, "$.listen.proxy_protocol"),
    ],
)
def test_proxies_that_cannot_be_used_are_told(keys: dict[str, object], where: str) -> None:
    with pytest.raises(InputError) as told:
        config_of(listen=keys)
    assert told.value.where == where
    assert told.value.hint


# ------------------------------------------------------------------------ PROXY protocol


def binary(family: int, addresses: bytes, *, start: int = 0x21, more: bytes = b"") -> bytes:
    rest = addresses + more
    return SIGNATURE + bytes([start, family]) + len(rest).to_bytes(2) + rest


V4 = bytes([203, 0, 113, 5, 10, 0, 0, 1]) + b"\x12\x34\x00\x50"
V6 = IPv6Address("2001:db8::1").packed + IPv6Address("::2").packed + b"\x12\x34\x00\x50"

HEADERS: Mapping[bytes, str | None] = {
    b"PROXY TCP4 203.0.113.5 10.0.0.1 4660 80\r\n": "203.0.113.5",
    b"PROXY TCP6 2001:db8::1 ::2 4660 80\r\n": "2001:db8::1",
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff:f::1 ::2 65535 65535\r\n": None,
    binary(0x11, V4): "203.0.113.5",
    binary(0x11, V4, more=b"\x03\x00\x04crc!"): "203.0.113.5",
    binary(0x21, V6): "2001:db8::1",
    binary(0x31, b"x" * 216): None,  # a local socket
    binary(0x00, b""): None,
    binary(0x11, V4, start=0x20): None,  # the proxy's own check
}

WRONG = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"PROXY TCP4 203.0.113.5\r\n",
    b"PROXY TCP4 203.0.113.5 10.0.0.1 4660 80\n",
    b"PROXY TCP4 localhost 10.0.0.1 4660 80\r\n",
    b"PROXY TCP4 \xff.0.113.5 10.0.0.1 4660 80\r\n",
    b"PROXY UDP4 203.0.113.5 10.0.0.1 4660 80\r\n",
    b"PROXY " + b"x" * 200,
    b"PROXY TCP4 203.0.113.5 10.",
    binary(0x11, V4[:-1]),
    binary(0x11, V4, start=0x11),
    binary(0x11, V4, start=0x22),
    binary(0x11, V4, more=b"x" * MORE_BYTES),
    binary(0x11, V4)[:-3],
    SIGNATURE[:5],
    b"",
)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_proxy_header_is_read_and_nothing_behind_it(
    autojump_clock: MockClock, header: bytes, *, at_once: bool
) -> None:
    there, here = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            whole = header + b"GET"
            for part in [whole] if at_once else [whole[n : n + 1] for n in range(len(whole))]:
                await there.send_all(part)
                await trio.sleep(0.01)

        nursery.start_soon(send)
        assert await read_proxy_header(here) == HEADERS[header]
        got = b""
        while len(got) < 3:
            got += await here.receive_some(3)
        assert got == b"GET"


@pytest.mark.parametrize("header", WRONG)
async def test_a_proxy_header_that_is_none_ends_the_connection(
    autojump_clock: MockClock, header: bytes
) -> None:
    there, here = memory_stream_pair()
    await there.send_all(header)
    await there.send_eof()
    with pytest.raises(BadArrival):
        await read_proxy_header(here)


@given(st.binary(max_size=300), st.sampled_from((b"", b"PROXY TCP4 ", SIGNATURE)))
def test_whatever_a_proxy_sends_is_an_address_or_an_error(junk: bytes, start: bytes) -> None:
    async def read() -> None:
        there, here = memory_stream_pair()
        await there.send_all(start + junk)
        await there.send_eof()
        with suppress(BadArrival):
            assert isinstance(await read_proxy_header(here), str | None)

    trio.run(read)


async def test_only_a_trusted_proxy_sends_the_header_and_has_a_deadline(
    autojump_clock: MockClock,
) -> None:
    arrivals = Arrivals(proxies=PROXIES, proxy_protocol=True)
    there, here = memory_stream_pair()
    await there.send_all(b"PROXY TCP4 203.0.113.5 10.0.0.1 4660 80\r\n")
    assert await arrivals.address_of(here, "198.51.100.1") == "198.51.100.1"
    assert await arrivals.address_of(here, "10.0.0.1") == "203.0.113.5"
    began_s = trio.current_time()
    with pytest.raises(BadArrival, match="too long"):
        await arrivals.address_of(here, "10.0.0.1")
    assert trio.current_time() - began_s == WITHIN_S
    assert await Arrivals(proxies=PROXIES).address_of(here, "10.0.0.1") == "10.0.0.1"
