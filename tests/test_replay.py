"""Recorded calls through the machine: each ends as it did, plain or JSON; bad ones say so."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookflash import replay as replay_module
from hookflash.dialling.metaflows import DEFAULT_METAFLOWS, parse_metaflows
from hookflash.engine.legs import Account
from hookflash.errors import InputError
from hookflash.events import TransferRequested
from hookflash.replay import Replay, names_in, replay_recording

RECORDINGS = Path(__file__).resolve().parent / "freeswitch" / "recordings"
FORMS = ("json", "plain")

CONSULTED = "idle holding dialing consulting"
ENDS = {
    "complete": ("transferred", None, f"{CONSULTED} completing idle"),
    "failsafe": ("transferred", None, f"{CONSULTED} completing idle"),
    "partial": ("transferred", None, "idle holding dialing partial completing idle"),
    "busy": ("reconnected", "USER_BUSY", "idle holding dialing failed_reconnect idle"),
    "noanswer": ("reconnected", "NO_ANSWER", "idle holding dialing failed_reconnect idle"),
    "takeback": ("taken_back", None, "idle holding dialing takeback idle"),
    "takeback-consult": ("taken_back", None, f"{CONSULTED} takeback idle"),
    "target-drops": ("reconnected", "NORMAL_CLEARING", f"{CONSULTED} failed_reconnect idle"),
    "bridge-race": ("reconnected", "NORMAL_CLEARING", f"{CONSULTED} failed_reconnect idle"),
    "errors": (None, None, "idle"),
}


def recording(name: str, form: str) -> Path:
    return RECORDINGS / f"{name}.{form}.jsonl.gz"


def ending(played: Replay) -> tuple[str | None, str | None, str]:
    outcome = played.outcome.value if played.outcome else None
    return outcome, played.cause, " ".join(state.value for state in played.states)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ENDS)
def test_a_recorded_call_ends_as_it_did(name: str, form: str) -> None:
    played = replay_recording(recording(name, form))
    assert ending(played) == ENDS[name]
    assert played.skipped == 0


@pytest.mark.parametrize("name", sorted(ENDS.keys() - {"target-drops"}))
def test_plain_and_json_tell_the_same_story(name: str) -> None:
    """Apart from the clock and the ids: they are two calls.

    In those of target-drops the two legs parked in another order.
    """
    told = [
        [(record.row, record.why, record.refused) for record in replay_recording(path).records]
        for path in (recording(name, form) for form in FORMS)
    ]
    assert told[0] == told[1]


def test_every_recording_is_looked_at() -> None:
    found = {path.name.split(".")[0] for path in RECORDINGS.glob("*.gz")}
    assert found - ENDS.keys() == {"swap-threeway"}  # its controller swapped, which we don't yet
    # a reunion that we did not order is what our failsafe would do
    assert ending(replay_recording(recording("swap-threeway", "json")))[0] == "reconnected"


def test_a_replay_does_the_same_twice() -> None:
    path = recording("complete", "json")
    assert replay_recording(path) == replay_recording(path)


def test_by_digits_or_by_the_note_that_says_so() -> None:
    asked = {
        name: [
            record.event.by
            for record in replay_recording(recording(name, "json")).records
            if isinstance(record.event, TransferRequested)
        ]
        for name in ("complete", "busy", "errors")
    }
    assert asked == {"complete": ["digits"], "busy": ["note"], "errors": []}


def test_other_feature_codes_hear_other_things() -> None:
    deaf = Account(metaflows=parse_metaflows({"binding_digit": "#"}))
    played = replay_recording(recording("complete", "json"), account=deaf)
    asked = [r.event for r in played.records if isinstance(r.event, TransferRequested)]
    assert [event.by for event in asked] == ["note"]


def test_the_pause_that_ends_a_code_is_the_account_s() -> None:
    slow = Account(metaflows=attrs.evolve(DEFAULT_METAFLOWS, digit_timeout_s=60.0))
    played = replay_recording(recording("complete", "json"), account=slow)
    asked = [r.event for r in played.records if isinstance(r.event, TransferRequested)]
    assert [event.by for event in asked] == ["note"]


def test_legs_get_names_in_their_order() -> None:
    played = replay_recording(recording("complete", "json"))
    assert [*names_in(played.records).values()] == ["alice", "bob", "carol"]
    assert names_in(()) == {}


# ------------------------------------------------------------ recordings that are not right


def lines_of(name: str, form: str = "json") -> list[bytes]:
    return gzip.decompress(recording(name, form).read_bytes()).splitlines(keepends=True)


def write(tmp_path: Path, lines: Iterable[bytes]) -> Path:
    path = tmp_path / "recording.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def entry(at_s: float, data: str, way: str = "recv") -> bytes:
    return json.dumps({"t": at_s, "dir": way, "data": data}).encode() + b"\n"


def frame(body: str) -> str:
    head = f"Content-Length: {len(body.encode())}\nContent-Type: text/event-json\n\n"
    return head + body


@pytest.mark.parametrize("cut", [1, 3, 10, 16])
def test_a_recording_that_ends_early_is_played_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    lines = lines_of("complete")
    played = replay_recording(write(tmp_path, lines[: len(lines) * cut // 21]))
    assert played.outcome is None
    assert ENDS["complete"][2].startswith(ending(played)[2])


def test_a_line_that_is_cut_is_named(tmp_path: Path) -> None:
    lines = lines_of("complete")[:5]
    path = write(tmp_path, [*lines, lines[-1][:40]])
    with pytest.raises(InputError, match=r"recording\.jsonl:6: not an entry"):
        replay_recording(path)


def test_a_gzip_file_that_is_cut_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(recording("busy", "json").read_bytes()[:-200])
    with pytest.raises(InputError, match="cut short"):
        replay_recording(path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("Content-Length: -5\nContent-Type: text/event-json\n\n", "not a number of bytes"),
        ("Content-Length: 99999999999\nContent-Type: text/event-json\n\n", "Content-Length"),
        ("HTTP/1.1 200 OK\n\n", "a frame has no Content-Type"),
        ("x" * 3_000_000, "recording.jsonl:1"),
    ],
)
def test_bytes_that_are_no_frames_stop_it_with_the_line(
    tmp_path: Path, data: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        replay_recording(write(tmp_path, [entry(0.0, data)]))
    assert told in str(caught.value)
    assert "recording.jsonl:1" in caught.value.where
    assert caught.value.hint


def test_events_that_make_no_sense_are_skipped_and_counted(tmp_path: Path) -> None:
    strange = [
        frame("{not json"),
        frame("[]"),
        frame('{"Event-Name": "CHANNEL_ANSWER"}'),
        frame('{"Event-Name": "DTMF", "Unique-ID": "x", "DTMF-Digit": "elephant"}'),
        frame('{"Event-Name": {"a": 1}, "Unique-ID": 7}'),
    ]
    lines = lines_of("complete")
    played = replay_recording(write(tmp_path, [*(entry(0.0, one) for one in strange), *lines]))
    assert ending(played) == ENDS["complete"]
    assert played.skipped >= 3


def test_notes_and_commands_that_lie_are_no_harm(tmp_path: Path) -> None:
    lies = [
        entry(0.0, "alice asks for a transfer to ${evil}: dial with that", "note"),
        entry(0.0, "transfer to 2600\n\nbad: dial with", "note"),
        entry(0.0, "api originate {origination_uuid=}x/y@z", "send"),
        entry(0.0, "api originate {origination_uuid=a,originate_timeout=²}sofia/x/2600@h", "send"),
        entry(0.0, "bgapi uuid_transfer nobody -both park", "send"),
    ]
    played = replay_recording(write(tmp_path, lies))
    assert ending(played) == (None, None, "idle")


def test_a_recording_is_as_long_as_one_can_look_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, [entry(float(n), "", "note") for n in range(100)])
    replay_recording(path)
    monkeypatch.setattr(replay_module, "MAX_CHARACTERS", 64 * 50)
    with pytest.raises(InputError, match=r":51: the recording is too long"):
        replay_recording(path)


def test_a_recording_lasts_as_long_as_one_can_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline that is set again for ever would fire through all of it."""
    span_s = 3600.0
    monkeypatch.setattr(replay_module, "MAX_SPAN_S", span_s)
    lines = lines_of("target-drops")[:40]
    began_s = json.loads(lines[0])["t"]
    replay_recording(write(tmp_path, [*lines, entry(began_s + span_s, "", "note")]))
    with pytest.raises(InputError, match=r":41: the recording lasts too long"):
        replay_recording(write(tmp_path, [*lines, entry(began_s + span_s + 1, "", "note")]))


@pytest.mark.slow
@settings(max_examples=50)
@given(data=st.data(), name=st.sampled_from(["complete", "takeback-consult", "partial"]))
def test_whatever_is_lost_of_a_recording_it_never_falls_over(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    """Lines dropped, doubled and spoilt: it plays, or says which line it can't read."""
    lines = lines_of(name)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "double", "spoil"])):
            case "drop":
                del lines[place]
            case "double":
                lines.insert(place, lines[place])
            case _:
                cut = data.draw(st.integers(0, len(lines[place])))
                lines[place] = lines[place][:cut] + b"0" + lines[place][cut + 1 :]
    path = write(tmp_path_factory.mktemp("spoilt"), lines)
    try:
        played = replay_recording(path)
    except InputError as error:
        refused = error
        assert str(path) in refused.where
    else:
        assert len(played.records) <= 10 * len(lines)
