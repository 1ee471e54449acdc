"""A purge's mark: a body that travels as an envelope of the purged company, so that it passes wherever events pass."""

from typing import Final, NamedTuple, Self

import orjson

_START: Final = b'{"pipemirror_mark":'


class Mark(NamedTuple):
    """`token` is known to the database alone: nobody who merely posts can make one. `queue` is where it is sent."""

    token: str
    queue: str

    @property
    def body(self) -> bytes:
        return orjson.dumps({"pipemirror_mark": {"token": self.token, "queue": self.queue}})

    @classmethod
    def of(cls, body: bytes) -> Self | None:
        """The mark that a body is, if it has the form of one."""
        if not body.startswith(_START):
            return None
        try:
            told = orjson.loads(body)["pipemirror_mark"]
            return cls(str(told["token"]), str(told["queue"]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None
