"""The mailbox of the token's own user; nobody else's is shown. Private as it is, none of it is read unasked."""

from typing import Final

from schema.columns import BIGINT, BOOLEAN, INTEGER, JSON, TEXT, TEXTS, TIMESTAMP, UUID
from schema.entity import WEEK, Entity, event
from schema.listing import Get, Listing, Paging, Parent

_SCOPES: Final = ("mail:read", "mail:full")

MAIL_THREAD: Final = Entity(
    "mail_thread",
    plural="mail_threads",
    webhook=False,
    deleted_when={"deleted_flag": True},
    deleted_columns={"deleted_flag": True},
    # A thread may stand in several.
    listings=tuple(
        Listing(
            "/v1/mailbox/mailThreads",
            cost=20,
            paging=Paging.OFFSET,
            params={"folder": folder},
            scopes=_SCOPES,
            mine="user_id",
            opt_in=True,
            name=folder,
        )
        for folder in ("inbox", "drafts", "sent", "archive")
    ),
    get=Get("/v1/mailbox/mailThreads/{id}", 20),
    cadence=WEEK,
    columns=(
        event("account_id", TEXT),
        event("user_id", BIGINT, ref="user"),
        event("subject", TEXT),
        event("snippet", TEXT),
        event("read_flag", BOOLEAN),
        event("mail_tracking_status", TEXT),
        event("has_attachments_flag", BOOLEAN),
        event("has_inline_attachments_flag", BOOLEAN),
        event("has_real_attachments_flag", BOOLEAN),
        event("deleted_flag", BOOLEAN),
        event("synced_flag", BOOLEAN),
        event("smart_bcc_flag", BOOLEAN),
        event("mail_link_tracking_enabled_flag", BOOLEAN),
        event("parties", JSON),
        event("drafts_parties", JSON),
        event("folders", TEXTS),
        event("version", BIGINT),
        event("snippet_draft", TEXT),
        event("snippet_sent", TEXT),
        event("message_count", INTEGER),
        event("has_draft_flag", BOOLEAN),
        event("has_sent_flag", BOOLEAN),
        event("archived_flag", BOOLEAN),
        event("shared_flag", BOOLEAN),
        event("external_deleted_flag", BOOLEAN),
        event("first_message_to_me_flag", BOOLEAN),
        event("last_message_timestamp", TIMESTAMP),
        event("first_message_timestamp", TIMESTAMP),
        event("last_message_sent_timestamp", TIMESTAMP),
        event("last_message_received_timestamp", TIMESTAMP),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("deal_id", BIGINT, ref="deal"),
        event("deal_status", TEXT),
        event("lead_id", UUID, ref="lead"),
        event("all_messages_sent_flag", BOOLEAN),
    ),
)

MAIL_MESSAGE: Final = Entity(
    "mail_message",
    plural="mail_messages",
    webhook=False,
    deleted_when={"deleted_flag": True},
    deleted_columns={"deleted_flag": True},
    left_out={"body_url": "a signed link that expires; every answer has another one"},
    listings=(
        Listing(
            "/v1/mailbox/mailThreads/{parent}/mailMessages",
            cost=20,
            paging=Paging.WHOLE,
            scopes=_SCOPES,
            parent=Parent("mail_thread", column="mail_thread_id"),
            opt_in=True,
        ),
        # What a mail says is shown one mail at a time.
        Listing(
            "/v1/mailbox/mailMessages/{parent}",
            cost=2,
            paging=Paging.WHOLE,
            params={"include_body": "1"},
            scopes=_SCOPES,
            parent=Parent("mail_message"),
            opt_in=True,
        ),
    ),
    get=Get("/v1/mailbox/mailMessages/{id}", 2),
    cadence=WEEK,
    columns=(
        event("account_id", TEXT),
        event("user_id", BIGINT, ref="user"),
        event("subject", TEXT),
        event("snippet", TEXT),
        event("read_flag", BOOLEAN),
        event("mail_tracking_status", TEXT),
        event("has_attachments_flag", BOOLEAN),
        event("has_inline_attachments_flag", BOOLEAN),
        event("has_real_attachments_flag", BOOLEAN),
        event("deleted_flag", BOOLEAN),
        event("synced_flag", BOOLEAN),
        event("smart_bcc_flag", BOOLEAN),
        event("mail_link_tracking_enabled_flag", BOOLEAN),
        event("from", JSON),
        event("to", JSON),
        event("cc", JSON),
        event("bcc", JSON),
        event("mail_thread_id", BIGINT, ref="mail_thread"),
        event("draft", TEXT),
        event("has_body_flag", BOOLEAN),
        event("sent_flag", BOOLEAN),
        event("sent_from_pipedrive_flag", BOOLEAN),
        event("message_time", TIMESTAMP),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("draft_flag", BOOLEAN),
        event("body", TEXT),
    ),
)
