"""Read models as pure folds: given records, then rows."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from domain import account as a
from domain import dossier as d
from domain import payment as p
from domain.agreement import AgreementSigned
from domain.catalogue.procedure import FeeKind
from domain.event import Context
from domain.record import (
    AnyEvent,
    Record,
    event_types,
    field_names,
    name_of,
    personal_fields,
)
from projections.engine.view import Out, StreamView, shape
from projections.views import card, counters, directory, feed, ledger, timeline
from projections.views.registry import VIEWS

AT = datetime(2025, 11, 17, 2, 0, tzinfo=UTC)
DUE = AT + timedelta(days=2)
DOSSIER = UUID("00000000-0000-4000-8000-0000000000d0")
PAYMENT = UUID("00000000-0000-4000-8000-0000000000e0")
NUMBER = "079185000001"
OFFICER = UUID("00000000-0000-4000-8000-000000000001")
CITIZEN = UUID("00000000-0000-4000-8000-000000000002")
LODGED = d.DossierLodged(
    procedure="1.001193",
    case="standard",
    channel=d.Channel.ONLINE,
    submitter=CITIZEN,
    applicant=d.Applicant(
        kind=d.ApplicantKind.CITIZEN, name="Trần Thị Bé", national_id="079185000001"
    ),
    receiving_agency="H29.7",
    competent_agency="H29.7.1",
    representative=d.Representative(name="Lê Văn Tám", authority="giấy ủy quyền"),
    catalogue_version=1,
)
ACCEPTED = d.DossierAccepted(
    code="H29.7-251117-0001",
    due_at=DUE,
    catalogue_version=1,
    calendar_version="2025",
    step="receive",
)
ISSUED = d.ResultIssued(number="12/GXN", document_sha256="0" * 64)
CLOSED = d.DossierClosed(outcome=d.Outcome.RESULT_RETURNED)
CHARGE = p.FeeLine(
    code="phi", name="Phí", kind=FeeKind.CHARGE, quantity=1, unit_vnd=70_000, amount_vnd=70_000
)
DUTY = p.FeeLine(
    code="le_phi", name="Lệ phí", kind=FeeKind.DUTY, quantity=1, unit_vnd=30_000, amount_vnd=30_000
)
ASSESSED = p.FeeAssessed(
    dossier=DOSSIER,
    procedure="1.001193",
    agency="H29.7",
    collected_at="H29.18",
    on=p.AssessedOn(case="late", pages=1, copies=1, online=False, lodged_on=AT.date()),
    payer=CITIZEN,
    lines=(CHARGE, DUTY),
    catalogue_version=1,
)


def record(
    event: AnyEvent, version: int = 1, at: datetime = AT, stream: UUID = DOSSIER, position: int = 0
) -> Record:
    context = Context(
        actor=OFFICER, cause="c", correlation=DOSSIER, effective_at=at, agency="H29.7"
    )
    position = position or 100 + version
    return Record(position, stream, version, name_of(event), at, context, event)


class Folded:
    """What a view makes of facts that happen an hour after each other."""

    def __init__(self, view: StreamView, *facts: AnyEvent, stream: UUID = DOSSIER) -> None:
        self.out = Out()
        self.row: Any = None
        for nth, fact in enumerate(facts):
            one = record(fact, nth + 1, AT + timedelta(hours=nth), stream)
            if one.name in view.events:
                self.row = view.fold(self.row, one, self.out)

    def counted(self) -> dict[tuple[str, str], int]:
        """Counters by agency and column."""
        return {
            (key[0], what): n for _, key, deltas in self.out.added for what, n in deltas.items()
        }


def test_a_lodged_dossier_has_a_card_at_the_receiving_agency() -> None:
    row = Folded(card.VIEW, LODGED).row
    assert (row.holder, row.status, row.code) == ("H29.7", d.Status.LODGED, None)
    assert (row.applicant_name, row.submitter) == ("Trần Thị Bé", CITIZEN)
    assert (row.version, row.position) == (1, 101)


APOLOGY = d.ApologyIssued(
    due_before=DUE,
    due_at=DUE + timedelta(days=1),
    explanation="xin lỗi",
    channel=d.ApologyChannel.LETTER,
)


def test_the_card_keeps_the_original_due_date_when_there_was_an_apology() -> None:
    row = Folded(card.VIEW, LODGED, ACCEPTED, APOLOGY).row
    assert (row.original_due_at, row.due_at) == (DUE, DUE + timedelta(days=1))
    assert (row.apologised, row.extended) == (True, False)


def test_the_card_shows_why_the_clock_stands_still_only_while_it_does() -> None:
    suspended = d.DossierSuspended(ground=d.Ground.HALT, basis="án")
    resumed = d.DossierResumed(
        due_before=DUE, due_at=DUE, calendar_version="2025", paused_minutes=0
    )
    row = Folded(card.VIEW, LODGED, ACCEPTED, suspended).row
    assert (row.suspended, row.suspended_at) == ("halt", AT + timedelta(hours=2))
    row = Folded(card.VIEW, LODGED, ACCEPTED, suspended, resumed).row
    assert (row.suspended, row.suspended_at) == (None, None)


def test_the_cards_columns_are_the_states_own(history: list[AnyEvent]) -> None:
    for length in range(1, len(history) + 1):
        row = Folded(card.VIEW, *history[:length]).row
        for field in card.OF_STATE:
            assert getattr(row, field) == getattr(row.state, field), (field, history[length - 1])


def test_a_card_holds_no_number_of_a_person(history: list[AnyEvent]) -> None:
    numbered = d.DossierCorrected(
        field=d.CorrectedField.NATIONAL_ID, before=None, after=NUMBER, basis="b", corrects=1
    )
    row = Folded(card.VIEW, *history, numbered).row
    assert NUMBER not in msgspec.json.encode(row).decode()


@pytest.fixture
def history() -> list[AnyEvent]:
    return [
        LODGED,
        d.SupplementRequested(at_reception=True, papers=("a",), clause="1", explanation="x"),
        d.DossierSupplemented(papers=(d.SubmittedPaper(code="a"),)),
        ACCEPTED,
        d.DossierAssigned(officer=OFFICER, step="examine"),
        d.DossierForwarded(from_step="examine", to_step="review"),
        d.DossierSuspended(ground=d.Ground.HALT, basis="án"),
        APOLOGY,
        d.ResultApproved(summary="x"),
        d.ResultSigned(document_sha256="0" * 64, signature_sha256="1" * 64),
        ISSUED,
        d.ResultReturned(delivery=d.Delivery.COUNTER),
        CLOSED,
    ]


def test_a_view_declares_only_events_that_exist() -> None:
    for view in VIEWS.values():
        assert view.events <= event_types().keys(), view.name


def test_tables_have_distinct_names_and_every_definition_its_own_shape() -> None:
    names = [table.name for view in VIEWS.values() for table in view.tables]
    assert len(names) == len(set(names))
    assert not {"progress", "parked"} & set(names)
    assert len({shape(view) for view in VIEWS.values()}) == len(VIEWS)
    assert shape(msgspec.structs.replace(card.VIEW, revision=2)) != shape(card.VIEW)


def test_the_timeline_says_who_did_what_and_when() -> None:
    ((_, row),) = Folded(timeline.VIEW, LODGED).out.inserted
    assert isinstance(row, timeline.Happening)
    assert (row.dossier, row.name, row.actor) == (DOSSIER, "dossier.lodged", OFFICER)
    assert (row.happened_at, row.agency) == (AT, "H29.7")
    assert row.detail["procedure"] == "1.001193"


def test_the_timeline_holds_no_personal_data() -> None:
    ((_, row),) = Folded(timeline.VIEW, LODGED).out.inserted
    text = msgspec.json.encode(row).decode()
    assert "Bé" not in text
    assert "079185000001" not in text
    assert "Tám" not in text
    assert "giấy ủy quyền" not in text


@pytest.mark.parametrize("name", sorted(n for n, k in event_types().items() if personal_fields(k)))
def test_every_personal_field_of_every_event_stays_out_of_the_timeline(name: str) -> None:
    assert set(timeline.PERSONAL[name]) == set(personal_fields(event_types()[name]))


def test_a_dossier_is_held_by_who_accepted_it() -> None:
    forwarded = d.HandoverAccepted(
        kind=d.HandoverKind.STEP,
        from_agency="H29.7",
        to_agency="H29.7.1",
        from_step="receive",
        to_step="examine",
    )
    row = Folded(card.VIEW, LODGED, ACCEPTED, forwarded).row
    assert (row.holder, row.step, row.due_at) == ("H29.7.1", "examine", DUE)
    assert Folded(card.VIEW, LODGED, ACCEPTED, forwarded, CLOSED).row.status == "closed"


def test_what_is_finished_has_its_finishing_time() -> None:
    row = Folded(card.VIEW, LODGED, ACCEPTED, ISSUED).row
    assert row.finished_at == AT + timedelta(hours=2)


def test_the_front_desk_counts_for_the_receiving_agency_and_the_matter_for_the_competent() -> None:
    returned = d.ResultReturned(delivery=d.Delivery.COUNTER)
    folded = Folded(counters.VIEW, LODGED, ACCEPTED, ISSUED, returned, CLOSED)
    assert folded.counted() == {
        ("H29.7", "lodged_online"): 1,
        ("H29.7", "accepted"): 1,
        ("H29.7.1", "issued"): 1,
        ("H29.7.1", "finished_on_time"): 1,
        ("H29.7", "returned"): 1,
        ("H29.7", "closed"): 1,
    }


def test_the_day_of_a_counter_is_the_citys_not_greenwichs() -> None:
    out = Out()
    late_evening = datetime(2025, 11, 16, 17, 30, tzinfo=UTC)
    counters.fold(None, record(LODGED, at=late_evening), out)
    assert out.added[0][1] == ("H29.7", date(2025, 11, 17))


def test_late_is_measured_against_the_due_date_that_stood_at_the_end() -> None:
    overdue = record(ISSUED, 3, DUE + timedelta(minutes=1))
    out = Out()
    row = Folded(counters.VIEW, LODGED, ACCEPTED).row
    counters.fold(row, overdue, out)
    told = {what for _, _, deltas in out.added for what in deltas}
    assert told == {"issued", "finished_late", "finished_past_original"}
    later = DUE + timedelta(days=1)
    resumed = d.DossierResumed(
        due_before=DUE,
        due_at=later,
        original_due_at=later,
        calendar_version="2025",
        paused_minutes=480,
    )
    for moved, also in ((resumed, set()), (APOLOGY, {"finished_past_original"})):
        out = Out()
        counters.fold(Folded(counters.VIEW, LODGED, ACCEPTED, moved).row, overdue, out)
        told = {what for _, _, deltas in out.added for what in deltas}
        assert told == {"issued", "finished_on_time"} | also


def test_a_dossier_that_reception_answers_too_late_is_counted_once() -> None:
    """NĐ 118/2025, art. 17, 18: by the first answer, whichever it is."""
    lodged = msgspec.structs.replace(LODGED, receive_by=AT + timedelta(minutes=30))
    asked = d.SupplementRequested(at_reception=True, papers=(), clause="1", explanation="x")
    counted = Folded(counters.VIEW, lodged, asked, ACCEPTED).counted()
    assert counted[("H29.7", "received_late")] == 1
    in_time = msgspec.structs.replace(LODGED, receive_by=AT + timedelta(hours=1))
    counted = Folded(counters.VIEW, in_time, ACCEPTED).counted()
    assert ("H29.7", "received_late") not in counted


def test_a_denial_and_a_second_notice_have_counters_of_their_own() -> None:
    denied = msgspec.structs.replace(ISSUED, decision=d.Decision.DENIED)
    again = d.SupplementRequested(at_reception=False, nth=2, papers=(), clause="1", explanation="x")
    counted = Folded(counters.VIEW, LODGED, ACCEPTED, again, denied).counted()
    assert counted[("H29.7.1", "denied")] == 1
    assert ("H29.7.1", "issued") not in counted
    assert counted[("H29.7.1", "supplements_repeated")] == 1


def test_who_withdraws_is_neither_in_time_nor_late() -> None:
    stopped = d.DossierStopped(clause="rút", explanation="x", withdrawn=True)
    counted = Folded(counters.VIEW, LODGED, ACCEPTED, stopped).counted()
    assert counted[("H29.7.1", "withdrawn")] == 1
    assert not {"stopped", "finished_on_time", "finished_late"} & {what for _, what in counted}


def test_a_waiver_is_booked_line_by_line_with_its_rule() -> None:
    waived = p.FeeWaived(
        rule="nq07", legal_basis="NQ", kind=FeeKind.DUTY, lines=("le_phi",), amount_vnd=30_000
    )
    folded = Folded(ledger.VIEW, ASSESSED, waived, stream=PAYMENT)
    row = folded.row
    assert (row.assessed_vnd, row.waived_vnd, row.due_vnd) == (100_000, 30_000, 70_000)
    entries: list[Any] = [entry for _, entry in folded.out.inserted]
    assert [(e.kind, e.fee_kind, e.rule, e.amount_vnd) for e in entries] == [
        ("assessed", "charge", None, 70_000),
        ("assessed", "duty", None, 30_000),
        ("waived", "duty", "nq07", 30_000),
    ]


def test_nothing_is_due_when_all_is_waived() -> None:
    waived = [
        p.FeeWaived(rule="nq07", legal_basis="NQ", kind=kind, lines=(code,), amount_vnd=amount)
        for kind, code, amount in (
            (FeeKind.CHARGE, "phi", 70_000),
            (FeeKind.DUTY, "le_phi", 30_000),
        )
    ]
    row = Folded(ledger.VIEW, ASSESSED, *waived, stream=PAYMENT).row
    assert (row.status, row.due_vnd) == (ledger.PaymentStatus.NOTHING_DUE, 0)


def test_a_correction_is_an_entry_of_its_own_and_what_it_corrects_stays() -> None:
    folded = Folded(
        ledger.VIEW,
        ASSESSED,
        p.AttemptStarted(attempt="a", method=p.Method.CASH, amount_vnd=100_000),
        p.PaymentConfirmed(attempt="a", amount_vnd=1_000_000, transaction="t"),
        p.DiscrepancyOpened(
            discrepancy="D1",
            kind=p.DiscrepancyKind.TOO_MUCH,
            attempt="a",
            amount_vnd=900_000,
        ),
        stream=PAYMENT,
    )
    assert (folded.row.excess_vnd, folded.row.in_question) == (900_000, 1)
    folded = Folded(
        ledger.VIEW,
        ASSESSED,
        p.AttemptStarted(attempt="a", method=p.Method.CASH, amount_vnd=100_000),
        p.PaymentConfirmed(attempt="a", amount_vnd=1_000_000, transaction="t"),
        p.DiscrepancyOpened(
            discrepancy="D1",
            kind=p.DiscrepancyKind.TOO_MUCH,
            attempt="a",
            amount_vnd=900_000,
        ),
        p.EntryCorrected(
            attempt="a", recorded_vnd=1_000_000, amount_vnd=100_000, explanation="gõ nhầm"
        ),
        p.DiscrepancyResolved(discrepancy="D1", resolution=p.Resolution.CORRECTED),
        stream=PAYMENT,
    )
    row = folded.row
    assert (row.paid_vnd, row.due_vnd, row.excess_vnd, row.in_question) == (100_000, 0, 0, 0)
    entries: list[Any] = [entry for _, entry in folded.out.inserted]
    paid = [e for e in entries if e.kind == "paid"]
    assert [(e.amount_vnd, e.correction) for e in paid] == [(1_000_000, False), (-900_000, True)]


def test_what_goes_back_of_a_double_payment_pays_for_nothing() -> None:
    paid = p.PaymentConfirmed(attempt="a", amount_vnd=200_000, transaction="t")
    asked = p.RefundAsked(refund="x", amount_vnd=100_000, explanation="hai lần", discrepancy="D1")
    done = p.RefundDone(refund="x", transaction="b", amount_vnd=100_000, of_discrepancy=True)
    row = Folded(ledger.VIEW, ASSESSED, paid, asked, done, stream=PAYMENT).row
    assert (row.due_vnd, row.returned_vnd, row.excess_vnd) == (0, 100_000, 0)


def test_receipts_are_shown_with_those_that_were_cancelled() -> None:
    issued = p.ReceiptIssued(
        receipt="PH26-0000001",
        series="PH26",
        number=1,
        kind=FeeKind.CHARGE,
        agency="H29.7",
        amount_vnd=70_000,
        lines=("phi",),
    )
    cancelled = p.ReceiptCancelled(receipt="PH26-0000001", ground=p.ReceiptEnd.REPLACED)
    again = replace(issued, receipt="PH26-0000002", number=2, replaces="PH26-0000001")
    row = Folded(ledger.VIEW, ASSESSED, issued, cancelled, again, stream=PAYMENT).row
    assert [(one.receipt, one.cancelled) for one in row.receipts] == [
        ("PH26-0000001", "replaced"),
        ("PH26-0000002", None),
    ]
    assert row.receipted_vnd == 70_000


def test_every_dong_of_a_payment_is_accounted_for_to_its_refund() -> None:
    folded = Folded(
        ledger.VIEW,
        ASSESSED,
        p.PaymentRequested(request="r", amount_vnd=100_000, expires_at=DUE),
        p.AttemptStarted(attempt="a", method=p.Method.ONLINE, amount_vnd=100_000),
        p.PaymentConfirmed(attempt="a", amount_vnd=100_000, transaction="t", payer_name="Bé"),
        p.PaymentSettled(statement="s", amount_vnd=100_000),
        p.RefundAsked(refund="x", amount_vnd=40_000, explanation="nộp thừa"),
        p.RefundApproved(refund="x"),
        p.RefundDone(refund="x", transaction="t2", amount_vnd=40_000),
        stream=PAYMENT,
    )
    row = folded.row
    assert row.assessed_vnd == row.waived_vnd + row.paid_vnd + row.due_vnd
    assert (row.paid_vnd, row.settled_vnd, row.refunded_vnd) == (100_000, 100_000, 40_000)
    assert row.status == ledger.PaymentStatus.REFUNDED
    sums: dict[str, int] = {}
    for _, _, deltas in folded.out.added:
        for column, amount in deltas.items():
            sums[column] = sums.get(column, 0) + amount
    assert sums == {
        "assessed_vnd": 100_000,
        "paid_vnd": 100_000,
        "settled_vnd": 100_000,
        "refund_asked_vnd": 40_000,
        "refunded_vnd": 40_000,
    }


def test_the_directory_shows_granted_roles_until_they_are_revoked() -> None:
    opened = a.OfficerOpened(
        issuer="https://sso", subject="s", name="Lê Văn Tám", agency="H29.7", title="Chuyên viên"
    )
    granted = a.RoleGranted(role=a.Role.EXAMINER, agency="H29.7", valid_from=AT)
    again = a.RoleGranted(role=a.Role.EXAMINER, agency="H29.7", valid_from=DUE)
    revoked = a.RoleRevoked(role=a.Role.EXAMINER, agency="H29.7", explanation="x")
    row = Folded(directory.VIEW, opened, granted, again).row
    assert [(g.role, g.valid_from) for g in row.roles] == [("examiner", DUE)]
    assert (row.kind, row.title, row.opened_at) == ("officer", "Chuyên viên", AT)
    assert Folded(directory.VIEW, opened, granted, revoked).row.roles == ()


def test_a_suspended_account_is_shown_so_until_it_is_reactivated() -> None:
    opened = a.CitizenOpened(issuer="https://sso", subject="s", name="Bé")
    suspended = a.AccountSuspended(explanation="x")
    assert Folded(directory.VIEW, opened, suspended).row.suspended
    reactivated = a.AccountReactivated(explanation="x")
    assert not Folded(directory.VIEW, opened, suspended, reactivated).row.suspended


def standing(number: int = 1, **terms: Any) -> feed.ActiveAgreement:
    defaults: dict[str, Any] = {
        "agency": "H29.2",
        "purpose": "x",
        "legal_basis": "x",
        "procedures": frozenset(),
        "events": frozenset({"dossier.lodged"}),
        "fields": frozenset({"applicant.name", "channel"}),
        "valid_from": AT,
    }
    signed = AgreementSigned(**(defaults | terms))
    return feed.signed_by(signed, record(signed, stream=UUID(int=number), position=number))


HEADS = {"H29.2": feed.FeedHead(agency="H29.2", sequence=41, last=UUID(int=1))}


def shared(
    *agreements: feed.ActiveAgreement, event: AnyEvent = LODGED, at: datetime = AT
) -> list[Any]:
    by_event: dict[str, list[feed.ActiveAgreement]] = {}
    for agreement in agreements:
        for name in agreement.events:
            by_event.setdefault(name, []).append(agreement)
    route = feed.Route(dossier=DOSSIER, procedure="1.001193", code="H29.7-251117-0001")
    return [item for item, _ in feed.shared(by_event, HEADS, route, record(event, at=at))]


def test_a_feed_item_is_a_cloud_event_with_agreed_fields_only() -> None:
    (item,) = shared(standing())
    assert (item.agency, item.sequence, item.position) == ("H29.2", 42, 101)
    assert msgspec.json.decode(item.event) == {
        "specversion": "1.0",
        "id": str(feed.event_id(record(LODGED), HEADS["H29.2"])),
        "source": "/hoso/H29",
        "type": "vn.gov.hcm.hoso.dossier.lodged",
        "subject": str(DOSSIER),
        "time": "2025-11-17T02:00:00Z",
        "datacontenttype": "application/json",
        "sequence": "00000000000000000042",
        "recordedtime": "2025-11-17T02:00:00Z",
        "dossier": str(DOSSIER),
        "data": {"applicant": {"name": "Trần Thị Bé"}, "channel": "online"},
    }


def test_two_agreements_of_one_agency_make_one_item_with_the_fields_of_both() -> None:
    (item,) = shared(standing(1), standing(2, fields=frozenset({"applicant.national_id"})))
    assert item.agreements == (UUID(int=1), UUID(int=2))
    assert msgspec.json.decode(item.event)["data"]["applicant"] == {
        "name": "Trần Thị Bé",
        "national_id": "079185000001",
    }


@pytest.mark.parametrize(
    ("terms", "at", "entitled"),
    [
        ({}, AT, True),
        ({}, AT - timedelta(seconds=1), False),
        ({"valid_before": DUE}, DUE - timedelta(seconds=1), True),
        ({"valid_before": DUE}, DUE, False),
        ({"procedures": frozenset({"1.001193"})}, AT, True),
        ({"procedures": frozenset({"2.000635"})}, AT, False),
        ({"events": frozenset({"dossier.closed"})}, AT, False),
    ],
)
def test_only_what_an_agreement_names_is_shared(
    terms: dict[str, Any], at: datetime, entitled: bool
) -> None:
    assert bool(shared(standing(**terms), at=at)) is entitled


def test_an_agreement_covers_nothing_that_was_recorded_before_it_was_signed() -> None:
    assert not shared(standing(number=101))
    assert not shared(standing(number=102))


def test_a_field_that_the_event_lacks_is_left_out() -> None:
    whole = {"applicant": {"name": "x"}}
    assert feed.picked("dossier.lodged", whole, {"applicant.phone", "papers"}) == {}


def test_a_whole_that_is_named_leaves_out_personal_parts_that_are_not() -> None:
    (item,) = shared(standing(fields=frozenset({"applicant", "applicant.name", "representative"})))
    data = msgspec.json.decode(item.event)["data"]
    assert data == {"applicant": {"kind": "citizen", "name": "Trần Thị Bé"}, "representative": {}}


def test_free_text_is_shared_only_by_its_name() -> None:
    stopped = d.DossierStopped(clause="Bà Tư", explanation="Ông Năm")
    terms: dict[str, Any] = {"events": frozenset({"dossier.stopped"})}
    (item,) = shared(standing(**terms, fields=frozenset({"explanation"})), event=stopped)
    assert msgspec.json.decode(item.event)["data"] == {"explanation": "Ông Năm"}


def test_code_and_procedure_are_in_the_envelope_only_where_they_are_agreed() -> None:
    (item,) = shared(standing(fields=frozenset({"code", "procedure"})))
    event = msgspec.json.decode(item.event)
    assert (event["subject"], event["procedure"]) == ("H29.7-251117-0001", "1.001193")
    (item,) = shared(standing())
    assert "1.001193" not in bytes(item.event).decode()
    assert "H29.7-251117-0001" not in bytes(item.event).decode()


def test_the_id_of_an_item_does_not_depend_on_what_the_agency_does_not_get() -> None:
    (item,) = shared(standing())
    later = msgspec.structs.replace(record(LODGED), version=7, position=900)
    route = feed.Route(dossier=DOSSIER, procedure="1.001193")
    ((other, head),) = feed.shared({"dossier.lodged": [standing()]}, HEADS, route, later)
    assert other.event == item.event
    assert str(head.last) == msgspec.json.decode(item.event)["id"]


def test_the_id_of_an_item_depends_on_all_items_before_it() -> None:
    here = HEADS["H29.2"]
    another = msgspec.structs.replace(here, last=UUID(int=2))
    next_one = msgspec.structs.replace(here, sequence=42)
    ids = {feed.event_id(record(LODGED), head) for head in (here, another, next_one)}
    assert len(ids) == 3


def test_an_item_that_no_message_holds_is_refused() -> None:
    huge = msgspec.structs.replace(LODGED, case="x" * feed.ITEM_BYTES_MAX)
    with pytest.raises(feed.ItemTooLargeError):
        shared(standing(fields=frozenset({"case"})), event=huge)


FREE_TEXT = {"explanation", "question", "answer", "summary", "note", "clause", "basis", "evidence"}


def test_free_text_is_marked_as_personal_in_every_event() -> None:
    unmarked = [
        (name, field)
        for name, kind in event_types().items()
        for field in field_names(kind) - personal_fields(kind).keys()
        if field.rpartition(".")[2] in FREE_TEXT
    ]
    # The catalogue's own words.
    assert unmarked == [("dossier.accepted", "limit.basis")]
    assert {"reason", "on_behalf_of"} <= personal_fields(Context).keys()


def test_the_timeline_shows_neither_reason_nor_principal() -> None:
    one = record(ISSUED)
    context = msgspec.structs.replace(one.context, reason="Ông Năm", on_behalf_of="Bà Tư")
    out = Out()
    timeline.fold(None, msgspec.structs.replace(one, context=context), out)
    text = msgspec.json.encode(out.inserted[0][1]).decode()
    assert "Ông Năm" not in text
    assert "Bà Tư" not in text


def test_no_personal_field_is_inside_a_list() -> None:
    """`personal_fields` does not look there."""

    def inner(info: Any, *, within: bool) -> list[Any]:
        match info:
            case msgspec.inspect.Metadata(extra={"personal": _}) if within:
                return [info]
            case msgspec.inspect.Metadata(type=one):
                return inner(one, within=within)
            case msgspec.inspect.UnionType(types=types):
                return [found for one in types for found in inner(one, within=within)]
            case msgspec.inspect.StructType(fields=fields):
                return [found for f in fields for found in inner(f.type, within=within)]
            case (
                msgspec.inspect.VarTupleType(item_type=one)
                | msgspec.inspect.FrozenSetType(item_type=one)
            ):
                return inner(one, within=True)
            case _:
                return []

    for kind in event_types().values():
        assert inner(msgspec.inspect.type_info(kind), within=False) == []
