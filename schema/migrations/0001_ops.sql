-- The ops schema: what pipemirror itself remembers. Mirrored tables are made per company, from the entity catalogue.
-- Every statement may be run again: the runner records a migration apart from running it, and may die in between.
-- depends:

CREATE TABLE IF NOT EXISTS pipemirror.companies (
    id          bigint PRIMARY KEY,
    slug        text NOT NULL UNIQUE, -- names its two schemas; never given to another company, also after a purge
    state       text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'purged')),
    catalogue   text, -- fingerprint of the entity catalogue that its tables were last completed to
    created_at  timestamptz NOT NULL DEFAULT now(),
    purged_at   timestamptz
);

-- The journal: one row per distinct event. It is what makes at-least-once delivery an exactly-once application.
CREATE TABLE IF NOT EXISTS pipemirror.events (
    company_id  bigint NOT NULL,
    key         text NOT NULL,       -- the event's identity: v2 meta.id, else composed of its content
    entity      text NOT NULL,
    entity_id   text,
    other_ids   text[],              -- further records it changes: one it absorbed, more users in one event of v1
    action      text NOT NULL,
    occurred_at timestamptz,         -- from the body alone
    received_at timestamptz NOT NULL,
    applied_at  timestamptz,         -- null: kept, but it touches no table
    source      text NOT NULL,
    version     text COLLATE "C",
    payload     bytea NOT NULL,      -- the body as received, zstandard
    -- A redelivery has the same occurred_at, so it meets this row in the same partition.
    UNIQUE NULLS NOT DISTINCT (company_id, key, occurred_at)
) PARTITION BY RANGE (occurred_at);

CREATE INDEX IF NOT EXISTS events_record ON pipemirror.events (company_id, entity, entity_id, version);
CREATE INDEX IF NOT EXISTS events_others ON pipemirror.events USING gin (other_ids) WHERE other_ids IS NOT NULL;
-- What waits to be applied: events of a company that was paused, or of an entity without a table.
CREATE INDEX IF NOT EXISTS events_kept ON pipemirror.events (company_id, received_at, key) WHERE applied_at IS NULL;
-- Rows are entered in the order of applied_at: a few bytes per range of pages find the last hour in any journal.
CREATE INDEX IF NOT EXISTS events_applied_at ON pipemirror.events USING brin (applied_at) WITH (autosummarize = on);

-- Events of a day that has no partition (long past, far ahead, no time at all) stay here until their retention is over.
CREATE TABLE IF NOT EXISTS pipemirror.events_default PARTITION OF pipemirror.events DEFAULT;
CREATE INDEX IF NOT EXISTS events_default_received_at ON pipemirror.events_default (received_at);

CREATE TABLE IF NOT EXISTS pipemirror.dead_letters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id  bigint NOT NULL,
    entity      text,
    entity_id   text,
    action      text,
    code        text NOT NULL,
    reason      text NOT NULL,
    received_at timestamptz NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT now(),
    digest      bytea NOT NULL UNIQUE, -- of company, received_at and body: a redelivery from the queue is no second one
    payload     bytea NOT NULL,        -- the body as received, zstandard
    resolved_at timestamptz,
    resolution  text CHECK (resolution IN ('replayed', 'discarded')),
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);

CREATE INDEX IF NOT EXISTS dead_letters_open
    ON pipemirror.dead_letters (company_id, code, entity) WHERE resolved_at IS NULL;

-- Custom field types, learnt from events.
CREATE TABLE IF NOT EXISTS pipemirror.fields (
    company_id  bigint NOT NULL,
    entity      text NOT NULL,
    key         text NOT NULL,
    type        text NOT NULL,
    learnt_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, entity, key)
);

-- Events that were being applied when a worker process died. Written before the attempt, deleted after it.
CREATE TABLE IF NOT EXISTS pipemirror.suspects (
    digest      bytea PRIMARY KEY,
    company_id  bigint NOT NULL,
    attempts    integer NOT NULL,
    seen_at     timestamptz NOT NULL DEFAULT now()
);

-- The state of a company, which cannot change before the caller's transaction ends. An advisory lock, because it queues:
-- a row locked FOR SHARE by one worker after the other would never be free for whoever wants to pause or purge.
-- VOLATILE, so that the second statement sees what was committed while the first one waited.
CREATE OR REPLACE FUNCTION pipemirror.hold_company(bigint, text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock_shared(7102005, hashint8($1));
    SELECT state FROM pipemirror.companies WHERE id = $1 AND slug = $2;
$$;

-- Replays from the journal that somebody asked for, and how far they came: asked for again, one goes on there.
CREATE TABLE IF NOT EXISTS pipemirror.replays (
    id          text PRIMARY KEY,  -- digest of what was asked for
    wanted      jsonb NOT NULL,    -- company_id, entity, entity_id, since, until, kept_only
    until       timestamptz NOT NULL, -- fixed when it began
    position    jsonb,             -- company, pass and the last event that was replayed
    total       bigint NOT NULL,   -- events that were there when it began
    applied     bigint NOT NULL DEFAULT 0,
    passed      bigint NOT NULL DEFAULT 0, -- touch no table
    refused     bigint NOT NULL DEFAULT 0, -- the database refused them again
    left_out    jsonb NOT NULL DEFAULT '{}', -- company -> state that forbids it
    begun_at    timestamptz NOT NULL DEFAULT now(),
    moved_at    timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

-- Companies that were purged: the receipt. It holds counts and times only.
CREATE TABLE IF NOT EXISTS pipemirror.purges (
    company_id  bigint PRIMARY KEY,
    token       text NOT NULL,      -- tells this purge's marks from anybody's events
    begun_at    timestamptz NOT NULL DEFAULT now(),
    deleted     jsonb NOT NULL DEFAULT '{}', -- what -> how many rows
    deleted_at  timestamptz,        -- nothing of the company is left in the database
    spools      jsonb NOT NULL DEFAULT '{}', -- which spools were looked at -> events of the company in them
    spools_passed_at timestamptz,   -- none of them held an event that was received before begun_at
    final_at    timestamptz
);

-- A purge's marks, one per queue: once a worker has met it, everything that was queued before it is gone.
CREATE TABLE IF NOT EXISTS pipemirror.purge_marks (
    company_id  bigint NOT NULL REFERENCES pipemirror.purges ON DELETE CASCADE,
    queue       text NOT NULL,
    sent_at     timestamptz NOT NULL DEFAULT now(),
    passed_at   timestamptz,
    PRIMARY KEY (company_id, queue)
);

-- Lag of the last hour in seconds. event_to_row: from the event's own time; receipt_to_row: from our receipt.
CREATE OR REPLACE VIEW pipemirror.lag AS
SELECT company_id, entity, events, last_event, last_applied,
       event_to_row[1] AS event_to_row_p50, event_to_row[2] AS event_to_row_p95, event_to_row[3] AS event_to_row_p99,
       receipt_to_row[1] AS receipt_to_row_p50, receipt_to_row[2] AS receipt_to_row_p95, receipt_to_row[3] AS receipt_to_row_p99
FROM (
    SELECT company_id, entity, count(*) AS events, max(occurred_at) AS last_event, max(applied_at) AS last_applied,
           percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
               ORDER BY extract(epoch FROM applied_at - occurred_at)::float8) AS event_to_row,
           percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
               ORDER BY extract(epoch FROM applied_at - received_at)::float8) AS receipt_to_row
    FROM pipemirror.events
    WHERE applied_at > now() - interval '1 hour'
    GROUP BY company_id, entity
) AS of_an_hour;
