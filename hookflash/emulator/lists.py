"""The lists of channels and of calls, as `show` prints them."""

from __future__ import annotations

from collections.abc import Iterable
from json import dumps
from typing import Final

from hookflash.emulator.event_publisher import EventPublisher
from hookflash.emulator.host import HOSTNAME, Host
from hookflash.emulator.legs import EmulatedLeg
from hookflash.emulator.variables import stamp

_LIST_LAGS_US: Final = 150_000
"""How old a leg is before `show` lists it (measured: 80 to 190 ms)."""

_FIRST: Final = (
    "uuid",
    "direction",
    "created",
    "created_epoch",
    "name",
    "state",
    "cid_name",
    "cid_num",
    "ip_addr",
    "dest",
)
_SECOND: Final = (
    "presence_id",
    "presence_data",
    "accountcode",
    "callstate",
    "callee_name",
    "callee_num",
    "callee_direction",
    "call_uuid",
    "sent_callee_name",
    "sent_callee_num",
)
_OF_CALL: Final = [*_FIRST, *(name for name in _SECOND if name != "call_uuid")]


class Lists:
    """The lists of one switch."""

    def __init__(self, host: Host, publisher: EventPublisher) -> None:
        """List the publisher's legs, by the host's clock."""
        self._host = host
        self._publisher = publisher

    def rows(self, what: str, given: list[str]) -> list[dict[str, str]] | None:
        """The rows of a list; None if it is not emulated.

        Args:
            what: the name of the list.
            given: all words of the command.
        """
        listed_us = self._host.now_us() - _LIST_LAGS_US
        living = [
            leg
            for leg in self._publisher.legs.values()
            if not leg.cause and leg.created_us <= listed_us
        ]
        match what:
            case "channels":
                rows = [self._channel_row(leg) for leg in living]
                if len(given) > 2 and given[1].lower() == "like":  # noqa: PLR2004 - the third word
                    rows = [row for row in rows if _is_like(row, given[2])]
                return rows
            case "calls":
                return [self._call_row(leg) for leg in living if not _is_second(leg)]
            case "bridged_calls":
                return [
                    self._call_row(leg)
                    for leg in living
                    if leg.channel.peer is not None and not _is_second(leg)
                ]
            case "registrations" | "aliases" | "tasks" | "limits" | "nat_map":
                return []
            case _:
                return None

    def _channel_row(self, leg: EmulatedLeg) -> dict[str, str]:
        codec = ("PCMU", "8000", "64000") if leg.has_media else ("", "", "")
        reading = dict(zip(("read_codec", "read_rate", "read_bit_rate"), codec, strict=True))
        writing = dict(zip(("write_codec", "write_rate", "write_bit_rate"), codec, strict=True))
        basic = _basic(leg)
        return {
            **{name: basic[name] for name in _FIRST},
            "application": leg.application[0],
            "application_data": leg.application[1],
            "dialplan": leg.dialplan,
            "context": "default",
            **reading,
            **writing,
            "secure": "",
            "hostname": HOSTNAME,
            **{name: basic[name] for name in _SECOND},
            "initial_cid_name": leg.original_name,
            "initial_cid_num": leg.original_number,
            "initial_ip_addr": "127.0.0.1",
            "initial_dest": leg.destination,
            "initial_dialplan": "XML" if leg.inbound else "",
            "initial_context": "default",
        }

    def _call_row(self, leg: EmulatedLeg) -> dict[str, str]:
        peer = self._publisher.peer_of(leg)
        other = dict.fromkeys(_OF_CALL, "") if peer is None else _basic(peer)
        own = _basic(leg)
        began_us = leg.bridged_us if peer is not None else 0
        return {
            **{name: own[name] for name in _OF_CALL if not name.startswith("sent_")},
            "call_uuid": own["call_uuid"],
            "hostname": HOSTNAME,
            **{name: own[name] for name in _OF_CALL if name.startswith("sent_")},
            **{f"b_{name}": other[name] for name in _OF_CALL},
            "call_created_epoch": str(began_us // 1_000_000) if began_us else "",
        }


def _basic(leg: EmulatedLeg) -> dict[str, str]:
    """The columns that the lists of channels and of calls share."""
    return {
        "uuid": leg.id,
        "direction": "inbound" if leg.inbound else "outbound",
        "created": stamp(leg.created_us),
        "created_epoch": str(leg.created_us // 1_000_000),
        "name": leg.name,
        "state": leg.state,
        "cid_name": leg.caller_name,
        "cid_num": leg.caller_number,
        "ip_addr": "127.0.0.1",
        "dest": leg.destination,
        "presence_id": "",
        "presence_data": "",
        "accountcode": leg.variable("accountcode") or "",
        "callstate": leg.call_state,
        "callee_name": leg.callee_name,
        "callee_num": leg.callee_number,
        "callee_direction": "SEND" if leg.answered_us else "",
        "call_uuid": leg.call_uuid if not leg.inbound or leg.bridged_us else "",
        "sent_callee_name": leg.variable("last_sent_callee_id_name") or "",
        "sent_callee_num": leg.variable("last_sent_callee_id_number") or "",
    }


def _is_second(leg: EmulatedLeg) -> bool:
    return leg.channel.peer is not None and not leg.channel.is_first


def _is_like(row: dict[str, str], pattern: str) -> bool:
    """Whether `like` finds a row, ignoring case, as in SQL."""
    wanted = pattern.strip("%").lower()
    columns = ("uuid", "name", "cid_name", "cid_num", "presence_data", "accountcode")
    return any(wanted in row[column].lower() for column in columns)


def as_json(rows: list[dict[str, str]], *, counts: bool) -> str:
    """A list as JSON, or only its length."""
    if counts:
        return f'{{"row_count":{len(rows)},"rows":[]}}'
    if not rows:
        return '{"row_count": 0}\n'
    document = {"row_count": len(rows), "rows": rows}
    return dumps(document, ensure_ascii=False, separators=(",", ":"))


def as_table(rows: list[dict[str, str]], total: int) -> str:
    """A list as comma-separated lines."""
    lines: Iterable[Iterable[str]] = (rows[0], *(row.values() for row in rows)) if rows else ()
    text = "".join(",".join(line) + "\n" for line in lines)
    return f"{text}\n{total} total.\n"
