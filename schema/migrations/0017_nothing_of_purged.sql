-- Who reads an account may wait long for an answer, and its company be purged meanwhile: whatever it would write down
-- then is not entered, so that nothing of a purged company comes back.
-- depends: 0016_parents

CREATE OR REPLACE FUNCTION pipemirror.leave_out_purged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pipemirror.companies WHERE id = NEW.company_id AND state = 'purged') THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'allowances', 'gaps', 'jobs', 'reconciled', 'refused_rows', 'subscriptions', 'walks', 'watermarks', 'webhooks'
    ] LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.%I '
            'FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged()',
            name
        );
    END LOOP;
END
$$;
