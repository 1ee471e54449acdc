"""What a process remembers of companies, and how new ones are made."""

import asyncio
from typing import Any

import pytest
from rig.waiting import until

from store import fields
from store.companies import ACTIVE, Company
from worker.applying import provision
from worker.applying.known_companies import KnownCompanies


class Making:
    """Makes companies, but the first one only when told to."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.go_on = asyncio.Event()

    async def __call__(self, _: object, company_id: int, **__: object) -> Company:
        self.begun.append(company_id)
        if company_id == 1:
            await self.go_on.wait()
        return Company(company_id, f"pipedrive_{company_id}", ACTIVE)


async def no_types(*_: object) -> dict[str, dict[str, str]]:
    return {}


async def at_once(work: Any, **_: object) -> Any:
    return await work(None)


async def test_a_new_company_does_not_wait_for_another_one_and_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    making, known = Making(), KnownCompanies(numbered_slugs=True)
    monkeypatch.setattr(provision, "provision", making)
    monkeypatch.setattr(fields, "types", no_types)
    first, same = (asyncio.create_task(known.make(1, at_once)) for _ in range(2))
    await until(lambda: making.begun == [1], what="the first one is being made")
    assert (await asyncio.wait_for(known.make(2, at_once), 10)).id == 2
    making.go_on.set()
    assert await asyncio.wait_for(first, 10) is await asyncio.wait_for(same, 10)
    assert making.begun == [1, 2]
