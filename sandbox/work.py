"""What people do: activities, notes, projects and tasks; and the people themselves."""

from typing import Any, Final

from sandbox.draw import FIRST, Draw
from sandbox.fields import address
from sandbox.shape import Shape, between, constant, mostly, one_of, rarely, ref
from sandbox.shelf import Record


def _done(_draw: Draw, activity: Record, now: str) -> Record:
    return {"done": not activity["done"], "marked_as_done_time": None if activity["done"] else now}


def _participants(_draw: Draw, activity: Record) -> Record:
    person = activity["person_id"]
    return {**activity, "participants": [] if person is None else [{"person_id": person, "primary": True}]}


ACTIVITY: Final = Shape(
    columns={
        "subject": Draw.title,
        "type": one_of("call", "meeting", "task", "deadline", "email", "lunch"),
        "owner_id": ref("user"),
        "creator_user_id": ref("user"),
        "is_deleted": constant(False),
        "deal_id": mostly(ref("deal")),
        "lead_id": rarely(ref("lead"), 0.1),
        "person_id": mostly(ref("person")),
        "org_id": mostly(ref("organization")),
        "project_id": constant(None),
        "due_date": mostly(Draw.day),
        "due_time": rarely(Draw.clock, 0.5),
        "duration": rarely(one_of("00:15:00", "01:00:00", "26:30:00"), 0.5),
        "busy": one_of(True, False, None),
        "done": constant(False),
        "marked_as_done_time": constant(None),
        "location": rarely(address, 0.2),
        "participants": constant([]),
        "attendees": constant(None),
        "conference_meeting_client": constant(None),
        "conference_meeting_url": constant(None),
        "conference_meeting_id": constant(None),
        "public_description": one_of("", None, "Öffentlich — 公開"),
        "priority": constant(None),
        "note": rarely(Draw.text),
    },
    edited=("subject", "type", "owner_id", "due_date", "due_time", "duration", "busy", "public_description", "note"),
    complete=_participants,
    actions=(_done,),
    asked_for=frozenset(("attendees",)),
)

NOTE: Final = Shape(
    columns={
        "active_flag": constant(True),
        "content": lambda draw: f"<p>{draw.text()}</p><ul><li>&amp; {draw.sentence()}</li></ul>",
        "lead_id": rarely(ref("lead"), 0.1),
        "deal_id": mostly(ref("deal")),
        "last_update_user_id": constant(None),
        "org_id": rarely(ref("organization")),
        "person_id": rarely(ref("person")),
        "project_id": constant(None),
        "task_id": constant(None),
        "pinned_to_deal_flag": constant(False),
        "pinned_to_organization_flag": constant(False),
        "pinned_to_person_flag": constant(False),
        "pinned_to_project_flag": constant(False),
        "pinned_to_task_flag": constant(False),
        "user_id": ref("user"),
    },
    edited=("content",),
    actions=(lambda _draw, note, _now: {"pinned_to_deal_flag": not note["pinned_to_deal_flag"]},),
)


def _first_is_admin(_draw: Draw, user: Record) -> Record:
    """Whoever founded the company may do everything."""
    return {**user, "access": [{**one, "admin": user["id"] == 1} for one in user["access"]]}


USER: Final = Shape(
    columns={
        "name": lambda draw: f"{draw.one_of(FIRST)} {draw.number(1, 99)}",
        "default_currency": Draw.currency,
        "locale": one_of("et_EE", "en_US", "ja_JP"),
        "lang": between(1, 30),
        "email": Draw.email,
        "phone": rarely(Draw.phone),
        "activated": constant(True),
        "last_login": constant(None),
        "has_created_company": constant(False),
        "access": constant(
            [{"app": "sales", "admin": False, "permission_set_id": "f07d229d-088a-4144-a40f-1fe64295d180"}]
        ),
        "active_flag": constant(True),
        "timezone_name": one_of("Europe/Helsinki", "America/Sao_Paulo"),
        "timezone_offset": constant("+02:00"),
        "role_id": rarely(between(1, 5), 0.7),
        "icon_url": constant(None),
        "is_you": constant(False),
        "is_deleted": constant(False),
    },
    edited=("name", "default_currency", "locale", "phone", "timezone_name"),
    complete=_first_is_admin,
    actions=(lambda _draw, _user, now: {"last_login": now},),
    created="created",
    updated="modified",
)

ACTIVITY_TYPE: Final = Shape(
    columns={
        "name": lambda draw: f"Visit {draw.number(1, 9999)} 🏠",
        "icon_key": one_of("car", "call", "lunch"),
        "color": rarely(one_of("FFFFFF", "0A0B0C")),
        "order_nr": between(1, 20),
        "key_string": lambda draw: f"visit_{draw.number(1, 9999)}",
        "active_flag": constant(True),
        "is_custom_flag": constant(True),
    },
    edited=("name", "icon_key", "color", "order_nr"),
)


def _board_of_phase(draw: Draw, record: Record) -> Record:
    board = draw.column("phase", record["phase_id"], "board_id")
    return record if board is None else {**record, "board_id": board}


def _finish(_draw: Draw, project: Record, now: str) -> Record:
    return {"status": "open" if project["status"] == "completed" else "completed", "status_change_time": now}


def _advance(draw: Draw, project: Record, _now: str) -> Record:
    phase = draw.ref("phase")
    return {} if phase in (None, project["phase_id"]) else {"phase_id": phase}


def _archive(draw: Draw, project: Record, now: str) -> Record:
    """Taken out of its archive again as well."""
    return {"archive_time": None if project["archive_time"] else now} if draw.chance(0.5) else {}


def _several(entity: str, most: int) -> Any:
    return lambda draw: draw.refs(entity, most)


PROJECT_LABELS: Final = (31, 32, 33)

PROJECT: Final = Shape(
    columns={
        "title": Draw.title,
        "description": rarely(Draw.text, 0.6),
        "status": constant("open"),
        "board_id": constant(None),
        "phase_id": ref("phase"),
        "owner_id": ref("user"),
        "start_date": mostly(Draw.day),
        "end_date": rarely(Draw.day),
        "deal_ids": _several("deal", 3),
        "person_ids": _several("person", 2),
        "org_ids": _several("organization", 2),
        "label_ids": lambda draw: draw.some_of(PROJECT_LABELS, 2),
        "health_status": rarely(between(1, 3)),
        "status_change_time": constant(None),
        "archive_time": constant(None),
    },
    edited=("title", "description", "owner_id", "start_date", "end_date", "deal_ids", "label_ids", "health_status"),
    complete=_board_of_phase,
    actions=(_finish, _advance, _archive),
)

TASK: Final = Shape(
    columns={
        "title": Draw.title,
        "creator_id": ref("user"),
        "description": rarely(Draw.text),
        "project_id": ref("project"),
        "is_done": constant(False),
        "is_milestone": one_of(True, False),
        "due_date": rarely(Draw.day),
        "start_date": rarely(Draw.day),
        "parent_task_id": rarely(ref("task")),
        "assignee_ids": _several("user", 2),
        "priority": rarely(between(1, 4)),
        "marked_as_done_time": constant(None),
    },
    edited=("title", "description", "due_date", "assignee_ids", "priority"),
    actions=(
        lambda _draw, task, now: {
            "is_done": not task["is_done"],
            "marked_as_done_time": None if task["is_done"] else now,
        },
    ),
)

BOARD: Final = Shape(
    columns={
        "name": lambda draw: f"Board {draw.one_of(('Bau', '工事', 'IT'))} {draw.number(1, 99)}",
        "order_nr": between(1, 9),
    },
    edited=("name", "order_nr"),
)

PHASE: Final = Shape(
    columns={
        "name": lambda draw: f"Phase {draw.one_of(('Plan', 'Ausführung', 'Done 🎉'))} {draw.number(1, 99)}",
        "board_id": ref("board"),
        "order_nr": between(1, 9),
    },
    edited=("name", "order_nr"),
)
