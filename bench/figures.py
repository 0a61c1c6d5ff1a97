"""What a bench gives: figures, each beside what it is measured against, and the counts that make it sound."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Better = Literal["more", "less"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. The aim is for the ratio where there is something to compare with, else for the value."""

    name: str
    value: float
    unit: str
    against: str | None = None
    against_value: float | None = None
    aim: float | None = None
    aim_on: Literal["value", "ratio"] = "value"
    better: Better = "more"

    @property
    def ratio(self) -> float | None:
        """The value as a part of what it is measured against."""
        return self.value / self.against_value if self.against_value else None

    @property
    def met(self) -> bool | None:
        """Does it reach its aim? None where there is none."""
        reached = self.ratio if self.aim_on == "ratio" else self.value
        if self.aim is None or reached is None:
            return None
        return reached >= self.aim if self.better == "more" else reached <= self.aim

    def shown(self) -> dict[str, Any]:
        """As data."""
        return {
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "against": self.against,
            "against_value": _short(self.against_value),
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "aim": self.aim,
            "aim_on": self.aim_on if self.aim is not None else None,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Count:
    """One thing counted on both sides; a measurement is sound only when they are equal."""

    what: str
    sent: int
    arrived: int

    @property
    def equal(self) -> bool:
        """Nothing lost, nothing double."""
        return self.sent == self.arrived


@dataclass(slots=True)
class Report:
    """Everything one bench found out."""

    bench: str
    machine: dict[str, Any]
    began: str
    figures: list[Figure] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def figure(
        self,
        tell: Callable[[str], None],
        name: str,
        value: float,
        unit: str,
        against: tuple[str, float] | None = None,
        *,
        aim: float | None = None,
        on_ratio: bool = False,
        less: bool = False,
    ) -> None:
        """Keep one figure and say it; `less` when a smaller one is better."""
        label, other = against or (None, None)
        aim_on: Literal["value", "ratio"] = "ratio" if on_ratio else "value"
        self.figures.append(Figure(name, value, unit, label, other, aim, aim_on, "less" if less else "more"))
        tell(f"   {name}: {value:,.1f} {unit}")

    @property
    def sound(self) -> bool:
        """Something was counted, and both sides are equal everywhere."""
        return bool(self.counts) and all(count.equal for count in self.counts)

    def shown(self) -> dict[str, Any]:
        """As data."""
        return {
            "bench": self.bench,
            "began": self.began,
            "machine": self.machine,
            "sound": self.sound,
            "figures": [figure.shown() for figure in self.figures],
            "counts": [{**asdict(count), "equal": count.equal} for count in self.counts],
            "notes": self.notes,
        }


def percentile(values: list[float], part: float) -> float:
    """The smallest value that at least this part of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(part * 1000) // 1000) - 1)]


def _short(value: float | None) -> float | None:
    """Three digits behind the point at most, none where the number is large."""
    if value is None:
        return None
    return round(value) if abs(value) >= 1000 else round(value, 3)
