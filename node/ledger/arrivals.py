"""Received and refused instances."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ftmtl.header.classes import is_image
from node.domain import Cause, Instance, JobState, StudyFacts
from node.errors import LedgerError
from node.ledger.database import Database
from node.ledger.schema import instances, job_instances, jobs, objects, rejections, studies

_COLUMNS = tuple(name for name in Instance.__dataclass_fields__)


class Registration(Enum):
    """The result of `Arrivals.register`."""

    NEW = "new"
    SAME = "same"
    OWN = "own"
    """One of the node's own result objects came back."""
    CONFLICT = "conflict"


class Arrivals:
    """Records received and refused instances."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def register(
        self, instance: Instance, facts: StudyFacts | None = None, *, image: bool = True, replace: Cause | None = None
    ) -> Registration:
        """Record a received instance, and put an image into its study's open job, or into a new one.

        Parameters
        ----------
        facts
            What the header says of patient and study; the newest header wins.
        image
            False for objects that are stored only: reports, segmentations, presentation states.
        replace
            If the instance takes the place of another version with the same UID: the reason of the analysis that
            follows.

        Returns
        -------
        Registration
            ``SAME`` if this version is already known, ``OWN`` if it is a result object of this node, ``CONFLICT`` if
            its UID is known with other content and ``replace`` is None; a conflict does not change the ledger.

        Raises
        ------
        LedgerError
            If other associations kept getting in first.
        """
        for _ in range(5):
            try:
                with self.database.write() as connection:
                    return self._register(connection, instance, facts or StudyFacts(), image, replace)
            except IntegrityError:
                continue  # another association was faster: try again
        raise LedgerError(f"instance {instance.sop_instance_uid} cannot be registered")

    def set_aside(self, instance: Instance, reason: str) -> None:
        """Record a version that does not take the place of the one in force, and why."""
        with self.database.write() as connection:
            known = connection.execute(
                sa.select(instances.c.instance_id).where(
                    instances.c.sop_instance_uid == instance.sop_instance_uid, instances.c.sha256 == instance.sha256
                )
            ).scalar()
            if known is None:
                self._touch_study(connection, instance, StudyFacts())
                connection.execute(instances.insert().values(**_row(instance), is_current=False, set_aside=reason))

    def current(self, sop_instance_uid: str) -> Instance | None:
        """Return the version of an instance that is in force."""
        query = instances.select().where(instances.c.sop_instance_uid == sop_instance_uid, instances.c.is_current)
        with self.database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _instance(row)

    def instances(self, job_id: str) -> list[Instance]:
        """Return a job's instances in the order in which they were received."""
        return self.instances_of([job_id]).get(job_id, [])

    def instances_of(self, job_ids: Sequence[str]) -> dict[str, list[Instance]]:
        """Return the instances of several jobs by job id, each list in the order of reception."""
        query = (
            sa.select(job_instances.c.job_id, instances)
            .join(instances, instances.c.instance_id == job_instances.c.instance_id)
            .where(job_instances.c.job_id.in_(list(job_ids)))
            .order_by(instances.c.received, instances.c.instance_id)
        )
        found: dict[str, list[Instance]] = {}
        with self.database.read() as connection:
            for row in connection.execute(query):
                found.setdefault(row.job_id, []).append(_instance(row))
        return found

    def replacing(self, job_id: str) -> set[str]:
        """Return the SOP Instance UIDs of a job's instances that took the place of an earlier version."""
        other = instances.alias()
        earlier = sa.select(other.c.instance_id).where(
            other.c.sop_instance_uid == instances.c.sop_instance_uid, other.c.instance_id < instances.c.instance_id
        )
        query = (
            sa.select(instances.c.sop_instance_uid)
            .join(job_instances, instances.c.instance_id == job_instances.c.instance_id)
            .where(job_instances.c.job_id == job_id, earlier.exists())
        )
        with self.database.read() as connection:
            return set(connection.execute(query).scalars())

    def facts(self, study_uids: Sequence[str]) -> Mapping[str, StudyFacts]:
        """Return what is known of some studies, by Study Instance UID."""
        query = studies.select().where(studies.c.study_uid.in_(list(study_uids)))
        names = tuple(StudyFacts.__dataclass_fields__)
        with self.database.read() as connection:
            return {
                row.study_uid: StudyFacts(**{name: getattr(row, name) for name in names})
                for row in connection.execute(query)
            }

    def reject(self, sop_instance_uid: str, calling_ae: str, status: int, reason: str, key: str | None) -> None:
        """Record an instance that was refused, and the key of its copy, if one was kept."""
        with self.database.write() as connection:
            connection.execute(
                rejections.insert().values(
                    received=self.database.clock(),
                    calling_ae=calling_ae,
                    sop_instance_uid=sop_instance_uid,
                    status=status,
                    reason=reason,
                    key=key or "",
                )
            )

    def rejected(self) -> list[dict[str, Any]]:
        """Return the refused instances, oldest first."""
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(rejections.select().order_by(rejections.c.id))]

    # -- inside ------------------------------------------------------------------------------------------------

    def _register(
        self, connection: sa.Connection, instance: Instance, facts: StudyFacts, image: bool, replace: Cause | None
    ) -> Registration:
        made = sa.select(objects.c.sop_instance_uid).where(objects.c.sop_instance_uid == instance.sop_instance_uid)
        if connection.execute(made.limit(1)).scalar() is not None:
            return Registration.OWN
        query = sa.select(instances.c.instance_id, instances.c.sha256, instances.c.is_current, instances.c.study_uid)
        known = connection.execute(query.where(instances.c.sop_instance_uid == instance.sop_instance_uid)).all()
        if any(row.sha256 == instance.sha256 for row in known):
            self._touch(connection, instance.study_uid)
            return Registration.SAME
        if known and replace is None:
            return Registration.CONFLICT
        self._touch_study(connection, instance, facts)
        for row in (row for row in known if row.is_current):
            self._supersede(connection, row.instance_id)
        instance_id = self._insert(connection, instance)
        if image and not self._changes_nothing(connection, instance, replace):
            job_id = self._open_job(connection, instance.study_uid, replace or Cause.LATE)
            link = {"job_id": job_id, "instance_id": instance_id}
            if connection.execute(job_instances.select().filter_by(**link)).first() is None:
                connection.execute(job_instances.insert().values(**link))
        return Registration.NEW

    def _changes_nothing(self, connection: sa.Connection, instance: Instance, replace: Cause | None) -> bool:
        """Return whether an image comes after the analysis and would only add a refusal to it.

        Such as another reader's secondary capture: two readers behind one PACS must not answer each other for ever. A
        study of which nothing could be read is looked at again for every mammogram.
        """
        if not instance.refusal or replace is not None:
            return False
        of_study = sa.select(jobs.c.state).where(jobs.c.study_uid == instance.study_uid)
        states = connection.execute(of_study).scalars().all()
        if not states or JobState.RECEIVING in states:
            return False
        readable = sa.select(instances.c.instance_id).where(
            instances.c.study_uid == instance.study_uid, instances.c.refusal == ""
        )
        return instance.modality != "MG" or connection.execute(readable.limit(1)).first() is not None

    def _insert(self, connection: sa.Connection, instance: Instance) -> int:
        added = connection.execute(instances.insert().values(**_row(instance), is_current=True))
        primary_key = added.inserted_primary_key
        assert primary_key is not None
        return int(primary_key[0])

    def _supersede(self, connection: sa.Connection, instance_id: int) -> None:
        connection.execute(
            instances.update()
            .where(instances.c.instance_id == instance_id)
            .values(is_current=False, set_aside="a newer version with the same UID arrived")
        )
        receiving = sa.select(jobs.c.job_id).where(jobs.c.state == JobState.RECEIVING)
        connection.execute(
            job_instances.delete().where(
                job_instances.c.instance_id == instance_id, job_instances.c.job_id.in_(receiving)
            )
        )

    def _touch_study(self, connection: sa.Connection, instance: Instance, facts: StudyFacts) -> None:
        now = self.database.clock()
        known = {name: value for name, value in asdict(facts).items() if value}
        changed = connection.execute(
            studies.update().where(studies.c.study_uid == instance.study_uid).values(last_received=now, **known)
        )
        if not changed.rowcount:
            connection.execute(
                studies.insert().values(
                    study_uid=instance.study_uid, first_received=now, last_received=now, **asdict(facts)
                )
            )

    def _touch(self, connection: sa.Connection, study_uid: str) -> None:
        """Count an instance that was sent again as activity."""
        now = self.database.clock()
        connection.execute(
            jobs.update()
            .where(jobs.c.study_uid == study_uid, jobs.c.state == JobState.RECEIVING)
            .values(last_received=now)
        )

    def _open_job(self, connection: sa.Connection, study_uid: str, cause: Cause) -> str:
        """Return the job of a study that takes instances in; a new one begins with all that is known of the study."""
        now = self.database.clock()
        job_id = connection.execute(
            sa.select(jobs.c.job_id)
            .where(jobs.c.study_uid == study_uid, jobs.c.state == JobState.RECEIVING)
            .with_for_update()  # PostgreSQL: the job must not be closed while this is added
        ).scalar()
        if job_id is not None:
            values: dict[str, Any] = {"cause": cause} if cause is Cause.CORRECTED else {}
            connection.execute(
                jobs.update().where(jobs.c.job_id == job_id).values(last_received=now, updated=now, due=now, **values)
            )
            return str(job_id)
        first = connection.execute(sa.select(jobs.c.job_id).where(jobs.c.study_uid == study_uid).limit(1)).first()
        job_id = add_job(connection, study_uid, JobState.RECEIVING, Cause.ARRIVAL if first is None else cause, now)
        if first is not None:
            take_current(connection, job_id, study_uid)
        return job_id


def add_job(connection: sa.Connection, study_uid: str, state: JobState, cause: Cause, now: float, **values: Any) -> str:
    """Insert a job without instances, and return its id."""
    job_id = uuid.uuid4().hex
    times = {"created": now, "updated": now, "last_received": now, "due": now}
    connection.execute(
        jobs.insert().values(job_id=job_id, study_uid=study_uid, state=state, cause=cause, **times, **values)
    )
    return job_id


def take_current(connection: sa.Connection, job_id: str, study_uid: str) -> None:
    """Put every image of a study, in the version in force, into a job."""
    query = sa.select(instances.c.instance_id, instances.c.sop_class_uid)
    rows = connection.execute(query.where(instances.c.study_uid == study_uid, instances.c.is_current)).all()
    links = [{"job_id": job_id, "instance_id": row.instance_id} for row in rows if is_image(row.sop_class_uid)]
    if links:
        connection.execute(job_instances.insert(), links)


def _row(instance: Instance) -> dict[str, Any]:
    return asdict(instance)


def _instance(row: Any) -> Instance:
    return Instance(**{name: getattr(row, name) for name in _COLUMNS})
