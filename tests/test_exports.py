"""What the package promises to those who import it, and what it ships."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from types import ModuleType

import pytest

import hookflash
from hookflash.version import version as version_of_hookflash

HOME = Path(hookflash.__file__).parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(HOME)], prefix="hookflash.")
    if not module.name.endswith("__main__")
)


def public_names(module: ModuleType) -> list[str]:
    """What a module says that it exports; nothing, if it does not say."""
    return list(getattr(module, "__all__", ()))


@pytest.mark.parametrize("name", ["hookflash", *MODULES])
def test_a_module_imports_by_itself_and_tells_its_story(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    names = public_names(module)
    assert len(names) == len(set(names))
    assert not [export for export in names if not hasattr(module, export)]


@pytest.mark.parametrize("name", public_names(hookflash))
def test_whatever_is_exported_says_what_it_is(name: str) -> None:
    thing = getattr(hookflash, name)
    if callable(thing):
        assert thing.__doc__, f"hookflash.{name} has no docstring"


def test_the_public_surface_is_decided_in_one_place() -> None:
    """Whoever adds or removes a public name writes it here too, and into the changelog."""
    assert set(public_names(hookflash)) == PUBLIC


PUBLIC = {
    "Account",
    "Asterisk",
    "AsteriskBackend",
    "AsteriskDialling",
    "Backend",
    "BackendClosed",
    "BackendError",
    "Burst",
    "Choice",
    "Client",
    "Dialling",
    "Engine",
    "EngineGroup",
    "Faults",
    "FellBehind",
    "Follower",
    "Forbidden",
    "FreeSwitch",
    "FreeSwitchBackend",
    "HookflashError",
    "InputError",
    "InternalError",
    "Kind",
    "LegSnapshot",
    "Leg",
    "ConnectionLost",
    "Media",
    "MediaList",
    "Metaflows",
    "Music",
    "NotFound",
    "NumberRules",
    "Outcome",
    "PartialSound",
    "Policy",
    "Record",
    "Recording",
    "Refusal",
    "RefusedByService",
    "RequestRefused",
    "Result",
    "Rights",
    "Rules",
    "SimulatedBackend",
    "Sound",
    "SpecError",
    "State",
    "Tone",
    "Transfer",
    "TransferOptions",
    "TransferHandle",
    "Unauthorized",
    "__version__",
    "connect",
    "open_asterisk",
    "open_engine",
    "open_engine_group",
    "open_freeswitch",
    "open_simulator",
    "parse_faults",
    "parse_metaflows",
    "parse_rewrites",
    "parse_sound",
}


def test_the_type_checker_sees_what_the_program_gets() -> None:
    """The imports that only a type checker reads name the modules that a name comes from."""
    tree = ast.parse((HOME / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.name: (node.module or "").removeprefix("hookflash.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hookflash.")
        for alias in node.names
        if alias.asname == alias.name  # else it is private to a type checker
    }
    assert imported == vars(hookflash)["_MODULE_OF"]
    assert set(imported) == PUBLIC


def test_what_is_not_public_is_not_there() -> None:
    name = "Nonsense"
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        getattr(hookflash, name)
    assert set(dir(hookflash)) >= PUBLIC


def test_a_copy_that_was_never_installed_has_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(_name: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr("hookflash.version.installed", not_found)
    assert version_of_hookflash.__wrapped__() == "0+unknown"


def test_importing_hookflash_costs_nothing() -> None:
    """Neither the package nor its pure core starts up trio, jsonschema or the simulator."""
    program = (
        "import sys, hookflash, hookflash.events, hookflash.fsm.transfer;"
        "print(*{m.partition('.')[0] for m in sys.modules} & {'trio', 'jsonschema', 'rich'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=HOME.parent,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.split() == []


def test_the_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="hookflash")
    assert command.value == "hookflash.cli:main"
    assert callable(command.load())


def test_the_version_is_that_of_the_changelog() -> None:
    changelog = (HOME.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{version('hookflash')}]" in changelog or "## [Unreleased]" in changelog


def test_nothing_strange_is_shipped() -> None:
    known = {".py", ".json", ".toml", ".typed"}
    files = [path for path in HOME.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert not [path for path in files if path.suffix not in known]
    assert (HOME / "py.typed").is_file()
