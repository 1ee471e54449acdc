"""A channel fed with a broker's frames, and a connection with its end: no socket anywhere."""

import asyncio
from typing import Any

import pamqp.frame
import pytest
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.commands import Channel as Ch
from pamqp.commands import Connection as Cn
from pamqp.commands import Queue as Qu
from pamqp.header import ContentHeader

from runtime.amqp import wire
from runtime.amqp.channel import AmqpError, Arrival, Blocked, Channel, Closed, Lost, Refused, Unroutable
from runtime.amqp.connection import Connection


class Line(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


class Ends:
    """Both ends of a line: our connection, and the broker's frames."""

    def __init__(self) -> None:
        self.line = Line()
        self.connection = Connection()
        self.connection.connection_made(self.line)

    def says(self, *values: Any, channel: int = 1) -> None:
        self.connection.data_received(b"".join(pamqp.frame.marshal(value, channel) for value in values))

    def sent(self) -> list[str]:
        """The names of the methods we sent."""
        frames = wire.Frames().feed(b"".join(self.line.written))
        return [wire.read_method(frame.payload).name for frame in frames if frame.kind == wire.METHOD]

    async def channel(self) -> Channel:
        opening = asyncio.create_task(self.connection.channel())
        await asyncio.sleep(0)
        self.says(Ch.OpenOk())
        return await opening


@pytest.fixture
async def ends() -> Ends:
    return Ends()


def outcome(confirmed: "asyncio.Future[None]") -> str:
    if not confirmed.done():
        return "waits"
    error = confirmed.exception()
    return type(error).__name__ if error else "confirmed"


async def test_confirms_come_one_by_one_or_up_to_a_tag(ends: Ends) -> None:
    channel = await ends.channel()
    published = [channel.publish("", "q", b"x", wire.PERSISTENT) for _ in range(6)]
    ends.says(Basic.Ack(2))
    assert [outcome(one) for one in published] == ["waits", "confirmed", "waits", "waits", "waits", "waits"]
    ends.says(Basic.Ack(4, multiple=True))
    assert [outcome(one) for one in published] == ["confirmed"] * 4 + ["waits"] * 2
    ends.says(Basic.Nack(6, multiple=True))
    assert [outcome(one) for one in published] == ["confirmed"] * 4 + [Refused.__name__] * 2


async def test_a_returned_message_fails_its_own_publish_although_it_is_confirmed_then(ends: Ends) -> None:
    channel = await ends.channel()
    published = [channel.publish("", "q", b"x", wire.PERSISTENT) for _ in range(3)]
    header = ContentHeader(0, 1, Basic.Properties(delivery_mode=2, message_id="2"))
    ends.says(Basic.Return(312, "NO_ROUTE", "", "q"), header, ContentBody(b"x"))
    ends.says(Basic.Ack(3, multiple=True))
    assert [outcome(one) for one in published] == ["confirmed", Unroutable.__name__, "confirmed"]


async def test_a_confirm_nobody_waits_for_any_more_is_passed_over(ends: Ends) -> None:
    channel = await ends.channel()
    late, next_one = (channel.publish("", "q", b"x", wire.PERSISTENT) for _ in range(2))
    late.cancel()
    ends.says(Basic.Ack(1), Basic.Ack(2), Basic.Ack(2), Basic.Ack(99))
    assert outcome(next_one) == "confirmed"


async def test_an_alarm_fails_what_is_not_confirmed_and_shows_until_it_is_over(ends: Ends) -> None:
    channel = await ends.channel()
    published = channel.publish("", "q", b"x", wire.PERSISTENT)
    ends.says(Cn.Blocked("low on memory"), channel=0)
    assert outcome(published) == Blocked.__name__
    assert ends.connection.blocked
    ends.says(Basic.Ack(1))
    ends.says(Cn.Unblocked(), channel=0)
    assert not ends.connection.blocked
    again = channel.publish("", "q", b"x", wire.PERSISTENT)
    ends.says(Basic.Ack(2))
    assert outcome(again) == "confirmed"


async def test_deliveries_are_put_together_from_their_frames(ends: Ends) -> None:
    channel = await ends.channel()
    delivered: list[Arrival] = []
    channel.on_arrival = delivered.append
    ends.says(Basic.Deliver("worker", 1, False, "", "q"), ContentHeader(0, 5), ContentBody(b"ab"))
    ends.says(ContentBody(b"cde"))
    ends.says(Basic.Deliver("worker", 2, True, "", "q"), ContentHeader(0, 0, Basic.Properties(headers={"x": 1})))
    ends.says(Basic.Deliver("worker", 3, False, "", "q"), ContentHeader(0, 1), ContentBody(b"f"))
    assert delivered == [
        Arrival(1, False, {}, b"abcde"),
        Arrival(2, True, {"x": 1}, b""),
        Arrival(3, False, {}, b"f"),
    ]


async def test_a_caller_that_goes_away_leaves_the_next_answer_to_the_next_caller(ends: Ends) -> None:
    channel = await ends.channel()
    gone = asyncio.create_task(channel.call(Basic.Qos(prefetch_count=1)))
    stays = asyncio.create_task(channel.call(Qu.Declare(queue="q", passive=True)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait((gone,))
    ends.says(Basic.QosOk(), Qu.DeclareOk("q", 7, 0))
    answer = await asyncio.wait_for(stays, 5)
    assert isinstance(answer, Qu.DeclareOk)
    assert answer.message_count == 7


async def test_a_channel_the_broker_closes_fails_what_waits_on_it_and_the_others_live(ends: Ends) -> None:
    channel, other = await ends.channel(), None
    published = channel.publish("", "q", b"x", wire.PERSISTENT)
    calling = asyncio.create_task(channel.call(Basic.Qos(prefetch_count=1)))
    await asyncio.sleep(0)
    ends.says(Ch.Close(404, "no queue 'q'", 0, 0))
    assert outcome(published) == Closed.__name__
    with pytest.raises(Closed, match="no queue") as caught:
        await calling
    assert caught.value.code == 404
    assert ends.sent()[-1] == "Channel.CloseOk"
    with pytest.raises(Closed):
        channel.publish("", "q", b"x", wire.PERSISTENT)
    opening = asyncio.create_task(ends.connection.channel())
    await asyncio.sleep(0)
    ends.says(Ch.OpenOk(), channel=2)
    other = await opening
    assert not other.ended.done()


@pytest.mark.parametrize("how", ["closed", "lost", "malformed", "silent"])
async def test_the_end_of_a_connection_is_told_to_everybody_who_waits(ends: Ends, how: str) -> None:
    channel = await ends.channel()
    published = channel.publish("", "q", b"x", wire.PERSISTENT)
    calling = asyncio.create_task(channel.call(Basic.Qos(prefetch_count=1)))
    await asyncio.sleep(0)
    if how == "closed":
        ends.says(Cn.Close(320, "shutdown", 0, 0), channel=0)
        assert ends.sent()[-1] == "Connection.CloseOk"
    elif how == "lost":
        ends.connection.connection_lost(ConnectionResetError("reset"))
    elif how == "malformed":
        ends.connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")
    else:
        ends.connection._last_sign -= 21
        ends.connection._beat(5)
    expected = Closed if how == "closed" else Lost
    assert outcome(published) == expected.__name__
    with pytest.raises(expected):
        await calling
    assert isinstance(ends.connection.ended.result(), expected)
    assert ends.line.aborted
    with pytest.raises(AmqpError):
        await ends.connection.channel()


async def test_heartbeats_are_sent_as_long_as_the_broker_gives_signs_of_life(ends: Ends) -> None:
    ends.connection._last_sign += 60
    ends.connection._beat(0.001)
    async with asyncio.timeout(5):
        while ends.line.written.count(wire.HEARTBEAT) < 5:  # noqa: ASYNC110 - a timer fires, nobody tells
            await asyncio.sleep(0.001)
    ends.connection.connection_lost(None)
    await asyncio.sleep(0.01)
    assert ends.line.written[-1] == wire.HEARTBEAT
