"""How live stands for a company, as plain values: where webhooks come in, what a check came to, why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pipedrive.errors import BadRequest, ListingRefused, RightsMissing, ScopeMissing
from pipedrive.subscriptions import Finding, Wanted
from schema.credentials import derive
from schema.errors import Impaired

NO_ADDRESS: Final = Finding(
    "no_public_url",
    "PUBLIC_URL is not set: set it to the https address at which Pipedrive reaches the receiver, without a path",
)
SWITCHED_OFF: Final = Finding(
    "switched_off", "somebody removed it with `webhooks remove`: `webhooks ensure` makes it again"
)

PURGED: Final = Finding("purged", "the company was purged: nothing of it is mirrored any more")


class LiveOff(Impaired):
    """No webhook of ours tells of a company: what changes in Pipedrive comes with the next sweep only."""

    code = "live_off"
    remedy = "Mend what the reason names, then `pipemirror webhooks ensure`; what was missed meanwhile is swept."


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where webhooks come in.

    public_url  of the receiver as Pipedrive reaches it, without a path; empty, where only removing is meant
    secret      the master secret that signs
    """

    public_url: str
    secret: str = field(repr=False)

    def wanted(self, company_id: int, user_id: int) -> Wanted:
        """The webhook of a company that is to be there, with the eyes of this user."""
        url = f"{self.public_url}/webhooks/{company_id}"
        return Wanted(url, str(company_id), derive(self.secret, company_id), user_id)


@dataclass(frozen=True, slots=True)
class Live:
    """How live stands after a check.

    webhook    the one that tells of everything; None: live is off, the last of the findings says why
    findings   what was not as it should be, also where that is mended now
    gap_since  since when events may be missing. Unless live is off a sweep was asked for, which `store.gaps` knows
    """

    webhook: int | None
    findings: Sequence[Finding] = ()
    gap_since: datetime | None = None

    @property
    def problem(self) -> LiveOff | None:
        return None if self.webhook is not None else LiveOff(self.findings[-1].words)


def refusal(problem: ListingRefused, url: str) -> Finding:
    """Why Pipedrive makes no webhook for this address, for who can mend it."""
    if isinstance(problem, BadRequest) and "subscription_url" in problem.fields:
        return Finding(
            "not_reachable",
            f"Pipedrive cannot reach {url}: see that a receiver (`pipemirror up`) runs, that PUBLIC_URL leads to it "
            "from outside, and that it answers by https with a valid certificate and without a redirect",
        )
    if isinstance(problem, (RightsMissing, ScopeMissing)):
        return Finding(
            "no_rights",
            f"the token's user may not make webhooks ({problem.reason}): use the token of a top-level admin",
        )
    return Finding("refused", f"Pipedrive refuses to make it: {problem.code}: {problem.reason}")
