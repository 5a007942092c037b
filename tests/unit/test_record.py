"""Stored forms that can be read, and those that cannot."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from api.v1.read_models import BEHIND_MAX_S, ReadModels, faults
from commands.log.batching import OverloadedError, end
from commands.log.codec import Body, read, to_stored
from commands.streams import NOTHING, StreamUnreadableError, fold, fold_readable
from domain.account import AccountSuspended, CitizenOpened
from domain.event import Context
from domain.record import Record, Stored, Unreadable, name_of
from integration.nats.bus import from_message, to_message
from projections.engine.view import shape
from projections.queries import Progress
from projections.views.registry import VIEWS

AT = datetime(2026, 6, 1, 8, tzinfo=UTC)
STREAM = UUID(int=7)
CONTEXT = Context(actor=UUID(int=1), cause="c", correlation=STREAM, effective_at=AT)
OPENED = CitizenOpened(issuer="https://sso", subject="s", name="Bà Tư")


def place(version: int, name: str) -> tuple[int, UUID, int, str, datetime]:
    return 100 + version, STREAM, version, name, AT


def stored(version: int, event: Any, **changes: Any) -> Stored:
    form = msgspec.json.decode(to_stored(STREAM, version, Body(CONTEXT, event)).state)
    form["event"] |= changes
    return read(*place(version, name_of(event)), msgspec.json.encode(form))


def test_what_was_written_is_read() -> None:
    body = to_stored(STREAM, 1, Body(CONTEXT, OPENED)).state
    found = read(*place(1, "account.citizen_opened"), body)
    assert found == Record(*place(1, "account.citizen_opened"), CONTEXT, OPENED)
    assert from_message(to_message((*place(1, "account.citizen_opened"), body))) == found


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"type": "account.archived"}, "ValidationError - at `$.event.type`"),
        ({"name": "Bà\x00Tư"}, "ValidationError - at `$.event.name`"),
        ({"phone": 7}, "ValidationError - at `$.event.phone`"),
    ],
)
def test_an_unknown_event_or_value_is_unreadable_and_its_context_is_not(
    changes: dict[str, Any], error: str
) -> None:
    found = stored(1, OPENED, **changes)
    assert found == Unreadable(*place(1, "account.citizen_opened"), error, CONTEXT)
    assert "Bà" not in repr(found)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"context": 1, "event": 2}']
)
def test_bytes_of_any_kind_are_unreadable(body: bytes) -> None:
    found = read(*place(1, "account.citizen_opened"), body)
    assert isinstance(found, Unreadable)
    assert found.context is None


def test_a_message_with_an_unreadable_body_keeps_its_place() -> None:
    row = (*place(3, "account.archived"), b'{"event": {"type": "account.archived"}}')
    found = from_message(to_message(row))
    assert isinstance(found, Unreadable)
    assert (found.position, found.version, found.name) == (103, 3, "account.archived")


def test_nothing_is_decided_on_a_stream_with_an_unreadable_fact() -> None:
    records = [
        stored(1, OPENED),
        stored(2, AccountSuspended(explanation="x"), type="account.moved"),
    ]
    with pytest.raises(StreamUnreadableError, match="at version 2"):
        fold(records)
    known, stuck_at = fold_readable(records)
    assert known.version == 1
    assert stuck_at == records[1]


def test_nothing_is_decided_on_a_fact_that_does_not_fit_its_stream() -> None:
    with pytest.raises(StreamUnreadableError):
        fold([stored(1, AccountSuspended(explanation="x"))])
    assert fold_readable([]) == (NOTHING, None)


def progress(view: str, **changes: Any) -> Progress:
    fine = Progress(view, 1, 7, 0.0, is_of_this_log=True, shape=shape(VIEWS[view]), parked=0)
    return msgspec.structs.replace(fine, **changes)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"behind_s": BEHIND_MAX_S + 1}, "behind"),
        ({"shape": "another"}, "outdated"),
        ({"is_of_this_log": False}, "ahead"),
    ],
)
def test_a_read_model_that_is_not_what_it_should_be_is_named(
    changes: dict[str, Any], state: str
) -> None:
    fine = [progress(view) for view in VIEWS if view != "card"]
    assert faults([*fine, progress("card")]) == []
    (fault,) = faults([*fine, progress("card", **changes)])
    assert (fault.view, fault.state) == ("card", state)
    (missing,) = faults(fine)
    assert missing.state == "missing"


def test_a_crowd_of_queries_does_not_end_the_watch_over_read_models() -> None:
    def crowded() -> Any:
        raise OverloadedError

    async def check() -> None:
        watching = asyncio.create_task(ReadModels(crowded).watch())
        await asyncio.sleep(0.05)
        assert not watching.done()
        await end([watching])

    asyncio.run(check())
