"""All read models by name."""

from projections.engine.view import View
from projections.views import card, counters, directory, feed, ledger, search, timeline

VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        card.VIEW,
        timeline.VIEW,
        counters.VIEW,
        ledger.VIEW,
        directory.VIEW,
        feed.VIEW,
        search.VIEW,
    )
}
