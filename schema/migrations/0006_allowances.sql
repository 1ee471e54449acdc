-- What each account may still be asked, shared by all processes: see pipedrive/ledger.py.
-- depends: 0005_upkeep

-- One small row that changes up to a hundred times a second: most of its page is for its next versions.
CREATE TABLE IF NOT EXISTS pipemirror.allowances (
    company_id     bigint PRIMARY KEY,
    window_limit   integer NOT NULL DEFAULT 20,    -- requests of two seconds: those of the smallest plan, until more is told
    window_ours    bigint[] NOT NULL DEFAULT '{}', -- number of a slice, requests in it, the next slice, ...
    window_others  bigint[] NOT NULL DEFAULT '{}', -- likewise, of who else uses the same token
    day            date,                           -- UTC
    spent          jsonb NOT NULL DEFAULT '{}',    -- need -> tokens of that day
    tokens_limit   bigint,                         -- the account's tokens of a day, if Pipedrive tells them
    tokens_left    bigint,                         -- of those, as told last
    spent_since    bigint NOT NULL DEFAULT 0,      -- tokens of ours since that was told
    shut           text CHECK (shut IN ('burst', 'daily', 'blocked')), -- null: it may be asked
    shut_until     timestamptz,
    probing_until  timestamptz                     -- one process finds out until then whether it may be asked again
) WITH (fillfactor = 10);
