"""How much may be asked: the window of two seconds, the tokens of the day, and the wall behind both. Pure."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.rest.refusals import Refused, blocked, too_many

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are seconds of the clock that is given to `Gate`. None: without that limit.

    burst         requests of one token per `window`
    daily         tokens of the company per `day`
    tells_daily   whether answers say what is left of the day, as some of Pipedrive's do
    retry_after   whether a 429 says how many seconds to wait: on an exhausted day, too, where it is far too short
    block_after   429s in a row until a page of Cloudflare answers everything, for `block`
    """

    burst: int | None = None
    window: float = 2.0
    daily: int | None = None
    day: float = 24 * 3_600.0
    tells_daily: bool = False
    retry_after: bool = False
    block_after: int | None = None
    block: float = 60.0


@dataclass(slots=True)
class Gate:
    """Lets requests in or refuses them. `limits` may be changed at any time; `spent` are the tokens of this day."""

    limits: Limits
    clock: Callable[[], float]
    spent: int = 0
    _day_began: float = field(init=False)
    _let_in: dict[str, deque[float]] = field(default_factory=dict)
    _refused_in_a_row: int = 0
    _blocked_until: float = -math.inf

    def __post_init__(self) -> None:
        self._day_began = self.clock()

    def admit(self, token: str, cost: int) -> Headers:
        """Headers for the answer; raises `Refused`. One that is refused spends nothing."""
        now = self.clock()
        if now < self._blocked_until:
            raise blocked()
        self._begin_day(now)
        window = self._window(token, now)
        limits = self.limits
        if limits.burst is not None and len(window) >= limits.burst:
            raise self._too_many(now, window)
        if limits.daily is not None and self.spent >= limits.daily:
            raise self._too_many(now, window)
        window.append(now)
        self.spent += cost
        self._refused_in_a_row = 0
        return self._headers(now, window)

    def spend(self, tokens: int) -> None:
        """What another integration of the same company takes."""
        self.spent += tokens

    def reset(self) -> None:
        """Midnight, wherever that is."""
        self.spent, self._day_began = 0, self.clock()

    def _begin_day(self, now: float) -> None:
        if now - self._day_began >= self.limits.day:
            self.spent, self._day_began = 0, now

    def _window(self, token: str, now: float) -> deque[float]:
        window = self._let_in.setdefault(token, deque())
        while window and now - window[0] >= self.limits.window:
            window.popleft()
        return window

    def _too_many(self, now: float, window: deque[float]) -> Refused:
        self._refused_in_a_row += 1
        limit = self.limits.block_after
        if limit is not None and self._refused_in_a_row > limit:
            self._refused_in_a_row, self._blocked_until = 0, now + self.limits.block
            return blocked()
        headers = self._headers(now, window)
        if self.limits.retry_after:
            headers["retry-after"] = str(math.ceil(self.limits.window))
        return too_many(headers)

    def _headers(self, now: float, window: deque[float]) -> Headers:
        limits, told = self.limits, {}
        if limits.burst is not None:
            until = limits.window - (now - window[0]) if window else limits.window
            told["x-ratelimit-limit"] = str(limits.burst)
            told["x-ratelimit-remaining"] = str(max(0, limits.burst - len(window)))
            told["x-ratelimit-reset"] = str(math.ceil(until))
        if limits.daily is not None and limits.tells_daily:
            told["x-daily-ratelimit-token-limit"] = str(limits.daily)
            told["x-daily-ratelimit-token-remaining"] = str(max(0, limits.daily - self.spent))
        return told
