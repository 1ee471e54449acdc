"""The transport over local disk: the receiver's refuge when the broker is gone, and the whole queue on one machine.

A spool is a directory. Each writing process owns one file in it, by a lease; one subscription reads them all.
"""

from runtime.spool.file import DamagedSpool
from runtime.spool.subscription import SpoolSubscription
from runtime.spool.waiting import waiting
from runtime.spool.writer import SpoolWriter

__all__ = ["DamagedSpool", "SpoolSubscription", "SpoolWriter", "waiting"]
