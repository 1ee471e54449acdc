-- What is done for each company now and then, by whichever worker comes first.
-- depends: 0010_subscriptions

CREATE TABLE IF NOT EXISTS pipemirror.jobs (
    company_id  bigint NOT NULL,
    job         text NOT NULL,
    due_at      timestamptz NOT NULL DEFAULT now(),
    began_at    timestamptz,   -- the last time
    ended_at    timestamptz,   -- the last time that it ended well
    result      jsonb,         -- what it came to then
    code        text,          -- why it did not end well since
    reason      text,
    PRIMARY KEY (company_id, job)
);

-- By which a database is recognised that was set back to an earlier state: workers remember how far it had come.
CREATE TABLE IF NOT EXISTS pipemirror.epoch (
    single      boolean PRIMARY KEY DEFAULT true CHECK (single), -- one row
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    beats       bigint NOT NULL DEFAULT 0
);
INSERT INTO pipemirror.epoch DEFAULT VALUES ON CONFLICT DO NOTHING;
