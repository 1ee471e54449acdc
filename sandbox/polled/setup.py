"""How an account is set up: currencies, labels, sources, filters, goals, templates, add-ons."""

from typing import Any, Final

from sandbox.draw import Draw
from sandbox.shape import Shape, between, constant, mostly, one_of, rarely, ref

CURRENCY: Final = Shape(
    columns={
        "code": lambda draw: f"X{draw.number(10, 99)}",
        "name": lambda draw: f"{draw.one_of(('Krone', 'Taler', 'ポイント'))} {draw.number(1, 99)}",
        "decimal_points": between(0, 4),
        "symbol": one_of("€", "$", "¤", "Kč"),
        "active_flag": constant(True),
        "is_custom_flag": constant(True),
    },
    edited=("name", "symbol", "active_flag"),
    created=None,
    updated=None,
)

LEAD_LABEL: Final = Shape(
    columns={
        "name": lambda draw: f"{draw.one_of(('Hot 🔥', 'Cold', 'Lau'))} {draw.number(1, 99)}",
        "color": one_of("red", "blue", "yellow"),
    },
    edited=("name", "color"),
    milliseconds=True,
    made_of="uuid",
)

LEAD_SOURCE: Final = Shape(
    columns={"name": one_of("Manually created", "Deal", "Web forms 🌐", "Prospector", "Import", "API")},
    edited=(),
    created=None,
    updated=None,
    key=("name",),
    made_of="columns",
)


def _conditions(draw: Draw) -> dict[str, Any]:
    said = {"object": "deal", "field_id": str(draw.number(1, 99)), "operator": "=", "value": draw.sentence()}
    return {"glue": "and", "conditions": [{"glue": "and", "conditions": [said]}, {"glue": "or", "conditions": []}]}


FILTER: Final = Shape(
    columns={
        "name": lambda draw: f"All of {draw.company()}",
        "filter_code": constant(None),
        "is_editable": one_of(True, False),
        "active_flag": constant(True),
        "type": one_of("deals", "leads", "org", "people", "products", "activity", "projects"),
        "temporary_flag": one_of(True, False, None),
        "user_id": ref("user"),
        "visible_to": one_of(1, 7),
        "last_used_time": constant(None),
        "custom_view_id": rarely(between(1, 99)),
        "conditions": _conditions,
    },
    edited=("name", "is_editable", "visible_to", "conditions"),
)


def _kind_of_goal(draw: Draw) -> dict[str, Any]:
    kind = draw.one_of(("deals_won", "deals_progressed", "activities_completed", "activities_added", "deals_started"))
    return {"name": kind, "params": {"pipeline_id": draw.refs("pipeline", 2), "activity_type_id": []}}


def _outcome(draw: Draw) -> dict[str, Any]:
    metric = draw.one_of(("quantity", "sum"))
    currency = {"currency_id": draw.ref("currency")} if metric == "sum" else {}
    return {"target": draw.number(1, 100), "tracking_metric": metric, **currency}


GOAL: Final = Shape(
    columns={
        "id": lambda draw: draw.hash40()[:32],
        "owner_id": ref("user"),
        "title": Draw.title,
        "type": _kind_of_goal,
        "assignee": lambda draw: {"id": draw.ref("user"), "type": "person"},
        "interval": one_of("weekly", "monthly", "quarterly", "yearly"),
        "duration": lambda _draw: {"start": "2026-01-01", "end": None},
        "expected_outcome": _outcome,
        "is_active": one_of(True, True, False),
        "report_ids": constant([]),
    },
    edited=("title", "interval", "expected_outcome", "is_active"),
    created=None,
    updated=None,
    made_of="columns",
)

PROJECT_TEMPLATE: Final = Shape(
    columns={
        "title": Draw.title,
        "description": mostly(Draw.text),
        "projects_board_id": ref("board"),
        "owner_id": ref("user"),
    },
    edited=("title", "description"),
    milliseconds=True,
)

BILLING_ADDON: Final = Shape(
    columns={"code": one_of("leadbooster_v2", "prospector", "smart_docs_v2", "projects", "campaigns")},
    edited=(),
    created=None,
    updated=None,
    key=("code",),
    made_of="columns",
)

SHAPES: Final = {
    "currency": CURRENCY,
    "lead_label": LEAD_LABEL,
    "lead_source": LEAD_SOURCE,
    "filter": FILTER,
    "goal": GOAL,
    "project_template": PROJECT_TEMPLATE,
    "billing_addon": BILLING_ADDON,
}
