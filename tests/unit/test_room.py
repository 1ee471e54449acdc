"""The disk of a spool is told of before it is full."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime.measurements import SPOOL_BYTES, SPOOL_FREE_BYTES
from runtime.metrics import Metrics
from runtime.spool.room import Room

GIB = 1024**3


@pytest.mark.parametrize(
    ("free", "total", "told"),
    [(GIB, 1000 * GIB, False), (GIB - 1, 1000 * GIB, True), (GIB // 2, 4 * GIB, False), (GIB // 3, 4 * GIB, True)],
)
def test_little_room_is_a_condition_that_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, told: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free, total=total))
    conditions = list(Room(tmp_path, Metrics()).conditions())
    assert [(found.code, found.blocking) for found in conditions] == ([("spool_nearly_full", False)] if told else [])


def test_sizes_are_measured_at_each_scrape_and_absent_where_there_is_no_folder(tmp_path: Path) -> None:
    metrics = Metrics()
    folder = tmp_path / "spool"
    room = Room(folder, metrics)
    metrics.render()
    assert metrics.value(SPOOL_BYTES) is None
    assert list(room.conditions()) == []

    folder.mkdir()
    (folder / "1.spool").write_bytes(b"x" * 1000)
    metrics.render()
    assert metrics.value(SPOOL_BYTES) == 1000
    assert (metrics.value(SPOOL_FREE_BYTES) or 0) > 0
