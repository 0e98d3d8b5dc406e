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

from ftmtl.acquisition import ODD_VALUE, read_acquisition
from ftmtl.decoding.files import DamagedFile
from node.intake.header import facts_of, identity_of, is_image, read_header


class Source(NamedTuple):
    """A file with a readable header, the digest of its patient, and whether it holds an image."""

    path: Path
    identity: str
    image: bool


class LeftOut(NamedTuple):
    """A path that is not analysed, and why. If it ``counts``, an image may be missing from the results."""

    path: Path
    reason: str
    counts: bool = True


@dataclass
class Sources:
    """What was found: by Study Instance UID and SOP Instance UID the files, and what is left out."""

    studies: dict[str, dict[str, Source]] = field(default_factory=lambda: defaultdict(dict))
    left_out: list[LeftOut] = field(default_factory=list)

    @classmethod
    def find(cls, paths: Sequence[Path], *, but: Path) -> Sources:
        """Read the headers of files, and of all files in folders but one, the folder of the results."""
        found = cls()
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
            source = Source(path, identity_of(facts_of(header)), is_image(acquisition.sop_class_uid))
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
            self._enter(source, acquisition.study_instance_uid, acquisition.sop_instance_uid)

    def _enter(self, source: Source, study_uid: str, sop_instance_uid: str) -> None:
        if not study_uid or not sop_instance_uid:
            self.left_out.append(LeftOut(source.path, "DICOM, but without Study or SOP Instance UID", source.image))
        elif sop_instance_uid in self.studies.get(study_uid, {}):
            self.left_out.append(LeftOut(source.path, "the same instance again", counts=False))
        else:
            self.studies[study_uid][sop_instance_uid] = source
