-- What housekeeping has done, noted for all workers: else each of them would do it again.
-- depends: 0004_no_others

CREATE TABLE IF NOT EXISTS pipemirror.upkeep (
    work        text NOT NULL,  -- a round, or rows of a company mended after its types or after a catalogue
    company_id  bigint NOT NULL DEFAULT 0, -- 0 for all
    begun_at    timestamptz NOT NULL,      -- the last time: what came later was not met
    failure     text NOT NULL DEFAULT '',  -- why that did not end well
    PRIMARY KEY (work, company_id)
);
