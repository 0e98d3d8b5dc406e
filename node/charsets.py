"""Text of received headers, decoded strictly: what can't be decoded is guessed and said, never replaced (PS3.5 6.1).

Vendors declare no character set and send UTF-8, or declare one and send another. A name with replacement characters
would be another name, so no such name is ever made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

SINGLE_BYTE = {
    "ISO_IR 100": "latin_1", "ISO_IR 101": "iso8859_2", "ISO_IR 109": "iso8859_3", "ISO_IR 110": "iso8859_4",
    "ISO_IR 144": "iso8859_5", "ISO_IR 127": "iso8859_6", "ISO_IR 126": "iso8859_7", "ISO_IR 138": "iso8859_8",
    "ISO_IR 148": "iso8859_9",
}  # fmt: skip
"""Python's names of the character sets of one byte (PS3.3 C.12.1.1.2)."""

CODECS = SINGLE_BYTE | {
    "ISO_IR 13": "shift_jis", "ISO_IR 166": "iso8859_11", "ISO_IR 192": "utf_8", "GB18030": "gb18030", "GBK": "gbk",
}  # fmt: skip
"""Python's names of all character sets without code extensions."""

DEFAULT = "ISO_IR 100"

GB2312_ESCAPE = "\x1b$)A"
"""Escape sequence that announces GB 2312 (PS3.5 K.2); pydicom leaves it in the decoded text."""

_WORDS = {"ISO_IR 192": "UTF-8", "ISO_IR 100": "Latin-1"}
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass
class Decoder:
    """Decodes the text of one header.

    Attributes
    ----------
    declared
        Values of Specific Character Set, as they are in the header.
    default
        The character set to try where none is declared, or where the declared one fails and the text is not UTF-8.
    notes
        Sentences about text that was not in the declared character set; filled while text is decoded.
    """

    declared: Sequence[str]
    default: str = DEFAULT
    notes: list[str] = field(default_factory=list)

    def decode(self, value: bytes, delimiters: frozenset[int] = frozenset()) -> str:
        """Return a text; ``delimiters`` are the bytes after which code extensions end (PS3.5 6.1.2.5.3)."""
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii")
        terms = [_corrected(term) for term in self.declared]
        told = [term for term in terms if term in CODECS or term.startswith("ISO 2022")]
        if "ISO_IR 192" in told or told in ([], ["ISO_IR 100"]):  # UTF-8 is hardly ever valid by chance
            text = _strictly(value, "ISO_IR 192")
            if text is not None:
                return text if told in ([], ["ISO_IR 192"]) else self._guessed(text, "ISO_IR 192")
        if told:
            text = (
                _strictly(value, told[0])
                if len(told) == 1 and told[0] in CODECS
                else _extended(value, terms, delimiters)
            )
            if text is not None:
                return text
        for term in ("ISO_IR 192", self.default, "ISO_IR 100"):
            text = _strictly(value, term)
            if text is not None:
                return self._guessed(text, term)
        raise AssertionError("Latin-1 decodes everything")

    def _guessed(self, text: str, term: str) -> str:
        said = (
            "in the character set that it declares" if any(self.declared) else "UTF-8, and no character set is declared"
        )
        note = f"Text of the header is not {said}; it was read as {_WORDS.get(term, term)}."
        if note not in self.notes:
            self.notes.append(note)
        return text


def _corrected(term: str) -> str:
    """Return a defined term for the ways in which it is misspelt."""
    term = re.sub(r"[ _-]+", " ", term.strip(" \0").upper())
    if term in ("UTF-8", "UTF 8", "UTF8"):
        return "ISO_IR 192"
    return re.sub(r"^ISO IR ", "ISO_IR ", term)


def _strictly(value: bytes, term: str) -> str | None:
    try:
        return value.decode(CODECS[term])
    except UnicodeDecodeError:
        return None


def _extended(value: bytes, terms: Sequence[str], delimiters: frozenset[int]) -> str | None:
    """Decode text with code extensions (PS3.5 6.1.2.4), or return None if that leaves anything out."""
    from pydicom.charset import convert_encodings, decode_bytes  # late: commands on the ledger start without it

    text = decode_bytes(value, convert_encodings(list(terms)), set(delimiters)).replace(GB2312_ESCAPE, "")
    return None if _REPLACEMENT in text or "\x1b" in text else text
