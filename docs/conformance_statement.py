"""Writes docs/conformance-statement.md, a DICOM Conformance Statement in the form of PS3.2, from the code.

    python docs/conformance_statement.py

What is accepted and proposed is read from the Application Entities as they are set up. What is written is found by
making every kind of object of two synthetic studies by two models: a value that is the same in all is fixed, one that
is its image's is copied, the rest is made. A test keeps file and code the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from statement.annexes import annexes
from statement.networking import networking
from statement.overview import overview
from statement.samples import make_sample

FILE = Path(__file__).with_name("conformance-statement.md")


def statement() -> str:
    """Return the whole document."""
    with tempfile.TemporaryDirectory() as folder:
        samples = [make_sample(Path(folder) / str(number), number) for number in (1, 2)]
    return "\n".join([overview(samples), networking(samples), annexes(samples)])


if __name__ == "__main__":
    FILE.write_text(statement())
    print(FILE)
