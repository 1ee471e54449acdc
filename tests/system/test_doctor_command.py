"""The doctor in installations as they are: all green where all is right, and what is wrong by its name."""

from typing import Any

import aio_pika
from rig.judge import Judge
from rig.posting import posting
from rig.processes import SECRET, Installation

from schema.topology import EXCHANGE, lane_queue

DONE, FAILED = 0, 1
ADDRESS = "https://mirror.example.com"


async def verdicts(installation: Installation, *arguments: str, code: int = DONE, **settings: str) -> dict[str, str]:
    ran = await installation.run("doctor", "--json", *arguments, within=60, PUBLIC_URL=ADDRESS, **settings)
    assert ran.code == code, ran.out + ran.err
    found: list[dict[str, Any]] = ran.json
    assert all(finding.keys() == {"name", "verdict", "found", "advice"} for finding in found)
    assert all(finding["advice"] for finding in found if finding["verdict"] in {"warn", "fail"})
    assert SECRET not in ran.out
    return {finding["name"]: finding["verdict"] for finding in found}


def not_green(found: dict[str, str]) -> dict[str, str]:
    return {name: verdict for name, verdict in found.items() if verdict not in {"ok", "not applicable"}}


async def test_one_machine_is_all_green(on_spool: Installation) -> None:
    await on_spool.up()
    found = await verdicts(on_spool)
    assert not_green(found) == {}
    assert found["RabbitMQ"] == "not applicable"
    assert found[f"receiver http://127.0.0.1:{on_spool.port}"] == "ok"


async def test_one_machine_that_does_not_run_is_told(on_spool: Installation) -> None:
    found = await verdicts(on_spool, code=FAILED)
    assert found[f"receiver http://127.0.0.1:{on_spool.port}"] == "fail"
    assert found["schema"] == "fail"
    shown = await on_spool.run("doctor")
    assert shown.code == FAILED
    assert "pipemirror migrate" in shown.out


async def test_several_machines_are_all_green_from_each_of_them(on_amqp: Installation) -> None:
    """A worker has no secret and sees no receiver on its own machine; a receiver has no database."""
    await on_amqp.running()
    of_receiver = await verdicts(on_amqp, DATABASE_URL="")
    assert not_green(of_receiver) == {}
    assert of_receiver["Postgres"] == "not applicable"
    of_worker = await verdicts(on_amqp, WEBHOOK_SECRET="", RECEIVER_PORT="1", DATA_DIR=str(on_amqp.folder / "other"))
    assert not_green(of_worker) == {}
    assert of_worker["WEBHOOK_SECRET"] == of_worker["receiver http://127.0.0.1:1"] == "not applicable"
    receiver = f"http://127.0.0.1:{on_amqp.port}"
    asked = await verdicts(on_amqp, "--receiver", receiver, WEBHOOK_SECRET="")
    assert asked[f"receiver {receiver}: clock"] == "ok"
    named = await verdicts(on_amqp, "--receiver", "http://127.0.0.1:1", code=FAILED)
    assert named["receiver http://127.0.0.1:1"] == "fail", "what is named must answer"


async def test_an_old_secret_that_is_still_used_is_told(on_spool: Installation, judge: Judge) -> None:
    on_spool.settings["WEBHOOK_SECRET"] = f"a-new-secret-to-sign-with,{SECRET}"
    await on_spool.up()
    name = f"receiver http://127.0.0.1:{on_spool.port}: old secrets"
    assert (await verdicts(on_spool))[name] == "ok"
    async with posting(on_spool) as poster:
        assert await poster.post(judge.company_id, b"{}") == 200
    assert (await verdicts(on_spool))[name] == "warn"


async def test_a_broker_that_is_gone_is_told_without_its_password(on_amqp: Installation) -> None:
    ran = await on_amqp.run("doctor", AMQP_URL="amqp://somebody:hunter2@127.0.0.1:1/")
    assert ran.code == FAILED
    assert "no RabbitMQ answers" in ran.out
    assert "hunter2" not in ran.out + ran.err


async def test_queues_that_are_not_ours_and_lanes_beyond_are_told(on_amqp: Installation, amqp_url: str) -> None:
    assert (await on_amqp.run("migrate")).code == DONE
    connection = await aio_pika.connect(amqp_url)
    async with connection, connection.channel() as channel:
        assert (await verdicts(on_amqp))["queues"] == "warn", "nobody has made them yet"
        await channel.declare_queue(f"{EXCHANGE}.lane.0", durable=True)
        lane = lane_queue(1)
        await channel.declare_queue(lane.name, durable=True, arguments=dict(lane.arguments))
    found = await verdicts(on_amqp, code=FAILED)
    assert (found["queues"], found["LANES"]) == ("fail", "warn")
    assert found["RabbitMQ rights"] == "ok"
