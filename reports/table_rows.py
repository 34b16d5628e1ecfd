"""What is a row of the score table: a variant, and the settings in which its rows differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.data.members import Hyperparameters, Member, Variant


@dataclass(frozen=True)
class Row:
    """A row of the table: a variant, and those settings in which its rows differ, as text."""

    variant: Variant
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """What is printed, and the name on the `variant` axis."""
        return " · ".join([self.variant.label, *self._settings])

    @property
    def family(self) -> str:
        """The label without the direction: rows of one family differ in nothing else."""
        v = self.variant
        parts = [str(v.activation)]
        for site, choice in (("update", v.update), ("reset", v.reset)):
            parts += [f"{site} {choice}"] if str(choice) != "sigmoid" else []
        parts += ["reset before"] if v.reset_order != "after" else []
        return " · ".join([*parts, *self._settings])

    @property
    def _settings(self) -> list[str]:
        return [f"{name} {value}" for name, value in self.settings]


def rows_of(members: Sequence[Member]) -> dict[tuple[Variant, Hyperparameters], Row]:
    """The row of each variant and setting."""
    settings: dict[Variant, list[Hyperparameters]] = {}
    for variant, hyper in dict.fromkeys((m.variant, m.hyper) for m in members):
        settings.setdefault(variant, []).append(hyper)
    crossed = _run_with_several(members)
    rows = {}
    for variant, hypers in settings.items():
        plain = [hyper.as_dict() for hyper in hypers]
        differing = [key for key in plain[0] if len({str(p[key]) for p in plain}) > 1]
        for hyper, values in zip(hypers, plain, strict=True):
            said = tuple((key, str(values[key])) for key in differing)
            rows[variant, hyper] = Row(variant, said if variant in crossed else ())
    return rows


def _run_with_several(members: Sequence[Member]) -> set[Variant]:
    """Variants that some fold and seed was run with several settings of."""
    settings: dict[tuple[Variant, str, int], set[Hyperparameters]] = {}
    for member in members:
        settings.setdefault((member.variant, member.fold, member.seed), set()).add(member.hyper)
    return {variant for (variant, *_), hypers in settings.items() if len(hypers) > 1}
