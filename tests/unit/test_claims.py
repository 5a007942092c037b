"""What belongs to one alone: the first claim stands, and a second one is refused by its own reason."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from commands.claim import Claim, is_open, refuse_if_taken
from domain.account import AccountKind
from domain.claim import person, result, transaction
from domain.refusal import Reason, Refused

AT = datetime(2026, 1, 5, tzinfo=UTC)
MINE, OTHERS = UUID(int=1), UUID(int=2)
NUMBER = "079199990001"


def test_the_first_claim_of_a_number_stands() -> None:
    first = person.evolve(None, person.NumberClaimed(account=MINE), AT)
    assert first == person.Person(account=MINE, known_at=AT)
    again = person.evolve(first, person.NumberClaimed(account=OTHERS), AT + timedelta(days=1))
    assert again is first


def test_a_number_that_was_released_may_be_claimed_by_another_and_only_its_holder_releases_it() -> (
    None
):
    first = person.evolve(None, person.NumberClaimed(account=MINE), AT)
    assert person.evolve(first, person.NumberReleased(account=OTHERS), AT) is first
    free = person.evolve(first, person.NumberReleased(account=MINE), AT)
    assert free.account is None
    assert person.evolve(free, person.NumberClaimed(account=OTHERS), AT).account == OTHERS
    assert person.evolve(None, person.NumberReleased(account=MINE), AT).account is None


@pytest.mark.parametrize(
    ("holder", "event", "opens"),
    [
        (None, person.NumberClaimed(account=MINE), True),
        (None, person.NumberReleased(account=MINE), False),
        (MINE, person.NumberClaimed(account=MINE), False),
        (MINE, person.NumberReleased(account=MINE), True),
        (OTHERS, person.NumberReleased(account=MINE), False),
    ],
)
def test_a_claim_is_recorded_where_it_changes_something(
    holder: UUID | None, event: person.PersonEvent, opens: bool
) -> None:
    state = None if holder is None else person.Person(account=holder, known_at=AT)
    claim = Claim(stream=MINE, event=event, taken=Reason.NATIONAL_ID_TAKEN, pointer="/national_id")
    assert is_open(state, claim) is opens
    if not opens and state is not None:
        refuse_if_taken(state, claim)


def test_the_first_claim_of_a_transaction_stands() -> None:
    claimed = transaction.TransactionClaimed(payment=MINE, use="A1")
    first = transaction.evolve(None, claimed, AT)
    assert first == transaction.Transaction(payment=MINE, use="A1", known_at=AT)
    other = transaction.TransactionClaimed(payment=OTHERS, use="A1")
    assert transaction.evolve(first, other, AT + timedelta(days=1)) is first


def test_the_first_claim_of_a_results_number_stands() -> None:
    claimed = result.ResultNumberClaimed(dossier=MINE, document_sha256="0" * 64)
    first = result.evolve(None, claimed, AT)
    assert first == result.ResultNumber(dossier=MINE, document_sha256="0" * 64, known_at=AT)
    other = result.ResultNumberClaimed(dossier=OTHERS, document_sha256="0" * 64)
    assert result.evolve(first, other, AT + timedelta(days=1)) is first


def test_a_number_counts_within_its_agency_and_year() -> None:
    """NĐ 30/2020, art. 15: numbers begin anew each year, in each agency."""
    places = [("H29.7", 2026), ("H29.8", 2026), ("H29.7", 2027)]
    assert len({result.result_number_id(*place, "12/GP") for place in places}) == 3


def test_an_officer_may_be_a_citizen_too_but_not_two() -> None:
    kinds = [AccountKind.CITIZEN, AccountKind.OFFICER]
    streams = {person.person_id(kind, NUMBER) for kind in kinds}
    assert len(streams) == 2
    assert person.person_id(AccountKind.CITIZEN, NUMBER) in streams
    assert person.person_id(AccountKind.CITIZEN, "079199990002") not in streams


def test_a_reference_counts_within_its_book() -> None:
    one = transaction.transaction_id("bank", "FT1")
    assert one == transaction.transaction_id("bank", "FT1")
    assert (
        len(
            {
                one,
                transaction.transaction_id("H29.101", "FT1"),
                transaction.transaction_id("bank", "FT2"),
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    "others",
    [
        transaction.Transaction(payment=OTHERS, use="A1", known_at=AT),
        transaction.Transaction(payment=MINE, use="A2", known_at=AT),
    ],
)
def test_what_another_has_is_refused_by_the_reason_of_the_claim(
    others: transaction.Transaction,
) -> None:
    claim = Claim(
        stream=UUID(int=3),
        event=transaction.TransactionClaimed(payment=MINE, use="A1"),
        taken=Reason.TRANSACTION_TAKEN,
        pointer="/transaction",
    )
    with pytest.raises(Refused) as no:
        refuse_if_taken(others, claim)
    assert (no.value.reason, no.value.pointer) == (Reason.TRANSACTION_TAKEN, "/transaction")
    refuse_if_taken(transaction.Transaction(payment=MINE, use="A1", known_at=AT), claim)
