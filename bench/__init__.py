"""How fast it is, measured: each figure beside what it is compared with, in one run. See README.md in this folder."""

import sys
from pathlib import Path

# The throw-away broker and the processes under test are those of the tests.
sys.path.append(str(Path(__file__).parents[1] / "tests"))
