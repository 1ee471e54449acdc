"""Envelopes to rows: one committed transaction after another, and what becomes of an event that cannot be one."""
