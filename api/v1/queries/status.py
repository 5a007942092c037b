"""How far the consumers of the log have come."""

from litestar import Response, get
from litestar.di import NamedDependency

from api.v1 import answers
from api.v1.queries.asking import Asked
from api.v1.read_models import faults
from commands.authority import Matter, Reading
from projections import queries


@get("/v1/status", name="status", tags=["Operation"])
async def status(asked: NamedDependency[Asked]) -> Response[answers.StatusAnswer]:
    """How far each read model has come, what is wrong with any, and which streams they left out."""
    await asked.allow(Reading.STATUS, Matter())
    async with asked.backend.reader(asked.identity.actor.int) as database:
        head = (await database.fetch("SELECT position FROM head"))[0][0]
        views = await database.run(queries.progress)
        parked = await database.run(queries.parked)
    return asked.answer(
        answers.StatusAnswer(head=head, views=views, faults=faults(views), parked=parked)
    )


HANDLERS = (status,)
