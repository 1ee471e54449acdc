-- Our webhooks at Pipedrive, and times of which events may be missing.
-- depends: 0009_seen

-- Webhooks that we made and have not removed. Pipedrive need not list their passwords, so we remember which it was.
CREATE TABLE IF NOT EXISTS pipemirror.webhooks (
    company_id  bigint NOT NULL,
    webhook_id  bigint NOT NULL,
    url         text NOT NULL,
    fingerprint text NOT NULL,          -- SHA-256 of the password, which is derived from WEBHOOK_SECRET
    user_id     bigint NOT NULL,        -- with whose eyes it sees
    made_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, webhook_id)
);

-- What the last check of a company's subscription has found.
CREATE TABLE IF NOT EXISTS pipemirror.subscriptions (
    company_id  bigint PRIMARY KEY,
    webhook_id  bigint,                 -- the one that tells of everything; null: nothing is told
    checked_at  timestamptz,
    well_at     timestamptz,            -- when a check last found all of it as it should be
    findings    jsonb NOT NULL DEFAULT '[]', -- what was not, also if it was mended: code, words, id of the webhook
    gap_since   timestamptz,            -- since when events may be missing, as long as it is not well
    off_at      timestamptz             -- somebody removed it by command: no check makes it anew
);

-- Times of which events may be missing: a sweep that begins after the row was written makes up for them.
CREATE TABLE IF NOT EXISTS pipemirror.gaps (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id  bigint NOT NULL,
    since       timestamptz NOT NULL,
    reason      text NOT NULL,
    noted_at    timestamptz NOT NULL,
    closed_at   timestamptz
);

CREATE INDEX IF NOT EXISTS gaps_open ON pipemirror.gaps (company_id, noted_at) WHERE closed_at IS NULL;
