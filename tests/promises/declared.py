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
_LIMITS: Final = "tests/property/test_limits.py"
_WALKS: Final = "tests/property/test_walks.py"
_CLIENT: Final = "tests/integration/pipedrive/test_client.py"
_SUBSCRIBING: Final = "tests/integration/test_subscribing.py"
_PAGING: Final = "tests/unit/pipedrive/test_paging.py"
_REFUSALS: Final = "tests/integration/test_healing_refusals.py"
_SWEEP: Final = "tests/integration/test_healing_sweep.py"
_WALKING: Final = "tests/integration/test_walking.py"
_RECONCILE: Final = "tests/integration/test_healing_reconcile.py"
_HEALING: Final = "tests/system/test_healing.py"
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
_ALLOWED: Final = "Pipedrive is never asked more than it allows, nor more than our share"
_WHOLE: Final = "A list is read whole, or its walk fails"
_TOKEN: Final = "The token goes to Pipedrive alone"
_SUBSCRIBED: Final = "One webhook of ours tells of everything, and what it may have missed is swept"
_HEALED: Final = "What was missed is read again, and what could not be read is said"
_GHOSTS: Final = "A record that no list shows is asked for before it is declared deleted"
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
        " if plain else _fold_cells(record, change)\n",
        "\n",
        (f"{_FOLD}::test_any_order_and_repetition_of_events_ends_in_the_newest_state_of_every_cell",),
    ),
    Promise(
        _ORDER,
        "one version per row instead of one per cell",
        "schema/row.py",
        "    for cell, version in apart.items():\n",
        "    for cell, version in {}.items():\n",
        (f"{_FOLD}::test_folding_in_portions_through_rows_is_the_same",),
    ),
    Promise(
        _ORDER,
        "believe a read that began before the event had settled",
        "schema/version.py",
        "    settled = began > at + SETTLED\n",
        "    settled = began > at\n",
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
    Promise(
        _ALLOWED,
        "forget a request as soon as it is granted",
        "pipedrive/windows.py",
        "    return (number + 1) * SLICE + WINDOW + MARGIN\n",
        "    return (number + 1) * SLICE\n",
        (f"{_LIMITS}::test_no_two_seconds_hold_more_requests_than_the_limit",),
    ),
    Promise(
        _ALLOWED,
        "leave nothing of the share to what is urgent",
        "pipedrive/budget.py",
        "        if self.total + cost > share * PARTS[need]:\n",
        "        if self.total + cost > share:\n",
        (f"{_LIMITS}::test_no_day_costs_more_than_our_share_and_what_is_urgent_keeps_its_part",),
    ),
    Promise(
        _ALLOWED,
        "all ask at once when a block is over",
        "pipedrive/ledger.py",
        "    if ledger.shut in {Shut.DAILY, Shut.BLOCKED}:\n",
        "    if False:\n",
        (f"{_CLIENT}::test_after_a_block_one_cheap_question_is_asked_before_all_others",),
    ),
    Promise(
        _ALLOWED,
        "go on asking after a block",
        "pipedrive/client.py",
        "            await self._allowance.refused(Shut.BLOCKED, BLOCKED_SECONDS)\n",
        "            pass\n",
        (f"{_CLIENT}::test_who_is_blocked_asks_nothing_more",),
    ),
    Promise(
        _WHOLE,
        "go on by counting, whether the pages join or not",
        "pipedrive/offsets.py",
        "    if at.tail and at.first and at.back and not joint:\n",
        "    if False:\n",
        (f"{_WALKS}::test_a_walk_misses_nothing_that_was_there_throughout",),
    ),
    Promise(
        _WHOLE,
        "take a row that has moved for where it was",
        "pipedrive/offsets.py",
        "if told and told == mark(rows[place - 1])",
        "if told",
        (f"{_WALKS}::test_a_walk_misses_nothing_that_was_there_throughout",),
    ),
    Promise(
        _TOKEN,
        "follow redirects",
        "pipedrive/wire.py",
        "            allow_redirects=False,\n",
        "            allow_redirects=True,\n",
        (f"{_CLIENT}::test_the_token_follows_no_redirect",),
    ),
    Promise(
        _SUBSCRIBED,
        "remove the old one first",
        "pipedrive/subscriptions.py",
        "    before = superfluous[:1] if _is_full(wanted, found) else []\n",
        "    before = superfluous\n",
        (f"{_SUBSCRIBING}::test_at_another_address_it_is_made_first_and_the_old_one_is_removed_after",),
    ),
    Promise(
        _SUBSCRIBED,
        "take whatever bears our name for ours",
        "pipedrive/subscriptions.py",
        "    return hook.name == wanted.name or any(",
        "    return hook.name.startswith(_PREFIX) or any(",
        (f"{_SUBSCRIBING}::test_those_of_others_are_never_touched",),
    ),
    Promise(
        _SUBSCRIBED,
        "two check at once",
        "worker/healing/subscribing.py",
        "    async with locked(pool, company_id, locks.SUBSCRIBING, within=PATIENCE) as connection:\n",
        "    async with pool.acquire() as connection:\n",
        (f"{_SUBSCRIBING}::test_two_checks_at_once_make_one",),
    ),
    Promise(
        _SUBSCRIBED,
        "forget since when events are missing",
        "worker/healing/subscribing.py",
        "            if planned.gap:\n",
        "            if False:\n",
        (
            f"{_SUBSCRIBING}::test_one_that_was_deleted_is_made_anew_and_a_sweep_is_wanted_since_it_was_well",
            f"{_SUBSCRIBING}::test_one_that_was_made_by_a_check_that_died_is_found_and_its_gap_is_noted",
        ),
    ),
    Promise(
        _SUBSCRIBED,
        "take it for well though its deliveries fail",
        "worker/healing/subscribing.py",
        'well="failing" not in codes)',
        "well=True)",
        (f"{_SUBSCRIBING}::test_one_whose_deliveries_fail_stays_and_its_gap_stays_open_until_it_is_well",),
    ),
    Promise(
        _SUBSCRIBED,
        "a sweep makes up for what was missed after it began",
        "store/gaps.py",
        "closed_at IS NULL AND noted_at < $2",
        "closed_at IS NULL AND ($2::timestamptz IS NOT NULL)",
        (f"{_SUBSCRIBING}::test_gaps_of_a_company_are_told_together_and_closed_by_a_sweep_that_began_later",),
    ),
    Promise(
        _HEALED,
        "keep the place to go on apart from the rows",
        "worker/healing/walking.py",
        "            async with connection.transaction():\n                # A crash of the server forgets",
        "            await walks.save(connection, replace(self.walk, position=page.next or BEGINNING))\n"
        "            async with connection.transaction():\n                # A crash of the server forgets",
        (f"{_REFUSALS}::test_a_page_whose_rows_were_not_written_is_read_again",),
    ),
    Promise(
        _HEALED,
        "end a list apart from its last page",
        "worker/healing/walking.py",
        "last=ahead is None and not page.cut)",
        "last=False)",
        (
            f"{_WALKING}::test_a_walk_that_dies_after_its_last_page_has_ended_and_moved_its_watermark",
            f"{_WALKING}::test_children_whose_last_page_is_written_are_not_asked_for_again",
        ),
    ),
    Promise(
        _HEALED,
        "take a watermark from our own clock",
        "worker/healing/walking.py",
        "        watermark = walk.began_at if walk.since is None else walk.newest\n",
        '        watermark = __import__("datetime").datetime.now(__import__("datetime").UTC)\n',
        (
            f"{_SWEEP}::test_the_watermark_comes_from_answers_and_never_from_our_clock",
            f"{_SWEEP}::test_a_time_to_come_is_not_taken_for_a_watermark",
        ),
    ),
    Promise(
        _HEALED,
        "move the watermark before the walk has ended",
        "worker/healing/walking.py",
        "        if walk.state == DONE and watermark is not None and",
        "        if (watermark := watermark or walk.newest) is not None and",
        (f"{_SWEEP}::test_a_sweep_that_is_interrupted_goes_on_and_moves_no_watermark_before_its_end",),
    ),
    Promise(
        _HEALED,
        "ask for nothing twice that was known before",
        "worker/healing/sweep.py",
        "        since = watermark - OVERLAP\n",
        "        since = watermark\n",
        (f"{_SWEEP}::test_what_becomes_visible_late_is_found_within_the_overlap_second_included",),
    ),
    Promise(
        _HEALED,
        "null is a page without rows",
        "pipedrive/paging.py",
        '        raise AnswerUnreadable(f"{listing.path}: null in the place of rows")\n',
        "        pass\n",
        (f"{_PAGING}::test_null_is_no_page_where_a_list_goes_on_nor_in_v2",),
    ),
    Promise(
        _HEALED,
        "a list that cannot be read ends all others",
        "worker/healing/asking.py",
        "    except ListingRefused as problem:\n        return problem\n",
        "    except ListingRefused:\n        raise\n",
        (
            f"{_REFUSALS}::test_a_list_that_is_refused_says_why_and_the_others_are_read",
            f"{_RECONCILE}::test_a_list_of_definitions_that_fails_holds_up_no_comparison",
        ),
        sign="pipedrive.errors.",
    ),
    Promise(
        _HEALED,
        "a failure is told as a success",
        "cli/operating/undertaking.py",
        "    return ended and all(walk.code in NOT_THERE for walk in walks.refused)\n",
        "    return True\n",
        (f"{_HEALING}::test_a_list_that_is_refused_fails_by_name_and_the_others_are_there",),
    ),
    Promise(
        _HEALED,
        "two read an account at once",
        "worker/healing/alone.py",
        "            yield False\n            return\n",
        "            yield True\n            return\n",
        (f"{_HEALING}::test_of_two_that_read_an_account_at_once_one_reads_and_the_other_says_so",),
    ),
    Promise(
        _GHOSTS,
        "take for deleted whatever no list shows",
        "worker/healing/absent.py",
        "            gone += await self._verified(some, microseconds(listed))\n",
        "            gone += [(one, microseconds(listed)) for one in some]\n",
        (f"{_RECONCILE}::test_null_bodies_bury_nothing_that_lives",),
    ),
    Promise(
        _GHOSTS,
        "believe at once that however many are gone",
        "worker/healing/absent.py",
        "                return before if many else None\n",
        "                return None\n",
        (
            f"{_RECONCILE}::test_more_than_may_be_gone_at_once_are_buried_when_they_are_missed_twice",
            f"{_RECONCILE}::test_all_of_a_list_whose_records_nobody_can_ask_for_are_not_gone_at_once",
        ),
    ),
    Promise(
        _GHOSTS,
        "take for deleted what this user may not see",
        "worker/healing/absent.py",
        "        if not self.trusted:\n",
        "        if False:\n",
        (f"{_RECONCILE}::test_what_a_token_that_is_no_admins_does_not_show_is_not_taken_for_deleted",),
    ),
    Promise(
        _GHOSTS,
        "what one list would have shown is gone if that list cannot be read",
        "worker/healing/reconcile.py",
        "        if not drift.unread and not self.entity.log:\n",
        "        if not self.entity.log:\n",
        (f"{_RECONCILE}::test_who_cannot_read_one_of_an_entitys_lists_knows_of_nothing_that_it_is_gone",),
    ),
)
