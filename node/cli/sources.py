"""The files that ``ftmtl analyze`` is given: grouped into studies, or left out with a reason."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydicom.errors import InvalidDicomError

from ftmtl.decoding.files import ODD_VALUE, DamagedFile
from ftmtl.header.acquisition import Acquisition, read_acquisition
from ftmtl.header.classes import is_image
from node.charsets import DEFAULT
from node.intake.header import facts_of, identity_of, read_header


class Source(NamedTuple):
    """An image's file, and the digest of its patient."""

    path: Path
    identity: str


class LeftOut(NamedTuple):
    """A path that is not analysed, and why. If it ``counts``, an image may be missing from the results."""

    path: Path
    reason: str
    counts: bool = True


@dataclass
class Sources:
    """What was found: by Study Instance UID and SOP Instance UID the images, and what is left out.

    ``charset`` is the character set of text where none is declared.
    """

    studies: dict[str, dict[str, Source]] = field(default_factory=lambda: defaultdict(dict))
    left_out: list[LeftOut] = field(default_factory=list)
    charset: str = DEFAULT

    @classmethod
    def find(cls, paths: Sequence[Path], *, but: Path, charset: str = DEFAULT) -> Sources:
        """Read the headers of files, and of all files in folders but one, the folder of the results."""
        found = cls(charset=charset)
        for path in paths:
            if path.is_dir():
                for file in found._files(path, but.resolve()):
                    found._add(file, named=False)
            else:
                found._add(path, named=True)
        return found

    def leave_out_vanished(self, files: dict[str, Source]) -> None:
        """Leave out the files of a study that have been removed since their headers were read."""
        for uid, source in list(files.items()):
            if not source.path.is_file():
                self.left_out.append(LeftOut(source.path, "it has vanished"))
                del files[uid]

    def _files(self, folder: Path, results: Path) -> Iterator[Path]:
        """Yield everything under a folder that is not itself a folder, in the order of the names."""

        def unreadable(error: OSError) -> None:
            self.left_out.append(LeftOut(Path(error.filename), f"cannot be read: {error.strerror}"))

        for parent, folders, files in os.walk(folder, onerror=unreadable):
            here = Path(parent)
            for link in [name for name in folders if (here / name).is_symlink()]:
                self.left_out.append(LeftOut(here / link, "a link to a folder; name the folder itself"))
            folders[:] = sorted(name for name in folders if (here / name).resolve() != results)
            yield from (here / name for name in sorted(files))

    def _add(self, path: Path, *, named: bool) -> None:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                self.left_out.append(LeftOut(path, "not a regular file", named))
                return
            header = read_header(path)
            acquisition = read_acquisition(header)
            source = Source(path, identity_of(facts_of(header, self.charset)))
        except InvalidDicomError:
            self.left_out.append(LeftOut(path, "not DICOM", named))
        except DamagedFile:
            self.left_out.append(LeftOut(path, "damaged: its header can't be read"))
        except FileNotFoundError:
            self.left_out.append(LeftOut(path, "there is no such file"))
        except ODD_VALUE as error:
            words = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else "damaged: an odd header"
            self.left_out.append(LeftOut(path, words))
        else:
            self._enter(source, acquisition)

    def _enter(self, source: Source, acquisition: Acquisition) -> None:
        study_uid, sop_instance_uid = acquisition.study_instance_uid, acquisition.sop_instance_uid
        if not is_image(acquisition.sop_class_uid):
            self.left_out.append(LeftOut(source.path, "not an image", counts=False))
        elif not study_uid or not sop_instance_uid:
            self.left_out.append(LeftOut(source.path, "DICOM, but without Study or SOP Instance UID"))
        elif sop_instance_uid in self.studies.get(study_uid, {}):
            self.left_out.append(LeftOut(source.path, "the same instance again", counts=False))
        else:
            self.studies[study_uid][sop_instance_uid] = source
