r"""Which text may enter the log: what can be seen, in one form, and stored by everything that reads it.

Patterns end with `\Z`: `$` also matches before a last line feed (Python's `re`).
"""

import re
from unicodedata import combining, is_normalized, normalize

ABOVE_BMP_UNSEEN = (
    r"\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U0001fffe\U0001ffff\U0002fffe\U0002ffff\U0003fffe-\U0010ffff"
)
"""What lies above U+FFFF and its surrogates, apart since not every dialect of patterns can say it.

Planes 4 to 16 hold no text: nothing, tags, and characters of private use.
"""
UNSEEN = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891"
    r"\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff" + ABOVE_BMP_UNSEEN
)
"""Controls, format characters (Cf: bidi overrides and isolates, zero widths, tags), separators of lines
and paragraphs, surrogates, noncharacters, and what Unicode lets a display leave out
(`Default_Ignorable_Code_Point`, Unicode 16, DerivedCoreProperties.txt). Two texts that look the same
would differ in them, PostgreSQL cannot store U+0000, and a reader sees another order than was written.
"""
_LINES = r"\t\n\r"
_BLANK = r" \xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000"
ONE_LINE = rf"^[{_BLANK}]*[^{_BLANK}{_LINES}{UNSEEN}][^{_LINES}{UNSEEN}]*\Z"
"""Something that can be seen, without line breaks and tabs."""
LINES = rf"^[{_BLANK}{_LINES}]*[^{_BLANK}{_LINES}{UNSEEN}][^{UNSEEN}]*\Z"
"""The same, with them."""
VISIBLE_ASCII = r"^[\x21-\x7e]+\Z"
"""Names that machines give: one spelling, no space."""

_unseen = re.compile(f"[{UNSEEN}]")


def folded(text: str) -> str:
    """A text without case and marks, to be compared with: `Nguyễn Đức` is `nguyen duc`."""
    plain = normalize("NFD", text.casefold())
    return "".join(one for one in plain if not combining(one)).replace("đ", "d")


def text_fault(text: str) -> str | None:
    """What keeps a text out of the log, or None."""
    if _unseen.search(text):
        return "text has control, format or other characters that cannot be seen"
    if not is_normalized("NFC", text):
        return "text is not in Unicode's normal form C"
    return None
