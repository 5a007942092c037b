"""All read models by name."""

from projections import card, counters, directory, feed, ledger, timeline, worklist
from projections.view import View

VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        card.VIEW,
        timeline.VIEW,
        worklist.VIEW,
        counters.VIEW,
        ledger.VIEW,
        directory.VIEW,
        feed.VIEW,
    )
}
