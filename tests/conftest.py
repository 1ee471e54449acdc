"""What all tests share: a clean environment, sealed sockets for pure tests, servers for the others."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pytest_socket import disable_socket
from rig import postgres, rabbitmq

from runtime import settings
from schema.errors import Problem

HERE = Path(__file__).parent
PURE = (HERE / "unit", HERE / "property")
ON_EVERY_POSTGRES = HERE / "integration"
# A name of its own: the tests drop the databases that they make there.
TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL") or None
# Used only where no broker of our own can be started; queues that hold messages are not touched.
AMQP_URL = os.environ.get("AMQP_URL") or None


def pytest_configure() -> None:
    """No test may see, let alone touch, what the developer's own settings point to."""
    ours = {name.upper() for name in settings.Settings.model_fields}
    for name in list(os.environ):
        if name.upper() in ours or name.startswith(("PG", "PIPEDRIVE_", "MARKETPLACE_")):
            del os.environ[name]
    # Nor a `.env` in the checkout: a test that means one gives its path.
    defaults = settings.load.__kwdefaults__
    assert defaults is not None
    defaults["env_file"] = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", metavar="VERSIONS", help="run on these alone, comma-separated, such as 18,15")
    parser.addoption("--every-fault", action="store_true", help="play all scenarios of tests/chaos, not the fast ones")
    parser.addoption(
        "--chaos-table", metavar="PAGE", action="append", default=[], help="write their table between its markers there"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Integration tests run on every supported Postgres there is here, the others on the embedded one."""
    if "postgres_server" in metafunc.fixturenames:
        versions = _versions(metafunc.config, metafunc.definition.path)
        metafunc.parametrize("postgres_server", versions, indirect=True, scope="session")


def _versions(config: pytest.Config, path: Path) -> list[str]:
    if TEST_DATABASE_URL:
        return [postgres.EXTERNAL]
    if given := config.getoption("--postgres"):
        return str(given).split(",")
    return [postgres.EMBEDDED, *(postgres.installed_versions() if path.is_relative_to(ON_EVERY_POSTGRES) else ())]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Pure code opens no connection. Socket pairs are what event loops are made of; pytest-socket lifts it again."""
    if any(item.path.is_relative_to(folder) for folder in PURE):
        disable_socket(allow_unix_socket=True)


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[postgres.Servers]:
    with postgres.servers(TEST_DATABASE_URL) as session:
        yield session


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest, postgres_servers: postgres.Servers) -> postgres.Server:
    """A running server. One that is missing is a failure: a test that silently does not run proves nothing."""
    try:
        return postgres_servers.get(request.param)
    except (Problem, LookupError) as problem:
        return pytest.fail(f"{postgres.MISSING} ({problem})", pytrace=False)


@pytest.fixture
def database(postgres_server: postgres.Server) -> Iterator[str]:
    """The DSN of an empty database of this test alone, as a role that owns it and is no superuser."""
    dsn = postgres_server.new_database()
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture(scope="session")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[rabbitmq.Broker]:
    """A running RabbitMQ. As with Postgres, one that is missing is a failure."""
    async with AsyncExitStack() as running:
        with pytest.MonkeyPatch.context() as environment:
            if AMQP_URL:
                environment.setenv("AMQP_URL", AMQP_URL)
            try:
                found = await running.enter_async_context(rabbitmq.rabbitmq(tmp_path_factory.mktemp("rabbitmq")))
            except RuntimeError as problem:
                pytest.fail(f"{rabbitmq.MISSING} ({problem})", pytrace=False)
        yield found


@pytest.fixture
async def amqp_url(broker: rabbitmq.Broker) -> str:
    """The URL of an empty vhost of this test alone."""
    return await broker.new_vhost()
