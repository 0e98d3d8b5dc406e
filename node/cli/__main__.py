"""``python -m node.cli``: the ``ftmtl`` command."""

import sys

from node.cli.main import main

sys.exit(main())
