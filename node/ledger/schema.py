"""The ledger's tables. `node.ledger.migrations` creates them; a test keeps the two in step."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("study_uid", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Text, nullable=False, default=""),
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
    Column("last_received", Float, nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("lost", Integer, nullable=False, default=0),
    Column("lease_until", Float, nullable=False, default=0.0),
    Column("dispatched", Float, nullable=False, default=0.0),
    Column("forward_seconds", Float, nullable=False, default=0.0),
    Column("destinations", Text, nullable=False, default="[]"),
    Column("outcome", String(16), nullable=False, default="", server_default=""),
    Column("outcome_reason", Text, nullable=False, default="", server_default=""),
)

# One open job per study: two associations that send a study at the same time must share a job.
Index(
    "one_receiving_job",
    jobs.c.study_uid,
    unique=True,
    sqlite_where=text("state = 'receiving'"),
    postgresql_where=text("state = 'receiving'"),
)

instances = Table(
    "instances",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("job_id", String(32), ForeignKey("jobs.job_id"), nullable=False, index=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("study_uid", String(64), nullable=False, index=True),
    Column("series_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("laterality", String(2)),
    Column("view", String(16)),
    Column("path", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("received", Float, nullable=False),
)

objects = Table(
    "objects",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.job_id"), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("path", Text, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.job_id"), primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("state", String(16), nullable=False, index=True),
    Column("status", Integer),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt", Float, nullable=False, default=0.0),
    Column("comment", Text, nullable=False, default=""),
    Column("opened", Float, nullable=False),
)

rejections = Table(
    "rejections",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("received", Float, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("sop_instance_uid", String(128), nullable=False),
    Column("status", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("path", Text, nullable=False),
)
