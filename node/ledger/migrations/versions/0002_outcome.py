"""Record how an analysis ended, in addition to the state of its delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("outcome", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("outcome_reason", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("jobs", "outcome_reason")
    op.drop_column("jobs", "outcome")
