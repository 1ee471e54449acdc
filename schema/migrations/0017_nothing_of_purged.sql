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

CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.allowances
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.gaps
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.jobs
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.reconciled
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.refused_rows
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.subscriptions
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.walks
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.watermarks
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
CREATE OR REPLACE TRIGGER not_of_purged BEFORE INSERT ON pipemirror.webhooks
    FOR EACH ROW EXECUTE FUNCTION pipemirror.leave_out_purged();
