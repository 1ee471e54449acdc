"""Secrets that a process is given, or makes and keeps: the master secret of webhooks, the keys of secrets at rest."""

import base64
import secrets
from pathlib import Path

from runtime.kept import is_fernet_key, kept_secret
from runtime.settings import SHORTEST_SECRET, Settings, parts, word
from schema.errors import Misconfigured


def encryption_keys(settings: Settings) -> tuple[str, ...]:
    """The first one encrypts, all decrypt. Without any, one is made and kept under DATA_DIR.

    Processes that share a DATA_DIR get the same one. With DATABASE_URL there may be several machines, so it must be
    given. Raise Misconfigured.
    """
    if settings.encryption_keys is not None:
        return parts(settings.encryption_keys)
    if settings.database_url is not None:
        raise Misconfigured(f"ENCRYPTION_KEYS is missing: expected {word('encryption_keys', 'expected')}")
    try:
        kept = kept_secret(_key_kept_at(settings), _made)
    except OSError as error:
        raise Misconfigured(f"DATA_DIR is not valid: expected a folder we may write to ({error.strerror})") from error
    if not is_fernet_key(kept):
        raise Misconfigured(
            f"the key kept under {settings.data_dir} is damaged: bring back the file, or set ENCRYPTION_KEYS "
            "and `connect` again"
        )
    return (kept,)


def has_keys(settings: Settings) -> bool:
    """Whether there are keys, set or kept; else `encryption_keys` would make one, or miss them."""
    if settings.encryption_keys is not None or settings.database_url is not None:
        return settings.encryption_keys is not None
    try:
        return _key_kept_at(settings).exists()
    except OSError:
        return True  # as far as one is allowed to know; `encryption_keys` says what is the matter


def _key_kept_at(settings: Settings) -> Path:
    return settings.data_dir / "encryption-key"


def _made() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def signing_secrets(settings: Settings) -> tuple[str, ...]:
    """The master secrets, the one that signs first; without any, one is made and kept under DATA_DIR.

    Processes that share a DATA_DIR get the same one. With AMQP_URL there may be several machines, so it must be given.
    """
    if settings.webhook_secret is not None:
        return parts(settings.webhook_secret)
    if settings.amqp_url is not None:
        raise Misconfigured(f"WEBHOOK_SECRET is missing: expected {word('webhook_secret', 'expected')}")
    try:
        kept = kept_secret(kept_at(settings), lambda: secrets.token_urlsafe(32))
    except OSError as error:
        reason = f"DATA_DIR is not valid: expected {word('data_dir', 'expected')} ({error.strerror})"
        raise Misconfigured(reason) from error
    if len(kept) < SHORTEST_SECRET:
        raise Misconfigured(
            f"the secret kept under {settings.data_dir} is damaged: remove the file or set WEBHOOK_SECRET"
        )
    return (kept,)


def kept_at(settings: Settings) -> Path:
    """Where the master secret is kept that is made when none is set."""
    return settings.data_dir / "master-secret"


def has_secret(settings: Settings) -> bool:
    """Whether there is a master secret, set or kept; else `signing_secrets` would make one."""
    try:
        return settings.webhook_secret is not None or kept_at(settings).exists()
    except OSError:
        return True  # as far as one is allowed to know; `signing_secrets` says what is the matter
