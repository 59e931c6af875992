"""The command line, in process: what it prints, how it ends, and never a traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest
import trio

from hookflash.backends.simulator.faults import Faults
from hookflash.cli import main, proofs, remote, simulated
from hookflash.events import Event, Kind
from hookflash.fsm.machine import Rulebook, Step
from hookflash.fsm.transfer import State, Transfer
from hookflash.scenarios.run import Run
from hookflash.scenarios.searches import Search, search_tables
from hookflash.specs.catalog import SPECS

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = ROOT / "hookflash" / "specs" / "scenarios"
RECORDINGS = ROOT / "tests" / "freeswitch" / "recordings"
COMPLETE = str(SCENARIOS / "complete.toml")
BUSY = str(SCENARIOS / "busy.toml")
RECORDED = str(RECORDINGS / "complete.json.jsonl.gz")

FAILING = """
title = "Somebody expects too much"
parties = {alice = {number = "1001"}, bob = {number = "1002"}, carol = {number = "2600"}}
do = [{who = "alice", at_s = 1, dials = "*22600"}]
expect = {outcome = "taken_back"}
"""


class Told:
    """How a command ended, and what it said."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Say = Callable[..., Told]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def run(*arguments: str | Path) -> Told:
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Told(status, out, err)

    return run


def assert_refused(told: Told, *words: str) -> None:
    """One clear message, and status 2."""
    assert told.status == 2, told.err
    assert told.out == ""
    assert told.err.startswith("hookflash: ")
    assert told.err.count("\n") == 1, told.err
    assert "Traceback" not in told.err
    for word in words:
        assert word in told.err


# -------------------------------------------------------------------------- simulate


def test_simulate_one_file(say: Say) -> None:
    told = say("simulate", COMPLETE)
    assert told.status == 0
    assert "ok  complete  transferred  idle → holding → dialing → consulting" in told.out
    assert told.out.endswith("1 run, 1 ok, 0 failed\n")
    assert told.err == ""


def test_simulate_a_folder_and_files_beside_it(say: Say, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("complete", "busy"):
        (folder / f"{name}.toml").write_text((SCENARIOS / f"{name}.toml").read_text())
    (folder / "README.md").write_text("no scenario")
    assert say("simulate", folder).out.endswith("2 runs, 2 ok, 0 failed\n")
    told = say("simulate", folder, SCENARIOS / "race-consulting.toml")
    assert told.out.endswith("26 runs, 26 ok, 0 failed\n")


@pytest.mark.slow
def test_simulate_what_ships_unless_told(say: Say) -> None:
    told = say("simulate")
    assert told.status == 0
    runs = int(told.out.splitlines()[-1].split()[0])
    assert runs > len(list(SCENARIOS.glob("*.toml")))


def test_simulate_as_json(say: Say) -> None:
    told = say("simulate", BUSY, "--json")
    document = told.document
    assert told.status == 0
    assert document["outcome"] == "reconnected"
    assert document["cause"] == "USER_BUSY"
    assert document["states"] == ["idle", "holding", "dialing", "failed_reconnect", "idle"]
    assert document["seed"] == 0
    assert document["ok"] is True
    assert document["failures"] == []
    assert document["scenario"] == "busy"
    assert document["talk"] == [["alice", "bob"]]
    assert document["heard"]["bob"] == ["alice", "music", "alice"]


def test_simulate_several_as_json(say: Say) -> None:
    document = say("simulate", BUSY, COMPLETE, "--json").document
    assert document["ok"] is True
    assert document["outcome"] == "reconnected"
    assert document["states"][0] == "idle"
    assert document["failures"] == []
    assert [run["outcome"] for run in document["runs"]] == ["reconnected", "transferred"]


def test_an_expectation_that_fails_is_status_1(say: Say, tmp_path: Path) -> None:
    (tmp_path / "too-much.toml").write_text(FAILING)
    told = say("simulate", tmp_path)
    assert told.status == 1
    assert "FAILED  too-much" in told.out
    assert "too-much (seed 0): the outcome is reconnected, expected taken_back\n" in told.out
    assert told.out.endswith("1 run, 0 ok, 1 failed\n")
    document = say("simulate", tmp_path, BUSY, "--json", "--seed", "9").document
    assert document["ok"] is False
    assert document["seed"] == 9
    assert document["failures"][0].startswith("too-much: the outcome is reconnected")


@pytest.mark.slow
def test_the_seed_and_the_faults_are_those_asked_for(say: Say) -> None:
    def took(*options: str) -> float:
        return say("simulate", COMPLETE, "--json", *options).document["took_s"]

    assert took("--seed", "1") == took("--seed", "1") != took("--seed", "2")
    assert took("--faults", "latency=0.3..0.3") > took("--seed", "0")
    assert say("simulate", COMPLETE, "--faults", "").status == 0
    broken = say("simulate", COMPLETE, "--faults", "lose_command=1")
    assert broken.status == 1
    assert "promise" in broken.out


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ("loose_command=0.1", "unknown fault 'loose_command' (one of latency, seed,"),
        ("lose_command=often", "lose_command=often is not a probability (0 to 1)"),
        ("latency=2..1", "latency=2..1 is not a time span"),
        ("duplicate=0.1,duplicate=0.2", "duplicate is given twice (give it once)"),
        ("lose_at_most=-1", "lose_at_most=-1 is not a number"),
    ],
)
def test_faults_that_are_wrong(say: Say, faults: str, told: str) -> None:
    assert_refused(say("simulate", COMPLETE, "--faults", faults), told)


def test_every_step_and_the_story(say: Say) -> None:
    trace = say("simulate", BUSY, "--trace").out
    assert "failed_reconnect" in trace
    assert "USER_BUSY" in trace
    story = say("simulate", BUSY, "--story").out
    assert "Carol is busy" in story
    assert "alice" in story


@pytest.mark.parametrize("suffix", [".svg", ".mmd", ".md", ".txt"])
def test_diagrams(say: Say, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"call{suffix}"
    assert say("simulate", COMPLETE, "--diagram", file).status == 0
    text = file.read_text(encoding="utf-8")
    assert "alice" in text
    if suffix == ".svg":
        assert ET.fromstring(text).tag.endswith("svg")  # noqa: S314 - our own drawing
    if suffix in {".mmd", ".md"}:
        assert "sequenceDiagram" in text


def test_diagrams_that_can_t_be_written(say: Say, tmp_path: Path) -> None:
    pdf, nowhere = tmp_path / "call.pdf", tmp_path / "nowhere" / "call.svg"
    wrong = say("simulate", COMPLETE, "--diagram", pdf)
    assert_refused(wrong, "a diagram can't be written as '.pdf'", ".svg, .mmd, .txt")
    assert_refused(say("simulate", COMPLETE, "--diagram", nowhere), "can't be written", "another")


HOSTILE = "[/bold] [red] \x1b[31m \\"


def test_what_people_write_steers_no_terminal(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "a[b] [&red].toml"
    written = json.dumps(HOSTILE)
    file.write_text(
        FAILING.replace('"Somebody expects too much"', written).replace(
            'outcome = "taken_back"', f"refused = {written}, outcome = 'failed'"
        )
    )
    told = say("simulate", file, "--story", "--trace")
    assert told.status == 1
    assert "\x1b" not in told.out
    assert "[/bold] [red] �[31m" in told.out
    assert "a[b] [&red]" in told.out


# ----------------------------------------------------------------------------- replay


def test_replay(say: Say) -> None:
    told = say("replay", RECORDED)
    assert told.status == 0
    assert "idle → holding → dialing → consulting → completing → idle" in told.out
    assert "transferred" in told.out.splitlines()[-1]


def test_replay_as_json(say: Say) -> None:
    document = say("replay", RECORDINGS / "busy.plain.jsonl.gz", "--json").document
    assert document["outcome"] == "reconnected"
    assert document["cause"] == "USER_BUSY"
    assert document["states"] == ["idle", "holding", "dialing", "failed_reconnect", "idle"]
    assert document["transfer"] == "transfer-1"
    assert document["skipped"] == 0
    assert document["steps"][0]["event"]["type"] == "LegCreated"
    nothing = say("replay", RECORDINGS / "errors.json.jsonl.gz", "--json").document
    assert (nothing["outcome"], nothing["states"]) == (None, ["idle"])


def test_replay_tells_causes_skipped_frames_and_no_outcome(say: Say, tmp_path: Path) -> None:
    assert "reconnected (NO_ANSWER)" in say("replay", RECORDINGS / "noanswer.json.jsonl.gz").out
    assert "no outcome" in say("replay", RECORDINGS / "errors.plain.jsonl.gz").out
    body = "{not json"
    data = f"Content-Length: {len(body)}\nContent-Type: text/event-json\n\n{body}"
    file = tmp_path / "odd.jsonl"
    file.write_text(json.dumps({"t": 0.0, "dir": "recv", "data": data}) + "\n")
    assert "1 frames could not be used" in say("replay", file).out


def test_replay_with_a_config_and_a_diagram(say: Say, tmp_path: Path) -> None:
    config, drawn = tmp_path / "codes.toml", tmp_path / "call.txt"
    config.write_text('binding_digit = "#"\n')
    told = say("replay", RECORDED, "--config", config, "--diagram", drawn, "--json")
    asked = [
        s["event"] for s in told.document["steps"] if s["event"]["type"] == "TransferRequested"
    ]
    assert [event["by"] for event in asked] == ["note"]
    assert "alice" in drawn.read_text()
    config.write_text('binding_digit = "##"\n')
    wrong = say("replay", RECORDED, "--config", config)
    assert_refused(wrong, f"{config}: $.binding_digit", "one key")


# ------------------------------------------------------------------------------- spec


@pytest.mark.parametrize("name", list(SPECS))
def test_spec_show(say: Say, name: str) -> None:
    table = say("spec", "show", name)
    assert table.status == 0
    assert "holding" in table.out
    assert table.out == say("spec", "show", name, "--format", "table").out
    assert "stateDiagram" in say("spec", "show", name, "--format", "mermaid").out
    assert say("spec", "show", name, "--format", "dot").out.startswith("digraph")
    assert say("spec", "show", name, "--format", "json").document["name"] == name


def test_spec_that_is_unknown(say: Say) -> None:
    assert_refused(say("spec", "show", "warm"), "warm", *SPECS)
    assert_refused(say("spec", "show", "hold", "--format", "pdf"), "pdf", "mermaid", "dot")
    assert_refused(say("spec", "shwo"), "shwo", 'Did you mean "show"?')


# ----------------------------------------------------------------------- check-config


GOOD = {
    "numbers": {"1": {"module": "resume"}},
    "patterns": {r"2(\d+)": {"module": "transfer", "data": {"timeout": 20}}},
}
GOOD_TOML = """
[numbers.1]
module = "resume"
[patterns.'2(\\d+)']
module = "transfer"
"""


def test_a_config_that_is_good(say: Say, tmp_path: Path) -> None:
    as_json, as_toml, marked = (
        tmp_path / name for name in ("codes.json", "codes.toml", "marked.toml")
    )
    as_json.write_text(json.dumps(GOOD))
    as_toml.write_text(GOOD_TOML)
    marked.write_bytes(b"\xef\xbb\xbf" + GOOD_TOML.encode())
    for file in (as_json, as_toml, marked):
        told = say("check-config", file)
        assert told.status == 0
        assert told.out.splitlines() == [
            f"{file}: ok",
            f"feature codes of {file}: $",
            "  *1: acts at once",
            "  *2(\\d+): acts after 3 s without a key, or with #",
        ]
        assert say("check-config", file, "--json").document == {
            "ok": True,
            "faults": [],
            "advice": [],
            "timing": [
                {"where": f"{file}: $", "code": "*1", "acts": "acts at once"},
                {
                    "where": f"{file}: $",
                    "code": r"*2(\d+)",
                    "acts": "acts after 3 s without a key, or with #",
                },
            ],
        }


def test_all_faults_of_a_rule_file_are_reported(say: Say, tmp_path: Path) -> None:
    config, rules = tmp_path / "hookflash.toml", tmp_path / "site.rules"
    config.write_text('[accounts.acme.numbers]\nrewrites_file = "site.rules"\n')
    rules.write_text("; Germany\n0... to +49...\n00... -> +...\n9 -> $1\n")
    told = say("check-config", config)
    assert told.status == 2
    first, second = told.out.splitlines()
    assert first.startswith(f"wrong  {rules}:2: '0... to +49...' is not a rule")
    assert second.startswith(f"wrong  {rules}:4: there is no group $1")
    assert len(say("check-config", config, "--json").document["faults"]) == 2
    rules.write_text("0... -> +49...\n")
    assert say("check-config", config).out == f"{config}: ok\n"


def test_the_numberings_of_a_service_are_explained(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "hookflash.toml"
    file.write_text(
        "[defaults]\nnumbering = [4]\n[accounts.acme]\nnumbering = ['[1-9]\\d{3}', '110']\n"
        "[accounts.globex.metaflows]\nnumbers = {1 = {module = 'resume'}}\n"
    )
    told = say("check-config", file)
    assert told.status == 0
    assert f"advice {file}: $.defaults.numbering: 0000 is complete, so longer" in told.out
    assert f"advice {file}: $.accounts.acme.numbering: 110 is complete, and also" in told.out
    assert f"advice {file}: $.accounts.globex.numbering: it has no effect" in told.out
    assert told.out.count("feature codes of ") == 3
    assert r"  *2(\d+): acts at once if the number is complete, such as *21000; else" in told.out
    file.write_text("[accounts.acme]\nnumbering = [2600]\n")
    told = say("check-config", file)
    assert told.status == 2
    assert "$.accounts.acme.numbering[0]: 2600 is not a length" in told.out


def test_a_denied_number_that_is_rewritten_is_reported(say: Say, tmp_path: Path) -> None:
    config = tmp_path / "hookflash.toml"
    text = """
        [defaults.numbers]
        rewrites = ["00... -> +...", "0... -> +49..."]
        [accounts.acme.rules]
        targets_denied = ["0900*", "26??", "*#", "0137???"{more}]
        """
    config.write_text(text.format(more=""))
    told = say("check-config", config, "--json").document
    assert told["ok"] is True
    where, hint = f"{config}: $.accounts.acme.rules.targets_denied", "deny the form that is dialled"
    assert told["advice"] == [
        f"{where}: 0900* does not deny 0900, since a rewrite makes +49900 of it ({hint})",
        f"{where}: 0137??? does not deny 0137123, since a rewrite makes +49137123 of it ({hint})",
    ]
    config.write_text(text.format(more=', "+49900*", "+49137???"'))
    assert say("check-config", config, "--json").document["advice"] == []


def test_a_config_that_will_annoy_people(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "codes.json"
    file.write_text(json.dumps({**GOOD, "binding_digit": "9"}))
    told = say("check-config", file)
    assert told.status == 0
    assert f"advice {file}: $.binding_digit: pressing 9 in a menu" in told.out
    assert "(use *, which menus at the far end use least)\n" in told.out
    document = say("check-config", file, "--json").document
    assert document["ok"] is True
    assert "$.binding_digit: pressing 9 in a menu" in document["advice"][0]


def test_a_config_that_is_wrong(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "codes.json"
    file.write_text(json.dumps({"binding_digt": "*", "digit_timeout": "2s", "numbers": {"1": {}}}))
    told = say("check-config", file)
    assert told.status == 2
    lines = told.out.splitlines()
    assert any(
        "binding_digt: this key is not known (did you mean binding_digit?" in x for x in lines
    )
    assert any('$.digit_timeout: "2s" is not a whole number' in line for line in lines)
    document = say("check-config", file, "--json").document
    assert document["ok"] is False
    assert len(document["faults"]) == 3
    assert document["advice"] == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.toml", b"x = [", ["is not valid TOML", "write TOML"]),
        ("a.toml", b"\x00\xff\xfe binary", ["is not valid TOML", "write TOML"]),
        ("a.json", b"\x00\xff\xfe binary", ["is not valid JSON", "write JSON"]),
        ("a.json", b"{", ["is not valid JSON", "line 1 column 2"]),
        ("a.json", b"[" * 100_000, ["is not valid JSON"]),
        (
            "a.json",
            b'{"digit_timeout": ' + b"1" * 5000 + b"}",
            ["is not valid JSON", "Exceeds the limit"],
        ),
        ("a.json", b'{"a": 1, "a": 2}', ["the key 'a' is given twice", "give it once"]),
        ("a.json", b"x" * 1_000_001, ["is too large", "at most 1000000 bytes"]),
    ],
)
def test_a_config_that_is_none(
    say: Say, tmp_path: Path, name: str, content: bytes, words: list[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert_refused(say("check-config", file), str(file), *words)


def test_a_misspelt_table_is_no_feature_code(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "hookflash.toml"
    file.write_text('[listn]\nhttp = "127.0.0.1:8080"\n')
    told = say("check-config", file)
    assert told.status == 2
    assert "$.listn" in told.out
    assert "did you mean listen?" in told.out


# ---------------------------------------------------------------- what is not there


@pytest.mark.parametrize("command", ["simulate", "replay", "check-config"])
def test_missing_files_and_folders(say: Say, tmp_path: Path, command: str) -> None:
    assert_refused(say(command, tmp_path / "nowhere"), "nowhere", "No such file", "name a")
    assert_refused(say(command, tmp_path), str(tmp_path), "name a")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(bytes(range(256)) * 40)
    assert_refused(say(command, garbage), str(garbage))


def test_scenarios_that_are_wrong_name_file_place_and_hint(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(FAILING.replace('number = "2600"', "nubmer = 2600"))
    told = say("simulate", file)
    assert_refused(told, f"{file}: $.parties.carol.nubmer", "did you mean number?", "allowed are")
    file.write_text(FAILING.replace('"*22600"', "22600"))
    assert_refused(say("simulate", file), "$.do[0].dials: 22600 is not a text", "keys: 1 to 40")
    file.write_text("title = ")
    assert_refused(
        say("simulate", file), f"{file}: is not valid TOML: Invalid value (at", "scenario.md"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ['Unknown command "nonsense"', "serve, keys", "hookflash --help"]),
        (["simulat", "x"], ['Did you mean "simulate"?']),
        (["--nonsense"], ["--nonsense"]),
        (["simulate", "--nope"], ["Unknown option", "--nope"]),
        (["simulate", COMPLETE, "--seed"], ["--seed"]),
        (["simulate", COMPLETE, "--seed", "seven"], ["--seed", '"seven"', "int"]),
        (["replay"], ["RECORDING"]),
        (["replay", RECORDED, RECORDED], [RECORDED]),
        (["check-config"], ["FILE"]),
        (["simulate", COMPLETE, "--trace=maybe"], ["maybe"]),
        (["prove", "--seeds", "many"], ["--seeds"]),
        (["prove", "--join-attempts", "0"], ["--join-attempts"]),
    ],
)
def test_commands_and_options_that_are_wrong(
    say: Say, arguments: list[str], words: list[str]
) -> None:
    assert_refused(say(*arguments), *words)


def test_help_says_what_there_is(say: Say) -> None:
    for arguments in ([], ["--help"]):
        told = say(*arguments)
        assert told.status == 0
        for command in ("simulate", "replay", "spec", "check-config", "prove", "soak"):
            assert command in told.out
    assert "--faults" in say("simulate", "--help").out


# --------------------------------------------------------------------- prove and soak


def test_soak_says_what_it_has_tried(
    say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hold.toml").write_text((SCENARIOS / "hold-and-resume.toml").read_text())
    monkeypatch.setattr(proofs, "SCENARIOS", tmp_path)
    told = say("soak", "--seeds", "2", "--seed", "40")
    assert told.status == 0
    assert told.out.startswith("seeds from 40\nfreeswitch: 2 runs without faults")
    assert "asterisk: 2 runs with faults" in told.out
    assert told.out.endswith("every promise is kept\n")
    fresh = {say("soak", "--seeds", "1").out.splitlines()[0] for _ in range(3)}
    assert len(fresh) == 3


def of_holds(**options: Any) -> Iterator[Search]:
    """The smallest of the tables."""
    return search_tables(**options, kinds=[Kind.HOLD])


@pytest.fixture
def only_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hold.toml").write_text((SCENARIOS / "race-held.toml").read_text())
    monkeypatch.setattr(proofs, "SCENARIOS", tmp_path)
    monkeypatch.setattr(proofs, "Kind", [Kind.HOLD])
    monkeypatch.setattr(proofs, "search_tables", of_holds)


@pytest.mark.exhaustive
def test_prove_is_content_where_everything_is(say: Say, only_holds: None) -> None:
    told = say("prove", "--seeds", "1")
    assert told.status == 0, told.out
    assert told.out.endswith("every promise is kept\n")
    assert "24 runs without faults" in told.out


@pytest.mark.exhaustive
def test_prove_fails_where_a_search_was_cut_short(say: Say, only_holds: None) -> None:
    told = say("prove", "--seeds", "1", "--max-records", "5")
    assert told.status == 1
    assert "wrong hold, as delivered: cut short" in told.out
    assert " findings of " in told.out.splitlines()[-1]


@pytest.mark.exhaustive
def test_prove_fails_where_a_row_is_dead_or_follows_unforeseen(
    say: Say, only_holds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(**_options: object) -> list[Search]:
        return []

    monkeypatch.setattr(proofs, "search_tables", nothing)
    monkeypatch.setattr(proofs, "MOST_KINDS", 1000)
    told = say("prove", "--seeds", "1")
    assert told.status == 1
    assert "wrong hold: never reached: idle · requested → holding" in told.out
    assert "wrong hold: never in the search: idle · requested → holding then " in told.out


@pytest.mark.exhaustive
def test_prove_prints_the_shortest_fault_of_each_kind_as_a_story(
    say: Say, only_holds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that forgets the time limit of a hold."""
    step_of = Rulebook.step

    def step(self: Rulebook, record: Transfer, event: Event) -> Step:
        taken = step_of(self, record, event)
        if taken.after.state is not State.HELD:
            return taken
        return attrs.evolve(taken, after=attrs.evolve(taken.after, deadline=None))

    monkeypatch.setattr(Rulebook, "step", step)
    told = say("prove", "--seeds", "1")
    assert told.status == 1
    lines = told.out.splitlines()
    [at] = [number for number, line in enumerate(lines) if "held has no deadline" in line]
    assert re.fullmatch(r"wrong hold, .*: held has no deadline, and [\d,]+ more like it", lines[at])
    story = list(takewhile(lambda line: line.startswith("    "), lines[at + 1 :]))
    # of all ways into the state, a restarted controller's is the shortest
    assert len(story) == 1
    assert story[0].startswith("      1. a transfer is found in flight · idle → held")
    assert " findings of " in lines[-1]


@pytest.mark.exhaustive
def test_soak_prints_the_shortest_fault_of_each_kind_as_a_story(
    say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A switch that loses every order: each run goes on until it is cut short, so few are made."""
    (tmp_path / "hold.toml").write_text((SCENARIOS / "hold-and-resume.toml").read_text())
    monkeypatch.setattr(proofs, "SCENARIOS", tmp_path)
    monkeypatch.setattr(proofs, "HARDSHIPS", {"deaf": Faults(lose_command=1.0)})
    told = say("soak", "--seeds", "2", "--seed", "40", "--character", "freeswitch")
    assert told.status == 1
    lines = told.out.splitlines()
    [at] = [number for number, line in enumerate(lines) if "promise 3" in line]
    assert "(hookflash simulate --seed 4" in lines[at]
    assert lines[at].endswith("more like it")
    assert "alice" in lines[at + 1]


# ----------------------------------------------------------- the process and its pipes


class Full(io.StringIO):
    """A disk without room."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    told = say("simulate", COMPLETE)
    assert told.status == 1
    assert told.err == "hookflash: can't write: No space left on device\n"


@pytest.mark.slow
def test_a_closed_or_full_output_is_no_traceback() -> None:
    for into in (">&-", ">/dev/full"):
        run = f"{sys.executable} -m hookflash spec show attended {into}"
        done = subprocess.run(["/bin/sh", "-c", run], cwd=ROOT, capture_output=True, check=False)
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") <= 1
        assert done.returncode == (1 if "full" in into else 0)


@pytest.mark.parametrize("raised", [BrokenPipeError(), SystemExit(1)])
def test_whoever_stops_reading_what_a_client_prints_is_no_fault(
    raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def connected(*_where: object, **_how: object) -> AsyncGenerator[None]:
        async with trio.open_nursery():
            yield

    async def act(_client: object) -> None:
        await trio.lowlevel.checkpoint()
        raise raised

    monkeypatch.setattr(remote, "connect", connected)
    with pytest.raises(BrokenPipeError):
        remote._with_client("ws://127.0.0.1:1/", "key", act)  # pyright: ignore[reportPrivateUsage]


def test_whoever_interrupts_is_obeyed(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> Run:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulated, "run_scenario", interrupted)
    told = say("simulate", COMPLETE)
    assert (told.status, told.err) == (130, "")


def run_module(*arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "hookflash", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        check=False,
    )


@pytest.mark.slow
def test_python_m_hookflash() -> None:
    done = run_module("simulate", BUSY, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "reconnected"
    assert done.stderr == b""
    wrong = run_module("simulate", "nowhere.toml")
    assert wrong.returncode == 2
    assert wrong.stdout == b""


@pytest.mark.slow
def test_a_terminal_without_arrows() -> None:
    done = run_module("simulate", BUSY, "--trace", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"idle ? holding" in done.stdout


@pytest.mark.slow
def test_whoever_reads_us_may_leave() -> None:
    command = [sys.executable, "-m", "hookflash", "simulate", "--trace"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as talker:
        assert talker.stdout is not None
        assert talker.stderr is not None
        talker.stdout.read(10)
        talker.stdout.close()
        assert talker.stderr.read() == b""
        assert talker.wait(timeout=60) == 1
