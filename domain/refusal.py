"""Why a command is refused: one list of stable codes, the most general first."""

from enum import StrEnum


class Reason(StrEnum):
    """The condition that is broken, in words that never change."""

    ACCOUNT_UNKNOWN = "account-unknown"
    ACCOUNT_SUSPENDED = "account-suspended"
    SOFTWARE_NOT_ALLOWED = "software-not-allowed"
    ROLE_MISSING = "role-missing"
    NOT_YOUR_AGENCY = "not-your-agency"
    NOT_YOUR_DOSSIER = "not-your-dossier"
    NOT_ON_YOURSELF = "not-on-yourself"
    NOT_BY_SOFTWARE = "not-by-software"
    OWN_CASE = "own-case"
    SAME_HAND = "same-hand"
    NOT_OWN_MATTER = "not-own-matter"
    IDENTITY_LEVEL_TOO_LOW = "identity-level-too-low"
    ONLINE_OUTCOME_BY_PLATFORM = "online-outcome-by-platform"
    TILL_OUTCOME_BY_CASHIER = "till-outcome-by-cashier"
    NOT_FOUND = "not-found"
    ALREADY_EXISTS = "already-exists"
    STALE_VERSION = "stale-version"
    ALREADY_OTHERWISE = "already-otherwise"
    TOO_MANY = "too-many"
    NAMED_ACCOUNT_UNFIT = "named-account-unfit"
    STREAM_FULL = "stream-full"
    EVENT_TOO_LARGE = "event-too-large"
    EFFECTIVE_TIME_NOT_ALLOWED = "effective-time-not-allowed"
    EFFECTIVE_TIME_BEFORE_KNOWN = "effective-time-before-known"
    EFFECTIVE_TIME_TOO_EARLY = "effective-time-too-early"
    EFFECTIVE_TIME_IN_FUTURE = "effective-time-in-future"
    # catalogue
    PROCEDURE_UNKNOWN = "procedure-unknown"
    CASE_UNKNOWN = "case-unknown"
    AGENCY_UNKNOWN = "agency-unknown"
    AGENCY_NOT_COMPETENT = "agency-not-competent"
    NOT_ONLINE = "procedure-not-online"
    STEP_UNKNOWN = "step-unknown"
    PAPER_UNKNOWN = "paper-unknown"
    # dossier
    DOSSIER_CLOSED = "dossier-closed"
    DOSSIER_NOT_LODGED = "dossier-not-lodged"
    DOSSIER_NOT_IN_PROGRESS = "dossier-not-in-progress"
    DOSSIER_SUSPENDED = "dossier-suspended"
    DOSSIER_NOT_SUSPENDED = "dossier-not-suspended"
    SUPPLEMENT_NOT_REQUESTED = "supplement-not-requested"
    PAPERS_MISSING = "papers-missing"
    CONSULTATION_UNKNOWN = "consultation-unknown"
    CONSULTATION_OPEN = "consultation-open"
    CONSULTATION_EXISTS = "consultation-exists"
    RESCHEDULED_ONCE = "rescheduled-once"
    DUE_NOT_LATER = "due-not-later"
    DUE_BEYOND_CALENDAR = "due-beyond-calendar"
    RESULT_NOT_APPROVED = "result-not-approved"
    RESULT_NOT_SIGNED = "result-not-signed"
    RESULT_NOT_ISSUED = "result-not-issued"
    RESULT_ISSUED = "result-issued"
    WITHDRAWAL_PENDING = "withdrawal-pending"
    WITHDRAWAL_NOT_REQUESTED = "withdrawal-not-requested"
    DOSSIER_NOT_FINISHED = "dossier-not-finished"
    # account
    ISSUER_NOT_FOR_THIS_ACCOUNT = "issuer-not-for-this-account"
    NATIONAL_ID_INVALID = "national-id-invalid"
    TAX_CODE_INVALID = "tax-code-invalid"
    IDENTITY_LEVEL_LOWER = "identity-level-lower"
    NATIONAL_ID_DIFFERS = "national-id-differs"
    NATIONAL_ID_TAKEN = "national-id-taken"
    ROLE_NOT_GRANTED = "role-not-granted"
    ROLE_NOT_FOR_THIS_ACCOUNT = "role-not-for-this-account"
    SUSPENDED_FROM_ABOVE = "suspended-from-above"
    ROLE_NOT_YOURS_TO_GIVE = "role-not-yours-to-give"
    CITY_WITHOUT_ADMINISTRATOR = "city-without-administrator"
    VALIDITY_EMPTY = "validity-empty"
    # payment
    FEE_NOT_ASSESSED = "fee-not-assessed"
    FEE_ALREADY_ASSESSED = "fee-already-assessed"
    NOTHING_DUE = "nothing-due"
    REQUEST_OPEN = "payment-request-open"
    REQUEST_NOT_OPEN = "payment-request-not-open"
    REQUEST_EXPIRED = "payment-request-expired"
    ATTEMPT_OPEN = "payment-attempt-open"
    ATTEMPT_UNKNOWN = "payment-attempt-unknown"
    ATTEMPT_DECIDED = "payment-attempt-decided"
    AMOUNT_DIFFERS = "amount-differs"
    AMOUNT_TOO_LARGE = "amount-too-large"
    TRANSACTION_TAKEN = "transaction-taken"
    NOT_PAID = "not-paid"
    ALREADY_SETTLED = "already-settled"
    REFUND_UNKNOWN = "refund-unknown"
    REFUND_EXISTS = "refund-exists"
    REFUND_NOT_APPROVED = "refund-not-approved"
    REFUND_TOO_LARGE = "refund-too-large"
    # agreement
    AGREEMENT_ENDED = "agreement-ended"
    ALREADY_COUNTERSIGNED = "already-countersigned"
    SECOND_SIGNATURE_NEEDED = "second-signature-needed"
    FIELD_UNKNOWN = "field-unknown"
    EVENT_UNKNOWN = "event-unknown"


class Refused(Exception):  # noqa: N818  a refusal is an answer, not an error
    """The command is understood and not allowed; nothing was recorded."""

    def __init__(self, reason: Reason, detail: str = "", pointer: str | None = None) -> None:
        """`detail` is for this occurrence and holds no personal data; `pointer` is RFC 6901."""
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.pointer = pointer


def refuse_if(
    condition: object, reason: Reason, detail: str = "", pointer: str | None = None
) -> None:
    """Refuse with that reason if the condition holds."""
    if condition:
        raise Refused(reason, detail, pointer)
