"""What the documentation shows is what happens.

Every fenced block of README.md, CONTRIBUTING.md and docs/ that can run does run, page by page and
from top to bottom, in a copy of the repository that the page's blocks share:

* a ``console`` block is a session of one shell. After each ``$ command`` comes all that it prints;
  a line ``...`` stands for any lines, ``...`` within a line for anything in it. A command that
  fails must say so: its next one is ``$ echo $?``.
* a ``python`` block is a program of its own, and must end well. Warnings are errors.
* what a block exports, the blocks after it have: the reader sits at one terminal.

``<!-- serves -->`` on the line before a console block says that its last command is a service: it
goes on, once it has printed what is shown, until the page ends; then SIGTERM must end it well. The
well-known ports that a page with a service names are free ones where it is run, and the commands
that would find it at its usual place find it there. A page that shows ``curl`` or ``jq`` is skipped
where they are not installed.

``<!-- not run: reason -->`` on the line before a fence, or before a ``$`` within it, takes out that
block, or that command; it counts as a skipped test, and the reason is not optional.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("README.md"), *ROOT.glob("CONTRIBUTING.md"), *ROOT.glob("docs/**/*.md")])
PATIENCE_S = 120  # for one block: a reader would not wait longer

FENCE = re.compile(r"^(?P<indent> *)```+(?P<language>[\w-]*)[^`]*$")
NOT_RUN = re.compile(r"^\s*<!-- not run(?::\s*(?P<reason>.*?))?\s*-->\s*$")
SERVES = re.compile(r"^\s*<!-- serves -->\s*$")
HEREDOC = re.compile(r"<<-?\s*(['\"]?)(?P<end>\w+)\1")
PORTS = ("8080", "8081", "8021")
"""Where services of ours, and a switch, are at home."""
PORT = re.compile(rf"(?<![\w.-])({'|'.join(PORTS)})(?![\w.])")
USUAL_URL = "ws://127.0.0.1:8081/v2/events"
"""Where `hookflash watch` and its like look by default."""
TOOLS = ("curl", "jq")
"""What a page may show though it does not come with Python."""
LINK = re.compile(r"\]\((?P<target>[^)\s#]+)(?:#[^)\s]*)?\)")


class Example(NamedTuple):
    """A block, or a marked command in one."""

    page: str
    line: int
    language: str
    lines: tuple[str, ...]
    reason: str | None
    """Why it is not run; None if it is."""
    serves: bool = False
    """Whether its last command goes on until the page ends."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Command(NamedTuple):
    """A command, and what the page says that it prints."""

    words: str
    output: tuple[str, ...]
    reason: str | None


def reason_of(line: str, where: str) -> str | None:
    """Read a line that may be a `not run` mark."""
    mark = NOT_RUN.match(line)
    if mark is None:
        return None
    reason = mark["reason"]
    if not reason:
        raise AssertionError(f"{where}: say why: <!-- not run: reason -->")
    return reason


def blocks(page: str, text: str) -> Iterator[Example]:
    """Find the fenced blocks of a page."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence is None:
            at += 1
            continue
        begin, indent = at + 1, len(fence["indent"])
        at = begin
        while at < len(lines) and lines[at].strip() != "```":
            at += 1
        if at == len(lines):
            raise AssertionError(f"{page}:{begin}: this block never ends")
        body = tuple(line[indent:] for line in lines[begin:at])
        before = lines[begin - 2] if begin > 1 else ""
        reason = reason_of(before, f"{page}:{begin - 1}")
        serves = SERVES.match(before) is not None
        yield Example(page, begin, fence["language"], body, reason, serves)
        at += 1


def commands(block: Example) -> Iterator[Command]:
    """Part a console block into its commands."""
    rest = list(block.lines)
    reason: str | None = None
    while rest:
        line = rest.pop(0)
        if (mark := reason_of(line, str(block))) is not None:
            reason = mark
            continue
        if not line.startswith("$ "):
            raise AssertionError(f"{block}: expected '$ command', not {line!r}")
        words = [line[2:]]
        heredoc = HEREDOC.search(line)
        while rest and (words[-1].endswith("\\") or (heredoc and words[-1] != heredoc["end"])):
            words.append(rest.pop(0).removeprefix("> "))
        output: list[str] = []
        while rest and not rest[0].startswith("$ ") and NOT_RUN.match(rest[0]) is None:
            output.append(rest.pop(0).rstrip())
        yield Command("\n".join(words), tuple(output), reason)
        reason = None


def examples() -> Iterator[Example]:
    """All that runs, and what is marked as not run, in the order of the pages."""
    for path in PAGES:
        page = path.relative_to(ROOT).as_posix()
        for block in blocks(page, path.read_text(encoding="utf-8")):
            if block.language not in {"console", "python"}:
                continue
            yield block
            if block.language == "console" and block.reason is None:
                for command in commands(block):
                    if command.reason is not None:
                        yield block._replace(lines=(command.words,), reason=command.reason)


def as_pattern(expected: tuple[str, ...]) -> re.Pattern[str]:
    """Turn what a page shows into the pattern of what may be printed."""
    parts = [
        r"(?:.*\n)*?"
        if line.strip() == "..."
        else ".*?".join(re.escape(piece) for piece in line.split("...")) + r"[ \t]*\n"
        for line in expected
    ]
    return re.compile("".join(parts))


EXPORTS = ".exports"
"""What the blocks so far have exported, as a shell reads it."""


def start(script: str, home: Path) -> subprocess.Popen[str]:
    """Start a program text in a shell of its own, with what the blocks before it have exported."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    exports = home / EXPORTS
    before = f". {exports}\n" if exports.exists() else ""
    return subprocess.Popen(
        ["/usr/bin/env", "bash", "-c", before + script],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def shell(script: str, home: Path) -> tuple[int, str]:
    """Run a program text in a shell of its own, and end whatever it leaves behind."""
    with start(script, home) as process:
        try:
            printed, _ = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            raise AssertionError(f"not done after {PATIENCE_S} s:\n{printed}") from None
    return process.returncode, printed


def run_console(block: Example, home: Path) -> None:
    """Run a block's commands in one shell, and compare command by command."""
    session = [command for command in commands(block) if command.reason is None]
    for command in session:
        if re.match(r"(make|pip|git|apt|docker)\b", command.words):
            raise AssertionError(f"{block}: mark it as not run: $ {command.words}")
    cut = "\x1e"  # ASCII's record separator: no command prints it
    script = "\n".join(
        f"{command.words}\n(status=$?; printf '{cut}%s{cut}' $status; exit $status)"
        for command in session
    )
    at_the_end = f"kill $(jobs -p) 2>/dev/null; export -p > {home / EXPORTS}"
    _, printed = shell(f"trap '{at_the_end}' EXIT\n{script}", home)
    pieces = printed.split(cut)
    for at, command in enumerate(session):
        output, status = (*pieces[2 * at : 2 * at + 2], "none: the shell ended")[:2]
        story = f"{block}: $ {command.words}\nprinted (status {status}):\n{output}"
        if output and not output.endswith("\n"):
            output += "\n"
        shown = "\n".join(command.output)
        assert as_pattern(command.output).fullmatch(output), f"{story}\nthe page shows:\n{shown}"
        told = at + 1 < len(session) and session[at + 1].words == "echo $?"
        assert status == "0" or told, f"{story}\na failure that the page does not tell"


def run_python(block: Example, home: Path) -> None:
    """Run a block as a program."""
    program = home / f"example_{block.line}.py"
    program.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
    status, printed = shell(f"python -W error {program.name}", home)
    assert status == 0, f"{block}:\n{printed}"


@contextmanager
def serving(block: Example, home: Path) -> Generator[None]:
    """Run a block; its last command goes on until this is left, and must then end well."""
    *session, service = commands(block)
    lines = block.lines[: block.lines.index(f"$ {service.words.splitlines()[0]}")]
    if session:
        run_console(block._replace(lines=lines), home)
    process = start(f"exec {service.words}", home)
    assert process.stdout is not None
    stuck = threading.Timer(PATIENCE_S, process.kill)
    stuck.start()
    rest = threading.Thread(target=process.stdout.read)  # or it would stop when the pipe is full
    try:
        printed, expected = "", as_pattern(service.output)
        while not expected.match(printed):
            line = process.stdout.readline()
            shown = "\n".join(service.output)
            assert line, f"{block}: {service.words}\nprinted:\n{printed}\nthe page shows:\n{shown}"
            printed += line
        stuck.cancel()
        rest.start()
        yield
        process.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE_S)
        # a program that has nothing to tidy up just dies of it
        assert status in {0, -signal.SIGTERM}, f"{block}: {service.words} ended with {status}"
    finally:
        stuck.cancel()
        process.kill()
        process.wait()
        if rest.ident is not None:
            rest.join()
        process.stdout.close()


def free_ports() -> Mapping[str, str]:
    """For each well-known port, one that nobody uses."""
    with ExitStack() as held:
        free: dict[str, str] = {}
        for port in PORTS:
            knocked = held.enter_context(socket.socket())
            knocked.bind(("127.0.0.1", 0))
            free[port] = str(knocked.getsockname()[1])
    return free


def moved(block: Example, ports: Mapping[str, str]) -> Example:
    """The same block, with other ports."""
    lines = tuple(PORT.sub(lambda found: ports[found[0]], line) for line in block.lines)
    return block._replace(lines=lines)


EXAMPLES = list(examples())


def require_tools(shown: list[Example]) -> None:
    """Skip a page that shows what is not installed here."""
    words = [
        word
        for one in shown
        if one.reason is None
        for line in one.lines
        for word in re.findall(r"[\w.-]+", line)
    ]
    for tool in TOOLS:
        if tool in words and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed here")


@pytest.mark.slow
@pytest.mark.parametrize("page", list(dict.fromkeys(example.page for example in EXAMPLES)))
def test_what_the_page_shows_happens(page: str, tmp_path: Path) -> None:
    """A page is one test: its blocks share a copy of the repository, and come in their order."""
    shown = [example for example in EXAMPLES if example.page == page]
    require_tools(shown)
    ignored = shutil.ignore_patterns(".*", "build", "dist", "htmlcov")
    # with what is compiled already: a copy keeps the times by which Python knows that it is current
    home = shutil.copytree(ROOT, tmp_path / "hookflash", ignore=ignored)
    if any(example.serves for example in shown):
        ports = free_ports()
        shown = [moved(example, ports) for example in shown]
        url = PORT.sub(lambda found: ports[found[0]], USUAL_URL)
        (home / EXPORTS).write_text(f"export HOOKFLASH_URL={url}\n", encoding="utf-8")
    with ExitStack() as services:
        for example in shown:
            if example.reason is not None:
                continue
            if example.serves:
                services.enter_context(serving(example, home))
            else:
                {"console": run_console, "python": run_python}[example.language](example, home)
    if all(example.reason is not None for example in shown):
        pytest.skip("; ".join(f"{example}: {example.reason}" for example in shown))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    targets = [link["target"] for link in LINK.finditer(path.read_text(encoding="utf-8"))]
    lost = [
        target
        for target in targets
        if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists()
    ]
    assert not lost


IN_THE_REPOSITORY = re.compile(r"`((?:hookflash|tests|docs|examples|benchmarks)/[\w./*-]+)`")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_path_that_is_named_exists(page: str) -> None:
    """The map of the repository, and the directions for additions."""
    named = IN_THE_REPOSITORY.findall((ROOT / page).read_text(encoding="utf-8"))
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


# The reader of the pages must be able to fail, too.


def block_of(*lines: str, language: str = "console") -> Example:
    text = "\n".join([f"```{language}", *lines, "```"])
    return next(blocks("page.md", text))


@pytest.mark.parametrize(
    "lines",
    [
        ["$ echo one; echo two", "one", "two"],
        ["$ seq 9", "1", "...", "9"],
        ["$ seq 9", "...", "4", "5", "..."],
        ["$ seq 9", "..."],
        ["$ echo took 0.37 s", "took ... s"],
        ["$ HERE=there", "$ echo $HERE", "there"],
        ["$ echo a \\", "> b", "a b"],
        ["$ cat <<'END'", "x $y", "END", "x $y"],
        ["$ false", "$ echo $?", "1"],
        ["$ printf unended", "unended"],
        ["<!-- not run: it would fail -->", "$ false", "and more", "$ echo yes", "yes"],
    ],
)
def test_a_true_page_passes(lines: list[str], tmp_path: Path) -> None:
    run_console(block_of(*lines), tmp_path)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["$ echo one", "two"], "the page shows"),
        (["$ echo one"], "the page shows"),
        (["$ seq 9", "1", "...", "8"], "the page shows"),
        (["$ seq 9", "2", "1", "..."], "the page shows"),
        (["$ false"], "a failure that the page does not tell"),
        (["$ exit 3"], "the shell ended"),
        (["$ make test"], "mark it as not run"),
        (["no prompt"], r"expected '\$ command'"),
        (["<!-- not run -->", "$ false"], "say why"),
    ],
)
def test_a_false_page_fails(lines: list[str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=complaint):
        run_console(block_of(*lines), tmp_path)


def test_a_python_block_must_end_well(tmp_path: Path) -> None:
    run_python(block_of("print('well')", language="python"), tmp_path)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_python(block_of("1 / 0", language="python"), tmp_path)


def test_a_mark_takes_out_the_block_below_it() -> None:
    text = "<!-- not run: needs a switch -->\n```console\n$ true\n```\n"
    assert next(blocks("page.md", text)).reason == "needs a switch"


def test_a_block_must_end() -> None:
    with pytest.raises(AssertionError, match="never ends"):
        list(blocks("page.md", "```python\n1\n"))


def service_of(at_the_end: str) -> Example:
    """A page's service that prints a word, and does something when it is told to stop."""
    text = f"""<!-- serves -->
```console
$ cat > service.py <<'END'
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: {at_the_end})
print("ready", flush=True)
while True:
    signal.pause()
END
$ python service.py
ready
```
"""
    return next(blocks("page.md", text))


def test_a_service_goes_on_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with serving(service_of("open('log', 'w').close() or sys.exit()"), tmp_path):
        assert not (tmp_path / "log").exists()
    assert (tmp_path / "log").exists()


def test_a_service_must_print_what_is_shown(tmp_path: Path) -> None:
    text = "<!-- serves -->\n```console\n$ echo steady\nready\n```\n"
    with (
        pytest.raises(AssertionError, match="the page shows"),
        serving(next(blocks("page.md", text)), tmp_path),
    ):
        pass


def test_a_service_must_end_well(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="ended with 3"),
        serving(service_of("sys.exit(3)"), tmp_path),
    ):
        pass


def test_what_a_block_exports_the_next_one_has(tmp_path: Path) -> None:
    run_console(block_of("$ export NAME='Alice A.'"), tmp_path)
    run_console(block_of("$ echo $NAME", "Alice A."), tmp_path)
    run_python(block_of("import os", "assert os.environ['NAME']", language="python"), tmp_path)


def test_ports_are_moved_wherever_a_page_names_them() -> None:
    ports = {"8080": "1", "8081": "2", "8021": "3"}
    block = block_of("$ curl http://127.0.0.1:8080/x", "port = 8021", "18080 8080.5")
    assert moved(block, ports).lines == ("$ curl http://127.0.0.1:1/x", "port = 3", "18080 8080.5")
