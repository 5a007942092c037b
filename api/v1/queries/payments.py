"""What is owed, waived, paid and given back for a dossier."""

from litestar import Response, get
from litestar.di import NamedDependency

from api.v1.parameters import After, DossierId, InNameOf
from api.v1.queries.asking import Asked, found
from commands.authority import Reading
from domain.payment import payment_id
from projections import queries


@get("/v1/dossiers/{id:uuid}/payment", name="payment", tags=["Payments"])
async def payment(
    asked: NamedDependency[Asked], key: DossierId, after: After = 0, in_name_of: InNameOf = None
) -> Response[queries.PaymentShown]:
    """What is owed, waived, paid and given back for a dossier, in đồng, with its receipts.

    Also what is in question, what is to be given back, and what is unpaid although the result was
    handed over.
    """
    await asked.open_stream(Reading.PAYMENT, key, in_name_of)
    streams = (payment_id(key),)
    row = await asked.ask("ledger", queries.payment_of_dossier, key, after=after, streams=streams)
    return asked.answer(found(row))


HANDLERS = (payment,)
