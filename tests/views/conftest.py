"""A real PostgreSQL for the views, and random histories to fill them with."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from commands.log.codec import Body, to_stored
from commands.log.migrate import migrate
from domain import account, agreement, dossier, payment
from domain.catalogue.procedure import FeeKind
from domain.event import Context, stream_id
from domain.record import AnyEvent, Record, Stored, Unreadable, name_of
from integration.servers.postgres import PostgresServer

START = datetime(2025, 11, 17, 1, 0, tzinfo=UTC)
UNSIGNED = 7
"""The agreement that waits for its second signature."""
AGENCIES = ("H29.1", "H29.2", "H29.7", "H29.7.1", "H29.7.2")
PROCEDURES = ("1.001193", "1.004827", "2.000635")
PLAIN: tuple[AnyEvent, ...] = (
    dossier.DossierAssigned(officer=stream_id("account", "officer"), step="examine"),
    dossier.DossierForwarded(from_step="examine", to_step="review"),
    dossier.HandoverOffered(
        kind=dossier.HandoverKind.STEP,
        from_agency="H29.7",
        to_agency="H29.7.1",
        to_step="review",
        papers=("tờ khai",),
    ),
    dossier.HandoverAccepted(
        kind=dossier.HandoverKind.COMPETENCE,
        from_agency="H29.7",
        to_agency="H29.7.2",
        from_step="examine",
        to_step="review",
    ),
    dossier.HandoverRefused(to_agency="H29.7.1", explanation="thiếu"),
    dossier.HandoverRecalled(to_agency="H29.7.1"),
    dossier.ConsultationLapsed(consultation="q", agency="H29.2", deemed_consent=False),
    dossier.SupplementAccepted(),
    dossier.SupplementRefused(explanation="mờ"),
    dossier.AcceptanceRevoked(basis="1", explanation="nhầm"),
    dossier.DeadlineExtended(
        due_before=None,
        due_at=START + timedelta(days=6),
        extended_to=START + timedelta(days=6),
        basis="1",
        explanation="x",
    ),
    dossier.ConsultationWithdrawn(consultation="q", agency="H29.2"),
    dossier.DossierCorrected(
        field=dossier.CorrectedField.NAME, before="a", after="Bà Năm", basis="1", corrects=1
    ),
    dossier.DossierReopened(status="in_progress", basis="1", explanation="x"),
    dossier.ResultRevoked(
        number="7", document_sha256="0" * 64, basis="1", explanation="x", step="examine"
    ),
    dossier.ConsultationRequested(
        consultation="q", agency="H29.2", question="?", due_at=START + timedelta(days=9)
    ),
    dossier.ConsultationAnswered(consultation="q", opinion=dossier.Opinion.AGREES, answer="!"),
    dossier.DossierSuspended(ground=dossier.Ground.HALT, basis="cause"),
    dossier.DossierResumed(
        due_before=None,
        due_at=START + timedelta(days=3),
        original_due_at=START + timedelta(days=3),
        calendar_version="2025",
        paused_minutes=7,
    ),
    dossier.SupplementRequested(at_reception=True, papers=("a",), clause="1", explanation="x"),
    dossier.SupplementRequested(at_reception=False, papers=("a",), clause="1", explanation="x"),
    dossier.DossierSupplemented(papers=(dossier.SubmittedPaper(code="a"),), note="riêng tư"),
    dossier.ApologyIssued(
        due_before=None,
        due_at=START + timedelta(days=5),
        explanation="xin lỗi",
        channel=dossier.ApologyChannel.SMS,
    ),
    dossier.ResultApproved(summary="đúng"),
    dossier.ResultSigned(document_sha256="0" * 64, signature_sha256="1" * 64),
    dossier.WithdrawalRequested(explanation="không cần nữa"),
)
ENDS: tuple[tuple[dossier.DossierEvent, ...], ...] = (
    (
        dossier.ResultIssued(number="7", document_sha256="0" * 64),
        dossier.ResultReturned(delivery=dossier.Delivery.POST, receiver="Bà Tư", tracking="VN1"),
        dossier.DossierClosed(outcome=dossier.Outcome.RESULT_RETURNED),
    ),
    (
        dossier.ResultIssued(
            number="8", document_sha256="0" * 64, decision=dossier.Decision.DENIED
        ),
        dossier.ResultReturned(delivery=dossier.Delivery.COUNTER),
    ),
    (
        dossier.WithdrawalDecided(granted=True, explanation="theo đơn"),
        dossier.DossierStopped(clause="3", explanation="rút", withdrawn=True),
        dossier.DossierClosed(outcome=dossier.Outcome.WITHDRAWN),
    ),
    (
        dossier.DossierTurnedAway(clause="4", explanation="sai nơi"),
        dossier.DossierClosed(outcome=dossier.Outcome.TURNED_AWAY),
    ),
    (dossier.DossierStopped(clause="5", explanation="dừng"),),
    (),
)


class History:
    """A made-up log: the same seed gives the same records, on every machine."""

    def __init__(self, seed: int, dossiers: int) -> None:
        self._random = random.Random(seed)
        self._open: list[tuple[UUID, UUID, list[AnyEvent], int]] = []
        self.records: list[Record] = []
        for number in range(8):
            self._begin("account", str(number), self._account(number))
            self._begin("agreement", str(number), self._agreement(number))
        for number in range(dossiers):
            self._dossier(number)
            if number % 3 == 0:
                self._step(self._random.randrange(40))
        self._step(None)

    def _dossier(self, number: int) -> None:
        pick = self._random
        stream = self._begin("dossier", str(number), self._life(number))
        if pick.random() < 0.7:
            self._begin("payment", str(stream), self._money(stream), stream)

    def _begin(
        self, kind: str, name: str, events: list[AnyEvent], about: UUID | None = None
    ) -> UUID:
        stream = stream_id(kind, name)
        self._open.append((stream, about or stream, events, 0))
        return stream

    def _step(self, steps: int | None) -> None:
        """Let some of the open streams go on, in any order among them."""
        while self._open and (steps is None or steps > 0):
            steps = None if steps is None else steps - 1
            index = self._random.randrange(len(self._open))
            stream, about, events, version = self._open[index]
            self._record(stream, about, events[version], version + 1)
            if version + 1 == len(events):
                self._open[index] = self._open[-1]
                self._open.pop()
            else:
                self._open[index] = (stream, about, events, version + 1)

    def _record(self, stream: UUID, about: UUID, event: AnyEvent, version: int) -> None:
        position = len(self.records) + 1
        at = START + timedelta(minutes=7 * position)
        context = Context(
            actor=stream_id("account", "officer"),
            cause=f"cause-{position}",
            correlation=about,
            effective_at=at,
            role="examiner",
            agency="H29.7",
        )
        recorded_at = at + timedelta(seconds=1, microseconds=position)
        self.records.append(
            Record(position, stream, version, name_of(event), recorded_at, context, event)
        )

    def _life(self, number: int) -> list[AnyEvent]:
        pick = self._random
        lodged = dossier.DossierLodged(
            procedure=pick.choice(PROCEDURES),
            case="standard",
            channel=pick.choice(list(dossier.Channel)),
            submitter=stream_id("account", str(number % 5)),
            applicant=dossier.Applicant(
                kind=dossier.ApplicantKind.CITIZEN,
                name=f'Nguyễn Văn "{number}" \\ Ơ',
                account=stream_id("account", str(number % 7)) if number % 2 else None,
                national_id=f"079{number:09d}",
            ),
            receiving_agency=pick.choice(AGENCIES),
            competent_agency=pick.choice(AGENCIES),
            papers=(dossier.SubmittedPaper(code="a", pages=2),),
            catalogue_version=1,
        )
        accepted = dossier.DossierAccepted(
            code=f"H29.7-251117-{number:04d}",
            due_at=START + timedelta(days=pick.randrange(20)) if number % 5 else None,
            catalogue_version=1,
            calendar_version="2025",
            step="receive",
        )
        middle = pick.sample(PLAIN, k=pick.randrange(len(PLAIN)))
        ends: list[AnyEvent] = list(pick.choice(ENDS))
        return [lodged, accepted, *middle, *ends]

    def _money(self, of: UUID) -> list[AnyEvent]:
        pick = self._random
        charge, duty = 10_000 * pick.randrange(9), 5_000 * pick.randrange(3)
        lines = (_line("phi", FeeKind.CHARGE, charge), _line("le_phi", FeeKind.DUTY, duty))
        due = charge + (duty if pick.random() < 0.5 else 0)
        waived = charge + duty - due
        events: list[AnyEvent] = [
            payment.FeeAssessed(
                dossier=of,
                procedure=PROCEDURES[0],
                agency=pick.choice(AGENCIES),
                collected_at=pick.choice(AGENCIES),
                on=payment.AssessedOn(
                    case="standard", pages=1, copies=1, online=True, lodged_on=START.date()
                ),
                payer=of,
                lines=lines,
                catalogue_version=1,
            )
        ]
        if waived:
            events.append(
                payment.FeeWaived(
                    rule="nq07",
                    legal_basis="NQ 07",
                    kind=FeeKind.DUTY,
                    lines=("le_phi",),
                    amount_vnd=waived,
                )
            )
        paid = payment.PaymentConfirmed(
            attempt="a", amount_vnd=due, transaction="t", payer_name="Bà Tư"
        )
        moves: list[AnyEvent] = [
            payment.PaymentRequested(
                request="r", amount_vnd=due, expires_at=START + timedelta(days=1)
            ),
            payment.AttemptStarted(attempt="a", method=payment.Method.ONLINE, amount_vnd=due),
            payment.OutcomeUnknown(attempt="a", explanation="bank away"),
            paid,
            payment.DiscrepancyOpened(
                discrepancy="D1",
                kind=payment.DiscrepancyKind.AFTER_EXPIRY,
                attempt="a",
                amount_vnd=due,
            ),
            payment.ReceiptIssued(
                receipt="PH26-0000001",
                series="PH26",
                number=1,
                kind=FeeKind.CHARGE,
                agency="H29.7",
                amount_vnd=due,
                lines=("phi",),
            ),
            payment.DiscrepancyResolved(
                discrepancy="D1", resolution=payment.Resolution.ATTACHED, explanation="đúng"
            ),
            payment.PaymentSettled(statement="s", amount_vnd=due),
            payment.RefundAsked(refund="x", amount_vnd=due, explanation="trả lại"),
            payment.RefundApproved(refund="x"),
            payment.RefundDone(refund="x", transaction="t2", amount_vnd=due),
        ]
        return events + (moves[: pick.randrange(len(moves) + 1)] if due else [])

    def _account(self, number: int) -> list[AnyEvent]:
        opened = account.OfficerOpened(
            issuer="https://sso",
            subject=f"s{number}",
            name=f"Cán bộ {number}",
            agency=AGENCIES[number % len(AGENCIES)],
            title="Chuyên viên",
        )
        granted = account.RoleGranted(role=account.Role.EXAMINER, agency="H29.7", valid_from=START)
        revoked = account.RoleRevoked(
            role=account.Role.EXAMINER, agency="H29.7", explanation="chuyển công tác"
        )
        return [opened, granted, account.AccountSuspended(explanation="khóa"), revoked]

    def _agreement(self, number: int) -> list[AnyEvent]:
        pick = self._random
        signed = agreement.AgreementSigned(
            agency=AGENCIES[number % 3],
            purpose="cập nhật hồ sơ đất đai",
            legal_basis="NĐ 47/2020",
            procedures=frozenset(pick.sample(PROCEDURES, k=pick.randrange(3))),
            events=frozenset(
                {"dossier.lodged", "dossier.accepted", "dossier.result_issued", "dossier.closed"}
            ),
            fields=frozenset({"applicant.name", "procedure", "code", "number", "outcome"}),
            valid_from=START,
            valid_before=START + timedelta(days=30) if number % 2 else None,
        )
        if number == UNSIGNED:
            return [signed]
        countersigned = agreement.AgreementCountersigned(signer=UUID(int=number + 1))
        ended: list[AnyEvent] = [agreement.AgreementEnded(explanation="hết hiệu lực")]
        return [signed, countersigned, *(ended if number == 0 else [])]


def _line(code: str, kind: FeeKind, amount_vnd: int) -> payment.FeeLine:
    return payment.FeeLine(
        code=code, name=code, kind=kind, quantity=1, unit_vnd=amount_vnd, amount_vnd=amount_vnd
    )


class Log:
    """Records in memory that can grow while somebody reads them page by page."""

    def __init__(self, records: list[Record], page: int = 500) -> None:
        self.records = records
        self.shown = len(records)
        """How many of them are written by now."""
        self._page = page

    async def read(self, after: int) -> AsyncIterator[list[Record]]:
        """What `commands.log.event_log.read_log` does, without a database."""
        while page := self.records[after : min(self.shown, after + self._page)]:
            yield page
            after = page[-1].position
            await asyncio.sleep(0)


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test process."""
    folder = Path(tempfile.mkdtemp(prefix="hoso-views-"))
    server = PostgresServer(folder / "postgres", settings={"shared_buffers": "128MB"})
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def dsn(server: PostgresServer) -> str:
    """Address of a migrated database without any view, as the application's role."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS view CASCADE")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")

    async def apply() -> None:
        connection = await psycopg.AsyncConnection.connect(server.dsn)
        await migrate(connection)
        await connection.close()

    asyncio.run(apply())
    return server.app_dsn


@pytest.fixture
def written(server: PostgresServer, dsn: str) -> Callable[[Sequence[Stored]], None]:
    """Puts records into the log of the database, as its owner."""
    assert dsn == server.app_dsn

    def write(records: Sequence[Stored]) -> None:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.cursor().executemany(
                "INSERT INTO event VALUES (%s, %s, %s, %s, %s, %s, '')",
                [
                    (r.position, r.stream, r.version, r.name, r.recorded_at, body(r))
                    for r in records
                ],
            )
            connection.execute("UPDATE head SET position = (SELECT max(position) FROM event)")

    return write


def body(record: Stored) -> bytes:
    """The stored form; of what cannot be read, one of an event that nobody knows."""
    if isinstance(record, Unreadable):
        return b'{"event": {"type": "dossier.archived", "shelf": "A7"}}'
    return to_stored(record.stream, record.version, Body(record.context, record.event)).state


@pytest.fixture(scope="session")
def history() -> Callable[[int, int], list[Record]]:
    """Records of a random history by seed and number of dossiers."""
    return lambda seed, dossiers: History(seed, dossiers).records


@pytest.fixture(scope="session")
def log() -> Callable[..., Any]:
    """A log in memory of given records."""
    return Log
