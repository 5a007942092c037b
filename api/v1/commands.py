"""Which path takes which command: the table that the API and its description are made from."""

from http import HTTPStatus

from msgspec import Struct

from commands import account as a
from commands import agreement as g
from commands import dossier as d
from commands import payment as p
from commands.command import Command


class CommandRoute(Struct, frozen=True):
    """A path, the command that it takes, and the kind of stream that the command goes to."""

    path: str
    command: type[Command]
    kind: str

    @property
    def name(self) -> str:
        """Unique among the routes: the command's own name."""
        return self.command.__name__

    @property
    def done(self) -> HTTPStatus:
        """What a command that was done is answered with."""
        return HTTPStatus.CREATED if self.command.creates else HTTPStatus.OK


def _dossier(action: str, command: type[Command]) -> CommandRoute:
    return CommandRoute(f"/v1/dossiers/{{id:uuid}}/{action}", command, "dossier")


def _payment(action: str, command: type[Command]) -> CommandRoute:
    return CommandRoute(f"/v1/dossiers/{{id:uuid}}/payment/{action}", command, "payment")


def _account(action: str, command: type[Command]) -> CommandRoute:
    return CommandRoute(f"/v1/accounts/{{id:uuid}}/{action}", command, "account")


COMMAND_ROUTES: tuple[CommandRoute, ...] = (
    CommandRoute("/v1/dossiers", d.LodgeDossier, "dossier"),
    _dossier("supplement", d.SupplementDossier),
    _dossier("accept-supplement", d.AcceptSupplement),
    _dossier("refuse-supplement", d.RefuseSupplement),
    _dossier("accept", d.AcceptDossier),
    _dossier("revoke-acceptance", d.RevokeAcceptance),
    _dossier("turn-away", d.TurnAwayDossier),
    _dossier("request-supplement", d.RequestSupplement),
    _dossier("assign", d.AssignDossier),
    _dossier("forward", d.ForwardDossier),
    _dossier("offer-handover", d.OfferHandover),
    _dossier("accept-handover", d.AcceptHandover),
    _dossier("refuse-handover", d.RefuseHandover),
    _dossier("recall-handover", d.RecallHandover),
    _dossier("request-consultation", d.RequestConsultation),
    _dossier("answer-consultation", d.AnswerConsultation),
    _dossier("lapse-consultation", d.LapseConsultation),
    _dossier("withdraw-consultation", d.WithdrawConsultation),
    _dossier("suspend", d.SuspendDossier),
    _dossier("resume", d.ResumeDossier),
    _dossier("apologise", d.ApologiseForDelay),
    _dossier("extend", d.ExtendDeadline),
    _dossier("approve", d.ApproveResult),
    _dossier("sign", d.SignResult),
    _dossier("issue", d.IssueResult),
    _dossier("revoke-result", d.RevokeResult),
    _dossier("request-withdrawal", d.RequestWithdrawal),
    _dossier("decide-withdrawal", d.DecideWithdrawal),
    _dossier("stop", d.StopDossier),
    _dossier("return-result", d.ReturnResult),
    _dossier("close", d.CloseDossier),
    _dossier("reopen", d.ReopenDossier),
    _dossier("correct", d.CorrectDossier),
    _payment("assess", p.AssessFee),
    _payment("request", p.RequestPayment),
    _payment("start-attempt", p.StartAttempt),
    _payment("confirm", p.ConfirmPayment),
    _payment("correct-entry", p.CorrectEntry),
    _payment("resolve-discrepancy", p.ResolveDiscrepancy),
    _payment("replace-receipt", p.ReplaceReceipt),
    _payment("decline", p.DeclinePayment),
    _payment("report-unknown", p.ReportUnknownOutcome),
    _payment("settle", p.SettlePayment),
    _payment("ask-refund", p.AskRefund),
    _payment("approve-refund", p.ApproveRefund),
    _payment("complete-refund", p.CompleteRefund),
    CommandRoute("/v1/accounts/citizens", a.OpenCitizen, "account"),
    CommandRoute("/v1/accounts/organisations", a.OpenOrganisation, "account"),
    CommandRoute("/v1/accounts/officers", a.OpenOfficer, "account"),
    CommandRoute("/v1/accounts/services", a.OpenService, "account"),
    _account("verify-identity", a.VerifyIdentity),
    _account("revoke-identity", a.RevokeIdentity),
    _account("move", a.MoveOfficer),
    _account("grant-role", a.GrantRole),
    _account("revoke-role", a.RevokeRole),
    _account("suspend", a.SuspendAccount),
    _account("reactivate", a.ReactivateAccount),
    _account("give-delegation", a.GiveDelegation),
    _account("end-delegation", a.EndDelegation),
    _account("give-mandate", a.GiveMandate),
    _account("end-mandate", a.EndMandate),
    CommandRoute("/v1/agreements", g.SignAgreement, "agreement"),
    CommandRoute("/v1/agreements/{id:uuid}/countersign", g.CountersignAgreement, "agreement"),
    CommandRoute("/v1/agreements/{id:uuid}/end", g.EndAgreement, "agreement"),
)

_WHOLE = {route.path: route for route in COMMAND_ROUTES}


def route_of(path: str) -> tuple[CommandRoute, str | None] | None:
    """The route of a path and the id in it as it stands there; None where no command goes."""
    whole = _WHOLE.get(path)
    if whole is not None:
        return whole, None
    parts = path.split("/", 4)
    if len(parts) < 5:  # noqa: PLR2004  "", v1, kind, id, action
        return None
    of_one = _WHOLE.get(f"/v1/{parts[2]}/{{id:uuid}}/{parts[4]}")
    return None if of_one is None or parts[1] != "v1" else (of_one, parts[3])
