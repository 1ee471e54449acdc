"""The budget of bytes that are read at once."""

import asyncio

import pytest

from receiver.budget import Budget
from schema.errors import NoRoom


class Reader:
    """Takes room, and gives it back when it is told to."""

    def __init__(self, budget: Budget, size: int) -> None:
        self.reading = False
        self.done = asyncio.Event()
        self.task = asyncio.create_task(self._read(budget, size))

    async def _read(self, budget: Budget, size: int) -> None:
        async with budget.room(size):
            self.reading = True
            await self.done.wait()
            self.reading = False


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def reading(*readers: Reader) -> list[bool]:
    await settle()
    return [reader.reading for reader in readers]


async def test_who_finds_no_room_waits_in_order_of_arrival() -> None:
    budget = Budget(10)
    first, large, small = (Reader(budget, size) for size in (6, 5, 1))
    assert await reading(first, large, small) == [True, False, False]

    first.done.set()
    assert await reading(first, large, small) == [False, True, True]
    large.done.set()
    small.done.set()
    await asyncio.gather(first.task, large.task, small.task)


async def test_a_body_larger_than_all_room_goes_alone() -> None:
    budget = Budget(10)
    huge, other = Reader(budget, 1000), Reader(budget, 1)
    assert await reading(huge, other) == [True, False]
    huge.done.set()
    assert await reading(huge, other) == [False, True]
    other.done.set()
    await other.task


async def test_who_gives_up_waiting_leaves_its_place_to_the_next() -> None:
    budget = Budget(10)
    first, gone, last = Reader(budget, 8), Reader(budget, 8), Reader(budget, 2)
    assert await reading(first, gone, last) == [True, False, False]
    gone.task.cancel()
    assert await reading(first, gone, last) == [True, False, True]

    first.done.set()
    last.done.set()
    await asyncio.gather(first.task, last.task)
    again = Reader(budget, 10)
    assert await reading(again) == [True]
    again.done.set()
    await again.task


async def test_who_gives_up_at_the_very_moment_of_its_turn_takes_nothing_with_it() -> None:
    budget = Budget(10)
    first, gone = Reader(budget, 10), Reader(budget, 10)
    await settle()
    first.done.set()
    await asyncio.sleep(0)  # its room is given to the next one, which does not know yet
    gone.task.cancel()
    await settle()
    again = Reader(budget, 10)
    assert await reading(again) == [True]
    again.done.set()
    await asyncio.gather(first.task, again.task)


async def test_who_waited_in_vain_is_told_so_and_takes_nothing_with_it() -> None:
    budget = Budget(10)
    first = Reader(budget, 8)
    await settle()
    with pytest.raises(NoRoom, match="8 bytes"):
        async with budget.room(5, within=0.01):
            pytest.fail("there was no room")
    first.done.set()
    await first.task
    again = Reader(budget, 10)
    assert await reading(again) == [True]
    again.done.set()
    await again.task
