"""Plays the fast scenarios in every test run, and all of them with --every-fault, with a table at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import table
from chaos.runner import Played
from chaos.scenario import Scenario
from chaos.scenarios import SCENARIOS
from chaos.stage import Services
from rig.marked import replace_marked
from rig.postgres import PrivateServer, Server
from rig.rabbitmq import Broker

PLAYED = pytest.StashKey[list[Played]]()
SERVICES = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PLAYED] = []
    config.stash[SERVICES] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scenario" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-fault")
        chosen = [scenario for scenario in SCENARIOS if scenario.fast or every]
        metafunc.parametrize("scenario", chosen, ids=[scenario.id for scenario in chosen])


@pytest.fixture
def played(scenario: Scenario, request: pytest.FixtureRequest) -> Iterator[Played]:
    """Its row of the table; whoever waits for all of them is told as each one ends."""
    found = Played(scenario)
    request.config.stash[PLAYED].append(found)
    yield found
    if request.config.getoption("--every-fault"):
        plugins = request.config.pluginmanager
        capture, terminal = plugins.get_plugin("capturemanager"), plugins.get_plugin("terminalreporter")
        assert capture is not None
        assert terminal is not None
        with capture.global_and_fixture_disabled():
            line = f"{scenario.id}, {scenario.fault}: {found.failure or 'held'} ({found.seconds:.0f} s)"
            terminal.write_line(f"\n{line}", flush=True)


@pytest.fixture
def services(scenario: Scenario, database: str, postgres_server: Server, request: pytest.FixtureRequest) -> Services:
    if not isinstance(postgres_server, PrivateServer):
        pytest.fail("these tests kill their Postgres: unset TEST_DATABASE_URL", pytrace=False)
    broker: Broker | None = request.getfixturevalue("broker") if scenario.transport == "amqp" else None
    known = request.config.stash[SERVICES]
    known["Postgres"] = postgres_server.version
    if broker is not None and "RabbitMQ" not in known:
        known["RabbitMQ"] = broker.version()
    return Services(database, postgres_server, broker)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    played = config.stash[PLAYED]
    if not played:
        return
    terminalreporter.section("chaos")
    for line in table.plain(played):
        terminalreporter.write_line(line)
    for page in config.getoption("--chaos-table"):
        services = ", ".join(f"{name} {version}" for name, version in config.stash[SERVICES].items())
        replace_marked(Path(page), "make chaos", table.markdown(played, services))
