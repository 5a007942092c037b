"""Issuers of staff and of citizens: from the environment to what an account may become."""

import msgspec
import pytest

from api.server.settings import from_environment
from api.server.workers import WorkerSettings, issuers_of
from integration.servers.issuer import LOCAL_ISSUER

BOTH = {"HOSO_OIDC_ISSUERS": "https://staff, https://people"}
APART = {**BOTH, "HOSO_STAFF_ISSUERS": "https://staff", "HOSO_CITIZEN_ISSUERS": "https://people"}
WORKER = WorkerSettings(
    dsn="",
    nats_url="",
    nats_credentials=None,
    host="",
    port=0,
    issuers=(),
    audience="",
    local_keys=None,
)


def worker(environment: dict[str, str], *, local: bool = False) -> WorkerSettings:
    settings = from_environment(environment)
    return msgspec.structs.replace(
        WORKER,
        issuers=settings.issuers,
        staff_issuers=settings.staff_issuers,
        citizen_issuers=settings.citizen_issuers,
        local_keys="{}" if local else None,
    )


def test_left_out_every_trusted_issuer_serves_both() -> None:
    found = issuers_of(worker(BOTH))
    for issuer in ("https://staff", "https://people"):
        assert found.of_staff(issuer)
        assert found.of_citizens(issuer)
    assert not found.of_staff("https://other")
    assert not found.of_citizens(LOCAL_ISSUER)


def test_each_serves_what_it_is_named_for_and_the_local_one_both() -> None:
    found = issuers_of(worker(APART, local=True))
    assert found.staff == frozenset({"https://staff", LOCAL_ISSUER})
    assert found.citizens == frozenset({"https://people", LOCAL_ISSUER})


@pytest.mark.parametrize("name", ["HOSO_STAFF_ISSUERS", "HOSO_CITIZEN_ISSUERS"])
def test_only_trusted_issuers_can_be_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        from_environment({**BOTH, name: "https://other"})
