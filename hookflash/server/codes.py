"""Feature codes of accounts: from the configuration, or set by programs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import trio

from hookflash.accounts import DEFAULT_ACCOUNT
from hookflash.engine.account_faults import account_faults
from hookflash.engine.group import EngineGroup
from hookflash.engine.legs import Account
from hookflash.journal import registry
from hookflash.journal.journal import Journal
from hookflash.journal.threads import InThread
from hookflash.server.config import Config
from hookflash.server.stored import StoredCodes


class CodeStore:
    """Keeps feature codes in the journal, and applies them to the engines."""

    def __init__(
        self,
        group: EngineGroup,
        journal: Journal,
        config: Config,
        stored: StoredCodes,
        *,
        run: InThread,
    ) -> None:
        """Hold the feature codes of all accounts.

        Args:
            group: the engines.
            journal: stores the codes.
            config: the operator's configuration.
            stored: the feature codes that programs have set, by account.
            run: parses feature codes, which takes too long for calls to wait.
        """
        self._group = group
        self._journal = journal
        self._config = config
        self._run = run
        self._stored: dict[str, Mapping[str, Any]] = dict(stored.documents)
        self._faults: dict[str, str] = dict(stored.faults)
        self._accounts = config.accounts_chosen(self._stored)
        self._default = config.account(DEFAULT_ACCOUNT, self._stored.get(DEFAULT_ACCOUNT))
        self._changing = trio.Lock()

    @property
    def faults(self) -> dict[str, str]:
        """Accounts whose stored feature codes can't be used: those of the configuration apply."""
        return {f"feature codes of {account}": why for account, why in self._faults.items()}

    def of(self, account: str) -> dict[str, Any]:
        """An account's feature codes, including all defaults."""
        chosen = self._accounts.get(account)
        if chosen is None:
            is_default = account == DEFAULT_ACCOUNT
            chosen = self._default if is_default else self._config.account(account)
        return cast("dict[str, Any]", chosen.metaflows.to_document())

    async def set(
        self, account: str, document: Mapping[str, Any] | None, *, for_all_calls: bool
    ) -> dict[str, Any]:
        """Set an account's feature codes; `None`: those of the configuration apply again.

        Returns:
            The codes that apply now.

        Raises:
            InputError: they are invalid.
            JournalError: they can't be stored.
        """
        async with self._changing:
            return await self._set(account, document, for_all_calls=for_all_calls)

    async def patch(
        self, account: str, patch: Mapping[str, Any], *, for_all_calls: bool
    ) -> dict[str, Any]:
        """Change some of an account's feature codes (JSON merge patch, RFC 7396).

        Raises:
            InputError: the result is invalid.
            JournalError: it can't be stored.
        """
        async with self._changing:
            changed = cast("dict[str, Any]", merge_patch(self.of(account), patch))
            return await self._set(account, changed, for_all_calls=for_all_calls)

    async def _set(
        self, account: str, document: Mapping[str, Any] | None, *, for_all_calls: bool
    ) -> dict[str, Any]:
        config = self._config
        chosen = await self._run(partial(_checked, config, account, document))
        now = self._journal.now()
        await self._journal.change(
            partial(registry.store_metaflows, account=account, document=document, now=now)
        )
        if document is None:
            self._stored.pop(account, None)
        else:
            self._stored[account] = document
        self._faults.pop(account, None)
        if self._config is not config:  # reloaded meanwhile
            chosen = self._config.account(account, document)
        self._choose(account, chosen)
        self._apply(for_all_calls=for_all_calls)
        return self.of(account)

    def _choose(self, account: str, chosen: Account) -> None:
        if account == DEFAULT_ACCOUNT:
            self._default = chosen
        elif account in self._stored or account in self._config.accounts:
            self._accounts[account] = chosen
        else:
            self._accounts.pop(account, None)

    def apply(self, config: Config) -> None:
        """Apply a configuration, together with the feature codes that programs have set."""
        self._config = config
        self._accounts = config.accounts_chosen(self._stored)
        self._default = config.account(DEFAULT_ACCOUNT, self._stored.get(DEFAULT_ACCOUNT))
        self._apply(for_all_calls=False)

    def _apply(self, *, for_all_calls: bool) -> None:
        self._group.choose(
            self._accounts, default=self._default, for_calls_that_are_up=for_all_calls
        )


def _checked(config: Config, account: str, document: Mapping[str, Any] | None) -> Account:
    chosen = config.account(account, document)
    for fault in account_faults(chosen, account):
        raise fault
    return chosen


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    changes = cast("Mapping[str, Any]", patch)
    old = cast("Mapping[str, Any]", document if isinstance(document, Mapping) else {})
    merged: dict[str, Any] = dict(old)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
