"""Normal forms of text: Unicode forms, zero-width marks, spacing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Any

# What Unicode calls ignorable by default, tags aside, which tell flags apart.
_WITHOUT_WIDTH = re.compile(
    "[\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufff8]+"
)
# Han and kana: their letters as a regular expression has them.
_HAN = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003fffd"
)
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\U0001aff0-\U0001b16f"
# Thai and Lao, Burmese, and Khmer: blocks of letters, marks and digits.
_BLOCKS = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0x1780, 0x17FF))


def _of_blocks(category: str) -> str:
    codes = (chr(code) for first, last in _BLOCKS for code in range(first, last + 1))
    return "".join(one for one in codes if unicodedata.category(one)[0] == category)


_LETTER, _MARK = _HAN + _KANA + _of_blocks("L"), "\u3099\u309a" + _of_blocks("M")
_HAS_LETTER = re.compile(f"[{_LETTER}]")
# A letter with its vowel signs and tone marks; what has spaces; or marks that have no letter.
_WORD = re.compile(rf"[{_LETTER}][{_MARK}]*|[^\s{_LETTER}]+")


def one_form(text: str) -> str:
    r"""A text in the one form (NFKC) of all that look the same, without marks that have no width.

    >>> one_form("\uff21\uff22\uff23"), one_form("A\u200bBC"), one_form("e\u0301")
    ('ABC', 'ABC', 'é')
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _WITHOUT_WIDTH.sub("", text))


def words_of(text: str) -> list[str]:
    """The words of a text in one form; each letter of a script without spaces is one.

    >>> words_of("今天 is สวัสดี")
    ['今', '天', 'is', 'ส', 'วั', 'ส', 'ดี']
    """
    if text.isascii():
        return text.split()
    text = one_form(text)
    return _WORD.findall(text) if _HAS_LETTER.search(text) else text.split()


def alike(keys: Collection[Any], others: Collection[Any]) -> dict[Any, Any]:
    r"""Those of the keys that the others have in another form alone, each with that one.

    >>> alike(["café", "a"], ["cafe\u0301", "a"])
    {'café': 'café'}
    """
    missing = [key for key in keys if key not in others]
    try:
        if not missing or ("".join(missing).isascii() and "".join(others).isascii()):
            return {}
    except TypeError:  # not all of them are text
        pass
    forms = {one_form(key): key for key in others if isinstance(key, str) and key not in keys}
    found = {}
    for key in missing:
        other = forms.pop(one_form(key), None) if isinstance(key, str) else None
        if other is not None:
            found[key] = other
    return found
