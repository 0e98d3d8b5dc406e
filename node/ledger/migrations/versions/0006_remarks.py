"""Record what a reader has to know of an analysis, and which images stand in for others."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("remarks", sa.Text(), nullable=False, server_default=""))
    op.add_column("instances", sa.Column("substitute", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("instances", "substitute")
    op.drop_column("jobs", "remarks")
