"""What several kinds of result objects share."""
