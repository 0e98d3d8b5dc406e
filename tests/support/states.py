"""What the ledger and Orthanc say of a study that went through a fault."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from pydicom import dcmread

from support.peers import NodeProcess, Orthanc
from support.records import SR


def ledger(node: NodeProcess, query: str) -> list[tuple]:
    """Ask the ledger of a node, whatever holds it."""
    engine = sa.create_engine(node.environment.get("FTMTL_LEDGER_URL") or f"sqlite:///{node.data / 'ledger.sqlite'}")
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]
    finally:
        engine.dispose()


def delivered(node: NodeProcess) -> bool:
    return [state for (state,) in ledger(node, "SELECT state FROM jobs")] == ["delivered"]


def assert_whole_and_once(orthanc: Orthanc, node: NodeProcess, paths: list[Path]) -> None:
    """Assert that Orthanc holds just the objects that the ledger names, with one report that covers all sources."""
    held = [str(ds.SOPInstanceUID) for ds in orthanc.instances()]
    assert sorted(held) == sorted(uid for (uid,) in ledger(node, "SELECT sop_instance_uid FROM objects"))
    (report,) = [ds for ds in orthanc.instances() if ds.SOPClassUID == SR]
    evidence = {
        item.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in paths} <= evidence
