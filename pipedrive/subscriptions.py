"""What is to be done so that exactly one webhook of ours tells of everything: compare what is with what is wanted.

Only our own are touched. Ours is what posts to an address of ours, or bears our name. A webhook cannot be changed, so
what is wrong is made anew: the new one first, the old one removed after it, so that no event falls between.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipedrive.account import Account
from pipedrive.hooks import Hook, creation, removal, same_address
from pipedrive.request import Request

MOST: Final = 40
"""Webhooks that one user may have."""

_EVERYTHING: Final = "*"
_PREFIX: Final = "pipemirror"
_DUPLICATE: Final = "a second webhook tells of the same: it is removed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The one subscription: everything that `user_id` may see, posted to `url` with these credentials."""

    url: str
    user: str
    password: str = field(repr=False)
    user_id: int
    version: str = "2.0"

    @property
    def name(self) -> str:
        """The same wherever the receiver is, and another for each master secret: so that of two installations that
        mirror one company, a test beside production, neither takes the other's webhook for its own.
        """
        return f"{_PREFIX} {fingerprint(self.password)[:8]}"

    @property
    def told(self) -> dict[str, Any]:
        """As the API wants it. The version is always said: its default has changed once."""
        return {
            "subscription_url": self.url,
            "event_action": _EVERYTHING,
            "event_object": _EVERYTHING,
            "user_id": self.user_id,
            "http_auth_user": self.user,
            "http_auth_password": self.password,
            "version": self.version,
            "name": self.name,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, in plain words; `id` of the webhook, if there is one."""

    code: str
    words: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    keep      the webhook that stays; None if one must be made, or none can be
    steps     to be sent in this order; a creation is answered with the id (`hooks.created`)
    findings  in the order of the webhooks
    gap       whether events may have been missed: sweep, after the creation if there is one
    """

    keep: int | None
    steps: tuple[Request, ...] = ()
    findings: tuple[Finding, ...] = ()
    gap: bool = False


def ours(found: Iterable[Hook], wanted: Wanted, addresses: Iterable[str] = ()) -> list[Hook]:
    """Of the webhooks that Pipedrive lists those that we may touch; `addresses` as for `plan`."""
    known = tuple(addresses)
    return [hook for hook in found if _is_ours(hook, wanted, known)]


def fingerprint(password: str) -> str:
    """What may be remembered of a password: it cannot be had back from it, as it is derived from a long secret."""
    return hashlib.sha256(password.encode()).hexdigest()


def plan(
    wanted: Wanted,
    found: Sequence[Hook],
    account: Account,
    *,
    addresses: Iterable[str] = (),
    made_with: Mapping[int, str] | None = None,
) -> Plan:
    """What to do about the webhooks that Pipedrive lists.

    addresses  subscription URLs of this company that were ours before
    made_with  id of a webhook -> fingerprint of the password it was made with, for those that we remember
    """
    mine = ours(found, wanted, addresses)
    wrong = {hook.id: _wrong(hook, wanted, made_with or {}) for hook in mine}
    right = sorted((hook for hook in mine if wrong[hook.id] is None), key=lambda hook: (_fails(hook), hook.id))
    findings = [finding for hook in mine if (finding := wrong[hook.id]) is not None]
    findings += [Finding("duplicate", _DUPLICATE, hook.id) for hook in right[1:]]
    findings += _remarks(wanted, found, mine, right, account)
    superfluous = [hook.id for hook in mine if not right or hook is not right[0]]
    if right:
        return Plan(right[0].id, tuple(map(removal, superfluous)), tuple(findings), gap=_fails(right[0]))
    if not mine:
        findings.append(Finding("missing", "Pipedrive has no webhook of ours: it is made"))
    gap = not any(_told_all(hook, wanted, wrong[hook.id]) for hook in mine)
    return Plan(None, _anew(wanted, found, superfluous), tuple(findings), gap)


def _told_all(hook: Hook, wanted: Wanted, finding: Finding | None) -> bool:
    """Whether nothing was missed as long as it was there, though it must be made anew."""
    told = finding is not None and finding.code in {"superseded", "wrong_version"} and not _fails(hook)
    return told and same_address(hook.url, wanted.url)


def _anew(wanted: Wanted, found: Sequence[Hook], superfluous: Sequence[int]) -> tuple[Request, ...]:
    """Where there is no room for one more, an old one must go before, and events of that moment are swept."""
    before = superfluous[:1] if _is_full(wanted, found) else []
    after = superfluous[len(before) :]
    return (*map(removal, before), creation(wanted.told), *map(removal, after))


def _is_ours(hook: Hook, wanted: Wanted, addresses: Sequence[str]) -> bool:
    if hook.kind == "automation":
        return False
    return hook.name == wanted.name or any(same_address(hook.url, address) for address in (wanted.url, *addresses))


def _wrong(hook: Hook, wanted: Wanted, made_with: Mapping[int, str]) -> Finding | None:
    """Why it cannot stay; the first reason is enough."""
    told_of = f"{hook.action}.{hook.object}"
    removed = f" ({hook.removed_for})" if hook.removed_for else ""
    reasons = (
        (not hook.active, "inactive", f"it was switched off{removed}"),
        (not same_address(hook.url, wanted.url), "superseded", "it posts to an older address of ours"),
        (hook.version != wanted.version, "wrong_version", f"it is of version {hook.version or 'unknown'}"),
        (told_of != f"{_EVERYTHING}.{_EVERYTHING}", "narrow", f"it tells of {told_of} only"),
        (hook.user_id not in {None, wanted.user_id}, "wrong_owner", f"it sees what user {hook.user_id} may see"),
        (not _has_password(hook, wanted, made_with), "superseded", "it was made with other credentials"),
    )
    return next((Finding(code, f"{words}: it is made anew", hook.id) for is_so, code, words in reasons if is_so), None)


def _has_password(hook: Hook, wanted: Wanted, made_with: Mapping[int, str]) -> bool:
    """Where it is not listed, what we remember counts; who remembers nothing makes it anew rather than hope."""
    if hook.user is not None and hook.user != wanted.user:
        return False
    known = made_with.get(hook.id, "") if hook.password is None else fingerprint(hook.password)
    return hmac.compare_digest(known.encode(), fingerprint(wanted.password).encode())


def _fails(hook: Hook) -> bool:
    return hook.last_status is not None and not 200 <= hook.last_status < 300  # noqa: PLR2004 - HTTP's success


def _is_full(wanted: Wanted, found: Sequence[Hook]) -> bool:
    return sum(hook.active and hook.owner_id in {None, wanted.user_id} for hook in found) >= MOST


def _remarks(
    wanted: Wanted, found: Sequence[Hook], mine: Sequence[Hook], right: Sequence[Hook], account: Account
) -> list[Finding]:
    """What no step of ours mends."""
    remarks = []
    if right and _fails(right[0]):
        words = f"its last delivery was answered {right[0].last_status}: see whether the receiver is reachable"
        remarks.append(Finding("failing", words, right[0].id))
    if account.is_admin is False and wanted.user_id == account.user_id:
        words = "its user is no admin: what that user may not see is never told. Use the token of a top-level admin"
        remarks.append(Finding("not_admin", words))
    if not right and not mine and _is_full(wanted, found):
        words = f"the user has {MOST} webhooks already, which is the most: remove one that nobody needs"
        remarks.append(Finding("full", words))
    others = [hook for hook in found if hook not in mine and hook.active and hook.name.startswith(_PREFIX)]
    return remarks + [Finding("another", "of another installation of pipemirror: left alone", one.id) for one in others]
