"""`hoso due`: the date, the arithmetic, and what it says to what is no question."""

import json

import pytest

from tests.acceptance.asked import asked


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--at", "2026-03-14T09:00", "--limit", "3wd"), "2026-03-18T17:00:00+07:00"),
        (("--at", "2026-03-13T17:20", "--limit", "3wd"), "2026-03-18T17:00:00+07:00"),
        (("--at", "2026-11-20T23:59", "--limit", "1wd"), "2026-11-23T17:00:00+07:00"),
        (("--at", "2026-11-20T16:59Z", "--limit", "1wd"), "2026-11-23T17:00:00+07:00"),
        (
            (
                *("--at", "2026-02-06T09:00", "--limit", "15d"),
                *("--pause", "2026-02-13T17:00/2026-02-23T07:30"),
            ),
            "2026-03-03T17:00:00+07:00",
        ),
        (
            (
                *("--at", "2026-02-02T09:00", "--limit", "15d"),
                *("--pause", "2026-02-03T09:00/2026-02-05T09:00"),
            ),
            "2026-02-23T17:00:00+07:00",
        ),
        (
            (
                *("--at", "2025-11-17T09:00", "--limit", "4h"),
                *("--pause", "2025-11-17T10:00/2025-11-17T11:00"),
                *("--pause", "2025-11-17T13:00/2025-11-17T13:30"),
            ),
            "2025-11-17T16:00:00+07:00",
        ),
        (("--at", "2025-11-17T15:01", "--limit", "in-day"), "2025-11-18T17:00:00+07:00"),
    ],
)
def test_what_is_asked_is_answered(arguments: tuple[str, ...], expected: str) -> None:
    """BLDS 2015, art. 147 and 148; the pauses are those of a limit's own unit."""
    answer = asked("due", *arguments, "--json")
    told = json.loads(answer.stdout)
    assert (told["due"], told["provisional"]) == (expected, False)
    assert all(line["vi"] and line["en"] for line in told["lines"])
    for_people = asked("due", *arguments)
    assert max(map(len, for_people.stdout.splitlines())) <= 80
    assert told["lines"][-1]["vi"] in for_people.stdout


def test_a_date_in_a_year_that_is_not_published_says_so() -> None:
    told = json.loads(asked("due", "--at", "2027-12-30T09:00", "--limit", "2wd", "--json").stdout)
    assert told["provisional"]
    assert "chưa được công bố" in told["lines"][-1]["vi"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--at", "yesterday", "--limit", "3wd"), "--at"),
        (("--at", "1899-01-01T00:00", "--limit", "3wd"), "--at"),
        (("--at", "2026-02-06T09:00", "--limit", "0wd"), "--limit"),
        (("--at", "2026-02-06T09:00", "--limit", "3"), "--limit"),
        (("--at", "2026-02-06T09:00", "--limit", "9999wd"), "--limit"),
        (("--at", "2026-02-06T09:00", "--limit", "3wd", "--pause", "2026-02-07T09:00"), "FROM/TO"),
        (
            (
                *("--at", "2026-02-06T09:00", "--limit", "3wd"),
                *("--pause", "2026-02-08T09:00/2026-02-07T09:00"),
            ),
            "ends before",
        ),
        (
            (
                *("--at", "2026-02-06T09:00", "--limit", "3wd"),
                *("--pause", "2026-02-01T09:00/2026-02-07T09:00"),
            ),
            "before --at",
        ),
    ],
)
def test_what_is_no_question_is_one_sentence(arguments: tuple[str, ...], says: str) -> None:
    answer = asked("due", *arguments)
    assert answer.returncode == 2
    assert says in " ".join(answer.stderr.split())
    assert not answer.stdout
    assert "Traceback" not in answer.stderr
