"""The ids of new streams: time-ordered, and the same again where the key says when."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from commands.wish import new_stream

ACTOR, ANOTHER = UUID(int=1), UUID(int=2)
KEY = "0199f0a1-7c3e-7d2a-9b1e-5d3c1f0a2b4c"


def milliseconds(stream: UUID) -> int:
    return stream.int >> 80


@given(key=st.text(min_size=1, max_size=255) | st.uuids().map(str))
def test_every_key_gives_a_uuid_of_version_7(key: str) -> None:
    stream = new_stream("dossier", ACTOR, key)
    assert stream.version == 7
    assert stream.variant == "specified in RFC 4122"


def test_the_time_is_now() -> None:
    before = datetime.now(UTC).timestamp() * 1000
    at_ms = milliseconds(new_stream("dossier", ACTOR, str(uuid4())))
    assert before - 1 <= at_ms <= datetime.now(UTC).timestamp() * 1000 + 1


def test_a_key_with_a_time_gives_the_same_id_again() -> None:
    stream = new_stream("dossier", ACTOR, KEY)
    assert stream == new_stream("dossier", ACTOR, KEY)
    assert milliseconds(stream) == milliseconds(UUID(KEY))
    others = {
        new_stream("dossier", ANOTHER, KEY),
        new_stream("agreement", ACTOR, KEY),
        new_stream("dossier", ACTOR, KEY[:-1] + "d"),
    }
    assert len(others | {stream}) == 4


def test_later_keys_give_later_ids() -> None:
    keys = [f"{UUID(KEY).int + (nth << 80):032x}" for nth in range(100)]
    streams = [new_stream("dossier", ACTOR, str(UUID(key))) for key in keys]
    assert streams == sorted(streams)


def test_what_only_looks_like_a_time_is_none() -> None:
    for key in ("x" * 14 + "7" + "x" * 21, KEY.replace("-", "_"), KEY[:-1] + "g"):
        assert abs(milliseconds(new_stream("dossier", ACTOR, key)) - milliseconds(UUID(KEY))) > 1
