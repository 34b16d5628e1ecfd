"""Several studies of different corpora: one difference per variant over corpora.

- Scores of different corpora stand in columns of their own; what is put together is each variant's
  difference to its baseline, which every study tests by itself.
- A study's standard error is that of its own corrected t-test over its folds. Two studies of one
  corpus share its speakers and are not two corpora: they are refused here.
- The family over which p-values are adjusted are the variants that two or more corpora have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activations.errors import InputError
from reports.analysis.analysis import Analysis
from reports.analysis.summaries import VariantSummary
from reports.statistics.conclusions import Verdict, p_text, signed
from reports.statistics.corrected_t import TTest
from reports.statistics.hierarchical import CorporaPosterior, posteriors
from reports.statistics.multiplicity import holm
from reports.statistics.synthesis import Synthesis, random_effects

FEW = 3  # corpora: with so few the intervals that ask them alone are very wide


@dataclass(frozen=True, kw_only=True)
class InCorpus:
    """A variant's difference in one study. score, baseline_score: in points; test: corrected.

    sound: the same without the pairs of runs of which one diverged, None where too little is left;
    diverged: of the variant and of its baseline.
    """

    study: str
    corpus: str
    score: float
    baseline_score: float
    test: TTest
    sound: TTest | None
    diverged: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class VariantAcross:
    """A variant's differences to its baseline in several corpora, in points.

    synthesis: None where a study found no scatter at all, so that no weight can be given. sound:
    the same without diverged runs, None where nothing diverged or too little is left.
    beliefs: the same with a prior on tau, one for each scale of it; they carry no verdict.
    p_holm: adjusted over the variants, NaN where no p is due. verdict, sentence: what follows.
    """

    variant: str
    baseline: str
    corpora: tuple[InCorpus, ...]
    synthesis: Synthesis | None
    sound: Synthesis | None
    beliefs: tuple[CorporaPosterior, ...]
    p_holm: float
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, kw_only=True)
class AcrossCorpora:
    """Studies of different corpora put together.

    designs: corpus by study. selection, measure: the rule and metric of all studies. left_out:
    variants that only one study compares. open_reasons: why no verdict may be given; tested: p
    are due all the same. differing: rules of the protocols that are not the same, as sentences.
    """

    designs: dict[str, str]
    selection: str
    measure: str
    level: float
    confidence: float
    variants: tuple[VariantAcross, ...]
    left_out: tuple[str, ...]
    open_reasons: tuple[str, ...]
    tested: bool
    differing: tuple[str, ...]
    synthetic: bool


def across_corpora(analyses: Sequence[Analysis], fingerprints: Sequence[str]) -> AcrossCorpora:
    """Put analyses of studies together, one for each corpus; fingerprints: of the corpora.

    Level and confidence are the first one's. Raises InputError where two studies are of one corpus,
    where they score checkpoints chosen by different rules or are judged by different metrics, or no
    variant is in two of them.
    """
    first = analyses[0]
    _refuse(analyses, fingerprints)
    found: dict[tuple[str, str], list[InCorpus]] = {}
    compared: dict[str, None] = {}
    for analysis in analyses:
        for comparison in analysis.comparisons:
            compared[comparison.variant] = None
            test = comparison.by_selection[analysis.settings.selection]
            if test is None:
                continue
            own = [_summary(analysis, v) for v in (comparison.variant, comparison.baseline)]
            score, baseline_score = (row.score(analysis.settings).mean for row in own)
            found.setdefault((comparison.variant, comparison.baseline), []).append(
                InCorpus(
                    study=analysis.study,
                    corpus=analysis.corpus,
                    score=score,
                    baseline_score=baseline_score,
                    test=test,
                    sound=comparison.sound,
                    diverged=(own[0].diverged, own[1].diverged),
                )
            )
    common = {key: parts for key, parts in found.items() if len(parts) > 1}
    if not common:
        raise InputError(
            f"no variant is compared with the same baseline in two of the studies "
            f"{', '.join(a.study for a in analyses)}; {first.study} compares "
            f"{', '.join(f'{c.variant} with {c.baseline}' for c in first.comparisons) or 'nothing'}"
        )
    level, confidence = first.settings.level, first.settings.confidence
    reasons, tested = _open_reasons(analyses), all(a.permission.tested for a in analyses)
    made, sound = (
        [
            _synthesis([getattr(part, name) for part in parts], confidence)
            for parts in common.values()
        ]
        for name in ("test", "sound")
    )
    adjusted, adjusted_sound = (
        holm([one.p if one and tested else np.nan for one in each]) for each in (made, sound)
    )
    rows = []
    for i, (key, parts) in enumerate(common.items()):
        p, open_ones = float(adjusted[i]), (*reasons, *_outside_plans(key[0], analyses))
        verdict = _verdict(made[i], p, level, open_ones)
        lost = any(any(part.diverged) for part in parts)
        if lost and verdict != _verdict(sound[i], float(adjusted_sound[i]), level, open_ones):
            verdict = "depends on diverged runs"
        beliefs = _beliefs(parts, confidence) if made[i] else ()
        said = _sentence(key, parts, made[i], p, len(common), verdict, first.settings.measure)
        said += _lost(parts, sound[i]) if lost else ""
        if made[i] and len(parts) <= FEW:
            said += _believed(beliefs)
        rows.append(
            VariantAcross(
                variant=key[0],
                baseline=key[1],
                corpora=tuple(parts),
                synthesis=made[i],
                sound=sound[i] if lost else None,
                beliefs=beliefs,
                p_holm=p,
                verdict=verdict,
                sentence=said,
            )
        )
    together = {variant for variant, _ in common}
    return AcrossCorpora(
        designs={a.study: a.corpus for a in analyses},
        selection=first.settings.selection,
        measure=first.settings.measure,
        level=first.settings.level,
        confidence=first.settings.confidence,
        variants=tuple(rows),
        left_out=tuple(variant for variant in compared if variant not in together),
        open_reasons=reasons,
        tested=tested,
        differing=_differing(analyses),
        synthetic=any(a.synthetic for a in analyses),
    )


def _refuse(analyses: Sequence[Analysis], fingerprints: Sequence[str]) -> None:
    met: dict[str, str] = {}
    for analysis, fingerprint in zip(analyses, fingerprints, strict=True):
        if fingerprint in met:
            raise InputError(
                f"studies {met[fingerprint]} and {analysis.study} are of the same corpus "
                f"({analysis.corpus}), so they are not two corpora: leave one out, or compare the "
                f"two alone with: gateswap report {met[fingerprint]} {analysis.study}"
            )
        met[fingerprint] = analysis.study
    rules = {a.study: a.settings.selection for a in analyses}
    if len(set(rules.values())) > 1:
        said = ", ".join(f"{study}: {rule}" for study, rule in rules.items())
        raise InputError(
            f"the studies choose their checkpoints by different rules ({said}), so their "
            "differences do not belong together: set protocol.selection alike in their files"
        )
    if len({a.settings.metric for a in analyses}) > 1:
        said = ", ".join(f"{a.study}: {a.settings.measure}" for a in analyses)
        raise InputError(
            f"the studies were planned to be judged by different metrics ({said}), so their "
            "differences do not belong together; name one for all: --metric uar"
        )


def _summary(analysis: Analysis, variant: str) -> VariantSummary:
    return next(s for s in analysis.summaries if s.variant == variant)


def _synthesis(tests: Sequence[TTest | None], confidence: float) -> Synthesis | None:
    """Of every study's test; None where one is lacking or without scatter."""
    known = [test for test in tests if test is not None and test.standard_error > 0]
    if len(known) < len(tests):
        return None
    return random_effects(
        [test.mean for test in known],
        [test.standard_error for test in known],
        confidence=confidence,
    )


def _lost(parts: Sequence[InCorpus], sound: Synthesis | None) -> str:
    """What diverged, and what is left of the difference without it."""
    runs = "; ".join(
        f"{part.study}: {part.diverged[0]} of the variant, {part.diverged[1]} of the baseline"
        for part in parts
        if any(part.diverged)
    )
    left = (
        f"{signed(sound.mean)} [{signed(sound.low)}, {signed(sound.high)}]"
        if sound
        else "too little is left to say"
    )
    return (
        f" Diverged runs ({runs}) count with the score of a constant answer; without them: {left}."
    )


def _beliefs(parts: Sequence[InCorpus], confidence: float) -> tuple[CorporaPosterior, ...]:
    tests = [part.test for part in parts]
    return posteriors(
        [test.mean for test in tests],
        [test.standard_error for test in tests],
        [test.degrees_of_freedom for test in tests],
        confidence=confidence,
    )


def _believed(beliefs: Sequence[CorporaPosterior]) -> str:
    """What few corpora say once a prior is admitted, and how much of it is the prior."""
    narrow, middle, wide = beliefs
    spans = [f"[{signed(b.low)}, {signed(b.high)}]" for b in (middle, narrow, wide)]
    percent = f"{middle.confidence:.0%}".replace("%", " %")
    return (
        f" Believing beforehand that corpora differ as a half-normal of scale {middle.scale:g} "
        f"says, the {percent} interval is {spans[0]}; of scale {narrow.scale:g}, {spans[1]}; of "
        f"scale {wide.scale:g}, {spans[2]}."
    )


def _open_reasons(analyses: Sequence[Analysis]) -> tuple[str, ...]:
    """What keeps these studies from a verdict."""
    return tuple(
        f"{a.study}: {a.permission.why.rstrip('.')}"
        for a in analyses
        if a.permission.standing != "confirmatory"
    )


def _outside_plans(variant: str, analyses: Sequence[Analysis]) -> tuple[str, ...]:
    """Where a variant is none of the comparisons that a study names as primary."""
    return tuple(
        f"{a.study}: not among the planned comparisons"
        for a in analyses
        if (own := a.comparison(variant)) is not None and own.family == "exploratory"
    )


def _differing(analyses: Sequence[Analysis]) -> tuple[str, ...]:
    """The rules in which the protocols are not alike, with each study's."""
    rules = [a.protocol.as_dict() for a in analyses]
    said = []
    for key in rules[0]:
        values = [str(own.get(key)) for own in rules]
        if len(set(values)) > 1:
            each = "; ".join(f"{a.study}: {v}" for a, v in zip(analyses, values, strict=True))
            said.append(f"{key} ({each})")
    return tuple(said)


def _verdict(
    synthesis: Synthesis | None, p: float, level: float, reasons: Sequence[str]
) -> Verdict:
    if reasons or not np.isfinite(p) or synthesis is None:
        return "not compared"
    if p > level:
        return "undecided"
    return "better" if synthesis.mean > 0 else "worse"


def _sentence(
    key: tuple[str, str],
    parts: Sequence[InCorpus],
    synthesis: Synthesis | None,
    p: float,
    family: int,
    verdict: Verdict,
    measure: str,
) -> str:
    variant, baseline = key
    if synthesis is None:
        exact = next(part.study for part in parts if part.test.standard_error <= 0)
        return (
            f"{variant} against {baseline}: study {exact} found the same difference in every fold, "
            "so its standard error is unknown and nothing is put together."
        )
    n, found = synthesis.corpora, synthesis
    percent = f"{found.confidence:.0%}".replace("%", " %")
    head = {
        "better": f"{variant} is better than {baseline} over {n} corpora",
        "worse": f"{variant} is worse than {baseline} over {n} corpora",
        "depends on diverged runs": f"whether {variant} differs from {baseline} over {n} corpora "
        "depends on diverged runs",
    }.get(verdict, f"{variant} against {baseline} over {n} corpora")
    said = (
        f"{head}: {signed(found.mean)} points {measure}, {percent} interval "
        f"[{signed(found.low)}, {signed(found.high)}]"
        + (f", {p_text(p)}" if np.isfinite(p) else "")
        + (f" (Holm over {family})" if np.isfinite(p) and family > 1 else "")
        + f". Its true difference varies from corpus to corpus by {found.tau:.1f} points "
        f"(standard deviation; {percent} interval {found.tau_range.low:.1f} to "
        f"{found.tau_range.high:.1f}); a study like these on a new corpus would find between "
        f"{signed(found.new_study.low)} and {signed(found.new_study.high)}."
    )
    if n == 2:
        said += " Two corpora say little about a third."
    return said
