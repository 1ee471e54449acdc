-- Events of a company whose own tables cannot be made or written now: kept here, acknowledged, applied again later.
-- depends: 0001_ops

CREATE TABLE IF NOT EXISTS pipemirror.held (
    digest      bytea PRIMARY KEY,  -- of company, received_at and body: a redelivery from the queue is no second one
    company_id  bigint NOT NULL,
    received_at timestamptz NOT NULL,
    held_at     timestamptz NOT NULL DEFAULT now(),
    claimed_at  timestamptz,        -- a worker applies it since then; one that died leaves its claim to expire
    claims      integer NOT NULL DEFAULT 0, -- that did not end: more than one of them makes the event a suspect
    payload     bytea NOT NULL      -- the body as received, zstandard
);

CREATE INDEX IF NOT EXISTS held_company ON pipemirror.held (company_id, received_at);
