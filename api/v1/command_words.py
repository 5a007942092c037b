"""What the reference says of each command: where it stands, its title, and what it does and wants.

The Vietnamese term beside the title is the command's own docstring.
"""

from typing import NamedTuple

LODGING = "Lodging"
RECEPTION = "Reception"
PROCESSING = "Processing"
DECISION = "Decision"
PAYING = "Payments"
REFUNDS = "Refunds"
ACCOUNTS = "Accounts"
SHARING = "Data sharing"


class Words(NamedTuple):
    """Of one command."""

    tag: str
    title: str
    text: str


WORDS: dict[str, Words] = {
    "LodgeDossier": Words(
        LODGING,
        "Lodge a dossier",
        "Begins a dossier: of which procedure and case, for whom, where, with which papers. It waits for "
        "reception then. Online one lodges for oneself or with a mandate; at the counter and by post an officer enters it.",
    ),
    "SupplementDossier": Words(
        LODGING,
        "Supplement a dossier",
        "Hands in the papers that were asked for. During examination the clock stands still until they are accepted.",
    ),
    "RequestWithdrawal": Words(
        LODGING,
        "Ask to withdraw a dossier",
        "Possible until the result is issued; the agency decides.",
    ),
    "AcceptDossier": Words(
        RECEPTION,
        "Accept a dossier",
        "Gives it its code and its date: both follow from the catalogue in force, whose version is pinned.",
    ),
    "AcceptSupplement": Words(
        RECEPTION,
        "Accept a supplement",
        "When all that was asked for has come; the clock runs on.",
    ),
    "RefuseSupplement": Words(
        RECEPTION, "Refuse a supplement", "With the reason; the clock goes on standing still."
    ),
    "RevokeAcceptance": Words(
        RECEPTION,
        "Revoke an acceptance",
        "While nothing is decided: the dossier waits for reception again, and keeps its code.",
    ),
    "TurnAwayDossier": Words(
        RECEPTION,
        "Turn a dossier away",
        "Ends it before acceptance, with the clause and the reason.",
    ),
    "RequestSupplement": Words(
        RECEPTION,
        "Ask for a supplement",
        "Names the papers that are missing or unreadable. During examination it also stops the clock.",
    ),
    "ReturnResult": Words(RECEPTION, "Hand over the result", "Says how, and who took it."),
    "CloseDossier": Words(
        RECEPTION,
        "Close a dossier",
        "It can be corrected or opened again then, and nothing else.",
    ),
    "ReopenDossier": Words(
        DECISION, "Reopen a dossier", "It stands again where it stood before it was ended."
    ),
    "CorrectDossier": Words(
        DECISION,
        "Correct what was recorded",
        "By another officer than the one who entered it; what was recorded stays in the history.",
    ),
    "AssignDossier": Words(
        PROCESSING, "Assign a dossier", "To an officer of the agency that has it."
    ),
    "ForwardDossier": Words(
        PROCESSING,
        "Forward a dossier",
        "To the next step, if the agency that has it does that too. Another step needs a reason; a step of "
        "another agency is handed over.",
    ),
    "OfferHandover": Words(
        PROCESSING,
        "Offer a dossier to another agency",
        "With the papers that go along. It changes hands when that agency accepts.",
    ),
    "AcceptHandover": Words(
        PROCESSING,
        "Accept a dossier from another agency",
        "Code, clock and due date stay; the new holder has a date of his own.",
    ),
    "RefuseHandover": Words(
        PROCESSING,
        "Refuse a dossier from another agency",
        "With the reason; who offered it keeps it.",
    ),
    "RecallHandover": Words(PROCESSING, "Recall an offer", "Before it is accepted."),
    "RequestConsultation": Words(
        PROCESSING,
        "Ask another agency",
        "Puts a question to another agency, with a date. A result waits until it is answered.",
    ),
    "AnswerConsultation": Words(
        PROCESSING, "Answer another agency", "Says whether one agrees, and why."
    ),
    "LapseConsultation": Words(
        PROCESSING,
        "Let a question lapse",
        "The other agency was silent until its date. Where the law says so, silence is consent.",
    ),
    "WithdrawConsultation": Words(
        PROCESSING,
        "Take a question back",
        "The answer is not needed any more. A denial and the end of a dossier do it by themselves.",
    ),
    "SuspendDossier": Words(
        PROCESSING, "Suspend the time", "The clock stands still, on a ground that the law knows."
    ),
    "ResumeDossier": Words(
        PROCESSING,
        "Resume the time",
        "The clock runs on; the date moves by the time that it stood still. A financial obligation ends with its `proof`, a posting when its days are over.",
    ),
    "ApologiseForDelay": Words(
        PROCESSING,
        "Apologise and give a new date",
        "Once, a day before the date at the latest; the statutory date stays what it was.",
    ),
    "ExtendDeadline": Words(
        PROCESSING,
        "Extend the time as a law allows",
        "Once, before the date has passed, as far beyond the statutory date as the case's law allows; no apology is used up.",
    ),
    "ApproveResult": Words(
        DECISION,
        "Approve the result, or its denial",
        "What is decided, in a sentence; a denial names the provision that it rests on. Both are signed, numbered and returned.",
    ),
    "SignResult": Words(
        DECISION,
        "Sign the result",
        "By the digests of the document and of its signature.",
    ),
    "IssueResult": Words(
        DECISION,
        "Issue the result",
        "Gives the document that was signed its number; no other file can be issued.",
    ),
    "RevokeResult": Words(
        DECISION,
        "Revoke a result",
        "With the provision and the reason; the dossier is in progress again.",
    ),
    "DecideWithdrawal": Words(
        DECISION, "Decide a withdrawal", "Granted, the dossier ends; not granted, it goes on."
    ),
    "StopDossier": Words(
        DECISION, "Stop a dossier", "Ends it because what was asked for did not come."
    ),
    "AssessFee": Words(
        PAYING,
        "Assess the fee",
        "The lines follow from catalogue, case, copies, pages and channel; waivers in force are applied.",
    ),
    "RequestPayment": Words(PAYING, "Request a payment", "Of what is still due, until an instant."),
    "StartAttempt": Words(
        PAYING, "Start an attempt to pay", "One at a time, under a name of your own."
    ),
    "ConfirmPayment": Words(
        PAYING,
        "Confirm a payment",
        "The platform confirms online attempts, a cashier those at the till, with what was received:"
        " money that does not fit is booked and stays in question. One transaction pays one thing.",
    ),
    "CorrectEntry": Words(
        PAYING,
        "Correct an entry of the till",
        "By another person than entered it; what was recorded stays visible.",
    ),
    "ResolveDiscrepancy": Words(
        PAYING,
        "Attach money in question",
        "It stands for what was due; by another person than entered it.",
    ),
    "ReplaceReceipt": Words(
        PAYING,
        "Replace a receipt",
        "The old one is cancelled, the new one has the next number; by another person than issued it.",
    ),
    "DeclinePayment": Words(PAYING, "Report a failed attempt", "The request stays open."),
    "ReportUnknownOutcome": Words(
        PAYING,
        "Report an unknown outcome",
        "The attempt stays open until it is known how it ended.",
    ),
    "SettlePayment": Words(
        PAYING, "Settle a payment", "The money has arrived, by a statement of bank or treasury."
    ),
    "AskRefund": Words(REFUNDS, "Ask for a refund", "At most what was paid and not given back."),
    "ApproveRefund": Words(REFUNDS, "Approve a refund", "By another person than asked for it."),
    "CompleteRefund": Words(
        REFUNDS, "Complete a refund", "By a third person, with the transaction."
    ),
    "OpenCitizen": Words(
        ACCOUNTS,
        "Open a citizen's account",
        "A person with a token opens his own; an account administrator may open it for him.",
    ),
    "OpenOrganisation": Words(
        ACCOUNTS,
        "Open an organisation's account",
        "By an account administrator who has seen its registration.",
    ),
    "OpenOfficer": Words(
        ACCOUNTS, "Open an officer's account", "Roles are granted to it afterwards."
    ),
    "OpenService": Words(
        ACCOUNTS,
        "Open software's account",
        "For software with rights of its own, or that acts for persons.",
    ),
    "VerifyIdentity": Words(
        ACCOUNTS, "Verify an identity", "To a level, by a number that no other account has."
    ),
    "MoveOfficer": Words(
        ACCOUNTS,
        "Move an officer to another agency",
        "Whose administrator answers for the account from then on; roles stay as they are.",
    ),
    "RevokeIdentity": Words(
        ACCOUNTS,
        "Revoke a verified identity",
        "By another administrator than verified it; the number is free for whose it is.",
    ),
    "GrantRole": Words(
        ACCOUNTS,
        "Grant a role",
        "For an agency and for a time. A second grant of the same role replaces the validity of the first.",
    ),
    "RevokeRole": Words(ACCOUNTS, "Revoke a role", "At once."),
    "SuspendAccount": Words(ACCOUNTS, "Suspend an account", "It may do and read nothing then."),
    "ReactivateAccount": Words(ACCOUNTS, "Reactivate an account", "With the roles that it has."),
    "GiveDelegation": Words(
        ACCOUNTS,
        "Delegate a role",
        "An approver or team lead lets an officer of the agency act in his name, for a time and for named "
        "procedures or all (ủy quyền). The deputy names the giver in `in_name_of` of what he does.",
    ),
    "EndDelegation": Words(ACCOUNTS, "End a delegation", "At once."),
    "GiveMandate": Words(
        ACCOUNTS,
        "Give a mandate",
        "A person or organisation lets another act in its own matters, for named acts and a time "
        "(ủy quyền). The representative names the giver in `in_name_of` of what he does.",
    ),
    "EndMandate": Words(ACCOUNTS, "End a mandate", "At once."),
    "SignAgreement": Words(
        SHARING,
        "Sign a data-sharing agreement",
        "Which events and fields of which procedures an agency gets, for what, by which law, until when. "
        "What is not named is not in the feed. It needs a second signature.",
    ),
    "CountersignAgreement": Words(
        SHARING,
        "Countersign an agreement",
        "By another person than signed first; from then on the feed fills.",
    ),
    "EndAgreement": Words(SHARING, "End an agreement", "Its feed gives out nothing more, at once."),
}
