"""Standard error: where something went wrong, and nothing that an image holds."""

import subprocess
import sys

import pytest
from support.places import ROOT

NAME = "GRETEL^SECRET"
PREPARED = """
import logging, threading
from ftmtl.errors import NotAnalysable
from node.cli.logs import log_to_stderr
log_to_stderr(False, False)
def fail():
    try:
        int("GRETEL^SECRET")
    except ValueError as error:
        raise LookupError("GRETEL^SECRET") from error
"""
LEAKS = {
    "our log": "try: fail()\nexcept LookupError: logging.getLogger('node.x').exception('failed job=%s', 1)",
    "a library's log": "try: fail()\nexcept LookupError: logging.getLogger('sqlalchemy').exception('failed')",
    "unhandled": "fail()",
    "in a thread": "thread = threading.Thread(target=fail)\nthread.start()\nthread.join()",
}


@pytest.mark.parametrize("then", LEAKS.values(), ids=LEAKS)
def test_a_traceback_has_no_values(then):
    done = subprocess.run([sys.executable, "-c", PREPARED + then], capture_output=True, text=True, cwd=ROOT)
    assert NAME not in done.stderr
    assert "LookupError: (its message may quote patient data)" in done.stderr
    assert "ValueError: (its message may quote patient data)" in done.stderr
    assert 'File "<string>", line 8, in fail' in done.stderr


def test_pydicoms_log_is_not_ours():
    then = "try: fail()\nexcept LookupError as error: logging.getLogger('pydicom').exception(error)"
    done = subprocess.run([sys.executable, "-c", PREPARED + then], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""


def test_our_own_words_are_said():
    then = "raise NotAnalysable('No breast was found.')"
    done = subprocess.run([sys.executable, "-c", PREPARED + then], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "NotAnalysable: No breast was found." in done.stderr
