"""The fixtures in tests/samples, each with what it must come to; see the README there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "samples"
COMPANY = 7_301_984
"""The made-up company that all fixtures speak of."""

STEPS = {"create": 0, "added": 0, "change": 1, "updated": 1, "delete": 2, "deleted": 2, "change.deactivated": 2}
"""Of a record's plain life in one version: which of its samples comes first, then, last."""


@dataclass(frozen=True)
class Sample:
    """One delivery as received, and the expectation written by hand from Pipedrive's documentation.

    name      `<entity>.<action>`, with a third part for a special case
    expected  journal, records (the primary one first), types, merges
    """

    version: str
    name: str
    body: bytes
    expected: dict[str, Any]

    @property
    def entity(self) -> str:
        return self.name.partition(".")[0]

    @property
    def record(self) -> dict[str, Any]:
        """What the record that the event is about must come to."""
        found: dict[str, Any] = self.expected["records"][0]
        return found


def all_samples() -> list[Sample]:
    return [_load(path) for version in ("v1", "v2") for path in sorted((FOLDER / version).glob("*.json"))]


def sample(version: str, name: str) -> Sample:
    return _load(FOLDER / version / f"{name}.json")


def lives() -> list[tuple[Sample, ...]]:
    """One record's create, change and delete, for each entity and version."""
    found: dict[tuple[str, str], dict[int, Sample]] = {}
    for one in all_samples():
        step = STEPS.get(one.name.partition(".")[2])
        if step is not None:
            found.setdefault((one.version, one.entity), {})[step] = one
    return [tuple(steps[number] for number in sorted(steps)) for steps in found.values()]


def _load(path: Path) -> Sample:
    expected = FOLDER / "expected" / path.parent.name / path.name
    return Sample(path.parent.name, path.stem, path.read_bytes(), json.loads(expected.read_bytes()))
