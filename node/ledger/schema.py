"""The ledger's tables. `node.ledger.migrations` builds them; a test keeps the two the same.

What was received (``studies``, ``instances``) stands apart from what is made of it (``jobs``, ``objects``), and that
from what is sent (``deliveries``): one instance may be in many jobs, and one study may have many.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData()

studies = Table(
    "studies",
    metadata,
    Column("study_uid", String(64), primary_key=True),
    Column("patient_id", Text, nullable=False, default="", index=True),
    Column("issuer", Text, nullable=False, default=""),
    Column("patient_name", Text, nullable=False, default=""),
    Column("accession_number", Text, nullable=False, default="", index=True),
    Column("study_date", String(8), nullable=False, default=""),
    Column("description", Text, nullable=False, default=""),
    Column("first_received", Float, nullable=False),
    Column("last_received", Float, nullable=False),
)

instances = Table(
    "instances",
    metadata,
    Column("instance_id", Integer, primary_key=True, autoincrement=True),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("study_uid", String(64), ForeignKey("studies.study_uid"), nullable=False, index=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("laterality", String(2)),
    Column("view", String(16)),
    Column("refusal", Text, nullable=False, default=""),
    Column("identity", String(64), nullable=False, default=""),
    Column("key", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("received", Float, nullable=False),
    Column("is_current", Boolean, nullable=False, default=True),
    Column("set_aside", Text, nullable=False, default=""),
    Column("substitute", Boolean, nullable=False, default=False, server_default=false()),
    UniqueConstraint("sop_instance_uid", "sha256", name="one_version"),
)

# Of the versions of an instance, one is in force.
Index(
    "one_current_version",
    instances.c.sop_instance_uid,
    unique=True,
    sqlite_where=text("is_current"),
    postgresql_where=text("is_current"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("study_uid", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("cause", String(16), nullable=False, default="arrival", server_default="arrival"),
    Column("weights", Text, nullable=False, default="", server_default=""),
    Column("model", Text, nullable=False, default="", server_default=""),
    Column("priority", Integer, nullable=False, default=0, server_default="0"),
    Column("run_id", String(32), nullable=False, default="", server_default=""),
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
    Column("last_received", Float, nullable=False),
    Column("due", Float, nullable=False, default=0.0, server_default="0"),
    Column("attempt", Integer, nullable=False, default=0),
    Column("lost", Integer, nullable=False, default=0),
    Column("lease_until", Float, nullable=False, default=0.0),
    Column("dispatched", Float, nullable=False, default=0.0),
    Column("forward_seconds", Float, nullable=False, default=0.0),
    Column("plan", Text, nullable=False, default="{}", server_default="{}"),
    Column("outcome", String(16), nullable=False, default="", server_default=""),
    Column("outcome_reason", Text, nullable=False, default="", server_default=""),
    Column("remarks", Text, nullable=False, default="", server_default=""),
)

Index("jobs_due", jobs.c.state, jobs.c.due)
Index("jobs_newest", jobs.c.created, jobs.c.job_id)

# One open job per study: two associations that bring a study at once must meet in the same job.
Index(
    "one_receiving_job",
    jobs.c.study_uid,
    unique=True,
    sqlite_where=text("state = 'receiving'"),
    postgresql_where=text("state = 'receiving'"),
)

job_instances = Table(
    "job_instances",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.job_id"), primary_key=True),
    Column("instance_id", Integer, ForeignKey("instances.instance_id"), primary_key=True, index=True),
)

objects = Table(
    "objects",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.job_id"), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True, index=True),
    Column("kind", String(16), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("key", Text, nullable=False),
)

# When an object was first made: it is written whenever the same object is made again.
creations = Table(
    "creations",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("at", Float, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.job_id"), primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("status", Integer),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt", Float, nullable=False, default=0.0),
    Column("comment", Text, nullable=False, default=""),
    Column("opened", Float, nullable=False),
)

# What a destination gets next: found without looking at what else waits for it.
Index(
    "deliveries_due",
    deliveries.c.state,
    deliveries.c.destination,
    deliveries.c.next_attempt,
    deliveries.c.opened,
)

senders = Table(
    "senders",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("attempt", Integer, nullable=False, default=0, server_default="0"),
    Column("lease_until", Float, nullable=False, default=0.0, server_default="0"),
    Column("failures", Integer, nullable=False, default=0, server_default="0"),
    Column("failing_since", Float, nullable=False, default=0.0, server_default="0"),
    Column("retry_at", Float, nullable=False, default=0.0, server_default="0"),
    Column("comment", Text, nullable=False, default="", server_default=""),
)

history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("jobs.job_id"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", String(128), nullable=False),
)

associations = Table(
    "associations",
    metadata,
    Column("association_id", String(32), primary_key=True),
    Column("node", String(128), nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("opened", Float, nullable=False),
    Column("heartbeat", Float, nullable=False),
    Column("active", Float, nullable=False),
)

association_studies = Table(
    "association_studies",
    metadata,
    Column("association_id", String(32), ForeignKey("associations.association_id"), primary_key=True),
    Column("study_uid", String(64), primary_key=True, index=True),
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
    Column("key", Text, nullable=False),
)

network_events = Table(
    "network_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("called_ae", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first", Float, nullable=False),
    Column("last", Float, nullable=False, index=True),
    UniqueConstraint("kind", "calling_ae", "called_ae", "address", "reason", name="one_network_event"),
)
