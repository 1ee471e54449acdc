-- Few events change more than one record. A small index of these alone: beside it, the one by record is never mistaken
-- for a way to find them, which would read every event of the entity.
-- Its parts are built ahead, without a lock (see worker/upkeep/journal_index.py): here they are only put together.
-- depends: 0002_held

SET LOCAL lock_timeout = '5s';
CREATE INDEX IF NOT EXISTS events_of_several
  ON pipemirror.events (company_id, entity, version) WHERE other_ids IS NOT NULL;
