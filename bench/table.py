"""One table of ratios, as the README shows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured thing: ours, the floor's in the same run, their ratio, and what we want."""

    name: str
    ours: str
    floor: str
    ratio: str
    goal: str
    reached: bool


def as_markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| job | ours | floor | ratio | goal | |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.ours} | {row.floor} | **{row.ratio}** | {row.goal} | {'✓' if row.reached else '✗'} |"
        for row in rows
    ]
    return "\n".join(lines)
