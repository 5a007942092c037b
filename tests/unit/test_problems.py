"""What a client is told of its mistakes: words that a person can act on."""

import msgspec
import pytest

from api.problems import malformed
from commands.account import OpenCitizen
from commands.dossier import LodgeDossier, TurnAwayDossier


@pytest.mark.parametrize(
    ("command", "body", "told"),
    [
        (
            OpenCitizen,
            {"issuer": "i", "subject": "s", "name": "a\0"},
            "Expected one line of text, without control, format or other unseen characters",
        ),
        (
            TurnAwayDossier,
            {"clause": "c", "explanation": "a\u202eb"},
            "Expected text, without control, format or other unseen characters",
        ),
        (
            OpenCitizen,
            {"issuer": "i", "subject": "a b", "name": "n"},
            "Expected visible ASCII characters, without spaces",
        ),
        (
            LodgeDossier,
            {"receiving_agency": "h29", "applicant": {"kind": "citizen", "name": "n"}},
            r"Expected `str` matching regex '^[A-Z][0-9]{2}(\.[0-9]{1,3}){0,3}$'",
        ),
    ],
)
def test_a_malformed_text_is_told_in_words(command: type, body: object, told: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(body, command)
    assert malformed(raised.value).detail == told
