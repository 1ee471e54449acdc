-- How far the lists of the REST API were read.
-- depends: 0005_upkeep

-- One row for each list and each way of reading it: the walk that is under way, or the last one.
CREATE TABLE IF NOT EXISTS pipemirror.walks (
    company_id  bigint NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('backfill', 'sweep', 'reconcile')),
    entity      text NOT NULL,
    list        text NOT NULL,
    state       text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    since       timestamptz,            -- of a walk through what changed: from when on
    parent      text,                   -- of children: up to which parent they were read
    position    text NOT NULL DEFAULT '', -- the page that comes next
    began_at    timestamptz,            -- when its first request began, on Pipedrive's clock or a little before
    newest      timestamptz,            -- newest update_time among its rows
    rows        bigint NOT NULL DEFAULT 0,
    made        bigint NOT NULL DEFAULT 0, -- of them had no row here before
    refused     bigint NOT NULL DEFAULT 0, -- of them could not be read
    calls       bigint NOT NULL DEFAULT 0,
    tokens      bigint NOT NULL DEFAULT 0,
    code        text,                   -- why it failed, or why the last row was refused
    reason      text,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (company_id, kind, entity, list)
);

-- Up to when each list is known: what changed later is asked for next time. Only a walk that ended moves it.
CREATE TABLE IF NOT EXISTS pipemirror.watermarks (
    company_id  bigint NOT NULL,
    entity      text NOT NULL,
    list        text NOT NULL,
    watermark   timestamptz NOT NULL,
    whole_at    timestamptz,            -- when all of it was read last: the beginning of that walk
    PRIMARY KEY (company_id, entity, list)
);
