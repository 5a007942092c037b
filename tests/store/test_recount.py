"""`hoso verify` counts again from a real log: a sound one holds, a wrong date and a wrong sum are
found and named, also when whoever put them in knew how to hash."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from msgspec.structs import replace
from psycopg import AsyncConnection

from commands.catalogue import publish_first
from commands.log.bulk import import_file
from commands.log.codec import Body, to_stored
from commands.log.event_file import as_line
from domain.calendar import CITY_TIME
from domain.dossier import DossierAccepted, DossierReopened
from domain.payment import FeeWaived
from domain.record import Record
from integration.verification.folded import Folded, fold_city
from integration.verification.invariants import (
    Places,
    counted_again,
    every_event_is_understood,
)
from tests.given import CATALOGUES
from tests.store.conftest import LogDatabase
from tests.town import WAYS, Town, lived

TAMPER = """
ALTER TABLE event DISABLE TRIGGER ALL;
UPDATE event SET body = convert_to(replace(convert_from(body, 'UTF8'), '{said}', '{instead}'), 'UTF8')
WHERE name = '{name}';
UPDATE event SET leaf_hash = leaf_hash(position, stream_id, version, name, recorded_at, body);
ALTER TABLE event ENABLE TRIGGER ALL
"""


AT = datetime(2025, 12, 5, 9, 10, tzinfo=CITY_TIME)


def with_a_waiver() -> Town:
    """Lodged online, so that a duty is waived."""
    towns = (lived(way, AT, online=True) for way in WAYS if way.procedure.online != "none")
    return next(
        town for town in towns if any(one.name == "payment.fee_waived" for one in town.records)
    )


ANYWHERE = Places("", "", None)


def in_log(database: LogDatabase, town: Town, folder: Path) -> None:
    """The life as it is stored, with the catalogue that it names."""
    file = folder / "events.jsonl"
    file.write_bytes(b"".join(map(line_of, town.records)))

    async def store() -> None:
        async with await AsyncConnection.connect(database.owner) as owner:
            await publish_first(owner, CATALOGUES, by="test")
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            assert (await import_file(connection, file)).appended == len(town.records)

    asyncio.run(store())


def line_of(one: Record) -> bytes:
    stored = to_stored(one.stream, one.version, Body(one.context, one.event))
    return as_line(one.stream, one.version, stored.state)


def tamper(database: LogDatabase, name: str, said: str, instead: str) -> None:
    """As the owner may, who owns the triggers too."""

    async def change() -> None:
        async with await AsyncConnection.connect(database.owner, autocommit=True) as owner:
            statement = TAMPER.format(name=name, said=said, instead=instead)
            await owner.execute(statement.encode())

    asyncio.run(change())


def folded(database: LogDatabase) -> Folded:
    """What `hoso verify` reads, as the application's role."""

    async def read() -> Folded:
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            return await fold_city(connection)

    return asyncio.run(read())


def test_a_sound_log_holds_and_a_wrong_date_and_sum_are_named(
    database: LogDatabase, tmp_path: Path
) -> None:
    town = with_a_waiver()
    in_log(database, town, tmp_path)
    sound = folded(database)
    assert (sound.dates.wrong, sound.dong.wrong) == (0, 0)
    assert sound.dates.compared > 10
    assert sound.dong.compared >= 2

    accepted = next(one for one in town.records if one.name == "dossier.accepted")
    assert isinstance(accepted.event, DossierAccepted)
    assert accepted.event.due_at is not None
    day = f"{accepted.event.due_at:%Y-%m-%d}"
    later = f"{accepted.event.due_at + timedelta(days=7):%Y-%m-%d}"
    tamper(database, "dossier.accepted", f'"due_at":"{day}', f'"due_at":"{later}')
    waived = next(one.event for one in town.records if one.name == "payment.fee_waived")
    assert isinstance(waived, FeeWaived)
    sum_of = f'"amount_vnd":{waived.amount_vnd}'
    tamper(database, "payment.fee_waived", sum_of, '"amount_vnd":1')

    found = folded(database)
    wrong = found.dates.shown[0]
    assert (wrong.stream, wrong.version, wrong.what) == (accepted.stream, 2, "due_at")
    assert (wrong.recorded[:10], wrong.right[:10]) == (later, day)
    assert f"{accepted.stream} version 2: due_at is {later}" in counted_again(found.dates)
    assert f"waived by {waived.rule}" in counted_again(found.dong)


def test_what_cannot_follow_or_be_read_stops_its_own_stream_and_is_named(
    database: LogDatabase, tmp_path: Path
) -> None:
    town, other = with_a_waiver(), uuid4()
    in_log(database, town, tmp_path)
    sound = folded(database)
    assert sound.stuck == frozenset()
    lodged = town.records[0]
    reopened = replace(lodged, event=DossierReopened(status="nonsense", basis="b", explanation="x"))
    bad = [replace(reopened, stream=other, version=2), replace(lodged, stream=other)]
    file = tmp_path / "more.jsonl"
    file.write_bytes(b"".join(map(line_of, reversed(bad))))

    async def add() -> None:
        async with await AsyncConnection.connect(database.app, autocommit=True) as connection:
            await import_file(connection, file)

    asyncio.run(add())
    found = folded(database)
    assert found.stuck == {other}
    assert (found.sums, found.dates.wrong, found.dong.wrong) == (sound.sums, 0, 0)
    holds, said = asyncio.run(every_event_is_understood(ANYWHERE, found))
    assert not holds
    assert str(other) in said
