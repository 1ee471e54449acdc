"""Each promise, how it could be broken in one place, and the tests that would say so.

`make broken-promises` breaks them one by one in a copy of the tree and demands that these tests fail. A unit test sees
to it that every place is still there, once, and every test too; docs/promises.md is written from this.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Promise:
    """`before` stands in `file` exactly once; with `after` in its place, each of `tests` fails.

    tests  as pytest names them, without parameters: at least one of a test's variants must fail, and none be an error
    sign   what stands in the failure where it is no assertion
    """

    promise: str
    broken: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    sign: str = "AssertionError"


_RECEIVER: Final = "tests/integration/test_receiver.py"
_OUTLET: Final = "tests/unit/test_outlet.py"
_CONSUMER: Final = "tests/integration/test_consumer.py"
_APPLIER: Final = "tests/integration/test_applier.py"
_MIRROR: Final = "tests/integration/test_mirror.py"
_FOLD: Final = "tests/property/test_fold.py"
_BOTH: Final = "tests/integration/transport/test_transport_behaviour.py"
_AMQP: Final = "tests/integration/transport/test_transport_amqp.py"
_SPOOL: Final = "tests/integration/transport/test_transport_spool.py"

_DURABLE: Final = "200 means durable"
_CONTENT: Final = "An authentic event is not refused for its content"
_ONCE: Final = "Each event is applied once"
_ORDER: Final = "Any order, any repetition, same tables"
_DELETES: Final = "A late change revives no tombstone"
_OUTCOMES: Final = "Applied, dead letter, or not yet: nothing else, and one event holds up no other"
_INNOCENT: Final = "Nothing innocent becomes a dead letter"
_GONE: Final = "The broker may be gone"
_SILENCE: Final = "Silence is an error"
_STOP: Final = "A stop loses nothing"
_LANES: Final = "One company does not hold up another"
_HISTORY: Final = "The history tells every change, also late ones"

PROMISES: Final[tuple[Promise, ...]] = (
    Promise(
        _DURABLE,
        "acknowledge before the confirm",
        "receiver/webhook.py",
        "            await self._put(Envelope(company_id, self._clock(), body))\n",
        "            self._put(Envelope(company_id, self._clock(), body))\n",
        (f"{_RECEIVER}::test_200_means_durable",),
    ),
    Promise(
        _DURABLE,
        "the spool answers before it has committed",
        "runtime/spool/writer.py",
        "        await committed\n",
        "        await asyncio.sleep(0)\n",
        (f"{_SPOOL}::test_all_that_was_acknowledged_survives_kill_9",),
    ),
    Promise(
        _DURABLE,
        "a spool's commit is not synced to disk",
        "runtime/spool/file.py",
        '        connection.execute("PRAGMA synchronous = FULL")\n        connection.execute(f"PRAGMA journal',
        '        connection.execute("PRAGMA synchronous = OFF")\n        connection.execute(f"PRAGMA journal',
        (f"{_SPOOL}::test_each_commit_is_synced_to_disk",),
    ),
    Promise(
        _DURABLE,
        "what no queue takes counts as confirmed",
        "runtime/amqp/wire.py",
        "mandatory=True",
        "mandatory=False",
        (f"{_AMQP}::test_an_unroutable_message_is_not_confirmed",),
    ),
    Promise(
        _CONTENT,
        "answer 400 to what is no JSON object",
        "receiver/webhook.py",
        "            await self._put(Envelope(company_id, self._clock(), body))\n",
        '            if not body.startswith(b"{"):\n                return 400\n'
        "            await self._put(Envelope(company_id, self._clock(), body))\n",
        (
            f"{_RECEIVER}::test_an_empty_body_is_taken_too",
            "tests/system/test_bad_input.py::test_bad_bodies_become_dead_letters_and_good_ones_around_them_land",
        ),
    ),
    Promise(
        _ONCE,
        "acknowledge to the queue before the commit",
        "worker/consumer.py",
        "        await self._writers.apply(waiting)\n        await self._subscription.ack(messages)\n",
        "        await self._subscription.ack(messages)\n        await self._writers.apply(waiting)\n",
        (f"{_CONSUMER}::test_messages_are_acknowledged_after_their_events_are_committed",),
    ),
    Promise(
        _ONCE,
        "apply what another delivery has claimed in the journal",
        "worker/applying/journal.py",
        '    return [first[row["key"], row["occurred_at"]] for row in rows]\n',
        "    return ordered\n",
        (
            f"{_MIRROR}::test_the_same_events_given_to_several_workers_at_once_are_applied_once",
            "tests/integration/test_journal.py::test_an_event_without_any_time_is_kept_once",
        ),
    ),
    Promise(
        _ORDER,
        "order by arrival: whatever came last wins",
        "schema/record.py",
        "    if _beats_all(change.version, record.versions):\n",
        "    if True:\n",
        (f"{_FOLD}::test_any_order_and_repetition_of_events_ends_in_the_newest_state_of_every_cell",),
    ),
    Promise(
        _ORDER,
        "one version per row instead of one per cell",
        "schema/record.py",
        "    for cell, version in apart.items():\n",
        "    for cell, version in {}.items():\n",
        (f"{_FOLD}::test_folding_in_portions_through_rows_is_the_same",),
    ),
    Promise(
        _ORDER,
        "believe a read that began before the event had settled",
        "schema/version.py",
        "    return began > at + SETTLED\n",
        "    return began > at\n",
        ("tests/unit/test_version.py::test_the_newer_assertion_wins",),
    ),
    Promise(
        _DELETES,
        "a late change revives the tombstone",
        "schema/record.py",
        "        if not newer(version, known):\n",
        "        if not newer(version, known) and cell != DELETED_AT:\n",
        (f"{_MIRROR}::test_a_deleted_record_keeps_its_last_state_and_no_late_change_revives_it",),
    ),
    Promise(
        _OUTCOMES,
        "give up what cannot be written now",
        "worker/applying/persistence.py",
        "                attempt = await self._wait(problem, attempt)\n",
        "                raise\n",
        (f"{_APPLIER}::test_a_restart_of_postgres_in_the_middle_is_waited_for",),
        sign="ConnectionDoesNotExistError",
    ),
    Promise(
        _OUTCOMES,
        "park the whole batch in which one event cannot be written",
        "worker/applying/applier.py",
        "                await self._apply_group(company, group[:middle])\n"
        "                await self._apply_group(company, group[middle:])\n",
        "                for culprit in group:\n                    await self._give_up(company, culprit, error)\n",
        (f"{_APPLIER}::test_what_the_database_refuses_is_isolated_to_one_letter",),
    ),
    Promise(
        _OUTCOMES,
        "the breaker counts bad content",
        "worker/applying/applier.py",
        "        if isinstance(problem, ApplyFailed):\n",
        "        if True:\n",
        (f"{_APPLIER}::test_values_that_only_the_database_refuses_open_no_breaker",),
        sign="BreakerOpen",
    ),
    Promise(
        _OUTCOMES,
        "let an event kill one worker after the other",
        "worker/consumer.py",
        "            if message.given_up or message.redeliveries >= SUSPICIOUS:\n",
        "            if message.given_up:\n",
        (f"{_CONSUMER}::test_an_event_that_killed_its_workers_is_given_up_and_its_neighbours_are_not",),
    ),
    Promise(
        _INNOCENT,
        "a delivery limit of 3",
        "schema/topology.py",
        "DELIVERY_LIMIT: Final = 50\n",
        "DELIVERY_LIMIT: Final = 3\n",
        (f"{_BOTH}::test_what_ten_workers_held_when_they_ended_is_given_up_by_none",),
    ),
    Promise(
        _INNOCENT,
        "drop what a newer release has framed",
        "worker/consumer.py",
        "            self._left.add(hash(message.body))\n            return None\n",
        "            return []\n",
        (f"{_CONSUMER}::test_a_message_of_a_newer_release_is_left_for_a_newer_worker",),
    ),
    Promise(
        _GONE,
        "refuse when the broker fails, instead of spooling",
        "receiver/ways.py",
        "            self._give_up(problem)\n            return False\n",
        "            raise\n",
        (f"{_OUTLET}::test_when_the_primary_fails_the_refuge_takes_the_bundle",),
    ),
    Promise(
        _GONE,
        "wait for a confirm as long as it takes",
        "receiver/way.py",
        "            async with asyncio.timeout(self.deadline):\n",
        "            async with asyncio.timeout(None):\n",
        (f"{_OUTLET}::test_a_spool_that_hangs_is_given_up_after_its_deadline",),
    ),
    Promise(
        _GONE,
        "do not listen when the broker blocks publishers",
        "runtime/amqp/connection.py",
        "            case Cn.Blocked():\n                self.blocked = True\n",
        "            case Cn.Blocked() if False:\n                self.blocked = True\n",
        (f"{_AMQP}::test_a_blocked_broker_refuses_pending_and_new_publishes_at_once",),
    ),
    Promise(
        _GONE,
        "forget what was spooled before the broker has confirmed it",
        "runtime/spool/writer.py",
        "            except BaseException:\n                for _ in rows:\n                    pass\n",
        "            except BaseException:\n                confirmed.append(row.id)\n",
        (f"{_SPOOL}::test_draining_stops_when_the_broker_goes_and_keeps_what_it_did_not_confirm",),
    ),
    Promise(
        _SILENCE,
        "trust a consumer that hears nothing",
        "runtime/amqp/subscription.py",
        "            if silent and suspicious:\n",
        "            if False:\n",
        (
            f"{_AMQP}::test_a_connection_that_fell_silent_is_built_anew",
            f"{_AMQP}::test_silence_over_two_connections_ends_the_process",
        ),
    ),
    Promise(
        _SILENCE,
        "show zero where nothing was read yet",
        "runtime/metrics.py",
        '    if metric.kind != "counter":\n        return {}\n',
        '    if metric.kind == "histogram":\n        return {}\n',
        (f"{_OUTLET}::test_gauges_are_absent_before_a_first_reading",),
    ),
    Promise(
        _STOP,
        "close the outlet while requests are open",
        "receiver/app.py",
        '                ("requests", lambda: self.door.finish(half)),\n'
        '                ("outlet", lambda: self.outlet.close(half)),\n',
        '                ("outlet", lambda: self.outlet.close(half)),\n'
        '                ("requests", lambda: self.door.finish(half)),\n',
        (f"{_RECEIVER}::test_stopping_finishes_open_requests_and_takes_no_new_ones",),
    ),
    Promise(
        _STOP,
        "refuse what is gathered at the stop",
        "receiver/outlet.py",
        "                while self._waiting:\n",
        "                raise TimeoutError\n                while self._waiting:\n",
        (f"{_OUTLET}::test_closing_flushes_what_has_gathered",),
    ),
    Promise(
        _LANES,
        "read one lane until it is empty",
        "runtime/spool/intake.py",
        "        for key in source.file.routing_keys():\n",
        "        for key in source.file.routing_keys()[:1]:\n",
        (f"{_BOTH}::test_a_lane_nobody_acknowledges_does_not_hold_up_another",),
    ),
    Promise(
        _HISTORY,
        "tell a late event where it came, not where it belongs",
        "worker/applying/mirror.py",
        "        if folded.disturbs:\n",
        "        if False:\n",
        (f"{_MIRROR}::test_a_late_event_takes_its_place_in_the_history",),
    ),
)
