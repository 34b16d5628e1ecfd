"""Do the tests keep what they promise? Simulated studies in which the truth is known.

- Every rate is measured with the very functions that the report calls, not with a copy.
- Where a test's assumptions hold in a world, it has to keep its level there; where they do not,
  the line is printed all the same, so that nobody has to guess how much it matters.
- Predictions are many and slow to draw: they get fewer studies, and wider errors, which stand
  beside each rate.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activations.errors import InputError
from activations.files import write_atomically
from reports.validation import (
    on_corpora,
    on_families,
    on_oracles,
    on_pages,
    on_predictions,
    on_scores,
    on_uses,
)
from reports.validation.rates import Rate

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Rate", "ValidationReport", "validate"]

STUDIES = 2000
OPENS, CLOSES = "<!-- validation -->", "<!-- end of validation -->"
FEWEST = 6
Check = Callable[[int, np.random.Generator], Iterator[Rate]]
# how many studies of `n` each gets: what a study costs differs by a factor of hundreds
CHECKS: tuple[tuple[str, Check, float], ...] = (
    ("verdicts of families", on_families.families, 1.0),
    ("verdicts of pages", on_pages.pages, 0.015),
    ("several corpora", on_corpora.syntheses, 0.25),
    ("ways of use", on_uses.uses, 1.0),
    ("t-tests and their family", on_scores.comparisons_with_a_baseline, 1.0),
    ("equivalence, posterior, power", on_scores.margins_and_power, 1.0),
    ("ranks, variance components", on_scores.ranks_and_components, 0.1),
    ("predictions", on_predictions.predictions, 0.2),
    ("factor contrasts", on_scores.factors, 0.25),
    ("what could be found at all", on_oracles.oracles, 1.0),
)


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """All rates, and how they were obtained: `n` studies asked for, `seed`, wall time."""

    rates: tuple[Rate, ...]
    n: int
    seed: int
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return all(rate.kept for rate in self.rates)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; each rate with its verdict."""
        return {
            "n": self.n,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "kept": self.kept,
            "rates": [
                asdict(rate) | {"verdict": rate.verdict, "kept": rate.kept} for rate in self.rates
            ],
        }

    def markdown(self) -> str:
        """The rates as Markdown: a heading of its own for each kind of check, promises in bold."""
        lines = [
            f"`gateswap validate-statistics --simulations {self.n} --seed {self.seed}`. False "
            "positives in percent, where not said otherwise; ± is the simulation's standard error. "
            "**Bold**: promised, and the command fails if it is not kept.",
            "",
            "| rule or test | world | percent | nominal | ± | studies |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for rate in self.rates:
            said = f"{100 * rate.measured:.1f}"
            if rate.quantity != "false positives":
                said += f" ({rate.quantity})"
            lines.append(
                f"| {rate.test} | {rate.world} | {f'**{said}**' if rate.promised else said} | "
                f"{100 * rate.nominal:.1f} | {100 * rate.error:.1f} | {rate.n:,} |"
            )
        return "\n".join(lines) + "\n"

    def write_into(self, page: Path) -> None:
        """Replace the table of a Markdown page, which lies between two comments.

        Raises InputError for a page without them.
        """
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        before, opened, rest = text.partition(OPENS)
        _, closed, after = rest.partition(CLOSES)
        if not opened or not closed:
            raise InputError(f"{page} has no table to replace: it needs {OPENS} and {CLOSES}")
        table = f"{before}{OPENS}\n{self.markdown()}{CLOSES}{after}"
        write_atomically(page, table)

    def table(self) -> "Table":
        """The rates as a rich table, in percent."""
        from rich.table import Table

        table = Table(title=f"{self.n} simulated studies, seed {self.seed}", title_justify="left")
        for column in ("test", "world", "quantity"):
            table.add_column(column)
        for column in ("nominal", "measured", "±", "n"):
            table.add_column(column, justify="right")
        table.add_column("verdict")
        for rate in self.rates:
            mark = "" if rate.promised else " (not promised here)"
            table.add_row(
                rate.test,
                rate.world,
                rate.quantity,
                f"{rate.nominal:.1%}",
                f"{rate.measured:.1%}",
                f"{rate.error:.1%}",
                str(rate.n),
                f"{rate.verdict}{mark}" if rate.kept else f"[bold red]{rate.verdict}[/]",
            )
        return table


def validate(
    n: int = STUDIES,
    *,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> ValidationReport:
    """Simulate and return the report; the same n and seed give the same rates.

    n: studies per world for the t-tests; the others get a fixed share of it, at least 6.
    progress: called with what comes next and the share done, 0 … 1. Raises ValueError for n < 20.
    """
    if n < 20:
        raise ValueError("n must be at least 20 simulated studies")
    start = time.perf_counter()
    rates: list[Rate] = []
    streams = np.random.SeedSequence(seed).spawn(len(CHECKS))
    for place, ((name, check, share), stream) in enumerate(zip(CHECKS, streams, strict=True)):
        if progress is not None:
            progress(name, place / len(CHECKS))
        rates += check(max(FEWEST, round(n * share)), np.random.default_rng(stream))
    if progress is not None:
        progress("done", 1.0)
    return ValidationReport(rates=tuple(rates), n=n, seed=seed, seconds=time.perf_counter() - start)
