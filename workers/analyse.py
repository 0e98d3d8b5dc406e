"""From instances on disk to checked result objects: where the science and the DICOM side meet."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from ftmtl.decoding.files import ODD_VALUE
from ftmtl.errors import NotAnalysable, NotMeant
from ftmtl.findings import Attempt, FindingType, ImageResult, ModelIdentity, Outcome, StudyResult
from ftmtl.header.acquisition import Acquisition, read_header
from ftmtl.header.classes import is_image
from ftmtl.header.reading import USUAL, Reading
from ftmtl.header.suitability import LEFT_ASIDE, is_synthetic, refused
from ftmtl.mammogram.load import Mammogram, load_mammogram
from ftmtl.mammogram.pixels import display_pixels
from ftmtl.phantom.dicom import write_study
from ftmtl.phantom.make import LesionSpec
from ftmtl.predictor import Predictor
from node.charsets import DEFAULT
from node.config import Config
from node.domain import Analysed, Instance, Job, JobState, Predecessor, ResultObject
from node.errors import LeaseLost, QueueUnavailable, ResultRejected
from node.flow.dispatch import DELIVER, Dispatcher
from node.kinds import DEFAULT_OBJECTS, REPORTS, ObjectKind
from node.ledger.ledger import Ledger
from node.results.build import build_results
from node.results.common.finish import Clock, now
from node.results.common.outcome import remark_lines
from node.results.common.source import SourceUnusable, source_notes
from node.results.kept import keep_result, read_result
from node.results.summary import study_summary, summary
from node.store.spool import Spool
from workers.claim import Claim, words_for

log = logging.getLogger(__name__)

_Place = tuple[str | None, str | None]
"""Side and view."""


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
    reading
        Which kinds of images to analyse.
    charset
        The character set of text where none is declared, as a defined term.
    predecessors
        The reports of an earlier analysis that the study's reports replace, by kind.
    clock
        Tells when an object was first made.
    known
        By SOP Instance UID: results of images that the same model has analysed before; they are not analysed again.
    versions
        By SOP Instance UID: digests of the files of images that took the place of earlier ones.
    """

    kinds: tuple[ObjectKind, ...] = DEFAULT_OBJECTS
    reading: Reading = USUAL
    charset: str = DEFAULT
    predecessors: Mapping[ObjectKind, Predecessor] = field(default_factory=dict)
    clock: Clock = now
    known: Mapping[str, ImageResult] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


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
    headers = {path: read_header(path) for path in paths}
    study_uid, *others = sorted({header.study_instance_uid for header in headers.values()})
    if others:
        raise ValueError(f"instances of several studies: {', '.join([study_uid, *others])}")
    loaded = _load_all({path: header for path, header in headers.items() if is_image(header.sop_class_uid)}, order)
    mammograms = [m for m in loaded if isinstance(m, Mammogram)]
    predicted = _predict(study_uid, mammograms, predictor)
    analysed = iter(predicted.images)
    images = (next(analysed) if isinstance(m, Mammogram) else m for m in loaded)
    versioned = (replace(image, version=order.versions.get(image.sop_instance_uid, "")) for image in images)
    result = replace(predicted, images=tuple(versioned))
    return Analysis(result, tuple(_build(result, paths, folder, order)))


def _load_all(headers: Mapping[Path, Acquisition], order: Order) -> list[Mammogram | ImageResult]:
    """Load the images of a study, in the order given; generated 2D ones only of views that no other image shows."""
    generated = {path: header for path, header in headers.items() if is_synthetic(header)}
    full_field = {path: header for path, header in headers.items() if path not in generated}
    with ThreadPoolExecutor(2) as pool:

        def load(group: Mapping[Path, Acquisition]) -> dict[Path, Mammogram | ImageResult]:
            return dict(zip(group, pool.map(partial(_load, order=order), group, group.values()), strict=True))

        loaded = load(full_field)
        shown = {_place(headers[path]) for path, image in loaded.items() if _is_read(image)}
        aside = {path: header for path, header in generated.items() if _place(header) in shown}
        loaded |= load({path: header for path, header in generated.items() if path not in aside})
    loaded |= {path: _not_processed(header, LEFT_ASIDE, Attempt.NOT_APPLICABLE) for path, header in aside.items()}
    shown = {_place(headers[path]) for path, image in loaded.items() if _is_read(image)}
    return [_with_part(loaded[path], header, shown, order.reading) for path, header in headers.items()]


def _with_part(
    image: Mammogram | ImageResult, header: Acquisition, shown: Set[_Place], reading: Reading
) -> Mammogram | ImageResult:
    """Say of an image that it has no part in the outcome if it is another form of a view that is read."""
    refusal = refused(header, reading)
    if isinstance(image, Mammogram) or refusal is None or not refusal.other_form:
        return image
    return replace(image, attempt=Attempt.NOT_APPLICABLE if _place(header) in shown else refusal.attempt)


def _place(header: Acquisition) -> _Place:
    return header.laterality, header.view


def _is_read(image: Mammogram | ImageResult) -> bool:
    return isinstance(image, Mammogram) or image.was_read


def _load(path: Path, header: Acquisition, *, order: Order) -> Mammogram | ImageResult:
    """Return an image as the network reads it, or its known result, or why it can't be analysed or referred to."""
    known = order.known.get(header.sop_instance_uid)
    if known is not None and known.reason != LEFT_ASIDE:
        return known
    try:
        mammogram = load_mammogram(path, reading=order.reading)
        notes = source_notes(path, order.charset)
    except NotMeant as error:
        return _not_processed(header, str(error), error.attempt)
    except NotAnalysable as error:
        return _not_processed(header, str(error))
    except SourceUnusable as error:
        return _not_processed(header, f"Results can't refer to this image: {error}.")
    except ODD_VALUE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # trying again may help
        return _not_processed(header, "The header of this image is damaged.")
    return replace(mammogram, notes=(*mammogram.notes, *notes))


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
    return build_results(
        result,
        paths,
        folder,
        order.kinds,
        display=display_pixels,
        predecessors=order.predecessors,
        charset=order.charset,
        clock=order.clock,
    )


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
    """The analysis of one job after another, with what a worker process needs for it.

    Attributes
    ----------
    config
        The whole configuration.
    ledger, spool, dispatcher
        Where jobs, files and messages are.
    predictor
        The configured model, loaded.
    """

    config: Config
    ledger: Ledger
    spool: Spool
    dispatcher: Dispatcher
    predictor: Predictor
    _others: dict[str, Predictor] = field(default_factory=dict, init=False, repr=False)

    def run(self, job_id: str) -> None:
        """Claim a job, analyse it, record its objects, hand it to delivery.

        Whatever goes wrong is recorded as the job's reason. A job that another worker holds is left alone.
        """
        claim = Claim.take(self.ledger, job_id, self.config.queue)
        if claim is None:
            log.info("not claimed job=%s", job_id)
            return
        with claim:
            delivering = self._try(claim)
        if not delivering:
            return
        try:
            for destination in self.ledger.deliveries.waiting(job_id):
                self.dispatcher.send(DELIVER, job_id, destination)
        except QueueUnavailable as error:
            log.warning("job=%s %s", job_id, error)  # the reconciler will

    def _try(self, claim: Claim) -> bool:
        """Analyse and record, or record why not; True if there are objects to deliver."""
        try:
            return self._analyse(claim)
        except LeaseLost as error:
            log.warning("%s", error)
        except ResultRejected as error:
            claim.finish(JobState.FAILED, f"a result failed its check and was held back: {error}")
        except SQLAlchemyError as error:  # a ledger that is away: the lease runs out, the study is analysed again
            log.error("analysis not recorded job=%s error=%s", claim.job_id, type(error).__name__)
        except Exception as error:  # the boundary: a study always ends in a named state
            log.exception("analysis failed job=%s", claim.job_id)
            claim.finish(JobState.FAILED, words_for(error))
        return False

    def _analyse(self, claim: Claim) -> bool:
        job, folder = claim.job(), self.spool.results(claim.job_id)
        instances = self.ledger.arrivals.instances(claim.job_id)
        paths = [self.spool.path(instance.key) for instance in instances]
        predictor = self._predictor(job.weights)
        model = model_words(predictor.model)
        earlier = self._earlier(job, instances, model)
        replacing = self.ledger.arrivals.replacing(claim.job_id)
        order = Order(
            kinds=self._kinds(job),
            reading=self.config.model.reading(),
            charset=self.config.dicom.default_charset,
            predecessors=earlier.predecessors,
            clock=self.ledger.creations.first,
            known=earlier.known,
            versions={i.sop_instance_uid: i.sha256[:16] for i in instances if i.sop_instance_uid in replacing},
        )
        analysis = analyse_study(paths, predictor, folder, order)
        predecessors = self._predecessors(job.study_uid, model, analysis.objects)
        if predecessors.items() - order.predecessors.items():
            order = replace(order, predecessors={**order.predecessors, **predecessors})
            analysis = replace(analysis, objects=tuple(_build(analysis.result, paths, folder, order)))
        result, objects = analysis.result, analysis.objects
        keep_result(folder, result, order.predecessors)
        document = summary(result.model, [study_summary(result, objects)])
        (folder / "summary.json").write_text(json.dumps(document, indent=2))
        log.info("analysed job=%s outcome=%s forward_s=%.3f", job.job_id, result.outcome, result.forward_seconds)
        if not objects:
            claim.finish(JobState(result.outcome.value), result.reason)
            return False
        kept = tuple(replace(made, path=Path(self.spool.key(made.path))) for made in objects)
        remarks = "\n".join(remark_lines(result))
        claim.begin(Analysed(kept, result.forward_seconds, result.outcome.value, result.reason, model, remarks))
        return True

    def _predictor(self, weights: str) -> Predictor:
        """Return the model that a job asks for; the last one that differs from the configured one stays loaded."""
        if not weights:
            return self.predictor
        if weights not in self._others:
            from ftmtl.predictor import Predictor as Load

            self._others.clear()
            self._others[weights] = Load(Path(weights), device=self.config.model.device or None)
        return self._others[weights]

    def _kinds(self, job: Job) -> tuple[ObjectKind, ...]:
        """Return the kinds that the job's plan asks for; a destination without any gets what is configured."""
        configured = {destination.name: destination.objects for destination in self.config.destination_list()}
        wanted = [kinds or configured.get(name, DEFAULT_OBJECTS) for name, kinds in job.plan.items()]
        return tuple({kind for kinds in wanted for kind in kinds}) or DEFAULT_OBJECTS

    def _earlier(self, job: Job, instances: Sequence[Instance], model: str) -> _Earlier:
        """Return what the model's latest analysis of this study found on images that are still the same."""
        versions = {instance.sop_instance_uid: instance.sha256 for instance in instances}
        for other in reversed(self.ledger.jobs.of_study(job.study_uid)):
            if other.model != model:
                continue
            try:
                result, predecessors = read_result(self.spool.results(other.job_id))
            except (OSError, ValueError, KeyError):
                continue  # it was made by another version, or has been removed
            theirs = {i.sop_instance_uid: i.sha256 for i in self.ledger.arrivals.instances(other.job_id)}
            known = {
                image.sop_instance_uid: image
                for image in result.images
                if image.outcome is not Outcome.FAILED
                and versions.get(image.sop_instance_uid) == theirs.get(image.sop_instance_uid)
            }
            return _Earlier(known, predecessors if versions == theirs else {})
        return _Earlier({}, {})

    def _predecessors(self, study_uid: str, model: str, made: Sequence[ResultObject]) -> dict[ObjectKind, Predecessor]:
        """Return the model's reports of earlier analyses that a PACS holds and that say something else, by kind."""
        found = {}
        for kind, forms in REPORTS.items():
            delivered = self.ledger.deliveries.delivered(study_uid, forms, model)
            predecessor = _predecessor(study_uid, delivered, made)
            if predecessor is not None:
                found[kind] = predecessor
        return found


class _Earlier(NamedTuple):
    """An earlier analysis: results by SOP Instance UID, and the predecessors of its reports if nothing has changed."""

    known: Mapping[str, ImageResult]
    predecessors: Mapping[ObjectKind, Predecessor]


def model_words(model: ModelIdentity) -> str:
    """Return a model's identity as one line: two differ wherever results may differ."""
    return " ".join(filter(None, (model.name, model.version, model.weights_sha256, model.configuration)))


def _predecessor(
    study_uid: str, delivered: Sequence[ResultObject], objects: Sequence[ResultObject]
) -> Predecessor | None:
    """Return the report of an earlier analysis that a PACS holds, if this analysis says something else."""
    made = {result.sop_instance_uid for result in objects}
    if not delivered or any(earlier.sop_instance_uid in made for earlier in delivered):
        return None
    last = delivered[-1]
    return Predecessor(study_uid, last.series_uid, last.sop_class_uid, last.sop_instance_uid)


def _not_processed(header: Acquisition, reason: str, attempt: Attempt = Attempt.MADE) -> ImageResult:
    return ImageResult(
        header.sop_instance_uid,
        header.laterality,
        header.view,
        Outcome.NOT_PROCESSED,
        reason,
        notes=header.contradictions,
        attempt=attempt,
    )
