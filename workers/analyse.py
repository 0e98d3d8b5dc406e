"""From instances on disk to checked result objects: where the science and the DICOM side meet."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ftmtl.acquisition import read_header
from ftmtl.errors import NotAnalysable
from ftmtl.findings import FindingType, ImageResult, Outcome, StudyResult
from ftmtl.mammogram import Mammogram, load_mammogram
from ftmtl.phantom import LesionSpec
from ftmtl.phantom_dicom import write_study
from ftmtl.predictor import Predictor
from node.dispatch import DELIVER, Dispatcher
from node.domain import JobState, ResultObject
from node.errors import LeaseLost, QueueUnavailable, ResultRejected
from node.ledger import Ledger
from node.results import build_results
from node.results.summary import study_summary, summary
from node.spool import Spool
from workers.lease import held

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Analysis:
    """What came of a study: the findings, and the objects that say so."""

    result: StudyResult
    objects: tuple[ResultObject, ...]


def analyse_study(
    paths: Sequence[Path], predictor: Predictor, folder: Path, *, secondary_capture: bool = True
) -> Analysis:
    """Analyse the instances of one study and write its result objects.

    Parameters
    ----------
    paths
        DICOM files of one study; those that are no mammograms come back as not processed.
    folder
        Where the objects are written.

    Raises
    ------
    ResultRejected
        If an object did not pass its conformance check; nothing of the study must be sent.
    """

    def load(path: Path) -> Mammogram | ImageResult:
        try:
            return load_mammogram(path, secondary_capture=secondary_capture)
        except NotAnalysable as error:
            return _not_processed(path, str(error))

    with ThreadPoolExecutor(2) as pool:
        loaded = list(pool.map(load, paths))
    mammograms = [m for m in loaded if isinstance(m, Mammogram)]
    study_uid = read_header(paths[0]).study_instance_uid
    predicted = predictor.predict(study_uid, mammograms)
    analysed = iter(predicted.images)
    images = tuple(next(analysed) if isinstance(m, Mammogram) else m for m in loaded)
    result = replace(predicted, images=images)
    return Analysis(result, tuple(build_results(result, paths, folder)))


def rehearse(predictor: Predictor) -> None:
    """Analyse a synthetic image and throw the results away.

    A worker does it before it takes work: what is slow the first time is then behind it, and one
    that cannot analyse ends here, not over a patient's study.
    """
    mass = LesionSpec(FindingType.MASS, malignant=True, radius_mm=9.0, contrast=0.42, seed=1)
    with tempfile.TemporaryDirectory(prefix="ftmtl-") as folder:
        written = write_study(Path(folder), 1, spacing_mm=0.4, views=[("L", "CC")], lesions=[mass])
        analyse_study([path for path, _ in written], predictor, Path(folder) / "results")


def run(
    job_id: str,
    ledger: Ledger,
    spool: Spool,
    dispatcher: Dispatcher,
    predictor: Predictor,
    *,
    lease_s: float,
    task_limit_s: float,
    secondary_capture: bool,
) -> None:
    """The task: claim a job, analyse it, record its objects, hand it to delivery.

    Whatever goes wrong is recorded as the job's reason. A job that somebody else holds is left alone.
    """
    attempt = ledger.claim(job_id, JobState.ANALYSING, lease_s)
    if attempt is None:
        log.info("not claimed job=%s", job_id)
        return
    with held(ledger, job_id, attempt, lease_s=lease_s, limit_s=task_limit_s):
        try:
            delivering = _analyse_job(job_id, attempt, ledger, spool, predictor, secondary_capture)
        except LeaseLost as error:
            log.warning("%s", error)
            return
        except ResultRejected as error:
            ledger.finish(job_id, attempt, JobState.FAILED, f"a result failed its check and was held back: {error}")
            return
        except SQLAlchemyError as error:  # a ledger that is away: the lease runs out, the study is analysed again
            log.error("analysis not recorded job=%s error=%s", job_id, type(error).__name__)
            return
        except Exception as error:  # the boundary: a study always ends in a named state
            log.exception("analysis failed job=%s", job_id)
            ledger.finish(job_id, attempt, JobState.FAILED, f"{type(error).__name__}: {error}")
            return
    if delivering:
        try:
            dispatcher.send(DELIVER, job_id)
            ledger.mark_dispatched(job_id)
        except QueueUnavailable as error:
            log.warning("job=%s %s", job_id, error)  # the reconciler will


def _analyse_job(
    job_id: str, attempt: int, ledger: Ledger, spool: Spool, predictor: Predictor, secondary_capture: bool
) -> bool:
    """Analyse and record; True if there is something to deliver."""
    folder = spool.results(job_id)
    paths = [instance.path for instance in ledger.instances(job_id)]
    analysis = analyse_study(paths, predictor, folder, secondary_capture=secondary_capture)
    result = analysis.result
    document = summary(result.model, [study_summary(result, analysis.objects)])
    (folder / "summary.json").write_text(json.dumps(document, indent=2))
    log.info("analysed job=%s outcome=%s forward_s=%.3f", job_id, result.outcome, result.forward_seconds)
    if result.outcome in (Outcome.NOT_PROCESSED, Outcome.FAILED):
        ledger.finish(job_id, attempt, JobState(result.outcome.value), result.reason)
        return False
    ledger.finish_analysis(job_id, attempt, analysis.objects, result.forward_seconds)
    return True


def _not_processed(path: Path, reason: str) -> ImageResult:
    acquisition = read_header(path)
    return ImageResult(
        acquisition.sop_instance_uid, acquisition.laterality, acquisition.view, Outcome.NOT_PROCESSED, reason
    )
