"""What a process reads from its environment, and how it refuses what cannot work."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from pydantic import SecretStr

from runtime.kept import kept_secret
from runtime.keys import signing_secrets
from runtime.measurements import metrics_page
from runtime.settings import Settings, load, settings_page
from schema.errors import Misconfigured

DOCS = Path(__file__).parents[2] / "docs"
BROKER = "amqp://pipemirror:broker-password@localhost/"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_any_variable_everything_has_its_default() -> None:
    settings = load()
    assert (settings.database_url, settings.amqp_url, settings.lanes, settings.receiver_port) == (None, None, 1, 8080)
    assert settings.max_body_bytes == 8 * 1024 * 1024
    assert settings.given == frozenset()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("LANES=3\nJOURNAL_DAYS=7\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("LANES", "8")
    settings = load(env_file=Path(".env"))
    assert (settings.lanes, settings.journal_days) == (8, 7)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(name.upper(), "")
    assert load() == load(env_file=None)
    assert load().given == frozenset()


def test_an_explicit_port_can_be_told_from_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_METRICS_PORT", "9090")
    assert "WORKER_METRICS_PORT" in load().given


@pytest.mark.parametrize(
    "told", ["user:pa:ss/word@host/db", "user:pa#ss@host:5432/db", "user:pa?ss@host/db", "host:port/db"]
)
def test_a_password_with_characters_that_end_it_is_refused_before_a_driver_quotes_it(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{told}")
    with pytest.raises(Misconfigured, match=r"DATABASE_URL is not valid") as refused:
        load()
    assert "pa:ss" not in refused.value.reason


@pytest.mark.parametrize(
    "told",
    [
        "user:p%3Ass@host/db", "user:p@ss@host:5432/db", "one:5432,two:5433/db", "[::1]:5432/db", "user@/db?host=/tmp",
        "", "/db", "host",
    ],
)  # fmt: skip
def test_every_form_of_a_postgres_url_is_taken(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{told}")
    assert load().database_url == SecretStr(f"postgresql://{told}")


def test_all_problems_are_told_at_once_and_no_value_is(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "AMQP_URL": "http://user:broker-password@host",
        "LANES": "many",
        "WEBHOOK_SECRET": "too-short-one",
        "ENCRYPTION_KEYS": "not-a-fernet-key",
        "PUBLIC_URL": "http://example.com",
        "RECEIVER_PORT": "70000",
        "LOG_FORMAT": "xml",
        "PIPEDRIVE_CLIENT_ID": "an-app",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as caught:
        load(["DATABASE_URL"])
    told = {line.split()[0] for line in caught.value.reason.splitlines()}
    assert told == set(wrong) - {"PIPEDRIVE_CLIENT_ID"} | {"DATABASE_URL", "PIPEDRIVE_CLIENT_SECRET"}
    assert "LANES is not valid: expected a whole number from 1 to 256" in caught.value.reason
    assert not any(value in caught.value.reason for value in wrong.values())


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if "client" not in name])
def test_bytes_that_are_no_text_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Else whoever encodes them later meets a UnicodeEncodeError."""
    monkeypatch.setenv(name.upper(), "https://\udcff-and-more-than-16-characters")
    with pytest.raises(Misconfigured, match=f"{name.upper()} is not valid: expected"):
        load()


def test_with_a_broker_the_master_secret_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(["WEBHOOK_SECRET"]).webhook_secret is None
    monkeypatch.setenv("AMQP_URL", BROKER)
    assert load().webhook_secret is None, "a worker needs none"
    with pytest.raises(Misconfigured, match="WEBHOOK_SECRET is missing"):
        load(["WEBHOOK_SECRET"])
    with pytest.raises(Misconfigured, match="WEBHOOK_SECRET is missing"):
        signing_secrets(load())


@pytest.mark.parametrize("broken", ["http://not-amqp", "localhost:5672"])
def test_a_broker_address_that_is_wrong_still_means_there_is_a_broker(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setenv("AMQP_URL", broken)
    with pytest.raises(Misconfigured, match=r"AMQP_URL is not valid(.|\n)*WEBHOOK_SECRET is missing"):
        load(["WEBHOOK_SECRET"])


@pytest.mark.parametrize(
    ("address", "accepted"),
    [
        ("https://mirror.example.com", True),
        ("https://mirror.example.com:8443/", True),
        ("https://mirror.example.com/base/", False),
        ("https://user:password@mirror.example.com", False),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080", True),
        ("http://[::1]:8080", True),
        ("http://mirror.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("https://", False),
        ("mirror.example.com", False),
        ("https://mirror.example.com/?a=1", False),
        ("https://mirror.example.com:8443", True),
        ("https://mirror.example.com:99999", False),
        ("https://mirror.example.com:0", False),
        ("https://[mirror.example.com", False),
    ],
)
def test_the_public_address_is_https_or_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, address: str, accepted: bool
) -> None:
    monkeypatch.setenv("PUBLIC_URL", address)
    if accepted:
        assert load().public_url == address.rstrip("/")
    else:
        with pytest.raises(Misconfigured, match="no path, user, password or query") as told:
            load()
        assert "example.com" not in str(told.value)


def test_a_data_dir_that_is_no_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", Path("/dev/null")):
        monkeypatch.setenv("DATA_DIR", str(wrong))
        with pytest.raises(Misconfigured, match="DATA_DIR is not valid: expected a folder"):
            load()
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "not" / "yet"))
    assert load().data_dir == tmp_path / "not" / "yet"


def test_the_first_of_several_secrets_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "the-new-secret-of-today , the-old-secret-of-before")
    assert signing_secrets(load()) == ("the-new-secret-of-today", "the-old-secret-of-before")


@pytest.mark.parametrize("given", ["fifteen-letters", "long-enough-as-it-is,short", "long-enough-as-it-is,"])
def test_every_secret_must_be_long_enough(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", given)
    with pytest.raises(Misconfigured, match="WEBHOOK_SECRET is not valid: expected 16 characters or more each"):
        load()


def test_fernet_keys_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = "-_" * 21 + "A=," + "A" * 43 + "="
    monkeypatch.setenv("ENCRYPTION_KEYS", keys)
    assert load().encryption_keys == SecretStr(keys)


def test_secrets_do_not_appear_in_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", BROKER)
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:database-password@localhost/db")
    monkeypatch.setenv("WEBHOOK_SECRET", "a-secret-nobody-may-see")
    shown = repr(load()) + str(load())
    assert not any(secret in shown for secret in ("broker-password", "database-password", "nobody-may-see"))


def test_a_generated_secret_is_kept_and_only_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "new" / "data"))
    first = signing_secrets(load())
    assert first == signing_secrets(load())
    assert len(first[0]) >= 32
    (kept,) = (tmp_path / "new" / "data").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_processes_that_start_at_once_keep_one_secret(tmp_path: Path) -> None:
    together = Barrier(8)

    def make() -> str:
        together.wait(timeout=10)  # all of them have seen that there is none
        return os.urandom(8).hex()

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: kept_secret(tmp_path / "one", make), range(8)))
    assert len(set(kept)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_that_cannot_be_written_is_a_problem_of_data_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(Misconfigured, match="DATA_DIR is not valid: expected a folder we may write to"):
        signing_secrets(load())


def test_a_damaged_secret_is_not_signed_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    (tmp_path / "master-secret").write_text("")
    with pytest.raises(Misconfigured, match="damaged"):
        signing_secrets(load())


@pytest.mark.parametrize(("page", "generate"), [("settings.md", settings_page), ("metrics.md", metrics_page)])
def test_the_page_of_docs_is_what_the_declarations_say(page: str, generate: object) -> None:
    assert callable(generate)
    assert (DOCS / page).read_text() == generate()


def test_every_setting_says_what_it_means_and_what_is_expected() -> None:
    rows = [line for line in settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(Settings.model_fields)
    assert all(all(cell.strip() for cell in row.strip("|").split("|")) for row in rows)


def test_a_file_of_settings_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"LANES=\xff")
    with pytest.raises(Misconfigured, match="UTF-8"):
        load(env_file=path)
