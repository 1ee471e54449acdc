"""Every setting, declared once with its meaning; docs/settings.md is generated from the declarations.

A process calls `load` with the variables its role cannot do without. All problems are reported at once.
"""

import os.path
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, JsonValue, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime import addresses
from runtime.kept import is_fernet_key
from schema.entities import BY_NAME
from schema.errors import Misconfigured
from schema.topology import MOST_LANES

SHORTEST_SECRET: Final = 16
"""Characters. A derived password is only as hard to guess as the secret it is derived from."""

_PORTS: Final = (1, 65535)
_APP: Final = ("pipedrive_client_id", "pipedrive_client_secret")


def _setting(
    default: Any, meaning: str, expected: str, *, shown: str = "", within: tuple[float, float] | None = None
) -> Any:
    """One declaration. `expected` completes "NAME: expected ..."; `shown` is the default in words."""
    words: dict[str, JsonValue] = {"expected": expected, "shown": shown}
    low, high = within or (None, None)
    return Field(default, description=meaning, json_schema_extra=words, ge=low, le=high)


def _whole(default: int, meaning: str, what: str, within: tuple[int, int], *, shown: str = "") -> Any:
    return _setting(default, meaning, f"{what} from {within[0]} to {within[1]}", shown=shown, within=within)


class Settings(BaseSettings):
    """What the environment and `.env` say. An empty variable counts as not set. Secrets never appear in a repr."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = _setting(
        None, "Postgres 15 or newer", "a URL such as postgresql://user:password@host/db, special characters as %3A",
        shown="embedded Postgres under `DATA_DIR`",
    )  # fmt: skip
    amqp_url: SecretStr | None = _setting(
        None, "RabbitMQ 3.10 or newer", "a URL such as amqp://user:password@host/vhost",
        shown="the spool under `DATA_DIR` (one machine)",
    )  # fmt: skip
    data_dir: Path = _setting(
        Path(".pipemirror"), "Embedded database, spool, pid and port files", "a folder we may write to"
    )
    webhook_secret: SecretStr | None = _setting(
        None,
        "Master secret of the passwords Pipedrive sends; comma-separated for rotation: the first signs, all verify",
        f"{SHORTEST_SECRET} characters or more each, comma-separated; needed with AMQP_URL, generated without",
        shown="generated into `DATA_DIR`; with `AMQP_URL` required for `receiver` and `webhooks credentials`",
    )
    encryption_keys: SecretStr | None = _setting(
        None, "Keys of the stored tokens, comma-separated for rotation: the first encrypts, all decrypt",
        "Fernet keys, comma-separated: 32 bytes, url-safe base64; `openssl rand -base64 32 | tr '+/' '-_'` makes one",
        shown="generated into `DATA_DIR`; with `DATABASE_URL` required for `connect`",
    )  # fmt: skip
    public_url: str | None = _setting(
        None,
        "The address Pipedrive reaches the receiver at; `/webhooks/…` is added to it",
        "an https URL (http on a loopback address) of host and port alone: no path, user, password or query",
    )
    max_body_bytes: int = _whole(
        8 * 1024 * 1024,
        "Larger bodies are refused with 413; counted as received, before any decompression",
        "a whole number of bytes",
        (1024, 1024**3),
        shown="8 MiB",
    )
    pipedrive_api_token: SecretStr | None = _setting(
        None, "The API token of one company, best of a top-level admin: Pipedrive, Personal preferences, API",
        "the token, without spaces",
    )  # fmt: skip
    pipedrive_api_url: str = _setting(
        "https://api.pipedrive.com", "Base of REST calls",
        "an https URL (http on a loopback address) of host and port alone: no path, user, password or query",
    )  # fmt: skip
    pipedrive_token_share: float = _setting(
        0.5, "How much of the account's tokens of a day we may spend; the rest is for its other integrations",
        "a number from 0.01 to 1", within=(0.01, 1),
    )  # fmt: skip
    pipedrive_daily_tokens: int | None = _setting(
        None, "The account's tokens of a day, where Pipedrive does not tell them",
        "a whole number from 1000 to 1000000000", shown="what Pipedrive tells, else 30,000 for each seat known",
        within=(1000, 10**9),
    )  # fmt: skip
    opt_in: str | None = _setting(
        None, "Entities that are read although each of their parents costs a call; docs/not-mirrored.md has the prices",
        "names of entities such as deal_participant, comma-separated",
    )  # fmt: skip
    pipedrive_client_id: str | None = _setting(
        None, "Reserved for the Marketplace app. So far it only makes every company's schemas carry the company's id",
        "the app's client id",
    )  # fmt: skip
    pipedrive_client_secret: SecretStr | None = _setting(
        None, "Reserved for the Marketplace app, does nothing yet",
        "the app's client secret, together with PIPEDRIVE_CLIENT_ID",
    )  # fmt: skip
    receiver_host: str = _setting("127.0.0.1", "Address the receiver listens on", "a host name or address")
    receiver_port: int = _whole(8080, "Port the receiver listens on", "a port", _PORTS)
    worker_metrics_host: str = _setting(
        "127.0.0.1", "Address the worker's health and metrics listen on", "a host name or address"
    )
    worker_metrics_port: int = _whole(
        9090,
        "Port of the worker's health and metrics. When the default is taken a free one is used and written under "
        "`DATA_DIR/run/`; one given here that is taken is an error",
        "a port",
        _PORTS,
    )
    lanes: int = _whole(1, "Queues that companies are spread over", "a whole number", (1, MOST_LANES))
    journal_days: int = _whole(14, "Days that payloads are kept in the journal", "a whole number", (1, 3650))
    log_format: Literal["console", "json"] | None = _setting(
        None, "Form of the logs on stderr", "console or json", shown="`console` on a terminal, else `json`"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "Least severe level that is logged", "debug, info, warning or error"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_text(cls, given: object) -> object:
        # Bytes that are not UTF-8 arrive as lone surrogates, which cannot be encoded: a ValueError.
        return given.encode().decode() if isinstance(given, str) else given

    @field_validator("log_format", "log_level", mode="before")
    @classmethod
    def _lower(cls, given: object) -> object:
        return given.lower() if isinstance(given, str) else given

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and not addresses.names_hosts(given.get_secret_value(), {"postgresql", "postgres"}):
            raise ValueError  # here, since the driver's message would quote what may be half a password
        return given

    @field_validator("amqp_url")
    @classmethod
    def _is_amqp(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and not addresses.has_scheme(given.get_secret_value(), {"amqp", "amqps"}):
            raise ValueError
        return given

    @field_validator("webhook_secret")
    @classmethod
    def _is_long_enough(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and any(len(part) < SHORTEST_SECRET for part in parts(given)):
            raise ValueError
        return given

    @field_validator("encryption_keys")
    @classmethod
    def _are_fernet_keys(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and not all(is_fernet_key(part) for part in parts(given)):
            raise ValueError
        return given

    @field_validator("opt_in")
    @classmethod
    def _are_entities(cls, given: str | None) -> str | None:
        if given is not None and not {part.strip() for part in given.split(",")} <= BY_NAME.keys():
            raise ValueError
        return given

    @field_validator("data_dir")
    @classmethod
    def _may_be_a_folder(cls, given: Path) -> Path:
        if os.path.lexists(given) and not os.path.isdir(given):  # noqa: PTH112 - pathlib's raise where we may not look
            raise ValueError
        return given

    @field_validator("pipedrive_api_token")
    @classmethod
    def _fits_into_a_header(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and not re.fullmatch(r"[!-~]+", given.get_secret_value()):
            raise ValueError
        return given

    @field_validator("public_url", "pipedrive_api_url")
    @classmethod
    def _is_reachable(cls, given: str | None) -> str | None:
        if given is not None and not addresses.is_https_or_loopback(given):
            raise ValueError
        return given and given.rstrip("/")

    @property
    def opted_in(self) -> frozenset[str]:
        """Names of entities."""
        return frozenset(part.strip() for part in (self.opt_in or "").split(",") if part.strip())

    @property
    def given(self) -> frozenset[str]:
        """Variables that were set by somebody, as opposed to left at their default."""
        return frozenset(name.upper() for name in self.model_fields_set)


_read: Callable[..., Settings] = Settings
# The constructor also takes where to read from, which type checkers are not told.


def load(needs: Collection[str] = (), *, env_file: Path | None = Path(".env")) -> Settings:
    """Read the environment, then `env_file`.

    `needs` are the variables that the role cannot do without; WEBHOOK_SECRET among them is needed only with AMQP_URL,
    since without one `signing_secrets` can make it. Raise Misconfigured naming every problem.
    """
    invalid: set[str] = set()
    try:
        settings = _read(_env_file=env_file)
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{env_file} is not valid: expected UTF-8 text") from error
    except ValidationError as error:
        invalid = {str(problem["loc"][0]).lower() for problem in error.errors() if problem["loc"]}
        # With the invalid ones at their defaults, what is missing can be told in the same message.
        defaults = {name: Settings.model_fields[name].default for name in invalid}
        settings = _read(_env_file=env_file, **defaults)
    missing = {name.lower() for name in needs if getattr(settings, name.lower()) is None} - invalid
    if settings.amqp_url is None and "amqp_url" not in invalid:
        missing.discard("webhook_secret")
    if (settings.pipedrive_client_id is None) != (settings.pipedrive_client_secret is None):
        missing |= {name for name in _APP if getattr(settings, name) is None}
    if invalid or missing:
        problems = [(name, "is missing" if name in missing else "is not valid") for name in sorted(invalid | missing)]
        raise Misconfigured(
            "\n".join(f"{name.upper()} {what}: expected {word(name, 'expected')}" for name, what in problems)
        )
    return settings


def settings_page() -> str:
    """docs/settings.md, from the declarations."""
    lines = [
        "# Settings",
        "",
        "Generated from `runtime/settings.py`. Each is an environment variable; a file `.env` in the working directory",
        "is read too, the environment wins. An empty variable counts as not set. All problems are reported at once.",
        "",
        "| variable | default | expected | meaning |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = word(name, "shown") or ("none" if field.default is None else f"`{field.default}`")
        lines.append(f"| `{name.upper()}` | {default} | {word(name, 'expected')} | {field.description} |")
    return "\n".join(lines) + "\n"


def word(name: str, which: Literal["expected", "shown"]) -> str:
    """What is declared of a setting."""
    words = Settings.model_fields[name].json_schema_extra
    return str(words[which]) if isinstance(words, dict) else ""


def parts(given: SecretStr) -> tuple[str, ...]:
    """Of secrets that are comma-separated."""
    return tuple(part.strip() for part in given.get_secret_value().split(","))
