"""Deals and leads, who they are with, and the pipelines they move through."""

from typing import Any, Final

from sandbox.draw import FIRST, LAST, Draw
from sandbox.fields import address
from sandbox.shape import Shape, between, constant, counters, mostly, one_of, rarely, ref
from sandbox.shelf import Record

CHANNELS: Final = (1, 2, 7, None)
DEAL_LABELS: Final = (24, 25, 26)
CONTACT_LABELS: Final = (5, 6, 7, 8)
LEAD_LABELS: Final = (
    "134b4de7-0001-46ae-b8f2-2eb328eeb001",
    "4a5149be-0002-4be3-b62d-48eef2be5002",
    "9f0c2a11-0003-4c55-9a51-70a7d2d81003",
)
_ACTIVITY_COUNTS = (
    *("activities_count", "done_activities_count", "undone_activities_count"),
    *("email_messages_count", "files_count", "notes_count"),
)
_DEAL_COUNTS = tuple(f"{prefix}{state}_deals_count" for prefix in ("", "related_") for state in ("open", "closed"))
_OUTCOME_COUNTS = tuple(f"{prefix}{state}_deals_count" for prefix in ("", "related_") for state in ("won", "lost"))


_CONTACTS: Final = (
    *("next_activity_id", "last_activity_id", *_ACTIVITY_COUNTS, "followers_count", *_DEAL_COUNTS, *_OUTCOME_COUNTS),
    "smart_bcc_email",
)
_MAIL_TIMES: Final = ("last_incoming_mail_time", "last_outgoing_mail_time")


def _labels(draw: Draw) -> list[int]:
    """None or one: the events of persons and organizations have room for a single label."""
    return draw.some_of(CONTACT_LABELS, 1)


def _reachable(draw: Draw, make: Any) -> list[dict[str, Any]]:
    values = sorted({make() for _ in range(draw.number(0, 3))})
    return [
        {"value": v, "label": draw.one_of(("work", "home", "other")), "primary": n == 0} for n, v in enumerate(values)
    ]


def _full_name(_draw: Draw, record: Record) -> Record:
    return {**record, "name": " ".join(part for part in (record["first_name"], record["last_name"]) if part)}


PERSON: Final = Shape(
    columns={
        "name": constant(""),
        "first_name": one_of(*FIRST),
        "last_name": rarely(one_of(*LAST), 0.9),
        "owner_id": ref("user"),
        "org_id": mostly(ref("organization")),
        "emails": lambda draw: _reachable(draw, draw.email),
        "phones": lambda draw: _reachable(draw, draw.phone),
        "is_deleted": constant(False),
        "visible_to": one_of(1, 3, 5, 7),
        "label_ids": _labels,
        "picture_id": constant(None),
        "next_activity_id": constant(None),
        "last_activity_id": constant(None),
        "last_incoming_mail_time": constant(None),
        "last_outgoing_mail_time": constant(None),
        **counters(*_ACTIVITY_COUNTS, *_DEAL_COUNTS, *_OUTCOME_COUNTS),
        **counters("participant_open_deals_count", "participant_closed_deals_count"),
        "followers_count": constant(0),
    },
    edited=("first_name", "last_name", "owner_id", "org_id", "emails", "phones", "visible_to", "label_ids"),
    complete=_full_name,
    asked_for=frozenset(
        (
            *(*_CONTACTS, "participant_open_deals_count", "participant_closed_deals_count"),
            *(*_MAIL_TIMES, "marketing_status", "doi_status"),
        )
    ),
)

ORGANIZATION: Final = Shape(
    columns={
        "name": lambda draw: f"{draw.company()} {draw.number(1, 999)}",
        "owner_id": ref("user"),
        "is_deleted": constant(False),
        "visible_to": one_of(1, 3, 5, 7),
        "address": rarely(address, 0.5),
        "label_ids": _labels,
        "website": rarely(one_of("https://example.com/ü?a=1&b=2", "")),
        "linkedin": rarely(one_of("https://linkedin.example/company/x")),
        "industry": rarely(between(1, 20)),
        "annual_revenue": rarely(between(0, 10**12)),
        "employee_count": rarely(between(0, 100_000)),
        "next_activity_id": constant(None),
        "last_activity_id": constant(None),
        **counters("people_count", *_ACTIVITY_COUNTS, *_DEAL_COUNTS, *_OUTCOME_COUNTS),
        "followers_count": constant(0),
    },
    edited=("name", "owner_id", "visible_to", "address", "label_ids", "website", "industry", "employee_count"),
    asked_for=frozenset((*_CONTACTS, "people_count")),
)


def _pipeline_of_stage(draw: Draw, record: Record) -> Record:
    pipeline = draw.column("stage", record["stage_id"], "pipeline_id")
    return record if pipeline is None else {**record, "pipeline_id": pipeline}


def _move(draw: Draw, deal: Record, now: str) -> Record:
    stage = draw.ref("stage")
    return {} if stage in (None, deal["stage_id"]) else {"stage_id": stage, "stage_change_time": now}


def _close(draw: Draw, deal: Record, now: str) -> Record:
    if deal["status"] != "open":
        return {"status": "open", "close_time": None, "won_time": None, "lost_time": None, "lost_reason": None}
    if draw.chance(0.5):
        first = deal["first_won_time"] or now
        return {"status": "won", "close_time": now, "won_time": now, "first_won_time": first}
    return {"status": "lost", "close_time": now, "lost_time": now, "lost_reason": draw.sentence()}


def _archive(draw: Draw, deal: Record, now: str) -> Record:
    if not draw.chance(0.1):
        return {}
    archived = not deal["is_archived"]
    return {"is_archived": archived, "archive_time": now if archived else None}


DEAL: Final = Shape(
    columns={
        "title": Draw.title,
        "owner_id": ref("user"),
        "person_id": mostly(ref("person")),
        "org_id": mostly(ref("organization")),
        "pipeline_id": constant(None),
        "stage_id": ref("stage"),
        "value": Draw.money,
        "currency": Draw.currency,
        "stage_change_time": constant(None),
        "is_deleted": constant(False),
        "is_archived": constant(False),
        "status": constant("open"),
        "probability": rarely(between(0, 100)),
        "lost_reason": constant(None),
        "visible_to": one_of(1, 3, 5, 7),
        "close_time": constant(None),
        "won_time": constant(None),
        "lost_time": constant(None),
        "first_won_time": constant(None),
        "expected_close_date": mostly(Draw.day),
        "label_ids": lambda draw: draw.some_of(DEAL_LABELS, 3),
        "origin": one_of("ManuallyCreated", "API", "WebForm"),
        "origin_id": rarely(lambda draw: f"form-{draw.number(1, 99)}"),
        "channel": one_of(*CHANNELS),
        "channel_id": rarely(lambda draw: f"ads/{draw.number(1, 99)}"),
        "source_lead_id": constant(None),
        "arr": constant(None),
        "mrr": constant(None),
        "acv": constant(None),
        "creator_user_id": ref("user"),
        "archive_time": constant(None),
        "next_activity_id": constant(None),
        "last_activity_id": constant(None),
        "last_incoming_mail_time": constant(None),
        "last_outgoing_mail_time": constant(None),
        **dict.fromkeys(("products_count", "participants_count", "followers_count"), constant(0)),
        **counters(*_ACTIVITY_COUNTS),
    },
    edited=(
        *("title", "owner_id", "person_id", "org_id", "value", "currency", "probability"),
        *("visible_to", "expected_close_date", "label_ids"),
    ),
    complete=_pipeline_of_stage,
    actions=(_move, _close, _archive),
    asked_for=frozenset(
        (
            *("next_activity_id", "last_activity_id", "first_won_time", "products_count", "participants_count"),
            *("followers_count", *_ACTIVITY_COUNTS, *_MAIL_TIMES, "smart_bcc_email", "source_lead_id"),
        )
    ),
)

LEAD: Final = Shape(
    columns={
        "title": Draw.title,
        "owner_id": ref("user"),
        "creator_id": ref("user"),
        "label_ids": lambda draw: draw.some_of(LEAD_LABELS, 2),
        "person_id": mostly(ref("person")),
        "organization_id": mostly(ref("organization")),
        "source_name": one_of("Manually created", "API", "Web forms 🌐"),
        "origin": one_of("ManuallyCreated", "API"),
        "origin_id": constant(None),
        "channel": one_of(*CHANNELS),
        "channel_id": constant(None),
        "source_deal_id": constant(None),
        "is_archived": constant(False),
        "was_seen": one_of(True, False),
        "value": mostly(lambda draw: {"amount": draw.money(), "currency": draw.currency()}),
        "expected_close_date": rarely(Draw.day),
        "next_activity_id": constant(None),
        "visible_to": one_of(1, 3, 5, 7),
    },
    edited=("title", "owner_id", "label_ids", "person_id", "was_seen", "value", "expected_close_date"),
    actions=(lambda _draw, lead, _now: {"is_archived": not lead["is_archived"]},),
    milliseconds=True,
    made_of="uuid",
)


PIPELINE: Final = Shape(
    columns={
        "name": lambda draw: f"Pipeline {draw.one_of(('Süd', 'North ⬆️', '東'))} {draw.number(1, 99)}",
        "order_nr": between(0, 20),
        "is_deleted": constant(False),
        "is_deal_probability_enabled": one_of(True, False),
    },
    edited=("name", "order_nr", "is_deal_probability_enabled"),
)


def _no_days_without_rot(draw: Draw, record: Record) -> Record:
    days = (record["days_to_rotten"] or draw.number(1, 90)) if record["is_deal_rot_enabled"] else None
    return {**record, "days_to_rotten": days}


STAGE: Final = Shape(
    columns={
        "order_nr": between(0, 20),
        "name": lambda draw: f"{draw.one_of(('Qualified', 'Verhandlung', 'Closing ✅'))} {draw.number(1, 99)}",
        "is_deleted": constant(False),
        "deal_probability": between(0, 100),
        "pipeline_id": ref("pipeline"),
        "is_deal_rot_enabled": one_of(True, False),
        "days_to_rotten": constant(None),
    },
    edited=("order_nr", "name", "deal_probability", "is_deal_rot_enabled"),
    complete=_no_days_without_rot,
)
