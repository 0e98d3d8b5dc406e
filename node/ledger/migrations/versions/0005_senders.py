"""A row per destination: who sends to it, and since when it does not answer."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "senders",
        sa.Column("destination", sa.String(64), primary_key=True),
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lease_until", sa.Float(), nullable=False, server_default="0"),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failing_since", sa.Float(), nullable=False, server_default="0"),
        sa.Column("retry_at", sa.Float(), nullable=False, server_default="0"),
        sa.Column("comment", sa.Text(), nullable=False, server_default=""),
    )
    op.execute("INSERT INTO senders (destination) SELECT DISTINCT destination FROM deliveries")
    op.drop_index("ix_deliveries_state", "deliveries")
    op.create_index("deliveries_due", "deliveries", ["state", "destination", "next_attempt", "opened"])


def downgrade() -> None:
    raise NotImplementedError("restore the back-up that was taken before the upgrade")
