"""How often Python looks for garbage that reference counts do not find."""

import gc


def collect_seldom(new_objects: int) -> None:
    """Look once there are so many more containers than at the last look. What exists by now is left out for good.

    Call it once a process is ready for work. Of several roles in one process, the most counts. With Python's own
    threshold of 700 a worker spent a twelfth of its time looking through events that were all alive.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(max(new_objects, gc.get_threshold()[0]))
