"""How many records of each entity a made-up account begins with."""

from collections.abc import Mapping
from typing import Final

from sandbox.draw import CURRENCY
from sandbox.sales import LEAD_LABELS
from sandbox.shelf import Record

_SHARES: Final[Mapping[str, float]] = {
    "organization": 0.3,
    "person": 0.5,
    "product": 0.1,
    "lead": 0.2,
    "deal_product": 0.3,
    "deal_installment": 0.1,
    "deal": 1.0,
    "activity": 1.0,
    "note": 0.4,
    "project": 0.1,
    "task": 0.2,
    **dict.fromkeys(("deal_participant", "deal_follower", "file", "note_comment"), 0.2),
    **dict.fromkeys(("person_follower", "organization_follower", "deal_discount", "mail_message"), 0.1),
    **dict.fromkeys(("organization_relationship", "person_picture", "call_log", "mail_thread"), 0.1),
}
_FEWEST: Final[Mapping[str, int]] = {
    **dict.fromkeys(("stage", "mail_message"), 8),
    **dict.fromkeys(("goal", "mail_thread", "permission_set_assignment"), 6),
    **dict.fromkeys(("user", "phase", "lead_source", "file"), 5),
    **dict.fromkeys(("filter", "permission_set", "role_assignment"), 4),
    **dict.fromkeys(("activity_type", "role"), 3),
    "user_permission": 0,  # comes with each user
}
_OTHERWISE: Final = 2

GIVEN: Final[Mapping[str, tuple[Record, ...]]] = {
    "currency": tuple({"code": code, "is_custom_flag": False} for code in CURRENCY),
    "lead_label": tuple({"id": label} for label in LEAD_LABELS),
}
"""What every account begins with: the columns in which these records are not made up."""


def first(entity: str, deals: int) -> int:
    """So many there are at the start, in an account of about this many deals."""
    return max(_FEWEST.get(entity, _OTHERWISE), int(deals * _SHARES.get(entity, 0)))
