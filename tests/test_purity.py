"""The same run twice is the same run: the pure modules ask nothing of the world.

The import contract (pyproject.toml) keeps them from a scheduler, a socket and a clock by module.
This is the finer sieve, call by call: no dice but seeded ones, and those in the simulator only; no
time of day, no environment, no file, and no order that hangs on a hash.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent / "hookflash"
PURE = (
    "events.py",
    "commands.py",
    "errors.py",
    "codec.py",
    "dialling/**/*.py",
    "document.py",
    "fsm/**/*.py",
    "specs/**/*.py",
    "backends/freeswitch/wire.py",
    "backends/freeswitch/inbound.py",
    "backends/freeswitch/primitives.py",
    "backends/freeswitch/procedures.py",
    "backends/freeswitch/text.py",
)
SEEDED = tuple(
    f"backends/simulator/{name}.py"
    for name in (
        "bridges",
        "channel",
        "early",
        "executor",
        "faults",
        "hearing",
        "people",
        "seeking",
        "sounds",
        "switch",
        "world",
    )
)

FORBIDDEN = {
    "date.today": "the time of day",
    "datetime.now": "the time of day",
    "datetime.today": "the time of day",
    "datetime.utcnow": "the time of day",
    "hash": "differs from run to run",
    "id": "differs from run to run",
    "input": "asks a person",
    "numpy.random": "somebody else's dice",
    "open": "a file (data of the package come by importlib.resources)",
    "os.environ": "the environment",
    "os.getenv": "the environment",
    "os.getpid": "differs from run to run",
    "os.urandom": "dice without a seed",
    "print": "a side effect",
    "time": "a clock",
}


def dotted(node: ast.AST) -> str:
    """Spell a name, or a name's attribute; the empty string for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}" if dotted(value) else ""
        case _:
            return ""


def full_names(tree: ast.Module) -> dict[str, str]:
    """What the names of a module stand for, after its imports (`import random as r`)."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def without_hash_methods(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a module, except into `__hash__`, where `hash` is at home."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef) and child.name == "__hash__":
            continue
        yield child
        yield from without_hash_methods(child)


def dice_fault(node: ast.Call, name: str) -> str:
    """What is wrong with a call into `random`, if anything is."""
    if name != "random.Random":
        return f"{name}: dice without a seed"
    return "" if node.args or node.keywords else "random.Random(): give it a seed"


def faults_of(source: str, *, dice: bool) -> list[str]:
    """List what a module asks of the world.

    Args:
        source: the module's text.
        dice: whether it may hold a seeded `random.Random`.
    """
    tree = ast.parse(source)
    names = full_names(tree)
    found: list[str] = []
    for node in without_hash_methods(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            taken = {alias.name for alias in node.names} - {"Random"}
            found += [f"{node.lineno}: random.{name}: take random.Random" for name in sorted(taken)]
        if not isinstance(node, ast.Call | ast.Attribute):
            continue
        spelt = dotted(node.func if isinstance(node, ast.Call) else node)
        head, _, tail = spelt.partition(".")
        name = names.get(head, head) + (f".{tail}" if tail else "")
        if isinstance(node, ast.Call) and name.startswith("random."):
            fault = dice_fault(node, name) if dice else f"{name}: no dice here"
            found += [f"{node.lineno}: {fault}"] if fault else []
        for bad, why in FORBIDDEN.items():
            called = isinstance(node, ast.Call) and name == bad
            within = "." in bad and (name == bad or name.endswith(f".{bad}"))
            module = head in names and name.startswith(f"{bad}.")
            if called or within or module:
                found.append(f"{node.lineno}: {name}: {why}")
    return sorted(set(found))


def modules() -> Iterator[tuple[Path, bool]]:
    """The pure modules, and whether each may hold dice."""
    for patterns, dice in ((PURE, False), (SEEDED, True)):
        for pattern in patterns:
            for path in sorted(HOME.glob(pattern)):
                yield path, dice


@pytest.mark.parametrize(
    ("path", "dice"),
    [pytest.param(*case, id=case[0].relative_to(HOME).as_posix()) for case in modules()],
)
def test_a_pure_module_asks_nothing_of_the_world(path: Path, *, dice: bool) -> None:
    assert not faults_of(path.read_text(encoding="utf-8"), dice=dice)


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.random()",
        "import random as r\nr.choice([1])",
        "from random import shuffle",
        "import random\nrandom.Random()",
        "from random import Random\nRandom()",
        "import random\nrandom.SystemRandom()",
        "import time\ntime.monotonic()",
        "from time import time as now\nnow()",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now()",
        "import os\nos.urandom(8)",
        "import os\nos.environ['X']",
        "open('x')",
        "hash('x')",
        "print('x')",
    ],
)
def test_the_sieve_catches(source: str) -> None:
    assert faults_of(source, dice=True)


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.Random(8514)",
        "from random import Random\ndice = Random(1)\ndice.random()",
        "class A:\n    def __hash__(self):\n        return hash(self.x)",
        "leg.id\nself.print()\nevent.time\nclock.time()",
        "from datetime import timedelta\ntimedelta(seconds=1)",
    ],
)
def test_the_sieve_lets_through(source: str) -> None:
    assert not faults_of(source, dice=True)


def test_only_the_simulator_has_dice() -> None:
    assert faults_of("import random\nrandom.Random(1)", dice=False)
