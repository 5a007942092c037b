"""A quota counts each for himself, and again after its time."""

import pytest

from commands import quota
from commands.quota import Quota


def test_so_many_within_the_time_and_again_after_it() -> None:
    now = [0.0]
    allowed = Quota(2, 60.0, lambda: now[0])
    assert [allowed.take(1) for _ in range(3)] == [True, True, False]
    assert allowed.take(2)
    now[0] = 59.9
    assert not allowed.take(1)
    now[0] = 60.0
    assert allowed.take(1)


def test_it_knows_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "KNOWN_MAX", 10)
    allowed = Quota(1, 60.0, lambda: 0.0)
    for who in range(100):
        assert allowed.take(who)
    assert not allowed.take(99)
    assert allowed.take(0)
