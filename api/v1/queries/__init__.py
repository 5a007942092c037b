"""One handler for each question: read models, history and replay, each behind a rights check."""

from api.v1.queries import (
    accounts,
    agencies,
    catalogue,
    dossiers,
    past,
    payments,
    sharing,
    status,
)

HANDLERS = (
    *dossiers.HANDLERS,
    *payments.HANDLERS,
    *agencies.HANDLERS,
    *accounts.HANDLERS,
    *sharing.HANDLERS,
    *catalogue.HANDLERS,
    *past.HANDLERS,
    *status.HANDLERS,
)
