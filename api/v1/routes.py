"""All that is below `/v1`: a handler for each command and for each question."""

from litestar import Router
from litestar.di import Provide

from api.v1 import command_handlers, queries
from api.v1.parameters import days, paging
from api.v1.queries.asking import Asked, Shared
from api.v1.receive_command import CommandReceiver
from api.v1.requests import AnyRequest


def router(receiver: CommandReceiver | None, shared: Shared | None) -> Router:
    """Without what is worked with they can only be described."""

    def asked(request: AnyRequest) -> Asked:
        assert shared is not None, "a described handler is not called"
        return Asked(shared, request)

    return Router(
        "/",
        route_handlers=[*command_handlers.handlers(receiver), *queries.HANDLERS],
        dependencies={
            "asked": Provide(asked, sync_to_thread=False),
            "page": Provide(paging, sync_to_thread=False),
            "days": Provide(days, sync_to_thread=False),
        },
    )
