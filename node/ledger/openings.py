"""Result objects of a job, and the opening of their deliveries, within a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.domain import DeliveryState, ResultObject
from node.kinds import ObjectKind
from node.ledger.schema import deliveries, jobs, objects
from node.ledger.senders import add_within

Delivered = Mapping[tuple[str, str], int | None]
"""Which objects a study's jobs have delivered: by destination and SOP Instance UID the status."""


class Opening(NamedTuple):
    """Of which job deliveries are opened, to which destination, and when, in seconds since the epoch."""

    job_id: str
    destination: str
    now: float


def objects_within(connection: sa.Connection, job_id: str) -> list[ResultObject]:
    """Return a job's result objects, in sending order."""
    query = objects.select().where(objects.c.job_id == job_id).order_by(objects.c.sop_instance_uid)
    return sorted(map(result_object, connection.execute(query)), key=lambda result: result.kind.place)


def result_object(row: Any) -> ResultObject:
    """Return a row of ``objects`` as a domain object."""
    return ResultObject(ObjectKind(row.kind), row.sop_class_uid, row.sop_instance_uid, row.series_uid, Path(row.key))


def add_objects(connection: sa.Connection, job_id: str, results: Sequence[ResultObject]) -> None:
    """Record result objects of a job."""
    for result in results:
        connection.execute(
            objects.insert().values(
                job_id=job_id,
                sop_instance_uid=result.sop_instance_uid,
                kind=result.kind,
                sop_class_uid=result.sop_class_uid,
                series_uid=result.series_uid,
                key=str(result.path),
            )
        )


def delivered_within(connection: sa.Connection, study_uid: str, results: Sequence[ResultObject]) -> Delivered:
    """Return which of some objects any job of the study has delivered."""
    query = (
        sa.select(deliveries.c.destination, deliveries.c.sop_instance_uid, deliveries.c.status)
        .join(jobs, jobs.c.job_id == deliveries.c.job_id)
        .where(jobs.c.study_uid == study_uid, deliveries.c.state == DeliveryState.DELIVERED)
        .where(deliveries.c.sop_instance_uid.in_([made.sop_instance_uid for made in results]))
    )
    return {(row.destination, row.sop_instance_uid): row.status for row in connection.execute(query)}


def open_deliveries(
    connection: sa.Connection, opening: Opening, results: Sequence[ResultObject], there: Delivered
) -> None:
    """Open deliveries, except those that are already open; what is there already counts as delivered."""
    job_id, destination, now = opening
    add_within(connection, [destination])
    query = sa.select(deliveries.c.sop_instance_uid).where(
        deliveries.c.job_id == job_id, deliveries.c.destination == destination
    )
    known = set(connection.execute(query).scalars())
    for uid in (made.sop_instance_uid for made in results if made.sop_instance_uid not in known):
        done = (destination, uid) in there
        connection.execute(
            deliveries.insert().values(
                job_id=job_id,
                destination=destination,
                sop_instance_uid=uid,
                state=DeliveryState.DELIVERED if done else DeliveryState.PENDING,
                status=there.get((destination, uid)),
                opened=now,
            )
        )
