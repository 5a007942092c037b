"""`hoso fee`: the lines, what is waived, and what it says to what is no question."""

import json

import pytest

from tests.acceptance.asked import asked


@pytest.mark.parametrize(
    ("arguments", "total_vnd", "waived_vnd"),
    [
        (("2.000815", "one_page", "--lodged", "2025-11-17T09:00"), 2_000, 0),
        (("2.000815", "one_page", "--lodged", "2025-11-17T09:00", "--pages", "8"), 10_000, 0),
        (("2.000815", "several_pages", "--lodged", "2025-11-17T09:00", "--pages", "8"), 10_000, 0),
        (
            ("1.001612", "standard", "--lodged", "2025-11-17T09:00", "--channel", "online"),
            100_000,
            100_000,
        ),
        (
            ("1.001612", "standard", "--lodged", "2025-11-17T09:00", "--channel", "assisted"),
            100_000,
            0,
        ),
        (
            ("1.001612", "standard", "--lodged", "2024-05-28T23:59", "--channel", "online"),
            100_000,
            0,
        ),
        (
            ("1.001612", "standard", "--lodged", "2024-05-28T17:00Z", "--channel", "online"),
            100_000,
            100_000,
        ),
        (("2.000635", "standard", "--lodged", "2025-11-17T09:00", "--copies", "3"), 24_000, 0),
        (
            (
                *("1.004859", "standard", "--lodged", "2026-03-02T09:00"),
                *("--evidence", "disability_proof"),
            ),
            25_000,
            25_000,
        ),
        (
            (
                *("2.000488", "standard", "--lodged", "2026-03-02T09:00"),
                *("--evidence", "student_proof"),
            ),
            200_000,
            100_000,
        ),
        (("1.001193", "on_time", "--lodged", "2025-11-17T09:00"), 0, 0),
    ],
)
def test_what_is_asked_is_answered(
    arguments: tuple[str, ...], total_vnd: int, waived_vnd: int
) -> None:
    """TT 226/2016/TT-BTC; NQ 07/2024/NQ-HĐND from 29/5/2024 in the city's time, online alone."""
    told = json.loads(asked("fee", *arguments, "--json").stdout)
    assert (told["total_vnd"], told["waived_vnd"]) == (total_vnd, waived_vnd)
    assert sum(line["amount_vnd"] for line in told["lines"]) == total_vnd
    for_people = asked("fee", *arguments).stdout
    assert max(map(len, for_people.splitlines())) <= 80
    assert f"{total_vnd - waived_vnd:,} đ" in for_people


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("7.777777", "standard", "--lodged", "2025-11-17T09:00"), "no procedure"),
        (("2.000815", "nowhere", "--lodged", "2025-11-17T09:00"), "one_page"),
        (("2.000815", "one_page", "--lodged", "tomorrow"), "--lodged"),
        (("2.000815", "one_page", "--lodged", "2025-11-17T09:00", "--pages", "0"), "pages"),
        (("2.000815", "one_page", "--lodged", "2025-11-17T09:00", "--channel", "fax"), "channel"),
        (("2.000815", "one_page", "--lodged", "2025-11-17T09:00", "--evidence", "x"), "no rule"),
    ],
)
def test_what_is_no_question_is_told_and_nothing_else(
    arguments: tuple[str, ...], says: str
) -> None:
    answer = asked("fee", *arguments)
    assert answer.returncode == 2
    assert says in " ".join((answer.stderr + answer.stdout).lower().split())
    assert "Traceback" not in answer.stderr
