"""The dialplan, against those who write for it: what one says, the other reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from test_asterisk_procedures import DIAL, INTRODUCE, JOIN, made

from hookflash.backends.asterisk import primitives
from hookflash.backends.asterisk.dialplan import (
    DEFAULT_CONTEXT,
    NEWEST,
    PARK_LIMIT_S,
    RESCUE_AFTER_S,
    dialplan,
)
from hookflash.backends.asterisk.primitives import (
    OURS,
    TOLD,
    Conceal,
    OriginateChannel,
    Redirect,
    Setvar,
)
from hookflash.commands import Arm, Forget, Park, Release, Split, Trigger
from hookflash.errors import InputError

SET = re.compile(r"Set\((HOOKFLASH_[A-Z_]+)=|SHARED\((HOOKFLASH_[A-Z]+),")
READ = re.compile(r"\$\{(HOOKFLASH_[A-Z_]+)\}")
COMMANDS = [
    Split(first="a", second="b", transfer="x", kind="attended", undisclosed=("a", "b")),
    Park(leg="a"),
    DIAL,
    Arm(leg="a", rescue="b"),
    Arm(leg="a", rescue="b", when=Trigger.LEFT_ALONE),
    JOIN,
    Release(first="a", second="b"),
    INTRODUCE,
    Forget(legs=("a",)),
]


def extensions(text: str) -> dict[str, list[str]]:
    """Each extension's steps: what stands behind the priority."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("exten => "):
            name, priority, step = line.removeprefix("exten => ").split(",", 2)
            assert priority == "1"
            assert name not in found
            found[name] = [step]
        elif line.startswith(" same => "):
            priority, step = line.removeprefix(" same => ").split(",", 1)
            assert re.fullmatch(r"n(\([a-z]+\))?", priority)
            found[name].append(step)
        else:
            assert line == "" or line.startswith((";", "["))
    return found


EXTENSIONS = extensions(dialplan())
STEPS = [step for steps in EXTENSIONS.values() for step in steps]


def written() -> Iterator[str]:
    """The variables that procedures set."""
    for command in COMMANDS:
        for step in made(command).steps:
            if isinstance(step, Setvar | OriginateChannel):
                yield from (name for name, _ in step.variables)
            elif isinstance(step, Conceal):
                yield from (name for name, _ in step.amended(("",)))


def test_every_variable_that_is_read_is_set_by_somebody_and_the_other_way_round() -> None:
    read = {name for step in STEPS for name in READ.findall(step)}
    set_here = {name or shared for step in STEPS for name, shared in SET.findall(step)}
    set_there = {name for name in written() if name.startswith("HOOKFLASH_")}
    assert read <= set_here | set_there
    # the marks, and what plays, are read by the next controller; the account by its rules
    left = {*primitives.MARKS, primitives.BEGAN, primitives.SHOWN_BY}
    assert set_there - read == {*left, primitives.SOUND}
    assert set_here - read <= {primitives.SOUND, *primitives.MARKS, primitives.BEGAN}  # `back`
    assert read | set_here | left == {*OURS}


def test_what_a_controller_reads_is_asked_of_ari() -> None:
    """`channelvars` in ari.conf names them."""
    assert {*TOLD} >= {*primitives.MARKS, primitives.BEGAN, primitives.SOUND}
    assert primitives.MAY_TRANSFER in TOLD
    assert {primitives.PRESENTATION, primitives.LINKED} <= {*TOLD}
    assert primitives.SOUND in TOLD


def test_every_extension_that_is_ordered_is_there() -> None:
    ordered = {
        step.extension
        for command in COMMANDS
        for step in made(command).steps
        if isinstance(step, Redirect)
    }
    assert ordered == {"park", "join"}
    assert ordered <= EXTENSIONS.keys()
    assert Conceal("a", f"{DEFAULT_CONTEXT},undisclosed,1") in made(COMMANDS[0]).steps


def test_every_jump_leads_somewhere() -> None:
    labels = {name: re.findall(r"n\(([a-z]+)\)", block) for name, block in blocks()}
    jumps = 0
    for name, steps in EXTENSIONS.items():
        for step in steps:
            for target in re.findall(r"Goto(?:If)?\((?:.*\?)?([^?()]*)\)$", step):
                if "SHIFT" in step:  # where the caller came from
                    continue
                extension, _, label = target.rpartition(",")
                assert (extension or name) in EXTENSIONS
                assert label == "1" or label in labels[extension or name]
                jumps += 1
    assert jumps == sum(step.startswith("Goto") and "SHIFT" not in step for step in STEPS)


def blocks() -> Iterator[tuple[str, str]]:
    for block in dialplan().split("exten => ")[1:]:
        yield block.partition(",")[0], f"exten => {block}"


@pytest.mark.parametrize("name", EXTENSIONS)
def test_every_extension_ends(name: str) -> None:
    """Where it goes on behind its last step, the switch would hang up, and log a warning."""
    assert re.match(r"(Goto|Hangup|Return)\(", EXTENSIONS[name][-1])


def test_bridge_takes_names_only() -> None:
    """It takes whatever channel begins with what it is given."""
    assert [step for step in STEPS if "Bridge(" in step] == [
        "Bridge(${HOOKFLASH_PEER},F(hookflash^left^1))"
    ]
    # the peer is the name that the controller has set, or the one of whoever fetches
    peers = [step for step in STEPS if "HOOKFLASH_PEER" in step and "Set(" in step]
    assert peers == [
        "Set(HOOKFLASH_PEER=)",
        "Set(HOOKFLASH_PEER=)",
        "Set(SHARED(HOOKFLASH_PEER,${HOOKFLASH_RESCUE})=${CHANNEL})",
        "Set(HOOKFLASH_PEER=${SHARED(HOOKFLASH_PEER)})",
        "Set(SHARED(HOOKFLASH_PEER)=)",
    ]


def test_nothing_that_a_person_chooses_is_expanded() -> None:
    """Names and numbers of callers, and what was dialled, could hold more than they should."""
    expanded = {name for step in STEPS for name in re.findall(r"\$\{([A-Za-z_]+)", step)}
    assert expanded == {
        *(name for step in STEPS for name in READ.findall(step)),
        "BRIDGERESULT",
        "CHANNEL",
        "CHANNELREDIRECT_STATUS",
        "EPOCH",
        "IF",
        "SHARED",
        "TIMEOUT",
        # headers: names and values that have none of the signs that mean something to Asterisk
        "CUT",
        "SHIFT",
        "LEFT",
    }


def test_every_comparison_is_between_quotes_or_of_numbers() -> None:
    """Else an empty variable would be a syntax error, and the answer no."""
    for condition in re.findall(r"\$\[(.*?)\]", dialplan()):
        if not re.fullmatch(r'"\$\{[A-Z_]+\}" !?= "[A-Za-z]*"', condition):
            numbers = re.split(r" [-+<>=&] ", condition)
            # these are never empty
            assert {*numbers} <= {"0${HOOKFLASH_UNTIL}", "${EPOCH}", "${TIMEOUT(absolute)}", "0"}


def test_the_failsafe_is_disarmed_before_it_acts_and_by_every_join() -> None:
    assert EXTENSIONS["rescue"][0] == "Set(HOOKFLASH_ARMED=)"
    assert "Set(HOOKFLASH_ARMED=)" in EXTENSIONS["join"][:2]
    assert EXTENSIONS["join"][0].startswith("Set(TIMEOUT(absolute)=${IF($[0${HOOKFLASH_UNTIL} = 0")
    assert "Set(HOOKFLASH_PEER=)" in EXTENSIONS["left"][:1]


def test_a_leg_that_we_have_called_is_known_by_its_own_number() -> None:
    """It comes here first when it has answered."""
    does = EXTENSIONS["park"]
    named = does.index("Set(CALLERID(num)=${HOOKFLASH_NUMBER})")
    assert does[named - 1] == 'GotoIf($["${HOOKFLASH_NUMBER}" = ""]?known)'
    assert does[named : named + 4][-1] == "Set(HOOKFLASH_NUMBER=)"


def test_a_leg_without_a_controller_hears_music_and_tries_again() -> None:
    park = EXTENSIONS["park"]
    stasis = park.index("Stasis(hookflash,park,${HOOKFLASH_WHY})")
    assert [step.partition("(")[0] for step in park[stasis + 1 :]] == [
        "GotoIf",
        "StartMusicOnHold",
        "Wait",
        "Goto",
    ]
    assert park[-1] == "Goto(wait)"


def test_the_names_and_limits_go_through() -> None:
    text = dialplan("transfers", "east")
    assert text.startswith("[transfers]\n")
    assert "Stasis(east,park," in text
    assert "F(transfers^left^1)" in text
    assert "ChannelRedirect(${HOOKFLASH_RESCUE},transfers,fetched,1)" in text
    assert "hookflash" not in re.sub(r"^;.*", "", text, flags=re.MULTILINE)
    assert f"?{PARK_LIMIT_S}:" in text
    assert text.count(f"=({RESCUE_AFTER_S})") == 0
    assert f"Wait({RESCUE_AFTER_S})" in text
    assert f"Set(TIMEOUT(absolute)={RESCUE_AFTER_S})" in text
    assert not re.search("CONTEXT|APPLICATION|PARK_LIMIT|RESCUE_AFTER|OWN_LIMIT", text)
    assert f" same => n({NEWEST})," in text


def test_a_name_that_is_a_word_of_the_template_is_a_name_only() -> None:
    text = dialplan("APPLICATION", "PARK_LIMIT")
    assert text.startswith("[APPLICATION]\n")
    assert "Stasis(PARK_LIMIT,park," in text


@pytest.mark.parametrize("name", ["", "a]\n[default", "a,b", "${x}", "a b", "x" * 65, "é"])
def test_names_that_can_not_stand_in_a_dialplan(name: str) -> None:
    for make in (lambda: dialplan(name), lambda: dialplan("hookflash", name)):
        with pytest.raises(InputError, match="is not allowed"):
            make()
