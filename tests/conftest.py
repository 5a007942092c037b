"""Marks of the tests, by the folder that they are in."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MARKS = {
    "store": ("servers",),
    "views": ("servers",),
    "integration": ("servers",),
    "api": ("servers",),
    "acceptance": ("servers", "slow"),
}
"""What holds for a folder's tests. A module adds its own by `pytestmark`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        for mark in MARKS.get(folder, ()):
            item.add_marker(mark)
