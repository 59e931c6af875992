"""`hookflash keys`: create, list and revoke API keys."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hookflash.accounts import ACCOUNT_HINT, ALLOWED_ACCOUNT
from hookflash.cli.terminal import plain, table_of, terminal
from hookflash.errors import InputError
from hookflash.journal import registry
from hookflash.journal.database import open_database, open_for_reading, using
from hookflash.server.addresses import in_folder
from hookflash.server.read_config import read_config
from hookflash.server.views import iso

app = App(name="keys", help="Manage the API keys of programs.")

Config = Annotated[Path, Parameter(help="Configuration that names the journal.")]


def journal_of(config: Path) -> Path:
    """The journal that a configuration names.

    Raises:
        InputError: the configuration is invalid.
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
    label: Annotated[str, Parameter(help="A note about its use.")] = "",
    read_only: Annotated[
        bool, Parameter(negative="", help="It may look at everything, and change nothing.")
    ] = False,
    config: Config = Path("hookflash.toml"),
) -> int:
    """Create a key. It is shown only now.

    Example: hookflash keys make --account default --label "call centre"
    """
    if admin == (account is not None):
        raise InputError("no account for the key", hint="give either --account NAME or --admin")
    if account is not None and not ALLOWED_ACCOUNT.fullmatch(account):
        raise InputError(f"{account[:80]!r} is not a valid account ID", hint=ACCOUNT_HINT)
    with using(open_database(file := journal_of(config)), file) as connection:
        _, text = registry.make_key(
            connection, account=account, label=label, now=time.time(), read_only=read_only
        )
    print(text)
    return 0


@app.command(name="list")
def list_keys(*, config: Config = Path("hookflash.toml")) -> int:
    """List the keys. Their texts are not stored.

    Example: hookflash keys list
    """
    with using(open_for_reading(file := journal_of(config)), file) as connection:
        found = registry.list_keys(connection)
    table = table_of("key", "account", "may", "label", "made", "revoked")
    for key in found:
        revoked = iso(key.revoked) if key.revoked is not None else ""
        account = key.account if key.account is not None else "(all)"
        may = "read" if key.read_only else "read, change"
        table.add_row(key.id, plain(account), may, plain(key.label), iso(key.made), revoked)
    terminal().print(table)
    return 0


@app.command
def revoke(
    key: Annotated[str, Parameter(help="The key's ID, as shown by `keys list`.")],
    /,
    *,
    config: Config = Path("hookflash.toml"),
) -> int:
    """Revoke a key and all tokens issued for it.

    Example: hookflash keys revoke KEY_ID
    """
    with using(open_database(file := journal_of(config)), file) as connection:
        registry.revoke_key(connection, key, now=time.time())
    print(f"revoked: {key}")
    return 0
