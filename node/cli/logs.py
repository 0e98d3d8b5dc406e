"""What the commands log to standard error: events of our own, and nothing that quotes an image's values.

Messages of pydicom's exceptions and warnings quote what an element holds, which may be a patient's name. So a traceback
is written without the messages of exceptions, except our own.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType

from ftmtl.errors import FtmtlError
from node.errors import NodeError

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_OURS = ("node", "ftmtl", "workers", "celery", "__main__")
_SILENT = ("py", "pydicom", "pynetdicom")  # peers cause pynetdicom's errors; we log ourselves what they mean


def log_to_stderr(verbose: bool, quiet: bool) -> None:
    """Log to standard error from now on, unhandled exceptions included."""
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_ours)
    handler.setFormatter(_Formatter(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = lambda kind, error, trace: _unhandled(error)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda arguments: _unhandled(arguments.exc_value)


def without_values(error: BaseException) -> str:
    """Return the traceback of an exception, without its message unless that is our own."""
    return "\n".join(_lines(error))


def _lines(error: BaseException) -> Iterator[str]:
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _lines(earlier)
        yield "and then:"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    ours = isinstance(error, (FtmtlError, NodeError))
    yield f"{type(error).__qualname__}: {error if ours else '(its message may quote patient data)'}"


class _Formatter(logging.Formatter):
    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        return "" if ei[1] is None else without_values(ei[1])


def _unhandled(error: BaseException | None) -> None:
    if error is not None:
        print(f"ftmtl: {without_values(error)}", file=sys.stderr)


def _is_ours(record: logging.LogRecord) -> bool:
    """Pass our own records, and errors of libraries. Library warnings quote odd values, and so patient data."""
    library = record.name.partition(".")[0]
    return library in _OURS or (library not in _SILENT and record.levelno >= logging.ERROR)
