"""Destinations as people write them."""

import pytest

from node.domain import Destination


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PACS@127.0.0.1:104", Destination("PACS", "PACS", "127.0.0.1", 104)),
        ("  PACS@pacs.hospital.example:11112\n", Destination("PACS", "PACS", "pacs.hospital.example", 11112)),
        ("MY PACS@host:65535", Destination("MY PACS", "MY PACS", "host", 65535)),
        ("ARCHIVE@[::1]:104", Destination("ARCHIVE", "ARCHIVE", "::1", 104)),
        ("SIXTEEN_LETTERS_@host:1", Destination("SIXTEEN_LETTERS_", "SIXTEEN_LETTERS_", "host", 1)),
    ],
)
def test_parses(text, expected):
    assert Destination.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PACS",
        "PACS@host",
        "PACS@host:",
        "PACS@:104",
        "@host:104",
        "   @host:104",
        "PACS@host:0",
        "PACS@host:65536",
        "PACS@host:dicom",
        "PACS@::1:104",
        "PA\\CS@host:104",
        "PA\x07CS@host:104",
        "SEVENTEEN_LETTERS@host:104",
        "A@B@host:104",
        "PACS@ho st:104",
        "PACS@host:104 and more",
    ],
)
def test_refuses_and_says_how_to_write_it(text):
    with pytest.raises(ValueError, match="AE@host:port"):
        Destination.parse(text)
