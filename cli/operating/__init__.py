"""Commands of those who run it: companies, dead letters, replay, purge, status."""
