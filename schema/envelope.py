"""What travels from receiver to worker: the body as received, framed in bundles.

A bundle is one queue message with 1 to many envelopes. Framing is binary because a body need not be UTF-8:

    byte 0        format, 1
    per envelope  header: company id (u64), received_at in microseconds since 1970 (u64), body length (u32), big endian
                  the body
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from schema.errors import NotAnEvent, UnknownFormat

FORMAT: Final = 1
NOBODY: Final = 0
"""The company of what names none, or several."""

MAX_BUNDLE_EVENTS: Final = 64
MAX_BUNDLE_BYTES: Final = 64 * 1024
"""A bundle closes before it would exceed either bound; a larger event travels alone."""

_HEADER = struct.Struct(">QQI")
_BIGINT: Final = 2**63
_LATEST: Final = 10**17
"""What Postgres and a datetime can hold: anything else is damage, which could not even be kept as a dead letter."""


class Envelope(NamedTuple):
    """One authentic POST, not yet read.

    company_id   of the path, as a number
    received_at  microseconds since 1970, our clock
    body         the bytes as received
    """

    company_id: int
    received_at: int
    body: bytes


def pack(envelopes: Iterable[Envelope]) -> bytes:
    parts = [bytes((FORMAT,))]
    for company_id, received_at, body in envelopes:
        parts += (_HEADER.pack(company_id, received_at, len(body)), body)
    return b"".join(parts)


def unpack(bundle: bytes) -> list[Envelope]:
    """Raise UnknownFormat for a newer framing, NotAnEvent for a damaged one."""
    if not bundle:
        raise NotAnEvent("the queue message is empty")
    if bundle[0] != FORMAT:
        raise UnknownFormat(f"the queue message has format {bundle[0]}, this release reads {FORMAT}")
    envelopes, at, end = [], 1, len(bundle)
    while at < end:
        if at + _HEADER.size > end:
            raise NotAnEvent("the queue message ends inside a header")
        company_id, received_at, length = _HEADER.unpack_from(bundle, at)
        at += _HEADER.size
        if at + length > end:
            raise NotAnEvent("the queue message ends inside a body")
        if not (0 < company_id < _BIGINT and received_at < _LATEST):
            raise NotAnEvent("the queue message names no company, or no time of receipt")
        envelopes.append(Envelope(company_id, received_at, bundle[at : at + length]))
        at += length
    return envelopes
