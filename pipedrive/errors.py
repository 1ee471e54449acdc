"""What Pipedrive's REST API can refuse, by how far a refusal reaches.

NotNow          nothing is wrong for good: wait, then ask again
AccountRefused  nothing of this account can be read until a person does something
ListingRefused  this one list or record cannot be read, the others can
"""

from typing import ClassVar

from schema.errors import NotNow, Problem


class PipedriveUnavailable(NotNow):
    """Pipedrive cannot be reached, is being maintained, or answers with an error of its own."""

    code = "pipedrive_unavailable"
    remedy = (
        "Workers try again by themselves; repeat a command. "
        "If it lasts, see status.pipedrive.com and this machine's way out."
    )


class AnswerUnreadable(NotNow):
    """An answer of Pipedrive was cut off, is no JSON, is empty, or says of itself that it is no success."""

    code = "answer_unreadable"
    remedy = (
        "Workers try again by themselves; repeat a command. "
        "If it lasts, look for a proxy between this machine and Pipedrive."
    )


class RateLimited(NotNow):
    """Pipedrive answers that more requests came within two seconds than the plan allows.

    `wait` in seconds; `certain` if the day's tokens are known not to be the reason.
    """

    code = "rate_limited"
    remedy = "Nothing: it is slowed down by itself. If it is frequent, something else uses the same API token."

    def __init__(self, reason: str, wait: float, *, certain: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.certain = certain


class ApiRedirects(NotNow):
    """The address of the API leads elsewhere; the token is not sent there."""

    code = "api_redirects"
    remedy = (
        "If it lasts, correct PIPEDRIVE_API_URL: it must be the address that answers, without a redirect. "
        "Workers try again by themselves; repeat a command."
    )


class NotBefore(NotNow):
    """Nothing may be asked before `until`, in seconds since 1970."""

    code: ClassVar[str] = "not_before"

    def __init__(self, reason: str, until: float) -> None:
        super().__init__(reason)
        self.until = until


class BudgetExhausted(NotBefore):
    """The tokens that may be spent today are spent: our share of them, or all that the account has."""

    code = "budget_exhausted"
    remedy = (
        "Wait for the next day (UTC): work goes on where it stopped. Raise PIPEDRIVE_TOKEN_SHARE if nothing else "
        "needs the account's tokens; see in Pipedrive's company settings who spends them."
    )


class BlockedByPipedrive(NotBefore):
    """The network before Pipedrive blocks this address or token for a while, as it does after too many requests."""

    code = "blocked_by_pipedrive"
    remedy = (
        "Stop whatever else hammers Pipedrive from this address or with this token. We ask nothing for half an hour, "
        "then once; if the block stays, write to Pipedrive's support."
    )


class AccountRefused(Problem):
    """Nothing of this account can be read until a person does something."""

    code: ClassVar[str] = "account_refused"


class TokenInvalid(AccountRefused):
    """Pipedrive does not accept the token: it was changed, has expired or was revoked, or its user was deactivated."""

    code = "token_invalid"
    remedy = "Take the API token from Pipedrive (Personal preferences, API), set PIPEDRIVE_API_TOKEN, `connect` again."


class AccountClosed(AccountRefused):
    """Pipedrive wants to be paid: the company is closed, or its trial is over."""

    code = "account_closed"
    remedy = "Settle the subscription in Pipedrive, then `connect` again. What is mirrored stays; nothing is removed."


class ListingRefused(Problem):
    """This one list or record cannot be read, the others can."""

    code: ClassVar[str] = "listing_refused"


class ScopeMissing(ListingRefused):
    """The token has no scope for this."""

    code = "scope_missing"
    remedy = "Give the app the scope that the reason names and install it again, or leave this entity out."


class RightsMissing(ListingRefused):
    """The token's user may not see or do this, or the company has switched it off."""

    code = "rights_missing"
    remedy = "Use the token of an admin who has all permissions, or leave this entity out."


class FeatureOff(ListingRefused):
    """The company's plan does not include this."""

    code = "feature_off"
    remedy = "Nothing, if the company does not use it: the others are mirrored. Else a larger plan or an add-on."


class Gone(ListingRefused):
    """Pipedrive knows no such list or record, or not any more."""

    code = "not_there"
    remedy = "A record was deleted meanwhile. If a whole list is gone, the company lacks the feature, or: upgrade."


class BadRequest(ListingRefused):
    """Pipedrive does not understand what we ask.

    `fields` are the names of what it complains of, if it tells: `subscription_url` where that does not answer.
    """

    code = "bad_request"
    remedy = "This is a bug of pipemirror, or Pipedrive has changed its API: report the reason, upgrade."

    def __init__(self, reason: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.fields = fields


class CursorRejected(ListingRefused):
    """Pipedrive does not accept the place where a walk through a list is to go on: that walk begins anew."""

    code = "cursor_rejected"
    remedy = "Nothing: the list is read from its beginning. If it happens each time, report it."


class ListRepeats(ListingRefused):
    """A list answers the same page again and again, whatever page is asked for."""

    code = "list_repeats"
    remedy = "This list cannot be read to its end: report the path the reason names. The others are mirrored."


class ListUnstable(ListingRefused):
    """A list changed so fast while it was read that the pages never joined."""

    code = "list_unstable"
    remedy = "Nothing: it is read again later. If it lasts, look for an import or integration that changes it all day."


class UnexpectedAnswer(ListingRefused):
    """An answer has another form than Pipedrive documents, or is larger than any page."""

    code = "unexpected_answer"
    remedy = "Pipedrive has changed its API, or something else answers: report the reason, upgrade."
