"""The sandbox and the mirror's reader were written apart, from the same documentation: here they meet."""

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from sandbox.cloud import Company, Truth
from sandbox.compare import differences
from sandbox.events import Event, Version, versions
from sandbox.payloads import body
from sandbox.script import step
from schema import event
from schema.change import Change
from schema.envelope import Envelope

START = 1_795_000_000_000_000
COMPANY = 7
HASH_LENGTH = 40
Rows = dict[str, dict[str, dict[str, Any]]]


def history(subscribed: frozenset[Version], seed: int) -> tuple[Truth, list[bytes], dict[str, str]]:
    """What a company tells in these versions, what is true at the end, and its custom fields' types."""
    clock, rng = iter(range(START, START + 10**12, 400_000)), random.Random(seed)
    company = Company(random.Random(seed), COMPANY, lambda: next(clock), same_instant=0.3)
    happened: list[Event] = company.announce() + [one for _ in range(500) for one in step(company)]
    told = [
        orjson.dumps(body(company.account, one, rng.choice(sorted(versions(one.entity) & subscribed)), 1))
        for one in happened
        if versions(one.entity) & subscribed
    ]
    return company.snapshot(subscribed), told, dict(company.account.field_types)


def newest_cells(told: list[bytes], types: dict[str, str]) -> Rows:
    """The newest assertion of each cell, as plain JSON values: what the mirror's tables would come to."""
    newest: dict[tuple[str, str], dict[str, tuple[Any, Any]]] = {}
    for envelope in (Envelope(COMPANY, START, one) for one in told):
        for change in changes_of(envelope, types):
            cells = newest.setdefault((change.entity.name, str(change.id)), {})
            for name, value in change.cells.items():
                if name not in cells or cells[name][0] < change.version:
                    cells[name] = (change.version, plain(value))
    rows: Rows = {}
    for (entity, record_id), cells in newest.items():
        values = {name: value for name, (_, value) in cells.items()}
        custom = {name: value for name, value in values.items() if len(name) == HASH_LENGTH}
        rows.setdefault(entity, {})[record_id] = {**values, "id": record_id, "custom_fields": custom}
    return rows


def changes_of(envelope: Envelope, types: dict[str, str]) -> tuple[Change, ...]:
    read = event.read(envelope, lambda _entity: types)
    assert isinstance(read, event.Event), f"refused: {read.problem} {envelope.body[:300]!r}"
    assert not read.unknown, envelope.body[:300]
    return read.changes


def plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return f"{value // timedelta(hours=1):02}:{value // timedelta(minutes=1) % 60:02}:00"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    return [plain(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("subscribed", [{"v1"}, {"v2"}, {"v1", "v2"}], ids=["v1", "v2", "mixed"])
def test_what_the_sandbox_tells_in_any_order_is_read_as_what_is_true(subscribed: set[Version], seed: int) -> None:
    """Every entity, creates, edits, deletes, merges, restores and events of one instant; shuffled."""
    truth, told, types = history(frozenset(subscribed), seed)
    random.Random(seed).shuffle(told)
    assert differences(truth, newest_cells(told, types)) == []


def test_a_lost_event_is_seen_in_the_comparison() -> None:
    truth, told, types = history(frozenset({"v2"}), 1)
    last_of_a_deal = max(n for n, one in enumerate(told) if orjson.loads(one)["meta"]["entity"] == "deal")
    assert differences(truth, newest_cells(told[:last_of_a_deal] + told[last_of_a_deal + 1 :], types)) != []
