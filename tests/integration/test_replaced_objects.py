"""What is sent to a PACS that does not take everything, over real associations, from real analyses of a phantom."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from pydicom import dcmread
from pynetdicom import evt
from support.records import configuration
from support.wire import poll_often, receiver

from ftmtl.errors import DecoderMissing
from ftmtl.findings import Finding, ImageResult, LesionMask, ModelIdentity, Outcome, StudyResult
from ftmtl.mammogram.load import Mammogram
from ftmtl.phantom.dicom import write_study
from node.domain import DeliveryState, Destination, Instance, JobState
from node.kinds import ObjectKind, object_kinds
from node.ledger.ledger import Ledger
from node.store.spool import Spool
from workers import deliver
from workers.analyse import AnalysisTask, model_words
from workers.deliver import DeliveryTask

K, S = ObjectKind, JobState
CLASSES = {
    K.SEG: "1.2.840.10008.5.1.4.1.1.66.4",
    K.SEG_FRACTIONAL: "1.2.840.10008.5.1.4.1.1.66.4",
    K.SEG_LABELMAP: "1.2.840.10008.5.1.4.1.1.66.7",
    K.SR: "1.2.840.10008.5.1.4.1.1.88.34",
    K.SR_COMPREHENSIVE: "1.2.840.10008.5.1.4.1.1.88.33",
    K.CAD: "1.2.840.10008.5.1.4.1.1.88.50",
    K.PR: "1.2.840.10008.5.1.4.1.1.11.1",
    K.SC: "1.2.840.10008.5.1.4.1.1.7",
}
MODEL = ModelIdentity("FT-MTL-Net", "1.0", "0123456789abcdef" * 4)


class Reader:
    """A model that finds the same lesion on every image, or fails."""

    model = MODEL
    fails = False

    def predict(self, study_uid: str, mammograms: Sequence[Mammogram]) -> StudyResult:
        if self.fails:
            raise RuntimeError("CUDA out of memory")
        finding = Finding((100, 200, 140, 230), LesionMask(np.ones((30, 40), dtype=bool), 100, 200), 0.9, 0.8)
        acquisitions = [mammogram.acquisition for mammogram in mammograms]
        images = [
            ImageResult(a.sop_instance_uid, a.laterality, a.view, Outcome.FINDINGS, findings=(finding,))
            for a in acquisitions
        ]
        return StudyResult(study_uid, MODEL, tuple(images))


class Station:
    """A job of two images on its way to one PACS."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
        self.ledger.upgrade()
        self.spool = Spool(folder / "spool")
        self.reader = Reader()
        self.got: list[str] = []
        self.kinds: dict[str, ObjectKind] = {}
        views = [("L", "CC"), ("R", "CC")]
        for path, _ in write_study(folder / "study", 1, spacing_mm=0.4, views=views, lesions=[]):
            shutil.copy(path, self.spool.path("instances") / path.name)
            self.ledger.arrivals.register(_instance(path))
        self.job_id = self.ledger.jobs.find()[0].job_id
        self.ledger.jobs.move(self.job_id, S.COMPLETE)

    def send(self, queue: str, job_id: str, destination: str) -> None:
        """Stand for the dispatcher."""

    def analyse(self, kinds: Sequence[ObjectKind]) -> None:
        archive = Destination("archive", "PACS", "127.0.0.1", 104, tuple(kinds))
        self.ledger.jobs.route(self.job_id, [archive])
        config = configuration([archive])
        AnalysisTask(config, self.ledger, self.spool, self, self.reader).run(self.job_id)  # type: ignore[arg-type]

    def deliver(self, taken: Sequence[ObjectKind]) -> None:
        """Deliver to a PACS that takes these kinds."""

        def store(event: evt.Event) -> int:
            self.got.append(str(event.request.AffectedSOPInstanceUID))
            return 0x0000

        accepted = [CLASSES[kind] for kind in taken] or ["1.2.840.10008.5.1.4.1.1.2"]
        with receiver([(evt.EVT_C_STORE, store)], accepted) as port:
            config = configuration([Destination("archive", "PACS", "127.0.0.1", port)])
            DeliveryTask(config, self.ledger, self.spool).run(self.job_id)
        self._remember()

    def _remember(self) -> None:
        self.kinds |= {made.sop_instance_uid: made.kind for made in self.ledger.deliveries.objects(self.job_id)}

    @property
    def kinds_got(self) -> list[ObjectKind]:
        return [self.kinds[uid] for uid in self.got]

    def deliveries(self) -> dict[ObjectKind, tuple[DeliveryState, str]]:
        self._remember()
        return {self.kinds[d.sop_instance_uid]: (d.state, d.comment) for d in self.ledger.deliveries.of(self.job_id)}


def _instance(path: Path) -> Instance:
    ds = dcmread(path, stop_before_pixels=True)
    return Instance(
        sop_instance_uid=ds.SOPInstanceUID,
        sop_class_uid=ds.SOPClassUID,
        study_uid=ds.StudyInstanceUID,
        series_uid=ds.SeriesInstanceUID,
        transfer_syntax_uid=ds.file_meta.TransferSyntaxUID,
        modality="MG",
        laterality=ds.ImageLaterality,
        view=ds.ViewPosition,
        key=f"instances/{path.name}",
        sha256=path.name,
        size_bytes=path.stat().st_size,
        calling_ae="MODALITY",
        received=1.0,
    )


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    poll_often(monkeypatch)
    made = Station(tmp_path)
    yield made
    made.ledger.close()


@pytest.mark.parametrize(
    ("asked", "taken", "got"),
    [
        (("seg", "sr"), (K.SEG, K.SR), [K.SEG, K.SEG, K.SR]),
        (("seg", "sr"), (K.SEG, K.SR_COMPREHENSIVE), [K.SEG, K.SEG, K.SR_COMPREHENSIVE]),
        (("seg", "sr"), (K.PR, K.CAD), [K.PR, K.PR, K.CAD]),
        (("seg", "sr"), (K.SC,), [K.SC]),
        (("seg-labelmap",), (K.SEG,), [K.SEG, K.SEG]),
        (("seg-labelmap", "seg", "sr"), (K.SEG, K.SR), [K.SEG, K.SEG, K.SR]),
        (("seg-fractional", "cad"), (K.SC, K.CAD), [K.CAD, K.SC]),
        (("pr", "sc"), (K.SC,), [K.SC]),
    ],
)
def test_what_a_pacs_does_not_take_is_replaced_and_the_ledger_says_by_what(
    station: Station, asked: tuple[str, ...], taken: tuple[ObjectKind, ...], got: list[ObjectKind]
) -> None:
    kinds = object_kinds(asked)
    station.analyse(kinds)
    assert {made.kind for made in station.ledger.deliveries.objects(station.job_id)} == set(kinds)
    station.deliver(taken)
    job = station.ledger.jobs.get(station.job_id)
    assert (job.state, job.reason) == (S.DELIVERED, "")
    assert station.kinds_got == got
    for kind, (state, comment) in station.deliveries().items():
        if kind in got:
            assert (state, comment) == (DeliveryState.DELIVERED, "")
        else:
            assert state is DeliveryState.REPLACED
            assert comment.endswith(f"; sent as {kind.fallback} instead")
            assert comment.startswith("does not accept") or "accepts none of" in comment
    station.deliver(taken)
    assert station.kinds_got == got, "nothing is sent twice"


def test_where_distortions_are_mapped_no_other_cad_report_replaces_a_measurement_report(station: Station) -> None:
    station.analyse(object_kinds(("seg", "sr", "cad"), "", "density"))
    station.deliver((K.SEG, K.CAD))
    assert station.ledger.jobs.get(station.job_id).state is S.DELIVERED
    assert set(station.kinds_got) == {K.SEG, K.CAD_DENSITY}
    assert station.kinds_got.count(K.CAD_DENSITY) == 1


def test_a_pacs_that_takes_nothing_ends_in_a_failure_that_names_it(station: Station) -> None:
    station.analyse(object_kinds(("seg", "sr")))
    station.deliver(())
    job = station.ledger.jobs.get(station.job_id)
    assert job.state is S.FAILED
    assert job.reason.startswith("archive: accepts none of: ")
    assert "Secondary Capture Image Storage" in job.reason
    assert station.ledger.deliveries.retry(station.job_id) is S.DELIVERING
    station.deliver((K.SC,))
    assert station.ledger.jobs.get(station.job_id).state is S.DELIVERED
    assert station.kinds_got == [K.SC]


def test_a_pacs_that_was_mended_gets_what_it_refused(station: Station) -> None:
    station.analyse(object_kinds(("seg", "sr")))
    station.deliver((K.SC,))
    assert station.ledger.jobs.get(station.job_id).state is S.DELIVERED
    assert station.kinds_got == [K.SC]
    assert station.ledger.deliveries.retry(station.job_id) is S.DELIVERING
    station.deliver((K.SEG, K.SR_COMPREHENSIVE, K.SC))
    assert station.ledger.jobs.get(station.job_id).state is S.DELIVERED
    assert station.kinds_got == [K.SC, K.SEG, K.SEG, K.SR_COMPREHENSIVE]
    assert station.deliveries()[K.SC] == (DeliveryState.DELIVERED, "")


def test_two_pacss_that_refuse_the_same_get_the_same_objects(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """They refuse at the same time; what replaces the refused objects is made once."""
    both, built = threading.Barrier(2, timeout=30), []
    real_send, real_build = deliver.send, deliver.build_results

    def send(*arguments: Any) -> Iterator[Any]:
        yield from real_send(*arguments)
        if len(built) == 0:
            both.wait()

    def build(*arguments: Any, **values: Any) -> Any:
        built.append(arguments[3])
        return real_build(*arguments, **values)

    monkeypatch.setattr(deliver, "send", send)
    monkeypatch.setattr(deliver, "build_results", build)
    names = ("archive", "viewer")
    plan = [Destination(name, "PACS", "127.0.0.1", 104, (K.SEG, K.SR)) for name in names]
    station.ledger.jobs.route(station.job_id, plan)
    AnalysisTask(configuration(plan), station.ledger, station.spool, station, station.reader).run(station.job_id)  # type: ignore[arg-type]
    handlers = [(evt.EVT_C_STORE, lambda event: 0x0000)]
    with receiver(handlers, [CLASSES[K.SEG], CLASSES[K.SR_COMPREHENSIVE]]) as port:
        config = configuration([Destination(name, "PACS", "127.0.0.1", port) for name in names])
        DeliveryTask(config, station.ledger, station.spool).run(station.job_id)
    assert station.ledger.jobs.get(station.job_id).state is S.DELIVERED
    assert built == [[K.SR_COMPREHENSIVE]]


def test_an_algorithm_that_failed_is_told_to_the_pacs_and_what_comes_of_a_retry_replaces_it(station: Station) -> None:
    station.reader.fails = True
    station.analyse(object_kinds(("seg", "sr", "cad")))
    station.deliver((K.SEG, K.SR, K.CAD))
    job = station.ledger.jobs.get(station.job_id)
    assert (job.state, job.reason) == (S.FAILED, "the algorithm failed (RuntimeError)")
    assert station.kinds_got == [K.SR, K.CAD]
    (first,) = station.ledger.deliveries.delivered(job.study_uid, [K.SR], model_words(MODEL))
    assert b"L CC failed: the algorithm failed (RuntimeError)" in station.spool.path(str(first.path)).read_bytes()

    assert station.ledger.deliveries.retry(station.job_id) is S.COMPLETE
    station.analyse(object_kinds(("seg", "sr", "cad")))
    (again,) = (made for made in station.ledger.deliveries.objects(station.job_id) if made.kind is K.SR)
    assert again == first, "the same failure is the same report"
    station.deliver((K.SEG, K.SR, K.CAD))
    assert len(station.got) == 2, "and is not sent twice"

    station.reader.fails = False
    assert station.ledger.deliveries.retry(station.job_id) is S.COMPLETE
    station.analyse(object_kinds(("seg", "sr", "cad")))
    station.deliver((K.SEG, K.SR_COMPREHENSIVE, K.CAD))
    job = station.ledger.jobs.get(station.job_id)
    assert (job.state, job.reason) == (S.DELIVERED, "")
    for kind in (K.SR, K.SR_COMPREHENSIVE):
        (made,) = (made for made in station.ledger.deliveries.objects(station.job_id) if made.kind is kind)
        report = dcmread(station.spool.path(str(made.path)))
        (study,) = report.PredecessorDocumentsSequence
        (replaced,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert replaced.ReferencedSOPInstanceUID == first.sop_instance_uid
    assert K.SR not in station.kinds_got[2:]


def test_a_damaged_kept_result_is_a_failure_not_a_wrong_object(station: Station) -> None:
    station.analyse(object_kinds(("seg", "sr")))
    (station.spool.results(station.job_id) / "result.npz").write_bytes(b"no archive")
    station.deliver((K.SC,))
    assert station.ledger.jobs.get(station.job_id).state is S.FAILED
    assert station.got == []


def test_each_destination_gets_its_own_kinds(station: Station) -> None:
    wanted = {"archive": object_kinds(("seg", "sr")), "viewer": object_kinds(("seg", "sr", "sc"), "ohif")}
    known = [Destination(name, "PACS", "127.0.0.1", 104, kinds) for name, kinds in wanted.items()]
    station.ledger.jobs.route(station.job_id, known)
    config = configuration(known)
    AnalysisTask(config, station.ledger, station.spool, station, station.reader).run(station.job_id)  # type: ignore[arg-type]
    kinds = {made.sop_instance_uid: made.kind for made in station.ledger.deliveries.objects(station.job_id)}
    opened = {name: set() for name in wanted}
    for delivery in station.ledger.deliveries.of(station.job_id):
        opened[delivery.destination].add(kinds[delivery.sop_instance_uid])
    assert opened == {"archive": {K.SEG, K.SR}, "viewer": {K.SEG_OHIF, K.SR_OHIF, K.SC}}


def test_a_page_that_nobody_here_can_draw_fails_with_the_reason(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a worker has no decoder for compressed images; what the PACS takes reaches it all the same."""

    def undecodable(path: Path, window: object) -> NoReturn:
        raise DecoderMissing("no decoder for JPEG Lossless is installed")

    monkeypatch.setattr("workers.deliver.display_pixels", undecodable)
    station.analyse([K.SEG, K.SR, K.CAD])
    station.deliver([K.SEG, K.SR])
    assert station.ledger.jobs.get(station.job_id).state is S.FAILED
    deliveries = station.deliveries()
    assert {kind: state for kind, (state, _) in deliveries.items()} == {
        K.SEG: DeliveryState.DELIVERED,
        K.SR: DeliveryState.DELIVERED,
        K.CAD: DeliveryState.FAILED,
    }
    assert deliveries[K.CAD][1].endswith("; sc cannot be made instead: no decoder for JPEG Lossless is installed")
