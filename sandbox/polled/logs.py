"""Logs of what happened: rows that are only ever added, without a key that the API would tell.

A column whose name begins with `_` is told nowhere: `_n` counts the rows of a log, `_of` is whose row it is.
"""

from typing import Final

from sandbox.shape import Shape, constant

_CHANGE: Final = (
    *("field_key", "old_value", "new_value", "actor_user_id", "time"),
    *("change_source", "change_source_user_agent", "is_bulk_update_flag"),
)


def _log(*columns: str) -> Shape:
    told = dict.fromkeys((*columns, "_of"), constant(None))
    return Shape(columns=told, edited=(), created=None, updated=None, key=("_n",))


SHAPES: Final = {
    "deal_change": _log(*_CHANGE),
    "person_change": _log(*_CHANGE),
    "organization_change": _log(*_CHANGE),
    "project_change": _log(
        *("change_source", "change_source_user_agent", "time", "new_values", "old_values", "actor_user_id")
    ),
    "participant_change": _log("actor_user_id", "person_id", "action", "time"),
    "follower_change": _log("action", "actor_user_id", "follower_user_id", "time", "_kind"),
}
