"""How often Python looks for garbage that reference counts do not find."""

import gc
from typing import Final

NEW_OBJECTS: Final = 100_000
"""More new containers than a batch of events makes: nearly all of them are gone with it, without being looked for."""


def collect_seldom() -> None:
    """Call it once a process is ready for work: what exists by then stays, and is left out of every collection.

    With Python's own threshold of 700 a worker spent a twelfth of its time looking through events that were all alive.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
