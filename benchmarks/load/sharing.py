"""A hundred agencies with an agreement each, and what the log says that each is entitled to.

The three partner agencies and the first 97 that employ officers: each is told of one procedure,
the played ones in turn, and of one stretch of its dossiers' way. So two or three agencies hear of
a dossier's event, most hear of few, and nobody of payments.
"""

import asyncio
from typing import Any

import httpx
from psycopg import AsyncConnection

from api.server.instance import Instance
from benchmarks.city.lives import MIX
from benchmarks.city.population import SECOND_SIGNER, Population
from integration.servers.founding import FOUNDER

SUBSCRIBERS = 100
PROCEDURES = tuple(dict.fromkeys(kind.procedure for kind in MIX))
INTERESTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("dossier.lodged", "dossier.supplemented", "dossier.accepted", "dossier.turned_away"),
        ("case", "channel", "code", "due_at"),
    ),
    (
        ("dossier.assigned", "dossier.forwarded", "dossier.suspended", "dossier.resumed"),
        ("ground", "to_step"),
    ),
    (
        ("dossier.result_issued", "dossier.result_returned", "dossier.closed"),
        ("number", "outcome"),
    ),
)
"""Events and fields."""
AT_ONCE = 10
ENTITLED = b"""
SELECT a.agency, count(e.position) FROM view.agreement a
LEFT JOIN (
    event e JOIN (
        SELECT stream_id, convert_from(body, 'UTF8')::jsonb #>> '{event,procedure}' AS procedure
        FROM event WHERE name = 'dossier.lodged'
    ) lodged USING (stream_id)
) ON e.position > a.position AND a.events ? e.name AND a.procedures ? lodged.procedure
GROUP BY 1
"""


def subscribers(population: Population) -> list[str]:
    """Agencies that have agreements here."""
    return [*population.partners, *population.agencies][:SUBSCRIBERS]


async def sign_agreements(city: Instance, agencies: list[str]) -> None:
    """One agreement for each agency, from now on, over the API."""
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=city.addresses.base_url, timeout=30) as client:

        async def sign(agency: str, nth: int) -> None:
            interest, place = divmod(nth, len(PROCEDURES))
            events, fields = INTERESTS[interest % len(INTERESTS)]
            terms = {
                "agency": agency,
                "purpose": "Theo dõi hồ sơ",
                "legal_basis": "NĐ 278/2025/NĐ-CP",
                "events": events,
                "fields": fields,
                "procedures": [PROCEDURES[place]],
            }
            async with turns:
                await sign_twice(client, city, f"feeds-{agency}", terms)

        await asyncio.gather(*(sign(agency, nth) for nth, agency in enumerate(agencies)))


async def sign_twice(
    client: httpx.AsyncClient, city: Instance, key: str, terms: dict[str, Any]
) -> None:
    """The founder signs an agreement and another administrator countersigns it."""

    async def post(subject: str, path: str, body: Any, **headers: str) -> Any:
        bearer = {"Authorization": f"Bearer {city.issuer.token(subject)}"}
        key_of_path = {"Idempotency-Key": f'"{key}"'}
        answer = await client.post(path, headers=bearer | key_of_path | headers, json=body)
        answer.raise_for_status()
        return answer.json()

    signed = await post(FOUNDER, "/v1/agreements", terms)
    version = {"If-Match": f'"{signed["version"]}"'}
    await post(SECOND_SIGNER, f"/v1/agreements/{signed['id']}/countersign", {}, **version)


async def entitled(connection: AsyncConnection) -> dict[str, int]:
    """How many events of the log each agency is to have, from the events themselves."""
    return dict(await (await connection.execute(ENTITLED)).fetchall())
