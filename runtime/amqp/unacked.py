"""Which deliveries of a channel are not acknowledged yet, and how to acknowledge some of them with few frames."""

from collections import OrderedDict
from collections.abc import Iterable


class Unacked:
    """Delivery tags of one channel, in order of delivery."""

    def __init__(self) -> None:
        self._tags: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tags)

    def delivered(self, tag: int) -> None:
        self._tags[tag] = None

    def settle(self, tags: Iterable[int]) -> list[tuple[int, bool]]:
        """Forget `tags` and return the acks to send as (tag, multiple). A tag that is not outstanding is passed over.

        Everything up to the first delivery that stays open is one ack with multiple=True; the rest go one by one.
        """
        done = {tag for tag in tags if tag in self._tags}
        last = None
        while self._tags and (front := next(iter(self._tags))) in done:
            del self._tags[front]
            done.discard(front)
            last = front
        for tag in done:
            del self._tags[tag]
        prefix = [] if last is None else [(last, True)]
        return prefix + [(tag, False) for tag in sorted(done)]
