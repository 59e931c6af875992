"""Operations on feature codes."""

from __future__ import annotations

from typing import Any

from hookflash.api import requests as r
from hookflash.server.caller import Caller
from hookflash.server.context import Context


async def get_metaflows(
    on: Context, account: str, _: Caller, __: r.GetMetaflowsRequest
) -> dict[str, Any]:
    """Get an account's feature codes."""
    return on.codes.of(account)


async def set_metaflows(
    on: Context, account: str, _: Caller, asked: r.SetMetaflowsRequest
) -> dict[str, Any]:
    """Replace all of an account's feature codes."""
    return await on.codes.set(account, asked.metaflows, for_all_calls=asked.apply_to == "all")


async def patch_metaflows(
    on: Context, account: str, _: Caller, asked: r.PatchMetaflowsRequest
) -> dict[str, Any]:
    """Change some of an account's feature codes."""
    return await on.codes.patch(account, asked.metaflows, for_all_calls=asked.apply_to == "all")


async def reset_metaflows(
    on: Context, account: str, _: Caller, asked: r.ResetMetaflowsRequest
) -> dict[str, Any]:
    """Remove the stored feature codes."""
    return await on.codes.set(account, None, for_all_calls=asked.apply_to == "all")
