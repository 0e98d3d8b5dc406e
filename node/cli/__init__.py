"""The command ``ftmtl``: the composition root, the one room that sees all three packages."""
