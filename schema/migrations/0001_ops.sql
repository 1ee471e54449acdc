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
    attempts    integer NOT NULL,
    seen_at     timestamptz NOT NULL DEFAULT now()
);
