"""The ``ftmtl`` command: the composition root, the only part of the node that imports all three packages."""
