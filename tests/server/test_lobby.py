"""Connections in the lobby: who is let in first, and who is refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hookflash.server.accepting import LET_IN_AT_ONCE, Lobby, accept_all
from hookflash.server.connections import Connections
from hookflash.server.crowds import Crowds

HOME = "192.0.2.1"
CROWDED = "198.51.100.1"


@pytest.fixture
def connections() -> Connections:
    return Connections(most=100, most_per_address=100)


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    opened = [socket.socket() for _ in range(40)]
    yield opened
    for one in opened:
        one.close()


def sign_in_from(connections: Connections, address: str) -> None:
    connections.prove(address)


def test_addresses_take_turns(connections: Connections, sockets: list[socket.socket]) -> None:
    lobby = Lobby(connections)
    crowd, lone = sockets[:10], sockets[10]
    for one in crowd:
        lobby.enter(one, CROWDED)
    lobby.enter(lone, HOME)
    assert list(lobby.let_in(3)) == [crowd[0], lone, crowd[1]]
    assert list(lobby.let_in(100)) == crowd[2:]
    assert not list(lobby.let_in(100))


def test_every_other_turn_is_for_addresses_that_are_known(
    connections: Connections, sockets: list[socket.socket]
) -> None:
    sign_in_from(connections, HOME)
    lobby = Lobby(connections)
    strangers, known = sockets[:20], sockets[20:23]
    for number, one in enumerate(strangers):
        lobby.enter(one, f"198.51.100.{number}")
    for one in known:
        lobby.enter(one, HOME)
    let_in = list(lobby.let_in(6))
    assert [one for one in let_in if one in known] == known
    assert [one for one in let_in if one in strangers] == strangers[:3]
    assert list(lobby.let_in(100)) == strangers[3:]  # nobody's turn is lost


def test_strangers_are_not_shut_out_by_a_crowd_that_is_known(
    connections: Connections, sockets: list[socket.socket]
) -> None:
    sign_in_from(connections, HOME)
    lobby = Lobby(connections)
    for one in sockets[1:]:
        lobby.enter(one, HOME)
    lobby.enter(sockets[0], CROWDED)
    assert sockets[0] in list(lobby.let_in(2))


def test_a_full_lobby_refuses_the_most_crowded_stranger(
    connections: Connections, sockets: list[socket.socket]
) -> None:
    sign_in_from(connections, HOME)
    lobby = Lobby(connections, most=12)
    known, lone, crowd = sockets[:10], sockets[10], sockets[11:]
    for one in known:
        lobby.enter(one, HOME)
    lobby.enter(lone, "203.0.113.9")
    for one in crowd:
        lobby.enter(one, CROWDED)
    assert connections.refused == len(crowd) - 1
    assert all(one.fileno() < 0 for one in crowd[:-1])
    assert set(lobby.let_in(100)) == {*known, lone, crowd[-1]}


def test_a_lobby_full_of_known_ones_refuses_the_most_crowded_of_them(
    connections: Connections, sockets: list[socket.socket]
) -> None:
    sign_in_from(connections, HOME)
    lobby = Lobby(connections, most=3)
    for one in sockets[:5]:
        lobby.enter(one, HOME)
    assert list(lobby.let_in(100)) == sockets[2:5]


def test_a_closed_lobby_leaves_no_socket_open(
    connections: Connections, sockets: list[socket.socket]
) -> None:
    lobby = Lobby(connections)
    for number, one in enumerate(sockets):
        lobby.enter(one, f"198.51.100.{number}")
    lobby.close()
    assert all(one.fileno() < 0 for one in sockets)


async def test_a_known_client_passes_a_queue_of_strangers(
    autojump_clock: MockClock, connections: Connections
) -> None:
    sign_in_from(connections, "127.0.0.1")
    served: list[str] = []

    async def serve(stream: trio.SocketStream) -> None:
        served.append(stream.socket.getpeername()[0])
        await trio.aclose_forcefully(stream)

    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    place = listener.getsockname()
    clients = [socket.socket() for _ in range(101)]
    for one in clients[:100]:
        one.bind(("127.1.0.1", 0))
        one.connect(place)
    clients[100].connect(place)  # behind all of them, in the kernel's queue
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(accept_all, [listener], Lobby(connections), serve))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    for one in clients:
        one.close()
    assert served.index("127.0.0.1") < LET_IN_AT_ONCE
    assert len(served) == len(clients)


def test_the_largest_crowd_is_found() -> None:
    crowds = Crowds[int]()
    assert not crowds
    assert crowds.largest == 0
    assert crowds.oldest() is None
    for number, crowd in enumerate("abcbcc"):
        crowds.enter(crowd, number)
    assert (crowds.largest, crowds.oldest(), crowds.of("b")) == (3, 2, (1, 3))
    assert crowds.take_of_largest() == 2
    crowds.leave("c", 99)  # it is not there
    crowds.leave("d", 1)
    assert [crowds.take_in_turn() for _ in range(5)] == [0, 1, 4, 3, 5]
    assert not crowds
