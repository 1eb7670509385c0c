"""Describes the values of one metric key; which key has which description, `vxbench.metrics.facts` knows."""

from dataclasses import dataclass

POINT = {"fraction": 0, "percent": 2}  # units of a share, and the places by which its decimal point is moved


@dataclass(frozen=True)
class Fact:
    """What is known of the values of one key.

    name: in words. short: what its columns are headed with; "" is the key itself.
    unit: of a stored value: percent, fraction, or any other word; "" is a number without unit. decimals: shown.
    low, high: what a stored value can be; None is no limit.
    higher_is_better: None where neither end is better.
    companion: the key that must be read with it, printed in the next column.
    needs: what a clip must have for a value: boxes, segment (of the action) or classes (more than five); "" is nothing.
    pools: what the mean over a data set is a mean of, unless an option says otherwise: clips or frames.
    note: format of a clip's value, printed under its map; "" prints none.
    curve, axis: title and x axis of its mean curve, at equal steps from 0 to 1; "" draws none.
    """

    name: str
    short: str = ""
    unit: str = ""
    decimals: int = 3
    low: float | None = None
    high: float | None = None
    higher_is_better: bool | None = None
    companion: str = ""
    needs: str = ""
    pools: str = "clips"
    note: str = ""
    curve: str = ""
    axis: str = ""

    def in_unit(self, unit: str) -> tuple[str, int]:
        """The unit and decimals of its values in a table of `unit`: a share is printed as the table prints shares."""
        if not {unit, self.unit} <= POINT.keys():
            return self.unit, self.decimals
        return unit, max(0, self.decimals - POINT[unit] + POINT[self.unit])

    def factor(self, unit: str) -> float:
        """What a stored value is multiplied by in a table of `unit`; 1 unless both are units of a share."""
        return 10.0 ** (POINT[unit] - POINT[self.unit]) if {unit, self.unit} <= POINT.keys() else 1.0
