"""The hand-made bytes of AMQP, against pamqp, which is made from the protocol's specification."""

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.base import Frame as Method
from pamqp.body import ContentBody
from pamqp.commands import Basic, Connection
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from runtime.amqp import wire

TAGS = st.integers(1, 2**63 - 1)


def framed(*values: Method | ContentHeader | ContentBody, channel: int = 1) -> bytes:
    return b"".join(pamqp.frame.marshal(value, channel) for value in values)


@given(
    channel=st.integers(1, 2047),
    body=st.binary(max_size=200),
    number=st.integers(1, 10**12),
    mode=st.sampled_from([wire.PERSISTENT, wire.TRANSIENT]),
    frame_max=st.integers(wire.FRAME_OVERHEAD + 1, 300),
)
def test_a_message_is_what_the_specification_says(
    channel: int, body: bytes, number: int, mode: int, frame_max: int
) -> None:
    most = frame_max - wire.FRAME_OVERHEAD
    parts = [ContentBody(body[at : at + most]) for at in range(0, len(body), most)]
    properties = Basic.Properties(delivery_mode=mode, message_id=str(number))
    publish = Basic.Publish(exchange="there", routing_key="lane.7", mandatory=True)
    expected = framed(publish, ContentHeader(0, len(body), properties), *parts, channel=channel)
    made = wire.message(channel, "there", "lane.7", body, number=number, mode=mode, frame_max=frame_max)
    assert made == expected


@given(channel=st.integers(1, 2047), tag=TAGS, multiple=st.booleans())
def test_acks_are_what_the_specification_says_in_both_directions(channel: int, tag: int, multiple: bool) -> None:
    expected = framed(Basic.Ack(tag, multiple), channel=channel)
    assert wire.ack(channel, tag, multiple=multiple) == expected
    (frame,) = wire.Frames().feed(expected)
    assert frame.payload[:4] == wire.ACK
    assert wire.read_ack(frame.payload) == (tag, multiple)


@given(consumer=st.text("abc", max_size=40), tag=TAGS, redelivered=st.booleans())
def test_a_delivery_is_read(consumer: str, tag: int, redelivered: bool) -> None:
    (frame,) = wire.Frames().feed(framed(Basic.Deliver(consumer, tag, redelivered, "exchange", "key")))
    assert (frame.kind, frame.channel, frame.payload[:4]) == (wire.METHOD, 1, wire.DELIVER)
    assert wire.read_deliver(frame.payload) == (tag, redelivered)


@pytest.mark.parametrize(
    ("properties", "headers"),
    [
        (Basic.Properties(), {}),
        (Basic.Properties(delivery_mode=2, message_id="7", content_type="x", priority=1), {}),
        (Basic.Properties(headers={"x-delivery-count": 3}), {"x-delivery-count": 3}),
        (Basic.Properties(delivery_mode=2, headers={"x-delivery-count": 3}, content_type="y"), {"x-delivery-count": 3}),
    ],
)
def test_the_headers_of_a_message_are_read(properties: Basic.Properties, headers: dict[str, int]) -> None:
    (frame,) = wire.Frames().feed(framed(ContentHeader(0, 4711, properties)))
    assert (frame.kind, wire.read_size(frame.payload)) == (wire.HEADER, 4711)
    assert wire.read_headers(frame.payload) == headers


def test_a_rare_method_is_read_by_pamqp() -> None:
    (frame,) = wire.Frames().feed(framed(Connection.Close(320, "shutdown", 0, 0), channel=0))
    method = wire.read_method(frame.payload)
    assert isinstance(method, Connection.Close)
    assert (method.reply_code, method.reply_text) == (320, "shutdown")


def test_a_method_that_nobody_knows_is_malformed() -> None:
    with pytest.raises(wire.Malformed):
        wire.read_method(b"\xff\xff\xff\xff")


@given(
    payloads=st.lists(st.binary(max_size=40), max_size=8),
    cuts=st.lists(st.integers(1, 30), max_size=60),
)
def test_however_the_stream_is_cut_the_frames_are_the_same(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pamqp.frame.marshal(ContentBody(payload), 3) for payload in payloads)
    stream += pamqp.frame.marshal(Heartbeat(), 0)
    frames = wire.Frames()
    found: list[wire.Frame] = []
    for cut in [*cuts, len(stream)]:
        found += frames.feed(stream[:cut])
        stream = stream[cut:]
    assert found == [*(wire.Frame(wire.BODY, 3, payload) for payload in payloads), wire.Frame(8, 0, b"")]


@pytest.mark.parametrize(
    "stream", [b"\x01\x00\x00\x00\x00\x00\x01x?", b"\x01\x00\x00\xff\xff\xff\xff", b"HTTP/1.1 400 Bad"]
)
def test_what_is_no_amqp_is_malformed_at_once(stream: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.Frames().feed(stream + bytes(8))
