"""What was received stands apart from what is made of it; keys instead of paths; history; associations."""

import json
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ANALYSABLE = ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.7")
_ROOMS = ("instances", "results", "rejected")
_CHUNK = 1000


def upgrade() -> None:
    connection = op.get_bind()
    _create_studies(connection)
    _create_instances(connection)
    _alter_jobs(connection)
    for table in ("objects", "rejections"):
        op.execute(f'ALTER TABLE {table} RENAME COLUMN path TO "key"')
        _relative(connection, table)
    op.create_index(op.f("ix_objects_sop_instance_uid"), "objects", ["sop_instance_uid"])
    _create_others()


def _create_studies(connection: sa.Connection) -> None:
    op.create_table(
        "studies",
        sa.Column("study_uid", sa.String(64), primary_key=True),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("accession_number", sa.Text(), nullable=False),
        sa.Column("study_date", sa.String(8), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("first_received", sa.Float(), nullable=False),
        sa.Column("last_received", sa.Float(), nullable=False),
    )
    op.create_index(op.f("ix_studies_patient_id"), "studies", ["patient_id"])
    op.create_index(op.f("ix_studies_accession_number"), "studies", ["accession_number"])
    connection.execute(
        sa.text(
            "INSERT INTO studies SELECT study_uid, '', '', '', '', '', '', min(created), max(last_received) "
            "FROM jobs GROUP BY study_uid"
        )
    )


def _create_instances(connection: sa.Connection) -> None:
    old = [
        "sop_class_uid", "study_uid", "series_uid", "transfer_syntax_uid", "modality", "laterality", "view",
        "sha256", "size_bytes", "calling_ae", "received",
    ]  # fmt: skip
    op.drop_index("ix_instances_study_uid", "instances")
    op.drop_index("ix_instances_job_id", "instances")
    op.rename_table("instances", "instances_0002")
    op.create_table(
        "instances",
        sa.Column("instance_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_uid", sa.String(64), sa.ForeignKey("studies.study_uid"), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("series_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.Column("modality", sa.String(16), nullable=False),
        sa.Column("laterality", sa.String(2)),
        sa.Column("view", sa.String(16)),
        sa.Column("refusal", sa.Text(), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("received", sa.Float(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("set_aside", sa.Text(), nullable=False),
        sa.UniqueConstraint("sop_instance_uid", "sha256", name="one_version"),
    )
    op.create_index(op.f("ix_instances_study_uid"), "instances", ["study_uid"])
    op.create_index(
        "one_current_version",
        "instances",
        ["sop_instance_uid"],
        unique=True,
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    )
    op.create_table(
        "job_instances",
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("instance_id", sa.Integer(), sa.ForeignKey("instances.instance_id"), primary_key=True),
    )
    op.create_index(op.f("ix_job_instances_instance_id"), "job_instances", ["instance_id"])
    columns = ", ".join(f'"{name}"' for name in old)
    classes = ", ".join(f"'{uid}'" for uid in _ANALYSABLE)
    refusal = f"CASE WHEN sop_class_uid IN ({classes}) THEN '' ELSE 'not an image that is analysed' END"
    connection.execute(
        sa.text(
            f'INSERT INTO instances (sop_instance_uid, {columns}, refusal, identity, "key", is_current, set_aside) '
            f"SELECT sop_instance_uid, {columns}, {refusal}, '', path, true, '' FROM instances_0002"
        )
    )
    connection.execute(
        sa.text(
            "INSERT INTO job_instances SELECT o.job_id, n.instance_id FROM instances_0002 o "
            "JOIN instances n ON n.sop_instance_uid = o.sop_instance_uid"
        )
    )
    op.drop_table("instances_0002")
    _relative(connection, "instances")
    connection.execute(  # a late image is now analysed with the whole study
        sa.text(
            "INSERT INTO job_instances SELECT r.job_id, i.instance_id FROM jobs r "
            "JOIN instances i ON i.study_uid = r.study_uid WHERE r.state = 'receiving' AND NOT EXISTS "
            "(SELECT 1 FROM job_instances k WHERE k.job_id = r.job_id AND k.instance_id = i.instance_id)"
        )
    )


def _alter_jobs(connection: sa.Connection) -> None:
    for name, kind, default in (
        ("cause", sa.String(16), "arrival"),
        ("weights", sa.Text(), ""),
        ("model", sa.Text(), ""),
        ("priority", sa.Integer(), "0"),
        ("run_id", sa.String(32), ""),
        ("due", sa.Float(), "0"),
        ("plan", sa.Text(), "{}"),
    ):
        op.add_column("jobs", sa.Column(name, kind, nullable=False, server_default=default))
    jobs = sa.table("jobs", *map(sa.column, ("job_id", "destinations", "plan")))
    rows = connection.execute(sa.select(jobs.c.job_id, jobs.c.destinations).where(jobs.c.destinations != "[]")).all()
    update = jobs.update().where(jobs.c.job_id == sa.bindparam("id")).values(plan=sa.bindparam("routed"))
    for some in _chunks([{"id": row.job_id, "routed": _plan(row.destinations)} for row in rows]):
        connection.execute(update, some)
    connection.execute(
        sa.text(
            "UPDATE jobs SET cause = 'late' WHERE state = 'receiving' AND EXISTS "
            "(SELECT 1 FROM jobs e WHERE e.study_uid = jobs.study_uid AND e.state <> 'receiving')"
        )
    )
    op.drop_column("jobs", "destinations")
    op.drop_index("ix_jobs_state", "jobs")
    op.create_index("jobs_due", "jobs", ["state", "due"])
    op.create_index("jobs_newest", "jobs", ["created", "job_id"])


def _plan(destinations: str) -> str:
    """Which kinds a destination gets was not recorded: none listed means what the configuration says."""
    return json.dumps({name: [] for name in json.loads(destinations)})


def _relative(connection: sa.Connection, table: str) -> None:
    """Turn absolute paths under a folder ``spool`` into keys relative to it."""
    target = sa.table(table, sa.column("key"))
    paths = connection.execute(sa.select(target.c.key).where(target.c.key.like("%/%")).distinct()).scalars().all()
    update = target.update().where(target.c.key == sa.bindparam("path")).values(key=sa.bindparam("relative"))
    for some in _chunks([{"path": path, "relative": _key(path)} for path in paths]):
        connection.execute(update, some)


def _key(path: str) -> str:
    for room in _ROOMS:
        before, _, rest = path.rpartition(f"/spool/{room}/")
        if before:
            return f"{room}/{rest}"
    return path


def _chunks(rows: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK]


def _create_others() -> None:
    op.create_table(
        "history",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("before", sa.String(16), nullable=False),
        sa.Column("after", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
    )
    op.create_index(op.f("ix_history_job_id"), "history", ["job_id"])
    op.create_table(
        "associations",
        sa.Column("association_id", sa.String(32), primary_key=True),
        sa.Column("node", sa.String(128), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("opened", sa.Float(), nullable=False),
        sa.Column("heartbeat", sa.Float(), nullable=False),
        sa.Column("active", sa.Float(), nullable=False),
    )
    op.create_table(
        "association_studies",
        sa.Column("association_id", sa.String(32), sa.ForeignKey("associations.association_id"), primary_key=True),
        sa.Column("study_uid", sa.String(64), primary_key=True),
    )
    op.create_index(op.f("ix_association_studies_study_uid"), "association_studies", ["study_uid"])


def downgrade() -> None:
    raise NotImplementedError("restore the back-up that was taken before the upgrade")
