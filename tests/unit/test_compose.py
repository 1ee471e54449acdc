"""What docker-compose.yml and Dockerfile promise: nothing is reachable, guessable or lost by default."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("receiver", "worker")
SERVICES = ("receiver", "worker", "rabbitmq", "postgres")


def without_comments(text: str) -> str:
    return re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE)


COMPOSE = without_comments((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = without_comments((ROOT / "Dockerfile").read_text())


def section(name: str) -> str:
    """A top-level part of the file, its key left out."""
    found = re.search(rf"^{name}:.*\n((?:(?: .*)?\n)*)", COMPOSE, re.MULTILINE)
    assert found is not None, f"no {name}"
    return found[1]


def service(name: str) -> str:
    """The text of one service, with what it shares with others."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)*)", section("services"), re.MULTILINE)
    assert found is not None, f"no service {name}"
    return found[1].replace("<<: *pipemirror", section("x-pipemirror"))


def of_service(name: str, key: str) -> str:
    """The value of one key of a service: the rest of its line, and what is indented below it."""
    found = re.search(rf"^ +{key}:((?: .*)?\n(?:      .*\n)*)", service(name), re.MULTILINE)
    assert found is not None, f"{name} has no {key}"
    return found[1].strip()


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_the_services_are_those_we_look_at() -> None:
    assert tuple(re.findall(r"^  (\w+):$", section("services"), re.MULTILINE)) == SERVICES


def test_only_the_receiver_has_a_port_and_only_on_loopback() -> None:
    assert [name for name in SERVICES if re.search(r"^ +ports:", service(name), re.MULTILINE)] == ["receiver"]
    assert of_service("receiver", "ports") == '["127.0.0.1:${RECEIVER_PORT:-8080}:8080"]'
    assert "network_mode" not in COMPOSE


def test_there_is_no_password_in_the_file_and_none_by_default() -> None:
    told = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET))([^}]*)\}", COMPOSE)
    assert {name for name, _ in told} == {
        "POSTGRES_PASSWORD",
        "DATABASE_PASSWORD",
        "RABBITMQ_PASSWORD",
        "WEBHOOK_SECRET",
    }
    assert all(otherwise.startswith(":?") for _, otherwise in told), "a missing one must stop compose"
    for line in re.findall(r".*(?:PASS|PASSWORD|SECRET|_URL): .*", COMPOSE):
        assert "${" in line, f"a fixed value: {line.strip()}"
    assert not re.search(r"TRUST|guest", COMPOSE, re.IGNORECASE)


def test_a_worker_can_read_an_account_and_look_after_its_webhook() -> None:
    networks = re.findall(r"\w+", of_service("worker", "networks"))
    internal = re.findall(r"^  (\w+): \{internal: true\}$", section("networks"), re.MULTILINE)
    assert set(networks) - set(internal), "no way to Pipedrive"
    assert {"ENCRYPTION_KEYS", "WEBHOOK_SECRET", "PUBLIC_URL"} <= set(re.findall(r"(\w+):", service("worker")))


def test_the_example_of_an_env_file_has_every_variable_and_no_password() -> None:
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"\$\{(\w+)", COMPOSE)) == set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert re.findall(r"^[A-Z_]*(?:PASSWORD|SECRET)=(.+)$", example, re.MULTILINE) == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_restarted_and_checked_for_health(name: str) -> None:
    assert of_service(name, "restart") == "unless-stopped"
    assert "CMD" in of_service(name, "healthcheck")
    assert "curl" not in service(name), "slim images have none"


@pytest.mark.parametrize("name", ["rabbitmq", "postgres"])
def test_images_of_others_are_of_a_named_version(name: str) -> None:
    assert re.fullmatch(rf"{name}:\d+(\.\d+)*", of_service(name, "image"))


def test_everything_that_must_survive_is_on_a_named_volume() -> None:
    declared = set(re.findall(r"^  (\w+): \{\}$", section("volumes"), re.MULTILINE))
    mounts = {
        "receiver": "spool:/data",
        "rabbitmq": "rabbitmq:/var/lib/rabbitmq",
        "postgres": "postgres:/var/lib/postgresql/data",
    }
    for name, mount in mounts.items():
        assert mount in of_service(name, "volumes")
        assert mount.partition(":")[0] in declared
    assert "DATA_DIR=/data" in DOCKERFILE


def test_the_broker_keeps_its_name_and_with_it_its_queues() -> None:
    assert of_service("rabbitmq", "hostname") == "rabbitmq"


@pytest.mark.parametrize("name", SERVICES)
def test_services_can_be_scaled(name: str) -> None:
    assert "container_name" not in service(name)


def test_the_receiver_cannot_reach_the_database() -> None:
    assert of_service("postgres", "networks") == "[data]"
    assert "data" not in of_service("receiver", "networks")
    assert "DATABASE" not in service("receiver")
    assert re.findall(r"^  (\w+): \{internal: true\}$", section("networks"), re.MULTILINE) == ["queue", "data"]


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_no_rights_they_do_not_need(name: str) -> None:
    assert of_service(name, "read_only") == "true"
    assert of_service(name, "cap_drop") == "[ALL]"
    assert "no-new-privileges:true" in of_service(name, "security_opt")
    assert "image" not in service(name).split(), "a name without a registry could be pulled from a stranger"


@pytest.mark.parametrize(("name", "deadline"), [("receiver", 12), ("worker", 30)])
def test_a_stop_is_given_longer_than_it_takes_at_most(name: str, deadline: int) -> None:
    assert seconds(of_service(name, "stop_grace_period")) > deadline


def test_the_worker_waits_for_the_database_and_the_receiver_for_nobody() -> None:
    assert of_service("worker", "depends_on").count("condition: service_healthy") == 2
    assert of_service("receiver", "depends_on") == "[rabbitmq]"


def test_the_image_runs_as_nobody_special_and_gets_the_signals_itself() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last_stage, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["pipemirror"\]$', last_stage, re.MULTILINE)
    assert "--owner=10001" in last_stage
    assert last_stage.startswith("python:${PYTHON}-slim"), "no build tools in the last stage"


def test_the_image_holds_exactly_the_locked_packages() -> None:
    installs = [line for line in re.split(r"\n(?! )", DOCKERFILE) if "pip install" in line]
    commands = [part for line in installs for part in line.split("&&") if "pip install" in part]
    assert len(commands) == 3
    assert all("--require-hashes" in part or "--no-deps dist/" in part for part in commands)


def test_the_build_sees_only_what_it_copies() -> None:
    rules = without_comments((ROOT / ".dockerignore").read_text()).split()
    assert rules[0] == "*"
    copied = {
        word.split("/")[0] for line in re.findall(r"^COPY ([^-].*)$", DOCKERFILE, re.MULTILINE) for word in line.split()
    }
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied - {"."}
