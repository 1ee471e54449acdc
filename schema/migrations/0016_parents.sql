-- A place within the children of some parents is one within those of no others.
-- depends: 0015_refused

-- Ids of the parents among whose children `position` is; empty where it is at their beginning.
ALTER TABLE pipemirror.walks ADD COLUMN IF NOT EXISTS parents text NOT NULL DEFAULT '';
