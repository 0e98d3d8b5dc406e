"""``python -m node.cli``: the command ``ftmtl``."""

import sys

from node.cli.main import main

sys.exit(main())
