-- What opens Pipedrive's REST API, encrypted, and as whom.
-- depends: 0007_walks

CREATE TABLE IF NOT EXISTS pipemirror.tokens (
    company_id   bigint PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('api', 'oauth')),
    secret       bytea NOT NULL,         -- by the first of ENCRYPTION_KEYS
    api_url      text NOT NULL,
    user_id      bigint NOT NULL,
    is_admin     boolean,
    stored_at    timestamptz NOT NULL DEFAULT now(),
    refused_at   timestamptz,            -- since when Pipedrive does not accept it
    code         text,                   -- why not
    reason       text
);
