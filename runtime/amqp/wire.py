"""The bytes of AMQP 0-9-1 that pass for every message, made and read by hand. No I/O.

A frame is: kind (u8), channel (u16), length of the payload (u32), payload, 0xCE; all numbers are big endian. A message
is a method frame, a content header frame, and body frames. pamqp knows every method, and serves where a connection is
set up; where messages flow, its objects would cost more than all else.
"""

import struct
from functools import lru_cache
from typing import Any, Final, NamedTuple

import pamqp.frame
from pamqp.base import Frame as Method
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"
DELIVER: Final = b"\x00\x3c\x00\x3c"
ACK: Final = b"\x00\x3c\x00\x50"
PERSISTENT: Final = 2
TRANSIENT: Final = 1
FRAME_OVERHEAD: Final = 8
FRAME_MAX: Final = 131_072
"""Bytes of the largest frame that we send or take; RabbitMQ's default."""

_END: Final = 0xCE
_START = struct.Struct(">BHI")
_ACK_FRAME = struct.Struct(">BHI4sQBB")
_TAG_AND_BIT = struct.Struct(">QB")
_SIZE = struct.Struct(">Q")
_CONTENT_START = struct.Struct(">BHIHHQHBB")
_BASIC: Final = 60
_HAS_DELIVERY_MODE_AND_MESSAGE_ID: Final = 1 << 12 | 1 << 7
_HAS_HEADERS: Final = 1 << 13
_ROUTES_REMEMBERED: Final = 1024


class Malformed(Exception):
    """What arrived is not AMQP: the connection can only be given up."""


class Frame(NamedTuple):
    kind: int
    channel: int
    payload: bytes


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0  # bytes until the frame that began in `_rest` is complete

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raise Malformed."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
        frames, at, end = [], 0, len(data)
        self._needed = FRAME_OVERHEAD
        while at + FRAME_OVERHEAD <= end:
            kind, channel, size = _START.unpack_from(data, at)
            if size > FRAME_MAX:
                raise Malformed(f"a frame of {size} bytes")
            last = at + FRAME_OVERHEAD + size - 1
            if last >= end:
                self._needed = FRAME_OVERHEAD + size
                break
            if data[last] != _END:
                raise Malformed(f"a frame of kind {kind} does not end where it says")
            frames.append(Frame(kind, channel, data[at + FRAME_OVERHEAD - 1 : last]))
            at = last + 1
        self._rest = bytearray(data[at:])
        return frames


def method_frame(method: Method, channel: int) -> bytes:
    return pamqp.frame.marshal(method, channel)


def read_method(payload: bytes) -> Method:
    """Raise Malformed."""
    try:
        # pamqp's public way wants the frame around it.
        _, _, method = pamqp.frame.unmarshal(_START.pack(METHOD, 0, len(payload)) + payload + b"\xce")
    except PAMQPException as error:
        raise Malformed(str(error)) from None
    assert isinstance(method, Method)
    return method


def message(
    channel: int, exchange: str, routing_key: str, body: bytes, *, number: int, mode: int, frame_max: int
) -> bytes:
    """A mandatory publish with `number` as its message id, as the bytes of all its frames."""
    message_id = b"%d" % number
    size = 16 + len(message_id)
    parts = [
        _publish(channel, exchange, routing_key),
        _CONTENT_START.pack(
            HEADER, channel, size, _BASIC, 0, len(body), _HAS_DELIVERY_MODE_AND_MESSAGE_ID, mode, len(message_id)
        ),
        message_id,
        b"\xce",
    ]
    most = frame_max - FRAME_OVERHEAD
    for at in range(0, len(body), most):
        part = body[at : at + most]
        parts += (_START.pack(BODY, channel, len(part)), part, b"\xce")
    return b"".join(parts)


@lru_cache(_ROUTES_REMEMBERED)
def _publish(channel: int, exchange: str, routing_key: str) -> bytes:
    return method_frame(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True), channel)


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    return _ACK_FRAME.pack(METHOD, channel, 13, ACK, tag, multiple, _END)


def read_ack(payload: bytes) -> tuple[int, bool]:
    """(delivery tag, multiple)."""
    tag, multiple = _TAG_AND_BIT.unpack_from(payload, 4)
    return tag, bool(multiple)


def read_deliver(payload: bytes) -> tuple[int, bool]:
    """(delivery tag, redelivered)."""
    tag, redelivered = _TAG_AND_BIT.unpack_from(payload, 5 + payload[4])
    return tag, bool(redelivered)


def read_size(header: bytes) -> int:
    """Bytes of the body that follows a content header."""
    (size,) = _SIZE.unpack_from(header, 4)
    return int(size)


def read_headers(header: bytes) -> dict[str, Any]:
    """The application's headers of a content header; most messages have none."""
    if not int.from_bytes(header[12:14], "big") & _HAS_HEADERS:
        return {}
    return read_properties(header).headers or {}


def read_properties(header: bytes) -> Basic.Properties:
    content = ContentHeader()
    content.unmarshal(header)
    return content.properties
