"""The shape of a spool file: a queue in SQLite."""

from typing import Final

APPLICATION_ID: Final = 0x70_6D_73_70  # "pmsp"
FORMAT: Final = 1
"""Raise it when the shape changes; a release opens only files of its own format."""

# AUTOINCREMENT: an id is never used twice, so "all after this one" misses nothing. Hand-outs are counted apart from the
# messages, because an update of a row writes its whole body again.
DDL: Final = f"""
    BEGIN IMMEDIATE;
    CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, routing_key TEXT NOT NULL, body BLOB NOT NULL);
    CREATE INDEX messages_by_key ON messages (routing_key, id);
    CREATE TABLE hand_outs (id INTEGER PRIMARY KEY, times INTEGER NOT NULL);
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {FORMAT};
    COMMIT;
"""
