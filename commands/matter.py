"""Whose matter a command or a stream is."""

from msgspec.structs import replace

from commands import account, agreement, dossier
from commands.authority import (
    Matter,
)
from commands.streams import NOTHING, State, Versioned
from commands.wish import Wish
from domain.account import Account, Issuers, account_id
from domain.city import CITY
from domain.dossier import Channel, Dossier, Status
from domain.payment import Payment

WAITS_FOR_ANSWERS = frozenset({Status.IN_PROGRESS, Status.APPROVED, Status.SIGNED})
NAMED_BY_COMMAND = frozenset(
    {
        dossier.LodgeDossier,
        account.OpenCitizen,
        account.OpenOrganisation,
        account.OpenOfficer,
        account.OpenService,
        account.RevokeRole,
        agreement.SignAgreement,
    }
)
"""Commands whose own words say whose matter it is; of the others the stream says so."""


def matter_of(
    wish: Wish,
    state: State | None,
    related: State | None,
    issuers: Issuers = Issuers(),  # noqa: B008  a value, never changed
) -> Matter:
    """Whose matter a wish is about, from its command and the state it meets."""
    match wish.command:
        case _ if type(wish.command) not in NAMED_BY_COMMAND:
            return matter_for(state, related)
        case dossier.LodgeDossier() as lodge:
            owner = lodge.in_name_of or wish.actor
            owners = (owner,) if lodge.channel is Channel.ONLINE else ()
            return Matter(
                receiving=lodge.receiving_agency,
                owners=owners,
                principals=owners,
                procedure=lodge.procedure,
            )
        case account.OpenCitizen() | account.OpenOrganisation() as open_own:
            return Matter(agency=CITY, owners=(account_id(open_own.issuer, open_own.subject),))
        case account.OpenOfficer() | account.OpenService() as of_staff:
            # Where citizens come from the same issuer, only the city takes a subject for its staff:
            # a commune could otherwise take a citizen's account away from him.
            shared = issuers.of_citizens(of_staff.issuer)
            return Matter(agency=CITY if shared else of_staff.agency)
        case account.RevokeRole(agency=agency):
            held = _holds_at(state, agency)
            return Matter(agency=agency, hidden=True) if held else matter_of_state(state)
        case _:
            return Matter()


def matter_for(state: State | None, related: State | None) -> Matter:
    """Whose matter a stream is, or the dossier that its payment is for."""
    matter = matter_of_state(state or related)
    if state is None or not isinstance(related, Dossier):
        return matter
    # Who may act for the applicant may also pay for him, and where he came he pays.
    return replace(
        matter,
        owners=(*matter.owners, *related.owners),
        principals=related.principals,
        procedure=related.procedure,
        receiving=related.receiving_agency,
    )


def matter_of_state(state: State | None) -> Matter:
    """Whose matter a stream is; nobody's, where there is none."""
    match state:
        case Dossier():
            return Matter(
                holder=state.holder,
                receiving=state.receiving_agency,
                competent=state.competent_agency,
                consulted=_asked(state),
                offered=state.handover.to_agency if state.handover else None,
                agency=state.receiving_agency,
                owners=state.owners,
                principals=state.principals,
                procedure=state.procedure,
                hidden=True,
            )
        case Payment():
            return Matter(agency=state.agency, owners=(state.payer,), hidden=True)
        case Account():
            own = account_id(state.issuer, state.subject)
            return Matter(agency=state.agency or CITY, owners=(own,), hidden=True)
        case _:
            return Matter(hidden=True)


def _asked(dossier: Dossier) -> tuple[str, ...]:
    """The agencies whose answer is waited for: nobody waits once there is a result, or an end."""
    if dossier.status not in WAITS_FOR_ANSWERS:
        return ()
    return tuple([one.agency for one in dossier.consultations])


def of_kind(found: Versioned, kind: type[State]) -> Versioned:
    """What was found, if it is of that kind; otherwise it is not there."""
    return found if isinstance(found.state, kind) else NOTHING


def account_of(found: Versioned) -> Account | None:
    """The account that was found, if one was."""
    return found.state if isinstance(found.state, Account) else None


def _holds_at(state: State | None, agency: str) -> bool:
    return isinstance(state, Account) and any(grant.agency == agency for grant in state.grants)
