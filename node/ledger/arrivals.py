"""Received and refused instances."""

from __future__ import annotations

import uuid
from enum import Enum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from node.domain import Instance, JobState
from node.errors import LedgerError
from node.ledger.database import Database
from node.ledger.schema import instances, jobs, rejections


class Registration(Enum):
    """The result of `Arrivals.register`."""

    NEW = "new"
    SAME = "same"
    CONFLICT = "conflict"


class Arrivals:
    """Records received and refused instances."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def register(self, instance: Instance) -> Registration:
        """Record a received instance in its study's open job, or in a new one.

        Returns
        -------
        Registration
            ``SAME`` if the identical data set is already known, ``CONFLICT`` if its UID is known
            with other content; neither changes the ledger.

        Raises
        ------
        LedgerError
            If other associations kept getting in first.
        """
        for _ in range(3):
            try:
                with self.database.write() as connection:
                    return self._register(connection, instance)
            except IntegrityError:
                continue  # another association was faster: try again
        raise LedgerError(f"instance {instance.sop_instance_uid} cannot be registered")

    def _register(self, connection: sa.Connection, instance: Instance) -> Registration:
        known = connection.execute(
            sa.select(instances.c.sha256).where(instances.c.sop_instance_uid == instance.sop_instance_uid)
        ).scalar()
        if known is not None:
            return Registration.SAME if known == instance.sha256 else Registration.CONFLICT
        job_id = connection.execute(
            sa.select(jobs.c.job_id)
            .where(jobs.c.study_uid == instance.study_uid, jobs.c.state == JobState.RECEIVING)
            .with_for_update()  # PostgreSQL: the job must not be closed while this is added
        ).scalar()
        now = self.database.clock()
        if job_id is None:
            job_id = uuid.uuid4().hex
            connection.execute(
                jobs.insert().values(
                    job_id=job_id,
                    study_uid=instance.study_uid,
                    state=JobState.RECEIVING,
                    created=now,
                    updated=now,
                    last_received=now,
                )
            )
        else:
            connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(last_received=now, updated=now))
        row = {column.name: getattr(instance, column.name) for column in instances.c if column.name != "job_id"}
        connection.execute(instances.insert().values(**row | {"path": str(instance.path), "job_id": job_id}))
        return Registration.NEW

    def instances(self, job_id: str) -> list[Instance]:
        """Return a job's instances, ordered by SOP Instance UID."""
        query = instances.select().where(instances.c.job_id == job_id).order_by(instances.c.sop_instance_uid)
        with self.database.read() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        return [
            Instance(**{k: v for k, v in row.items() if k != "job_id"} | {"path": Path(row["path"])}) for row in rows
        ]

    def reject(self, sop_instance_uid: str, calling_ae: str, status: int, reason: str, path: Path | None) -> None:
        """Record an instance that was refused, and where its copy is, if one was kept."""
        with self.database.write() as connection:
            connection.execute(
                rejections.insert().values(
                    received=self.database.clock(),
                    calling_ae=calling_ae,
                    sop_instance_uid=sop_instance_uid,
                    status=status,
                    reason=reason,
                    path=str(path or ""),
                )
            )

    def rejected(self) -> list[dict[str, Any]]:
        """Return the refused instances, oldest first."""
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(rejections.select().order_by(rejections.c.id))]
