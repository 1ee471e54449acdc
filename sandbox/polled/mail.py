"""Files, calls, and the mailbox of the user whose token it is."""

from typing import Any, Final

from sandbox.draw import Draw
from sandbox.shape import Generator, Shape, between, constant, mostly, one_of, rarely, ref
from sandbox.shelf import Record

FILE: Final = Shape(
    columns={
        "user_id": ref("user"),
        "deal_id": mostly(ref("deal")),
        "person_id": rarely(ref("person")),
        "org_id": rarely(ref("organization")),
        "product_id": constant(None),
        "activity_id": constant(None),
        "lead_id": constant(None),
        "project_id": constant(None),
        "log_id": constant(None),
        "file_name": lambda draw: f"scan_{draw.number(1, 9_999)}.pdf",
        "file_type": one_of("pdf", "img"),
        "file_size": between(0, 10**7),
        "active_flag": constant(True),
        "inline_flag": constant(False),
        "remote_location": one_of("s3", "googledocs"),
        "remote_id": constant(None),
        "cid": constant(None),
        "s3_bucket": constant(None),
        "mail_message_id": constant(None),
        "mail_template_id": constant(None),
        **dict.fromkeys(("deal_name", "person_name", "org_name", "product_name", "lead_name"), constant(None)),
        "project_name": constant(None),
        "url": lambda draw: f"https://company7.pipedrive.example/v1/files/{draw.number(1, 9_999)}/download",
        "name": lambda draw: f"Angebot {draw.number(1, 9_999)} — unterschrieben.pdf",
        "description": rarely(Draw.sentence),
    },
    edited=("name", "description"),
)

CALL_LOG: Final = Shape(
    columns={
        "id": lambda draw: f"CA{draw.hash40()[:27]}",
        "user_id": constant(1),  # nobody sees those of others
        "activity_id": rarely(ref("activity")),
        "subject": Draw.title,
        "duration": between(0, 3_600),
        "outcome": one_of("connected", "no_answer", "left_message", "busy"),
        "from_phone_number": rarely(Draw.phone),
        "to_phone_number": Draw.phone,
        "start_time": constant("2026-01-02T03:04:05.000Z"),
        "end_time": constant("2026-01-02T03:14:05.000Z"),
        "person_id": mostly(ref("person")),
        "org_id": rarely(ref("organization")),
        "deal_id": rarely(ref("deal")),
        "lead_id": constant(None),
        "note": rarely(Draw.text),
        "has_recording": one_of(True, False),
    },
    edited=("note", "has_recording"),
    created=None,
    updated=None,
    made_of="columns",
)


def _party(draw: Draw) -> list[dict[str, Any]]:
    name = draw.one_of(("", "Ada", "王芳"))
    return [{"id": draw.number(1, 99), "name": name, "email_address": draw.email(), "linked_person_id": None}]


def _flags(*names: str) -> dict[str, Generator]:
    return {f"{name}_flag": one_of(True, False) for name in names}


_BOTH: Final[dict[str, Generator]] = {
    "account_id": constant("a-mailbox"),
    "user_id": constant(1),
    "subject": Draw.title,
    "snippet": Draw.sentence,
    "mail_tracking_status": constant(None),
    **_flags("read", "has_attachments", "has_inline_attachments", "has_real_attachments", "synced", "smart_bcc"),
    "deleted_flag": constant(False),
    "mail_link_tracking_enabled_flag": constant(False),
}

MAIL_THREAD: Final = Shape(
    columns={
        **_BOTH,
        "parties": lambda draw: {"to": _party(draw), "from": _party(draw)},
        "drafts_parties": constant([]),
        "folders": lambda draw: [draw.one_of(("inbox", "sent", "archive", "drafts"))],
        "version": between(1, 9),
        "snippet_draft": constant(None),
        "snippet_sent": rarely(Draw.sentence),
        "message_count": between(1, 9),
        **_flags("has_draft", "has_sent", "archived", "shared", "first_message_to_me", "all_messages_sent"),
        "external_deleted_flag": constant(False),
        **dict.fromkeys(
            ("last_message_timestamp", "first_message_timestamp", "last_message_received_timestamp"),
            constant("2026-01-02T03:04:05.000Z"),
        ),
        "last_message_sent_timestamp": constant(None),
        "deal_id": rarely(ref("deal")),
        "deal_status": constant(None),
        "lead_id": constant(None),
    },
    edited=("read_flag", "archived_flag", "folders", "version"),
    milliseconds=True,
)


def _body(_draw: Draw, record: Record) -> Record:
    return {**record, "body_url": f"https://bodies.example/{record['id']}?signed"}


MAIL_MESSAGE: Final = Shape(
    columns={
        **_BOTH,
        **dict.fromkeys(("from", "to"), _party),
        **dict.fromkeys(("cc", "bcc"), constant([])),
        "body_url": constant(None),
        "mail_thread_id": ref("mail_thread"),
        "draft": constant(None),
        "has_body_flag": constant(True),
        "sent_flag": constant(False),
        "sent_from_pipedrive_flag": constant(False),
        "draft_flag": constant(False),
        "message_time": constant("2026-01-02T03:04:05.000Z"),
        "body": Draw.text,
    },
    edited=("read_flag", "snippet"),
    asked_for=frozenset(("body",)),
    complete=_body,
    milliseconds=True,
)

SHAPES: Final = {"file": FILE, "call_log": CALL_LOG, "mail_thread": MAIL_THREAD, "mail_message": MAIL_MESSAGE}
