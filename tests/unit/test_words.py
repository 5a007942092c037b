"""What a reader of the command line is told, and what is left to the log."""

import pytest
import structlog

from api.cli.words import SENTENCES, SERVERS, in_words
from integration.servers.nats import NatsServer
from integration.servers.postgres import PostgresServer


def test_what_concerns_the_reader_is_a_sentence() -> None:
    told = in_words(None, "error", {"event": "worker_died", "worker": "relay", "code": -9})
    assert told == "The process relay ended; it is started again."
    told = in_words(None, "error", {"event": "server_died", "server": NatsServer.__name__})
    assert told == "NATS ended; it is started again."


@pytest.mark.parametrize("event", SENTENCES)
def test_every_sentence_can_be_filled_in(event: str) -> None:
    fields = {"server": "NatsServer", "worker": "relay", "error": "no room", "code": 1}
    assert "{" not in in_words(None, "warning", {"event": event, **fields})


def test_other_warnings_stay_in_the_log() -> None:
    with pytest.raises(structlog.DropEvent):
        in_words(None, "warning", {"event": "bus_error", "error": "EOF"})


def test_an_error_that_nobody_thought_of_is_told() -> None:
    told = in_words(None, "error", {"event": "disk_full", "place": "log"})
    assert told == "disk_full, place log"


def test_of_an_error_its_kind_is_told_and_never_its_words() -> None:
    error = ValueError("079123456789 is taken")
    told = in_words(None, "error", {"event": "request_failed", "exc_info": error})
    assert told == "request_failed, error ValueError"


def test_every_server_has_its_name() -> None:
    assert SERVERS.keys() == {NatsServer.__name__, PostgresServer.__name__}
