-- What 0003 replaces. By itself: it needs a lock that nobody can have beside it.
-- depends: 0003_others

SET LOCAL lock_timeout = '5s';
DROP INDEX IF EXISTS pipemirror.events_others;
