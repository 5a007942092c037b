"""Accounts: the caller's own, one by its key, those of an agency or of a kind."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.problems import Problem
from api.v1 import answers
from api.v1.parameters import AGENCY, AccountId, After, Paging, whole
from api.v1.queries.asking import Asked, found
from commands.authority import Matter, Reading, check_software
from domain.account import AccountKind
from domain.city import CITY
from projections import queries
from projections.views.directory import Entry

OfAgency = Annotated[
    str | None,
    QueryParameter(pattern=whole(AGENCY), description="Id of an agency (mã cơ quan)."),
]
OfKind = Annotated[AccountKind | None, QueryParameter(description="Kind of account.")]


@get("/v1/me", name="me", tags=["Accounts"])
async def me(asked: NamedDependency[Asked]) -> Response[answers.Me]:
    """The caller's own account and roles.

    Also for a caller who has no account yet: `account` is the id that his would have.
    """
    caller = await asked.caller()
    check_software(caller, datetime.now(UTC))
    account = caller.account
    return asked.answer(
        answers.Me(
            account=asked.identity.actor,
            known=account is not None,
            kind=account.kind.value if account else None,
            suspended=account.suspended if account else False,
            roles=msgspec.to_builtins(account.roles(datetime.now(UTC))) if account else [],
        )
    )


@get("/v1/accounts/{id:uuid}", name="account", tags=["Accounts"])
async def account(
    asked: NamedDependency[Asked], key: AccountId, after: After = 0
) -> Response[Entry]:
    """One account."""
    await asked.open_stream(Reading.ACCOUNT, key)
    entry = await asked.ask("directory", queries.account, key, after=after, streams=(key,))
    return asked.answer(found(entry))


@get("/v1/accounts", name="accounts", tags=["Accounts"])
async def accounts(
    asked: NamedDependency[Asked],
    page: NamedDependency[Paging],
    agency: OfAgency = None,
    kind: OfKind = None,
    after: After = 0,
) -> Response[answers.AccountPage]:
    """Accounts of an agency, or of a kind: exactly one of the two is asked for."""
    if (agency is None) == (kind is None):
        raise Problem(HTTPStatus.BAD_REQUEST, "query-invalid", "ask by agency or by kind")
    await asked.allow(Reading.DIRECTORY, Matter(agency=agency or CITY))
    last = page.last(tuple[UUID])
    query: Any = queries.accounts_of_agency if agency else queries.accounts_of_kind
    key = (agency or kind, last and last[0], page.limit)
    rows = await asked.ask("directory", query, *key, after=after)
    items, following = asked.page(rows, page, "account")
    return asked.answer(answers.AccountPage(items=items, next=following))


HANDLERS = (me, account, accounts)
