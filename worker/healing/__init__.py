"""What webhooks miss the REST API heals: backfill, hydrate, sweep, reconcile, and what each of them is made of."""
