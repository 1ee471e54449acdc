"""Every problem pipemirror can meet, as one typed tree.

The `code` of a class is its name everywhere: metric label, log field, `dead_letters.code`, row of docs/errors.md.
`remedy` says what a person does about it, docs/runbook.md has a paragraph on each. The families are the outcomes:

    BadContent     can never be written   -> one dead letter, the rest goes on
    NotNow         cannot be written now  -> keep it, back off, try again
    Impaired       works, not as it should -> `/readyz` stays 200 and says so
    Misconfigured  cannot even start      -> exit code 2, all problems at once
"""

from typing import ClassVar


class Problem(Exception):
    """Something went wrong, and this is its short code, its reason and its remedy."""

    code: ClassVar[str] = "problem"
    remedy: ClassVar[str] = "Report it: this is a bug."

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadContent(Problem):
    """This one event can never be written as it is."""

    code = "bad_content"


class UnreadableJson(BadContent):
    """The body is not JSON that a parser accepts."""

    code = "unreadable_json"
    remedy = "Look at the body with `dead-letters show`; if Pipedrive sent it, report it to them, then discard it."


class NotAnEvent(BadContent):
    """The body is JSON, but has not the form of a Pipedrive event."""

    code = "not_an_event"
    remedy = "Something else than Pipedrive posts to this address: find it by the time of receipt, then discard."


class UnknownVersion(BadContent):
    """The event says it is of a webhook version this release does not know."""

    code = "unknown_version"
    remedy = "Upgrade pipemirror, then `dead-letters replay`; until then ask Pipedrive for version 2.0."


class UnknownEntity(BadContent):
    """The event is about an entity that this release has no table for."""

    code = "unknown_entity"
    remedy = "Upgrade pipemirror, then `dead-letters replay`; the events also stay in the journal."


class UnknownAction(BadContent):
    """The event names an action that this release does not know."""

    code = "unknown_action"
    remedy = "Upgrade pipemirror, then `dead-letters replay`."


class CompanyMismatch(BadContent):
    """The body speaks of another company than the address it was posted to."""

    code = "company_mismatch"
    remedy = "Check which webhook uses these credentials: each company has its own. Never replay it as it is."


class BadId(BadContent):
    """The event names no record, or one that cannot be an id of this entity."""

    code = "bad_id"
    remedy = "Look at the body with `dead-letters show`; discard it if no record is meant."


class NoEventTime(BadContent):
    """The event carries no time that could order it."""

    code = "no_event_time"
    remedy = "Without a time the event cannot be ordered: read the record again from Pipedrive, then discard."


class BadValue(BadContent):
    """A field holds a value that its column cannot hold."""

    code = "bad_value"
    remedy = "The reason names the field. Correct it in Pipedrive (a new event follows), then discard."


class ApplyFailed(BadContent):
    """The database refused this event although its content was understood."""

    code = "apply_failed"
    remedy = "This is a bug of pipemirror: report the reason, upgrade, then `dead-letters replay`."


class CrashedWorker(BadContent):
    """A worker process died several times while it held this event."""

    code = "crashed_worker"
    remedy = "This is a bug of pipemirror: keep the dead letter, report it, upgrade, then `dead-letters replay`."


class NotNow(Problem):
    """A service we need cannot take this at the moment."""

    code = "not_now"


class Starting(NotNow):
    """The process has not begun its work: it prepares the database or waits for it."""

    code = "starting"
    remedy = "Wait a little; if it lasts, the log says what it waits for."


class DatabaseUnavailable(NotNow):
    """Postgres cannot be reached or refuses work at the moment."""

    code = "database_unavailable"
    remedy = (
        "Start Postgres or free what it lacks (disk, connections). "
        "Workers go on by themselves; repeat a command: it goes on where it was."
    )


class DatabaseSilent(NotNow):
    """A transaction has been under way for half a minute: Postgres answers slowly, or not even with an error."""

    code = "database_silent"
    remedy = "Look whether Postgres is frozen, its disk stalls or a firewall swallows packets; the workers go on then."


class MigrationWaits(NotNow):
    """The database is being prepared: by another process, or here, where that takes long or waits for a session."""

    code = "migration_waits"
    remedy = "Wait for it to end. If it waits for a session, see what that does; end it if nobody needs it."


class CompanyHeld(NotNow):
    """One company's tables cannot be made or written; its events wait in `pipemirror.held`, the others go on."""

    code = "company_held"
    remedy = "Mend what the reason names (rights, a lock, a missing table); its events are then applied by themselves."


class WebhooksBusy(NotNow):
    """Another process makes or removes this company's webhooks, and does not come to an end."""

    code = "webhooks_busy"
    remedy = "Look for a command of ours that was stopped (Ctrl-Z) or hangs; continue or end it. Then repeat yours."


class QueueUnavailable(NotNow):
    """The broker cannot be reached, is blocked, or did not confirm in time."""

    code = "queue_unavailable"
    remedy = "Start RabbitMQ or clear its alarm; receivers meanwhile spool to disk and drain by themselves."


class QueueMissing(QueueUnavailable):
    """The broker has no queue for a lane of which messages lie in the spool; the other lanes are moved meanwhile."""

    code = "queue_missing"
    remedy = "Start a receiver or worker with the LANES that filled the lane: it makes the queue. Nothing is lost."


class SpoolUnavailable(NotNow):
    """The local spool cannot take more: disk full, read-only, or held by another process."""

    code = "spool_unavailable"
    remedy = "Free disk space under DATA_DIR; events are refused with 503 until then."


class NoRoom(NotNow):
    """As many bytes of large or slow bodies are being read as fit into memory, and none of them came to its end."""

    code = "no_room"
    remedy = (
        "Nothing if it is rare: the event is sent again. Else add receivers; what buffers bodies before us helps too."
    )


class UnknownFormat(NotNow):
    """A queued message was framed by a newer release; it is left for a newer worker."""

    code = "unknown_format"
    remedy = "Upgrade the workers; the message stays in the queue until one understands it."


class Conflict(NotNow):
    """Another worker changed the same records first; the transaction is simply run again."""

    code = "conflict"
    remedy = "Nothing: it is retried by itself. If it is frequent, run fewer workers."


class Impaired(Problem):
    """The work is done, but something is not as it should be. Only told at `/readyz`, never raised."""


class ClockSkew(Impaired):
    """Events come from a clock that is ahead of the worker's, so their lag is not what is measured."""

    code = "clock_skew"
    remedy = "Let NTP set the clocks of all machines; if only Pipedrive's is ahead, ours is behind."


class SpoolNearlyFull(Impaired):
    """The disk under the spool has little room left."""

    code = "spool_nearly_full"
    remedy = "Free disk space under DATA_DIR before events are refused with 503, or bring the broker back."


class LanesBeyond(Impaired):
    """There are lanes beyond the worker's LANES; it consumes them too, as another setting fills or filled them."""

    code = "lanes_beyond"
    remedy = "Give all processes the same LANES; delete the queues beyond it once they are empty."


class PartitionsMissing(Impaired):
    """The journal lacks partitions for today or tomorrow; events go to its default partition meanwhile."""

    code = "partitions_missing"
    remedy = "Read why housekeeping fails in a worker's log; what is in the default partition moves by itself."


class HousekeepingFailed(Impaired):
    """The last round of housekeeping did not end well: partitions, expiry, types learnt late."""

    code = "housekeeping_failed"
    remedy = "The log names the reason; it is tried again every minute."


class CompanyInactive(Problem):
    """What was read of Pipedrive is not written: the company is paused, or was purged meanwhile."""

    code = "company_inactive"
    remedy = "`companies resume` if it was paused. One that was purged can be mirrored in another database only."


class JobsFailing(Impaired):
    """What workers do with a company's account now and then, a sweep or a reconcile, did not end well the last time."""

    code = "jobs_failing"
    remedy = "The reason names the job and why it failed; it is tried again. `pipemirror status` shows all of them."


class JobCrashed(Problem):
    """What workers do with a company's account ended in an error nobody expected: a bug. The log has the traceback."""

    code = "job_crashed"
    remedy = "Report the log line `account_crashed` with its traceback. The job is tried again every five minutes."


class TokensUnreadable(Impaired):
    """A company's stored token is opened by none of this process's keys, so that its account is not read."""

    code = "tokens_unreadable"
    remedy = (
        "Set ENCRYPTION_KEYS, or bring back `encryption-key` under DATA_DIR, as it was when the company was connected, "
        "and restart; or `connect` again with the same keys everywhere."
    )


class StuckLoop(Problem):
    """The process did nothing for too long although it had the chance to; it said where it hangs and ended."""

    code = "stuck_loop"
    remedy = "It is restarted by its supervisor. Report the stack of the log: this is a bug, or a very slow disk."


class CheckCrashed(Problem):
    """A check of readiness ended by an error of its own, so nobody knows whether all is well."""

    code = "check_crashed"
    remedy = "Report the traceback of the log: this is a bug. Until then look at the metrics."


class Misconfigured(Problem):
    """The settings cannot work; `reason` names each variable and what is expected."""

    code = "misconfigured"
    remedy = "Correct what the message names."
