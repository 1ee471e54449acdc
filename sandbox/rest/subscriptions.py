"""The webhooks that somebody made through the API, and what happens in the company told to each of them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp

from sandbox.cloud import Company
from sandbox.deliveries import Deliveries, Endpoint, Pace
from sandbox.events import Event, Version
from sandbox.ledger import Ledger
from sandbox.mischief import Mischief
from sandbox.records import stamp
from sandbox.rest.refusals import Body, Refused
from sandbox.shelf import Record

_REQUIRED: Final = ("subscription_url", "event_action", "event_object", "name")
_VERSIONS: Final[Mapping[str, Version]] = {"1.0": "v1", "2.0": "v2"}
_V1_ACTIONS: Final = {"create": "added", "change": "updated", "delete": "deleted"}
_MOST: Final = 40
"""Webhooks of one user."""

_PROBE: Final = aiohttp.ClientTimeout(total=5)
_MICROS: Final = 1_000_000


@dataclass(slots=True)
class Hook:
    """One webhook: what the API says of it, and its deliveries."""

    told: Record
    deliveries: Deliveries = field(repr=False)

    @property
    def version(self) -> Version:
        return _VERSIONS[self.told["version"]]

    def wants(self, event: Event) -> bool:
        """By action and object, as its version calls them."""
        if self.version == "v1":
            action = "merged" if event.loser is not None else _V1_ACTIONS[event.action]
            entity = "activityType" if event.entity == "activity_type" else event.entity
        else:
            action, entity = event.action, event.entity
        return self.told["event_action"] in ("*", action) and self.told["event_object"] in ("*", entity)


class Subscriptions:
    """Those there are, at any moment. An event that none of them wants is lost.

    ledger    books of all of them together: an event that two webhooks told was acknowledged twice
    mischief  of the deliveries; in which version events are told is up to the webhook
    """

    def __init__(
        self,
        company: Company,
        session: aiohttp.ClientSession,
        *,
        user_id: int,
        rng: random.Random,
        mischief: Mischief | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._company, self._session, self._user_id = company, session, user_id
        self._rng, self._mischief, self._pace = rng, mischief or Mischief(), pace or Pace()
        self.ledger = Ledger(whole_states=company.account.lists_empty_fields)
        self._hooks: dict[int, Hook] = {}
        self._ended: list[Hook] = []
        self._last_id = 174_600

    @property
    def hooks(self) -> tuple[Hook, ...]:
        return tuple(self._hooks.values())

    @property
    def versions(self) -> frozenset[Version]:
        return frozenset(hook.version for hook in self._hooks.values())

    async def send(self, event: Event) -> None:
        """Tell of it; waits while as many POSTs are under way as may be."""
        hidden = (event.entity, event.id) in self._company.hidden
        wanting = [] if hidden else [hook for hook in self.hooks if hook.wants(event)]
        if not wanting:
            self.ledger.lose(event, "unsubscribed")
        for hook in wanting:
            await hook.deliveries.send(event)

    async def drain(self) -> None:
        """Wait for every retry."""
        for hook in (*self._ended, *self.hooks):
            await hook.deliveries.drain()

    async def close(self) -> None:
        for hook in (*self._ended, *self.hooks):
            await hook.deliveries.close()

    def all(self) -> Body:
        return {"status": "ok", "success": True, "data": [self._row(hook) for hook in self.hooks]}

    async def create(self, posted: Any) -> Body:
        """A new one, if its URL answers at all."""
        wanted: Record = posted if isinstance(posted, dict) else {}
        self._check(wanted)
        if not await self._answers(wanted["subscription_url"]):
            raise _wrong("subscription_url", "invalid or non-reachable URL")
        self._last_id += 1
        hook = self._hook(self._last_id, wanted)
        self._hooks[self._last_id] = hook
        return {"status": "ok", "success": True, "data": self._row(hook)}

    def remove(self, hook_id: int) -> Body:
        """From now on nothing is told to it; what is under way still is."""
        if hook_id not in self._hooks:
            raise _wrong("id", "not found", 404)
        self._ended.append(self._hooks.pop(hook_id))
        return {"status": "ok", "success": True}

    def _check(self, wanted: Record) -> None:
        for name in _REQUIRED:
            if not isinstance(wanted.get(name), str) or not wanted[name]:
                raise _wrong(name, "is required")
        if wanted.get("version", "2.0") not in _VERSIONS:
            raise _wrong("version", "must be 1.0 or 2.0")
        user_id = wanted.get("user_id", self._user_id)
        if user_id != self._user_id and not self._is_admin():
            raise Refused(403, "Forbidden", body={"success": False, "message": "Forbidden"})
        if sum(hook.told["user_id"] == user_id for hook in self.hooks) >= _MOST:
            raise _wrong("user_id", "webhook limit reached", 422)

    def _is_admin(self) -> bool:
        return any(one["admin"] for one in self._company.live["user"][self._user_id]["access"])

    async def _answers(self, url: str) -> bool:
        """Whatever it answers: that it does is enough."""
        try:
            async with self._session.get(url, allow_redirects=False, timeout=_PROBE):
                return True
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    def _hook(self, hook_id: int, wanted: Record) -> Hook:
        user, password = (wanted.get(name) for name in ("http_auth_user", "http_auth_password"))
        told = {
            "id": hook_id,
            "company_id": self._company.account.company_id,
            "owner_id": self._user_id,
            "user_id": wanted.get("user_id", self._user_id),
            **{name: wanted[name] for name in ("event_action", "event_object", "subscription_url")},
            "version": wanted.get("version", "2.0"),
            "add_time": stamp(self._company.now(), milliseconds=True),
            "type": "general",
            "http_auth_user": user,
            "http_auth_password": password,
            "admin_id": self._user_id,
            "name": wanted["name"],
        }
        mischief = replace(self._mischief, v1=1.0 if told["version"] == "1.0" else 0.0)
        account = replace(self._company.account, webhook_id=hook_id, owner_id=self._user_id)
        endpoint = Endpoint(wanted["subscription_url"], user, password)
        more: Mapping[str, Any] = {"rng": self._rng, "mischief": mischief, "pace": self._pace}
        return Hook(told, Deliveries(self._session, endpoint, account, self.ledger, **more))

    def _row(self, hook: Hook) -> Record:
        """What a deletion after days without success, and the last attempt, add to it."""
        now, subscription = self._pace.clock(), hook.deliveries.subscription
        subscription.admits(now)
        removed = self._time(now, now) if subscription.deleted else None
        return {
            **hook.told,
            "is_active": int(not subscription.deleted),
            "remove_time": removed,
            "remove_reason": "no successful delivery" if subscription.deleted else None,
            "last_delivery_time": self._time(now, subscription.attempted_at),
            "last_http_status": subscription.last_status,
        }

    def _time(self, now: float, at: float | None) -> str | None:
        """A moment of the deliveries' clock as one of the company's."""
        return None if at is None else stamp(self._company.now() - int((now - at) * _MICROS), milliseconds=True)


def _wrong(name: str, error: str, status: int = 400) -> Refused:
    return Refused(status, error, body={"status": "error", "success": False, "errors": {name: [error]}})
