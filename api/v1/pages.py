"""Pages end by bytes as well as by rows: a thousand large rows are no page."""

from collections.abc import Iterable
from typing import Any

import msgspec

from projections.queries import PAGE_BYTES_MAX

encode = msgspec.json.Encoder(order="deterministic").encode


def fitting(rows: Iterable[Any], bytes_max: int = PAGE_BYTES_MAX) -> list[msgspec.Raw]:
    """The first rows that together fit into so many bytes, encoded; one at least, if there is one."""
    kept: list[msgspec.Raw] = []
    size = 0
    for row in rows:
        one = encode(row)
        size += len(one)
        if kept and size > bytes_max:
            break
        kept.append(msgspec.Raw(one))
    return kept
