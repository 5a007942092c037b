"""Which command is decided by what, on which state, and what it claims: tables."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from commands import account, agreement, dossier, payment
from commands.account import decide as on_account
from commands.agreement import decide as on_agreement
from commands.claim import Claim
from commands.command import Command, Setting
from commands.dossier import claims as on_dossier_claims
from commands.dossier import decide as on_dossier
from commands.payment import decide as on_payment
from commands.streams import State
from domain.account import Account
from domain.agreement import Agreement
from domain.dossier import Dossier
from domain.payment import Payment
from domain.record import AnyEvent

DECIDERS: dict[Any, Callable[[Any, Any, Setting], tuple[AnyEvent, ...]]] = {
    dossier.DossierCommand: on_dossier.decide,
    account.AccountCommand: on_account.decide,
    payment.PaymentCommand: on_payment.decide,
    agreement.AgreementCommand: on_agreement.decide,
}


DECIDE = {kind: decide for union, decide in DECIDERS.items() for kind in union.__args__}


CLAIMS: dict[type, Callable[[Any, UUID, Any, Setting], tuple[Claim, ...]]] = {
    payment.ConfirmPayment: on_payment.claims_of,
    payment.CompleteRefund: on_payment.claims_of,
    account.VerifyIdentity: on_account.claims_of,
    account.RevokeIdentity: on_account.claims_of,
    dossier.IssueResult: on_dossier_claims.claims_of,
    dossier.CorrectDossier: on_dossier_claims.claims_of,
}
"""What a command's decision claims for its stream alone."""


STATES: dict[Any, type[State]] = {
    dossier.DossierCommand: Dossier,
    account.AccountCommand: Account,
    payment.PaymentCommand: Payment,
    agreement.AgreementCommand: Agreement,
}


STATE_OF = {kind: state for union, state in STATES.items() for kind in union.__args__}
"""What a command's stream folds to; a stream of another kind is, for it, not there."""

FOLLOWS: dict[Any, Callable[[Any, type[Command], Setting], bool]] = {
    dossier.DossierCommand: on_dossier.may_follow,
    account.AccountCommand: on_account.may_follow,
    payment.PaymentCommand: on_payment.may_follow,
    agreement.AgreementCommand: on_agreement.may_follow,
}
MAY_FOLLOW = {kind: follows for union, follows in FOLLOWS.items() for kind in union.__args__}
"""Whether a kind of command can lead to an event in a state."""
KINDS: dict[Any, str] = {
    dossier.DossierCommand: "dossier",
    account.AccountCommand: "account",
    payment.PaymentCommand: "payment",
    agreement.AgreementCommand: "agreement",
}
KIND_OF = {kind: name for union, name in KINDS.items() for kind in union.__args__}
"""The kind of stream that a command goes to."""
