"""Who may import whom: the node starts without the science."""

import shutil
import subprocess
import sys
from pathlib import Path

from support.places import ROOT

LISTEN = """
import sys, tempfile
from pathlib import Path
import node.cli.main, node.cli.standalone
from node.intake.intake import Intake
from node.intake.scp import Listener
from node.ledger.ledger import Ledger
from node.store.spool import Spool
folder = Path(sys.argv[1])
ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
ledger.upgrade()
listener = Listener(Intake(Spool(folder / "spool"), ledger), ae_title="FTMTL")
print(listener.start("127.0.0.1", 0))
listener.stop()
print(sorted({"torch", "torchvision", "workers"} & {name.partition(".")[0] for name in sys.modules}))
"""


def test_the_listener_runs_without_torch(tmp_path):
    done = subprocess.run([sys.executable, "-c", LISTEN, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    port, loaded = done.stdout.splitlines()
    assert int(port) > 0
    assert loaded == "[]"


def test_the_walls_stand():
    found = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    assert found, "import-linter is not installed"
    done = subprocess.run([found, "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
