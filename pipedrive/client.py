"""The way to Pipedrive: one account. What to ask and what an answer means is decided elsewhere.

Each request waits for the allowance of its account, is tried again where that helps, and comes back as a `Reply` or as
a problem: one of `pipedrive.errors`. Longer than a burst lasts nobody is kept waiting: where the day's tokens are
spent, or Pipedrive has blocked us, the problem says until when.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import structlog

from pipedrive.allowance import Allowance
from pipedrive.answer import BLOCKED_SECONDS, Answer, read
from pipedrive.budget import Need
from pipedrive.errors import (
    AccountClosed,
    AccountRefused,
    AnswerUnreadable,
    ApiRedirects,
    BlockedByPipedrive,
    BudgetExhausted,
    FeatureOff,
    ListingRefused,
    PipedriveUnavailable,
    RateLimited,
    RightsMissing,
    TokenInvalid,
    UnexpectedAnswer,
)
from pipedrive.ledger import Granted, Shut
from pipedrive.request import WHO_AM_I, Request
from pipedrive.token import Token
from pipedrive.wire import Wire
from runtime.backoff import Backoff
from schema.errors import Problem

_log = structlog.stdlib.get_logger(__name__)

Tokens = Callable[[], Awaitable[Token]]
"""Gives the token that is valid now."""

ATTEMPTS: Final = 5
RETRY: Final = Backoff(first=0.5, cap=20.0)

SUSPECTED_AFTER: Final = 3
"""Refusals for too many requests in a row, each after a wait of a whole window, from which on the day's tokens are
taken for the reason: Pipedrive does not always say which of the two limits it was."""

SUSPECTED_SECONDS: Final = 900.0
"""For how long nothing is asked then. Until the next day would be long for what is only suspected."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was sent, for who counts them.

    cost     tokens
    seconds  until the answer was read, or there was none
    result   `answered`, `cancelled`, or the code of a problem
    """

    cost: int
    seconds: float
    result: str


def nobody(_: Asked) -> None:
    """For who does not count."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The content of an answer, and since when it is true.

    began           microseconds since 1970 on Pipedrive's clock at which the request began, or a little before
    correlation_id  by which Pipedrive's support finds the request; may be empty
    """

    content: dict[str, Any] = field(repr=False)
    began: int
    correlation_id: str = ""


class Client:
    """Use as `async with`. Any number of tasks may ask at once; connections and allowance bound what is under way."""

    def __init__(
        self,
        wire: Wire,
        tokens: Tokens,
        allowance: Allowance,
        *,
        retry: Backoff = RETRY,
        on_asked: Callable[[Asked], None] = nobody,
    ) -> None:
        self._wire = wire
        self._tokens = tokens
        self._allowance = allowance
        self._retry = retry
        self._on_asked = on_asked

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Also ends wire and allowance. Who still waits is cancelled."""
        await self._allowance.aclose()
        await self._wire.aclose()

    async def get(self, request: Request, *, need: Need) -> Reply:
        """Ask. Raise one of `pipedrive.errors`, or NotNow of where the allowance is kept."""
        try:
            return await self._attempts(request, need)
        except (TokenInvalid, AccountClosed) as problem:
            if request == WHO_AM_I:
                raise
            # Pipedrive also answers so where only this list is not for this user or plan.
            await self._attempts(WHO_AM_I, Need.LIVE)
            kind: type[ListingRefused] = FeatureOff if isinstance(problem, AccountClosed) else RightsMissing
            raise kind(problem.reason) from problem
        except ApiRedirects:
            if request == WHO_AM_I or not request.repeatable:
                raise
            # Something before Pipedrive may have answered; or it is this address alone that leads elsewhere.
            await self._attempts(WHO_AM_I, Need.LIVE)
            return await self._unless_moved(request, need)

    async def _unless_moved(self, request: Request, need: Need) -> Reply:
        try:
            return await self._attempts(request, need)
        except ApiRedirects as problem:
            raise UnexpectedAnswer(f"{problem.reason}: it leads elsewhere, although others do not") from problem

    async def _attempts(self, request: Request, need: Need) -> Reply:
        refusals = 0
        for attempt in range(ATTEMPTS):
            is_last = attempt + 1 == ATTEMPTS
            try:
                return await self._attempt(request, need)
            except RateLimited as problem:
                refusals += 1
                if refusals >= SUSPECTED_AFTER and not problem.certain:
                    raise await self._suspected() from problem
                await self._allowance.refused(Shut.BURST, problem.wait)
                if is_last:
                    raise
            except (PipedriveUnavailable, AnswerUnreadable):
                if is_last or not request.repeatable:
                    raise
                await asyncio.sleep(self._retry.delay(attempt))
        raise AssertionError  # the last attempt returns or raises

    async def _attempt(self, request: Request, need: Need) -> Reply:
        token = await self._tokens()
        try:
            return await self._exchange(request, await self._granted(request, need), token)
        except TokenInvalid:
            renewed = await self._tokens()
            if renewed == token:
                raise
        # Somebody has renewed it while this request was under way.
        return await self._exchange(request, await self._granted(request, need), renewed)

    async def _granted(self, request: Request, need: Need) -> Granted:
        granted = await self._allowance.take(need, request.cost)
        while granted.probe:
            await self._probe(granted)
            granted = await self._allowance.take(need, request.cost)
        return granted

    async def _probe(self, granted: Granted) -> None:
        """Find out for all processes whether the account may be asked again. Raise if it may not, or did not say."""
        try:
            await self._exchange(WHO_AM_I, granted, await self._tokens())
        except RateLimited as problem:
            raise await self._suspected() from problem
        except AccountRefused:
            await self._allowance.opened()
            raise
        await self._allowance.opened()

    async def _suspected(self) -> Problem:
        until = await self._allowance.refused(Shut.DAILY, SUSPECTED_SECONDS)
        return BudgetExhausted("refused again and again, most likely as the account's tokens of today are spent", until)

    async def _exchange(self, request: Request, granted: Granted, token: Token) -> Reply:
        began, result = time.monotonic(), "cancelled"
        try:
            answer = await self._wire.send(request, token)
            self._allowance.learn(answer.quota, granted)
            reply = await self._read(answer, request)
            result = "answered"
        except Problem as problem:
            result = problem.code
            raise
        else:
            return reply
        finally:
            self._on_asked(Asked(request.cost, time.monotonic() - began, result))

    async def _read(self, answer: Answer, request: Request) -> Reply:
        try:
            return Reply(read(answer, request), answer.began, answer.correlation_id)
        except Problem as problem:
            _log.info(
                "pipedrive_refused", code=problem.code, reason=problem.reason, correlation_id=answer.correlation_id
            )
            await self._shut(problem, answer)
            raise

    async def _shut(self, problem: Problem, answer: Answer) -> None:
        if isinstance(problem, BlockedByPipedrive):
            await self._allowance.refused(Shut.BLOCKED, BLOCKED_SECONDS)
        if isinstance(problem, BudgetExhausted):
            await self._allowance.refused(Shut.DAILY, problem.until - answer.began / 1e6)
