-- How many tokens a day an account has at least, depends on its users.
-- depends: 0011_jobs

ALTER TABLE pipemirror.allowances ADD COLUMN IF NOT EXISTS seats integer NOT NULL DEFAULT 1;
