"""Whether a variant and its baseline differ in nothing but the variant: what trained their pairs.

- A pair is one fold and seed of both. Products rounded more coarsely (tf32, bf16) in one of the two
  are a second difference, of which no test can say which one it found: no verdict then.
- Other versions of the code are told and no more: what a member's result is, versions keep.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from activations.wording import counted
from bench.training.identity import Identity
from bench.training.results import MemberResult
from reports.score_table import Run


def unlike_pairs(
    results: Sequence[MemberResult], runs: Sequence[Run], baselines: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Half sentences on what forbids verdicts, and sentences to be told beside them.

    runs: of each result, in their order. baselines: the baseline's label of each variant.
    """
    made = {run: result.identity for run, result in zip(runs, results, strict=True)}
    pairs = [
        (identity, made[against])
        for run, identity in made.items()
        if run.variant in baselines
        and (against := Run(baselines[run.variant], run.fold, run.seed)) in made
    ]
    return (
        _differing(pairs, "precision", "computed at different precisions"),
        tuple(
            f"{said[0].upper()}{said[1:]}."
            for said in _differing(pairs, "code_version", "trained by different versions")
        ),
    )


def _differing(pairs: Sequence[tuple[Identity, Identity]], field: str, how: str) -> tuple[str, ...]:
    unlike = Counter(
        (getattr(variant, field), getattr(baseline, field)) for variant, baseline in pairs
    )
    unlike = Counter({values: n for values, n in unlike.items() if values[0] != values[1]})
    if not unlike:
        return ()
    (first, second), _ = unlike.most_common(1)[0]
    said = f"{unlike.total()} of {counted(len(pairs), 'pair')}"
    return (f"{said} of a variant and its baseline were {how} ({first} and {second}, for one)",)
