"""`hookflash keys`: who may ask."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hookflash.cli.terminal import plain, table_of, terminal
from hookflash.errors import InputError
from hookflash.journal import registry
from hookflash.journal.database import open_database, open_for_reading, using
from hookflash.server.read_config import ALLOWED_NAME, in_folder, read_config
from hookflash.server.views import iso

app = App(name="keys", help="Manage the API keys of programs.")

Config = Annotated[Path, Parameter(help="hookflash.toml, which says where the journal is.")]


def journal_of(config: Path) -> Path:
    """The journal's file, as a config names it.

    Raises:
        InputError: the config can't be used.
    """
    return in_folder(read_config(config).journal.file, config.parent)


@app.command
def make(
    *,
    account: Annotated[
        str | None,
        Parameter(help="For this account only; `default` if the switch does not report accounts."),
    ] = None,
    admin: Annotated[bool, Parameter(negative="", help="For all accounts.")] = False,
    label: Annotated[str, Parameter(help="What it is for.")] = "",
    config: Config = Path("hookflash.toml"),
) -> int:
    """Make a key. It is shown now, and never again."""
    if admin == (account is not None):
        raise InputError("whose key is it?", hint="--account NAME, or --admin")
    if account is not None and not ALLOWED_NAME.fullmatch(account):
        raise InputError(f"{account[:80]!r} is no account", hint="letters, digits and _ . -")
    with using(open_database(file := journal_of(config)), file) as connection:
        _, text = registry.make_key(connection, account=account, label=label, now=time.time())
    print(text)
    return 0


@app.command(name="list")
def list_keys(*, config: Config = Path("hookflash.toml")) -> int:
    """List the keys; their texts are not kept, and can't be shown."""
    with using(open_for_reading(file := journal_of(config)), file) as connection:
        found = registry.list_keys(connection)
    table = table_of("key", "account", "label", "made", "revoked")
    for key in found:
        revoked = iso(key.revoked) if key.revoked is not None else ""
        account = key.account if key.account is not None else "(all)"
        table.add_row(key.id, plain(account), plain(key.label), iso(key.made), revoked)
    terminal().print(table)
    return 0


@app.command
def revoke(
    key: Annotated[str, Parameter(help="Its id, as `keys list` shows it.")],
    /,
    *,
    config: Config = Path("hookflash.toml"),
) -> int:
    """Let a key count no more, nor any token that was given for it."""
    with using(open_database(file := journal_of(config)), file) as connection:
        registry.revoke_key(connection, key, now=time.time())
    print(f"{key} counts no more")
    return 0
