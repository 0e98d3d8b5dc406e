"""From instances on disk to checked result objects: where the science and the DICOM side meet."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ftmtl.acquisition import Acquisition, read_header
from ftmtl.errors import NotAnalysable
from ftmtl.findings import FindingType, ImageResult, Outcome, StudyResult
from ftmtl.mammogram.load import Mammogram, load_mammogram
from ftmtl.mammogram.pixels import display_pixels
from ftmtl.phantom.dicom import write_study
from ftmtl.phantom.make import LesionSpec
from ftmtl.predictor import Predictor
from node.config import Config
from node.domain import Analysed, JobState, Predecessor, ResultObject
from node.errors import LeaseLost, QueueUnavailable, ResultRejected
from node.flow.dispatch import DELIVER, Dispatcher
from node.kinds import DEFAULT_OBJECTS, ObjectKind
from node.ledger.ledger import Ledger
from node.results.build import build_results
from node.results.common.source import read_source
from node.results.kept import keep_result
from node.results.summary import study_summary, summary
from node.store.spool import Spool
from workers.lease import held

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Analysis:
    """The result of a study's analysis: the findings, and the objects that report them."""

    result: StudyResult
    objects: tuple[ResultObject, ...]


@dataclass(frozen=True)
class Order:
    """What to produce for a study.

    Attributes
    ----------
    kinds
        The kinds of objects to write.
    secondary_capture
        Whether to analyse Secondary Capture images with Modality MG (digitised film).
    predecessor
        The report of an earlier analysis that the study's report replaces.
    """

    kinds: tuple[ObjectKind, ...] = DEFAULT_OBJECTS
    secondary_capture: bool = True
    predecessor: Predecessor | None = None


def analyse_study(paths: Sequence[Path], predictor: Predictor, folder: Path, order: Order = Order()) -> Analysis:
    """Analyse the instances of one study and write its result objects.

    Parameters
    ----------
    paths
        DICOM files of one study; those that are not mammograms are returned as not processed.
    folder
        Where the objects are written.
    order
        What to produce.

    Raises
    ------
    ResultRejected
        If an object fails its conformance check; nothing of the study must be sent.
    ValueError
        If the instances belong to several studies.
    """
    headers = [read_header(path) for path in paths]
    study_uid, *others = sorted({header.study_instance_uid for header in headers})
    if others:
        raise ValueError(f"instances of several studies: {', '.join([study_uid, *others])}")
    with ThreadPoolExecutor(2) as pool:
        loaded = list(pool.map(partial(_load, secondary_capture=order.secondary_capture), paths, headers))
    mammograms = [m for m in loaded if isinstance(m, Mammogram)]
    predicted = _predict(study_uid, mammograms, predictor)
    analysed = iter(predicted.images)
    images = tuple(next(analysed) if isinstance(m, Mammogram) else m for m in loaded)
    result = replace(predicted, images=images)
    return Analysis(result, tuple(_build(result, paths, folder, order)))


def _load(path: Path, header: Acquisition, *, secondary_capture: bool) -> Mammogram | ImageResult:
    """Return an image as the network reads it, or why it cannot be analysed or no result could refer to it."""
    try:
        mammogram = load_mammogram(path, secondary_capture=secondary_capture)
    except NotAnalysable as error:
        return _not_processed(header, str(error))
    try:
        read_source(path)
    except ValueError as error:
        return _not_processed(header, f"Results can't refer to this image: {error}.")
    return mammogram


def _predict(study_uid: str, mammograms: Sequence[Mammogram], predictor: Predictor) -> StudyResult:
    """Run the model. If it fails, for example because the GPU is out of memory, that is a result to report, too."""
    try:
        return predictor.predict(study_uid, mammograms)
    except RuntimeError as error:
        log.exception("algorithm failed")
        reason = f"the algorithm failed ({type(error).__name__})"
    acquisitions = [mammogram.acquisition for mammogram in mammograms]
    failed = (ImageResult(a.sop_instance_uid, a.laterality, a.view, Outcome.FAILED, reason) for a in acquisitions)
    return StudyResult(study_uid, predictor.model, tuple(failed))


def _build(result: StudyResult, paths: Sequence[Path], folder: Path, order: Order) -> list[ResultObject]:
    return build_results(result, paths, folder, order.kinds, display=display_pixels, predecessor=order.predecessor)


def rehearse(predictor: Predictor) -> None:
    """Analyse a synthetic image and discard the results.

    A worker does this before it accepts work: the slow first run is then over, and a worker that
    cannot analyse fails here instead of on a patient's study.
    """
    mass = LesionSpec(FindingType.MASS, malignant=True, radius_mm=9.0, contrast=0.42, seed=1)
    with tempfile.TemporaryDirectory(prefix="ftmtl-") as folder:
        written = write_study(Path(folder), 1, spacing_mm=0.4, views=[("L", "CC")], lesions=[mass])
        analyse_study([path for path, _ in written], predictor, Path(folder) / "results")


@dataclass(frozen=True)
class AnalysisTask:
    """Analyses one job after another.

    Attributes
    ----------
    config
        The whole configuration.
    ledger, spool, dispatcher
        The jobs, their files, and the access to the queue.
    predictor
        The loaded model.
    """

    config: Config
    ledger: Ledger
    spool: Spool
    dispatcher: Dispatcher
    predictor: Predictor

    def run(self, job_id: str) -> None:
        """Claim a job, analyse it, record its objects, and hand it over to delivery.

        Whatever goes wrong is recorded as the job's reason. A job that another worker holds is left alone.
        """
        queue = self.config.queue
        attempt = self.ledger.jobs.claim(job_id, JobState.ANALYSING, queue.lease_s)
        if attempt is None:
            log.info("not claimed job=%s", job_id)
            return
        with held(self.ledger, job_id, attempt, lease_s=queue.lease_s, limit_s=queue.task_limit_s):
            delivering = self._try(job_id, attempt)
        if delivering:
            try:
                self.dispatcher.send(DELIVER, job_id)
                self.ledger.jobs.mark_dispatched(job_id)
            except QueueUnavailable as error:
                log.warning("not dispatched job=%s: %s; the reconciler will try again", job_id, error)

    def _try(self, job_id: str, attempt: int) -> bool:
        """Analyse a job and record its result or its failure; return True if there is something to deliver."""
        try:
            return self._analyse(job_id, attempt)
        except LeaseLost as error:
            log.warning("analysis not recorded: %s", error)
        except ResultRejected as error:
            reason = f"a result failed its check and was not sent: {error}"
            self.ledger.jobs.finish(job_id, attempt, JobState.FAILED, reason)
        except SQLAlchemyError as error:  # ledger unavailable: the lease expires, the study is analysed again
            log.error("analysis not recorded job=%s error=%s", job_id, type(error).__name__)
        except Exception as error:  # the boundary: a study always ends in a named state
            log.exception("analysis failed job=%s", job_id)
            self.ledger.jobs.finish(job_id, attempt, JobState.FAILED, f"{type(error).__name__}: {error}")
        return False

    def _analyse(self, job_id: str, attempt: int) -> bool:
        folder = self.spool.results(job_id)
        paths = [instance.path for instance in self.ledger.arrivals.instances(job_id)]
        wanted = {destination.name: destination.objects for destination in self.config.destination_list()}
        destinations = self.ledger.jobs.get(job_id).destinations
        kinds = {kind for name in destinations for kind in wanted.get(name, DEFAULT_OBJECTS)} or DEFAULT_OBJECTS
        order = Order(tuple(kinds), self.config.model.secondary_capture)
        analysis = analyse_study(paths, self.predictor, folder, order)
        result, objects = analysis.result, analysis.objects
        delivered = self.ledger.deliveries.delivered(job_id, ObjectKind.SR)
        predecessor = _predecessor(result.study_uid, delivered, objects)
        if predecessor is not None:
            objects = tuple(_build(result, paths, folder, replace(order, predecessor=predecessor)))
        keep_result(folder, result, predecessor)
        document = summary(result.model, [study_summary(result, objects)])
        (folder / "summary.json").write_text(json.dumps(document, indent=2))
        log.info("analysed job=%s outcome=%s forward_s=%.3f", job_id, result.outcome, result.forward_seconds)
        if not objects:
            self.ledger.jobs.finish(job_id, attempt, JobState(result.outcome.value), result.reason)
            return False
        analysed = Analysed(objects, result.forward_seconds, result.outcome.value, result.reason)
        self.ledger.deliveries.begin(job_id, attempt, analysed, wanted)
        return True


def _predecessor(
    study_uid: str, delivered: Sequence[ResultObject], objects: Sequence[ResultObject]
) -> Predecessor | None:
    """Return the report of an earlier analysis that a PACS holds, if this analysis says something else."""
    made = {result.sop_instance_uid for result in objects}
    if not delivered or any(earlier.sop_instance_uid in made for earlier in delivered):
        return None
    last = delivered[-1]
    return Predecessor(study_uid, last.series_uid, last.sop_class_uid, last.sop_instance_uid)


def _not_processed(header: Acquisition, reason: str) -> ImageResult:
    return ImageResult(header.sop_instance_uid, header.laterality, header.view, Outcome.NOT_PROCESSED, reason)
