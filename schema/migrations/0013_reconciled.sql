-- What the last comparison of each entity came to: those that were compared longest ago come first, and one of
-- everything that is interrupted goes on with those that are left.
-- depends: 0012_seats

CREATE TABLE IF NOT EXISTS pipemirror.reconciled (
    company_id  bigint NOT NULL,
    entity      text NOT NULL,
    repaired    boolean NOT NULL,       -- else it was only told what differs
    since       timestamptz,            -- what was updated from then on was compared; null: without that bound
    until       timestamptz,
    rows        bigint NOT NULL,
    missing     bigint NOT NULL,        -- were in Pipedrive only
    different   bigint NOT NULL,
    superfluous bigint NOT NULL,        -- were here only
    doubted     bigint NOT NULL,        -- of those were too many to be believed at once
    hidden      bigint NOT NULL,        -- of those may only be hidden from the token's user
    unread      text,                   -- why its lists could not all be read
    ended_at    timestamptz NOT NULL DEFAULT now(),
    whole_at    timestamptz,            -- when the last one began that compared and mended all of it
    PRIMARY KEY (company_id, entity)
);

-- When somebody asked for it, as opposed to when it is tried again.
ALTER TABLE pipemirror.jobs ADD COLUMN IF NOT EXISTS wanted_at timestamptz;
