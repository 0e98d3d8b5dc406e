"""Text is decoded strictly: what can't be decoded is guessed and said."""

from __future__ import annotations

import pytest

from node.charsets import Decoder

NAME = "Mülle^Jörg"


@pytest.mark.parametrize(
    ("declared", "value", "default", "text", "said"),
    [
        ([""], b"Doe^Jane", "ISO_IR 100", "Doe^Jane", ""),
        ([""], NAME.encode(), "ISO_IR 100", NAME, ""),
        ([""], NAME.encode("latin_1"), "ISO_IR 100", NAME, "no character set is declared; it was read as Latin-1"),
        ([""], "Ивано́в"[:4].encode("iso8859_5"), "ISO_IR 144", "Иван", "it was read as ISO_IR 144"),
        ([""], "王^小东".encode("gb18030"), "GB18030", "王^小东", "it was read as GB18030"),
        (["NONSENSE"], NAME.encode(), "ISO_IR 100", NAME, ""),
        (["ISO_IR 100"], NAME.encode("latin_1"), "ISO_IR 100", NAME, ""),
        (["ISO_IR 100"], NAME.encode(), "ISO_IR 100", NAME, "declares; it was read as UTF-8"),
        (["ISO IR 192"], NAME.encode(), "ISO_IR 100", NAME, ""),
        (["UTF-8"], NAME.encode(), "ISO_IR 100", NAME, ""),
        (["ISO_IR 192"], NAME.encode("latin_1"), "ISO_IR 100", NAME, "declares; it was read as Latin-1"),
        (["ISO_IR 192"], "王^小东".encode("gb18030"), "GB18030", "王^小东", "declares; it was read as GB18030"),
        (["ISO_IR 100", "ISO_IR 192"], NAME.encode(), "ISO_IR 100", NAME, "declares; it was read as UTF-8"),
        (["ISO_IR 144"], "Люкceмбypг".encode("iso8859_5"), "ISO_IR 100", "Люкceмбypг", ""),
        (["GB18030"], "王^小东".encode("gb18030"), "ISO_IR 100", "王^小东", ""),
        (["GB18030"], NAME.encode()[:3], "ISO_IR 100", "MÃ¼", "it was read as"),
    ],
)
def test_decoding(declared, value, default, text, said):
    decoder = Decoder(declared, default)
    if said == "it was read as":  # whatever is guessed, nothing is replaced
        assert "\N{REPLACEMENT CHARACTER}" not in decoder.decode(value)
        return
    assert decoder.decode(value) == text
    assert said in " ".join(decoder.notes)
    assert bool(decoder.notes) == bool(said)


def test_a_broken_escape_sequence_replaces_nothing():
    decoder = Decoder(["", "ISO 2022 IR 87"])
    with pytest.warns(UserWarning, match="Failed to decode"):
        text = decoder.decode(b"Yamada^\x1b$B\x3b\x33\xff", frozenset({0x5E, 0x3D}))
    assert "\N{REPLACEMENT CHARACTER}" not in text
    assert decoder.notes


def test_a_text_is_noted_once():
    decoder = Decoder(["ISO_IR 192"])
    for _ in range(3):
        decoder.decode(NAME.encode("latin_1"))
    assert len(decoder.notes) == 1
