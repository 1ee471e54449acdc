"""The advisory locks of Postgres that our processes take, numbered in one place.

Who takes several does so in this order: MIGRATION or SLUGS, then DDL, then STATE, then tables and rows; HOUSEKEEPING
before PARTITIONS.
"""

from typing import Final

MIGRATION: Final = 7_102_000
"""Of a session: one at a time prepares the database."""

SLUGS: Final = 7_102_001
"""One at a time may become the first company."""

PARTITIONS: Final = 7_102_002
"""One at a time makes and drops partitions of the journal."""

DDL: Final = 7_102_003
"""With the company's hash: one at a time makes or drops its tables."""

HOUSEKEEPING: Final = 7_102_004
"""Of a session: one worker at a time keeps house."""

STATE: Final = 7_102_005
"""With the company's hash: shared by who applies its events (in SQL: `pipemirror.hold_company`), alone by who changes
its state or its tables."""

HEALING: Final = 7_102_006
"""Of a session, with the company's hash: one process at a time reads its account over the REST API."""

SUBSCRIBING: Final = 7_102_007
"""Of a session, with the company's hash: one process at a time makes and removes its webhooks."""
