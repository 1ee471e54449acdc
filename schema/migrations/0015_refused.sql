-- Rows of the REST API that could not be read: nothing of them is in the tables, and watermarks have passed them.
-- Each is asked for again every day, or when its list is read whole; one that can be read is no longer here.
-- depends: 0014_purged_webhooks

CREATE TABLE IF NOT EXISTS pipemirror.refused_rows (
    company_id  bigint NOT NULL,
    entity      text NOT NULL,
    entity_id   text NOT NULL,          -- empty where the row names no record
    code        text NOT NULL,
    reason      text NOT NULL,
    first_at    timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, entity, entity_id)
);
