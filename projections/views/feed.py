"""Data-sharing feeds: for each agency exactly what its agreements entitle it to, numbered from 1."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from domain.agreement import AgreementCountersigned, AgreementEnded, AgreementSigned
from domain.dossier import DossierAccepted, DossierLodged
from domain.event import stream_id
from domain.record import Record, Stored, event_types, personal_fields, without
from projections.engine.view import Batch, Table

ITEM_BYTES_MAX = (1 << 20) - (64 << 10)
"""Of one item: a NATS message holds 1 MiB unless told otherwise, its headers included."""
SOURCE = "/hoso/H29"
TYPE_PREFIX = "vn.gov.hcm.hoso."
PERSONAL = {name: frozenset(personal_fields(kind)) for name, kind in event_types().items()}
"""Dotted fields by the name of the event."""

_encoder = msgspec.json.Encoder(order="deterministic")


class ActiveAgreement(Struct, frozen=True, kw_only=True):
    """An agreement that has not ended; its lists are sorted."""

    agreement: UUID
    position: int
    """Where it was signed, then where it was countersigned: it covers later events only."""
    agency: str
    procedures: tuple[str, ...]
    """Empty: all."""
    events: tuple[str, ...]
    fields: tuple[str, ...]
    valid_from: datetime
    valid_before: datetime | None

    def covers(self, record: Record, procedure: str) -> bool:
        """Whether the agency is entitled to this event of a dossier of that procedure."""
        at = record.context.effective_at
        return (
            self.position < record.position
            and record.name in self.events
            and (not self.procedures or procedure in self.procedures)
            and self.valid_from <= at
            and (self.valid_before is None or at < self.valid_before)
        )


class Route(Struct, frozen=True, kw_only=True):
    """What must be known of a dossier to share its later events."""

    dossier: UUID
    procedure: str
    code: str | None = None


class FeedHead(Struct, frozen=True, kw_only=True):
    """The last item that an agency's feed has given out."""

    agency: str
    sequence: int = 0
    last: UUID = UUID(int=0)
    """Its id."""


class FeedItem(Struct, frozen=True, kw_only=True):
    """One event on its way to one agency."""

    agency: str
    sequence: int
    """Dense from 1 in log order, for each agency."""
    position: int
    agreements: tuple[UUID, ...]
    """Those that entitle to it, in order of signing."""
    event: msgspec.Raw
    """CloudEvents 1.0, to be sent byte for byte."""


class ItemTooLargeError(Exception):
    """An event whose agreed fields do not go into one message."""


class CloudEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """JSON event format of CloudEvents 1.0; extension attributes have lower-case names.

    Nothing in it tells of what the agency does not get: it counts neither the log nor the dossier's
    other events, and names code and procedure only where they are agreed.
    """

    specversion: str
    """`1.0`."""
    id: str
    """The same at each delivery; another where the feed was numbered anew with another event."""
    source: str
    """The city's system."""
    type: str
    """What happened, such as `vn.gov.hcm.hoso.dossier.accepted`."""
    subject: str
    """The dossier's code where it is agreed and known, else its id."""
    time: datetime
    """When it happened."""
    datacontenttype: str
    """`application/json`."""
    sequence: str
    """Number in this feed, 20 digits: 1, 2, 3, … without a gap."""
    recordedtime: datetime
    """When it was recorded."""
    dossier: str
    """The dossier's id: opaque, the same in all its events."""
    procedure: str = ""
    """Code of the dossier's procedure, where the field `procedure` is agreed."""
    data: dict[str, Any]
    """The agreed fields of the event."""


AGREEMENT = Table(name="agreement", row=ActiveAgreement, key=("agreement",))
"""Those that are in force."""
PROPOSED = Table(name="agreement_proposed", row=ActiveAgreement, key=("agreement",))
"""Signed by one person so far: they entitle to nothing."""
ROUTE = Table(name="route", row=Route, key=("dossier",))
HEAD = Table(name="feed_head", row=FeedHead, key=("agency",))
ITEM = Table(
    name="feed_item", row=FeedItem, key=("agency", "sequence"), indexes=("(agency, position)",)
)


class _State:
    """Rows of this view that a batch works on."""

    def __init__(
        self,
        standing: Iterable[ActiveAgreement],
        proposed: Iterable[ActiveAgreement],
        routes: dict[UUID, Route],
    ) -> None:
        self.standing = {row.agreement: row for row in standing}
        self.proposed = {row.agreement: row for row in proposed}
        self.routes = routes
        self.heads: dict[str, FeedHead] = {}
        self.by_event: dict[str, list[ActiveAgreement]] = {}
        self.index()

    def end(self, agreement: UUID) -> None:
        """Share nothing more by this agreement; any other id is passed over."""
        if self.standing.pop(agreement, None) is not None:
            self.index()

    def index(self) -> None:
        """Look agreements up by event name, in order of signing."""
        self.by_event = {}
        for row in sorted(self.standing.values(), key=lambda row: row.position):
            for name in row.events:
                self.by_event.setdefault(name, []).append(row)


class FeedView(Struct, frozen=True, kw_only=True):
    """Not one row a stream: every agreement looks at every dossier, and each feed counts."""

    name: str
    events: frozenset[str]
    tables: tuple[Table, ...]
    revision: int = 2

    async def project(self, batch: Batch, records: Sequence[Stored]) -> None:
        """Load agreements, routes and counters; fold; write back what differs.

        An agreement with a fact that cannot be read stands no longer: it may have been ended.
        """
        if not records:
            return
        before = await batch.load(ROUTE, {r.stream for r in records if _is_of_dossier(r)})
        signed = await batch.load_all(AGREEMENT)
        proposed = await batch.load_all(PROPOSED)
        state = _State(signed.values(), proposed.values(), dict(before))
        heads = await batch.load_all(HEAD)
        state.heads = dict(heads)
        batch.apply(records, lambda record: take(state, record, batch), parked=state.end)
        for dossier, route in state.routes.items():
            if route is not before.get(dossier):
                batch.put(ROUTE, route)
        _write_agreements(batch, AGREEMENT, signed, state.standing)
        _write_agreements(batch, PROPOSED, proposed, state.proposed)
        for agency, head in state.heads.items():
            if head is not heads.get(agency):
                batch.put(HEAD, head)


def take(state: _State, record: Record, batch: Batch) -> None:
    """Fold one event: an agreement changes who gets what, a dossier's event goes to whom it may."""
    event = record.event
    match event:
        case AgreementSigned():
            state.proposed[record.stream] = signed_by(event, record)
            return
        case AgreementCountersigned():
            signed = state.proposed.pop(record.stream)
            state.standing[record.stream] = replace(signed, position=record.position)
            state.index()
            return
        case AgreementEnded():
            state.proposed.pop(record.stream, None)
            state.standing.pop(record.stream, None)
            state.index()
            return
    route = routed(state.routes.get(record.stream), record)
    items = list(shared(state.by_event, state.heads, route, record))
    state.routes[record.stream] = route
    for item, head in items:
        state.heads[item.agency] = head
        batch.out.insert(ITEM, item)


def signed_by(event: AgreementSigned, record: Record) -> ActiveAgreement:
    """What was signed, its sets in an order that is the same on every machine."""
    return ActiveAgreement(
        agreement=record.stream,
        position=record.position,
        agency=event.agency,
        procedures=tuple(sorted(event.procedures)),
        events=tuple(sorted(event.events)),
        fields=tuple(sorted(event.fields)),
        valid_from=event.valid_from,
        valid_before=event.valid_before,
    )


def routed(route: Route | None, record: Record) -> Route:
    """What is known of the dossier after this event."""
    match record.event:
        case DossierLodged(procedure=procedure):
            return Route(dossier=record.stream, procedure=procedure)
        case DossierAccepted(code=code) if route is not None:
            return replace(route, code=code)
    assert route is not None, "a dossier's first event is dossier.lodged"
    return route


def shared(
    by_event: Mapping[str, list[ActiveAgreement]],
    heads: Mapping[str, FeedHead],
    route: Route,
    record: Record,
) -> Iterable[tuple[FeedItem, FeedHead]]:
    """One item for each agency entitled to the event, with all that its agreements name.

    And the feed's head after it.
    """
    entitled: dict[str, list[ActiveAgreement]] = {}
    for standing in by_event.get(record.name, ()):
        if standing.covers(record, route.procedure):
            entitled.setdefault(standing.agency, []).append(standing)
    for agency, agreements in entitled.items():
        before = heads.get(agency) or FeedHead(agency=agency)
        head = FeedHead(agency=agency, sequence=before.sequence + 1, last=event_id(record, before))
        fields = {name for standing in agreements for name in standing.fields}
        event = _encoder.encode(cloud_event(record, route, head, fields))
        if len(event) > ITEM_BYTES_MAX:
            raise ItemTooLargeError
        item = FeedItem(
            agency=agency,
            sequence=head.sequence,
            position=record.position,
            agreements=tuple(standing.agreement for standing in agreements),
            event=msgspec.Raw(event),
        )
        yield item, head


def cloud_event(
    record: Record, route: Route, head: FeedHead, fields: AbstractSet[str]
) -> CloudEvent:
    """The event as it leaves, as the feed's head; times of the envelope in UTC."""
    whole = msgspec.to_builtins(record.event, order="deterministic")
    code = route.code if "code" in fields else None
    return CloudEvent(
        specversion="1.0",
        id=str(head.last),
        source=SOURCE,
        type=TYPE_PREFIX + record.name,
        subject=code or str(record.stream),
        time=record.context.effective_at.astimezone(UTC),
        datacontenttype="application/json",
        sequence=f"{head.sequence:020d}",
        recordedtime=record.recorded_at.astimezone(UTC),
        dossier=str(route.dossier),
        procedure=route.procedure if "procedure" in fields else "",
        data=picked(record.name, whole, fields),
    )


def event_id(record: Record, before: FeedHead) -> UUID:
    """The id of the item that follows on a head.

    Each rests on the one before: where two feeds have the same id, they are the same up to there.
    Of what the agency has anyway, so nothing can be learnt by trying; not of the event's version or
    position, which count what the agency does not get.
    """
    recorded_at = record.recorded_at.astimezone(UTC).isoformat()
    after = f"{before.agency}/{before.sequence}/{before.last}"
    return stream_id("feed", f"{after}/{record.stream}/{record.name}/{recorded_at}")


def picked(name: str, whole: Mapping[str, Any], fields: AbstractSet[str]) -> dict[str, Any]:
    """Only the named fields, dotted where nested.

    A named whole includes its parts, but for personal ones that are not named themselves.
    """
    data: dict[str, Any] = {}
    for field in sorted(fields):
        *parents, last = field.split(".")
        source: Any = whole
        for parent in parents:
            source = source.get(parent) if isinstance(source, dict) else None
        if not isinstance(source, dict) or last not in source:
            continue
        target = data
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = source[last]
    without(data, PERSONAL[name] - fields)
    return data


def _write_agreements(
    batch: Batch,
    table: Table,
    before: Mapping[UUID, ActiveAgreement],
    after: Mapping[UUID, ActiveAgreement],
) -> None:
    for agreement in before.keys() - after.keys():
        batch.delete(table, agreement)
    for agreement, standing in after.items():
        if standing is not before.get(agreement):
            batch.put(table, standing)


def _is_of_dossier(record: Stored) -> bool:
    return record.name.startswith("dossier.")


VIEW = FeedView(
    name="feed",
    events=frozenset(name for name in event_types() if name.startswith(("dossier.", "agreement."))),
    tables=(ITEM, HEAD, AGREEMENT, PROPOSED, ROUTE),
)
