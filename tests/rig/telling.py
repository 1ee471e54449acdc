"""What a made-up company tells, as the envelopes a receiver would make of it; for tests without processes."""

import random
from collections.abc import Iterator
from itertools import count

import orjson
from rig.events import COMPANY, START
from rig.living import company as made_up

from sandbox.cloud import Company, Truth
from sandbox.events import Event, Version, versions
from sandbox.payloads import body
from sandbox.script import step
from schema.envelope import Envelope


def life(events: int, *, seed: int = 3, company_id: int = COMPANY, v1: float = 0.0) -> tuple[list[Envelope], Truth]:
    """About so many envelopes, those that announce the company included, and what they come to; `v1`: their share."""
    made, rng, at = made_up(seed, company_id, deals=20), random.Random(seed), count(START)
    told = made.announce()
    while len(told) < events:
        told += step(made)
    chosen: list[Version] = ["v1" if rng.random() < v1 else "v2" for _ in told]
    found = [Envelope(company_id, next(at), told_as) for told_as in _bodies(made, told, chosen)]
    heard: tuple[Version, ...] = ("v1", "v2") if v1 else ("v2",)
    return found, made.snapshot(heard)


def _bodies(made: Company, told: list[Event], chosen: list[Version]) -> Iterator[bytes]:
    """Each in its version; some entities are told in one only, and left out where that one is not told at all."""
    for event, wished in zip(told, chosen, strict=True):
        possible = versions(event.entity)
        if wished in possible or "v1" in chosen:
            version = wished if wished in possible else next(iter(possible))
            yield orjson.dumps(body(made.account, event, version, 1))
