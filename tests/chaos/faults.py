"""What can be done to the parts of an installation, to its services and to the wires between them."""

import asyncio
import signal

from chaos.scenario import BROKER, POSTGRES, Act
from chaos.stage import Actor, Stage
from rig.processes import Role
from rig.proxy import Proxy
from rig.rabbitmq import Broker
from rig.small_disk import SmallDisk
from rig.waiting import until

from runtime.spool.place import RESERVE


async def _kill9(stage: Stage, whom: str) -> None:
    if whom == BROKER:
        await _broker(stage).kill9()
    elif whom == POSTGRES:
        await asyncio.to_thread(stage.postgres.kill9)
    else:
        for actor in stage.whom(whom):
            if actor.wanted:
                actor.role.signal(signal.SIGKILL)


async def _start(stage: Stage, whom: str) -> None:
    if whom == BROKER:
        await _broker(stage).start()
    elif whom == POSTGRES:
        await asyncio.to_thread(stage.postgres.start)
    else:
        await asyncio.gather(*(stage.start(actor) for actor in stage.whom(whom)))


async def _restart(stage: Stage, whom: str) -> None:
    """All of them at once: in good order, as far as there is one."""
    if whom == BROKER:
        await _broker(stage).restart()
    elif whom == POSTGRES:
        await asyncio.to_thread(stage.postgres.restart, "immediate")
    else:
        await asyncio.gather(*(_renewed(stage, actor) for actor in stage.whom(whom)))


async def _roll(stage: Stage, whom: str) -> None:
    for actor in stage.whom(whom):
        await _renewed(stage, actor)


async def _stop(stage: Stage, whom: str) -> None:
    for actor in stage.whom(whom):
        actor.wanted = False
        await _ended(actor)


async def _freeze(stage: Stage, whom: str) -> None:
    if whom == BROKER:
        _broker(stage).freeze()
    elif whom == POSTGRES:
        await asyncio.to_thread(stage.postgres.freeze)
    else:
        for actor in stage.whom(whom):
            actor.role.signal(signal.SIGSTOP)


async def _thaw(stage: Stage, whom: str) -> None:
    if whom == BROKER:
        _broker(stage).thaw()
    elif whom == POSTGRES:
        await asyncio.to_thread(stage.postgres.thaw)
    else:
        for actor in stage.whom(whom):
            actor.role.signal(signal.SIGCONT)


async def _memory_alarm(stage: Stage, _: str) -> None:
    await _broker(stage).block_publishers()


async def _memory_again(stage: Stage, _: str) -> None:
    await _broker(stage).unblock_publishers()


async def _disk_alarm(stage: Stage, _: str) -> None:
    await _broker(stage).fill_disk()


async def _disk_again(stage: Stage, _: str) -> None:
    await _broker(stage).free_disk()


async def _stall(stage: Stage, whom: str) -> None:
    wire = stage.wires[whom]
    held = wire.held
    wire.stall()
    await until(lambda: wire.held > held, what=f"something got stuck on the {whom}")


async def _sever(stage: Stage, whom: str) -> None:
    """What is connected now is so for ever, and hears nothing any more; new connections work."""
    stage.wires[whom].sever()


async def _heal(stage: Stage, whom: str) -> None:
    stage.wires[whom].heal()


async def _fill(stage: Stage, _: str) -> None:
    """To the last byte."""
    _disk(stage).leave(0)


async def _almost_fill(stage: Stage, _: str) -> None:
    """What is left is soon taken by the spool itself."""
    _disk(stage).leave(RESERVE + 512 * 1024)


async def _empty(stage: Stage, _: str) -> None:
    _disk(stage).leave(2 * RESERVE)


def cut_after(passed: int) -> Act:
    """Each connection, new ones too, is reset once so many bytes passed; returns after the third."""

    async def cut(stage: Stage, whom: str) -> None:
        wire: Proxy = stage.wires[whom]
        goal = wire.cuts + 3
        wire.cut_after(passed)
        await until(lambda: wire.cuts >= goal, what=f"the {whom} was cut")

    return Act(f"cut after {passed} bytes", cut)


def rush(rate: float) -> Act:
    """From now on so many events a second, or as many as the door takes."""

    async def hurry(stage: Stage, _: str) -> None:
        for teller in stage.tellers:
            teller.rate = rate

    return Act(f"{rate:g} events a second", hurry)


def clock_off(hours: float) -> Act:
    async def step(stage: Stage, whom: str) -> None:
        for actor in stage.whom(whom):
            actor.set_clock(hours * 3600)

    return Act(f"clock {hours:+g} h", step)


kill9 = Act("kill -9", _kill9)
start = Act("start", _start)
restart = Act("restart", _restart)
roll = Act("restart one by one", _roll)
stop = Act("stop", _stop)
freeze = Act("freeze", _freeze)
thaw = Act("thaw", _thaw)
memory_alarm = Act("memory alarm", _memory_alarm)
memory_again = Act("memory again", _memory_again)
disk_alarm = Act("disk alarm", _disk_alarm)
disk_again = Act("disk again", _disk_again)
stall = Act("stall", _stall)
sever = Act("sever", _sever)
heal = Act("heal", _heal)
fill = Act("fill", _fill)
almost_fill = Act("almost fill", _almost_fill)
empty = Act("empty", _empty)


async def _renewed(stage: Stage, actor: Actor) -> None:
    with stage.letting_go(actor) as role:
        before = _times_listening(role)
        await _ended(actor)
        await role.start()
        if role.port == stage.installation.port:  # which others may listen on, too, and be ready
            await until(lambda: _times_listening(role) > before, what=f"{role.name} listens")


def _times_listening(role: Role) -> int:
    return sum(line["event"] == "listening" for line in role.logged)


async def _ended(actor: Actor) -> None:
    await actor.role.until_ready()  # before that it may not even know the signal
    code = await actor.role.terminate()
    assert code == 0, f"{actor.role.name} ended with {code}:\n{actor.role.log[-2000:]}"


def _broker(stage: Stage) -> Broker:
    assert stage.broker is not None, "there is no broker"
    return stage.broker


def _disk(stage: Stage) -> SmallDisk:
    assert stage.disk is not None, "there is no small disk"
    return stage.disk
