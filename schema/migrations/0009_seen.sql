-- What a reconcile has seen of an entity so far, to find what is here and not in Pipedrive.
-- depends: 0008_tokens

-- Of a walk through what was updated within a time: until when.
ALTER TABLE pipemirror.walks ADD COLUMN IF NOT EXISTS until timestamptz;
-- The id of the last row that was read, where ids are numbers.
ALTER TABLE pipemirror.walks ADD COLUMN IF NOT EXISTS reached bigint;

CREATE TABLE IF NOT EXISTS pipemirror.seen (
    company_id  bigint NOT NULL,
    entity      text NOT NULL,
    entity_id   text NOT NULL,
    PRIMARY KEY (company_id, entity, entity_id)
);

-- Records that Pipedrive did not show when it was asked for them, and that were too many to be believed at once.
CREATE TABLE IF NOT EXISTS pipemirror.doubted (
    company_id  bigint NOT NULL,
    entity      text NOT NULL,
    entity_id   text NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, entity, entity_id)
);
