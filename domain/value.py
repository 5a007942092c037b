"""What never changes."""

from msgspec import Struct


class Value(Struct, frozen=True, gc=False):
    """An immutable value.

    It is made of what was there before it, so it is never part of a cycle, and the garbage
    collector need not look at it: with a hundred thousand states in memory that is most of its work.
    """
