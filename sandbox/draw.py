"""Seeded draws of plausible and awkward values: Unicode, emoji, long texts, negative money, nulls, empty arrays."""
# ruff: noqa: RUF001 - foreign letters are the point

import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from sandbox.shelf import Id, Shelf

T = TypeVar("T")

FIRST: Final = (
    "Ada",
    "Bjørn",
    "Chloé",
    "Đorđe",
    "Eszter",
    "Fatma",
    "İpek",
    "José",
    "Łucja",
    "Нина",
    "王芳",
    "さくら",
    "محمد",
)
LAST: Final = ("O'Neill", "Müller-Lüdenscheidt", "García Márquez", "Nguyễn", "Smith", "Øst", "Иванова", "陳", "김")
COMPANY: Final = (
    "Ærø Shipping",
    'Blue "Quoted" GmbH',
    "Café Ñandú",
    "Delta & Sons <Ltd>",
    "Ελλάς ΑΕ",
    "株式会社さくら",
    "100% Back\\slash",
)
THING: Final = (
    "renewal",
    "pilot",
    "rollout 🚀",
    "upgrade",
    "licence — phase 2",
    "Übernahme",
    "déploiement",
    "поставка",
    "採用",
)
SENTENCE: Final = (
    "Call them back on Monday; they asked for a written offer.",
    "Il faut vérifier l'adresse avant l'envoi 📦.",
    "Preis ist „verhandelbar“ – bitte nicht unter 5 % gehen.",
    "Line one\nLine two\twith a tab",
    "Согласовано с юристами 👩‍⚖️ и бухгалтерией.",
    "納期は来週です。",
    'It\'s a "quoted" C:\\path, 50% off; -- not SQL',
)
CURRENCY: Final = ("EUR", "USD", "BRL", "JPY", "CZK")
ZONE: Final = ((310, "Europe/Tallinn"), (318, "Europe/London"), (182, "America/New_York"), (416, "Asia/Tokyo"))
_LONG = 40


class Draw:
    """Everything that makes up values: a seeded generator, and the records that new ones may refer to."""

    def __init__(self, rng: random.Random, shelves: Mapping[str, Shelf]) -> None:
        self.rng = rng
        self._shelves = shelves

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def one_of(self, choices: Sequence[T]) -> T:
        return self.rng.choice(choices)

    def some_of(self, choices: Sequence[T], most: int) -> list[T]:
        """Between none and `most` distinct choices, in their own order."""
        chosen = set(self.rng.sample(range(len(choices)), self.rng.randint(0, min(most, len(choices)))))
        return [choice for index, choice in enumerate(choices) if index in chosen]

    def number(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def ref(self, entity: str) -> Id | None:
        """The id of some live record; None while there is none."""
        return self._shelves[entity].pick(self.rng)

    def refs(self, entity: str, most: int) -> list[Id]:
        drawn = (self.ref(entity) for _ in range(self.rng.randint(0, most)))
        return sorted({record_id for record_id in drawn if record_id is not None}, key=str)

    def column(self, entity: str, record_id: Id | None, column: str) -> Any:
        """A column of another live record, None where there is none."""
        shelf = self._shelves[entity]
        return shelf[record_id][column] if record_id in shelf and record_id is not None else None

    def uuid(self, version: int = 4) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=version))

    def hash40(self) -> str:
        return f"{self.rng.getrandbits(160):040x}"

    def company(self) -> str:
        return self.one_of(COMPANY)

    def title(self) -> str:
        return f"{self.one_of(COMPANY)} {self.one_of(THING)} {self.number(1, 9999)}"

    def sentence(self) -> str:
        return self.one_of(SENTENCE)

    def text(self) -> str:
        """Mostly a sentence, sometimes empty, sometimes several kilobytes."""
        roll = self.rng.random()
        if roll < 0.05:  # noqa: PLR2004
            return ""
        if roll < 0.1:  # noqa: PLR2004
            return "\n".join(self.rng.choices(SENTENCE, k=_LONG))
        return self.sentence()

    def money(self) -> float | int:
        """Zero, negative, decimal and large amounts."""
        roll = self.rng.randrange(6)
        if roll == 0:
            return 0
        if roll == 1:
            return -self.number(1, 5000)
        if roll == 2:  # noqa: PLR2004
            return self.number(1, 10**12)
        return round(self.rng.uniform(-100, 100_000), roll - 1)

    def currency(self) -> str:
        return self.one_of(CURRENCY)

    def day(self) -> str:
        return f"{self.number(2024, 2027)}-{self.number(1, 12):02}-{self.number(1, 28):02}"

    def clock(self) -> str:
        return f"{self.number(0, 23):02}:{self.number(0, 3) * 15:02}:00"

    def zone(self) -> tuple[int, str]:
        return self.one_of(ZONE)

    def email(self) -> str:
        return f"user{self.number(1, 99_999)}@example.com"

    def phone(self) -> str:
        return f"+1555{self.number(0, 9_999_999):07}"
