-- What became of our webhooks at Pipedrive when their company was purged.
-- depends: 0013_reconciled

-- removed: ids of those that were; problem: why some may still be there, null once none is
ALTER TABLE pipemirror.purges ADD COLUMN IF NOT EXISTS webhooks jsonb;
