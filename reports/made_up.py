"""Made-up results of a whole study: to see a report before there is one, and to test reports.

Speakers, dialogues, folds, seeds and variants each leave their mark on the predictions, so that
no statistic is degenerate; the same arguments give the same results. Nothing here is measured.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.data.members import Direction, Hyperparameters, Member, Variant
from bench.data.protocol import Protocol
from bench.training.identity import CorpusIdentity, Identity
from bench.training.results import MemberResult

CLASSES = ("ang", "hap", "neu", "sad")
SHARES = np.array([0.2, 0.29, 0.31, 0.2])
ACTIVATIONS = ("tanh", "relu", "elu", "swish", "arelu")
EFFECTS = {"relu": -0.45, "elu": 0.12, "swish": 0.05, "arelu": 0.3}
EVALUATIONS = 20
SPEAKERS = 2
DIALOGS = 6
HYPER = Hyperparameters(hidden_size=64, steps=EVALUATIONS * 50)


def example(
    activations: Sequence[str] = ACTIVATIONS,
    directions: Sequence[Direction] = ("gru", "bigru"),
    *,
    folds: int = 5,
    seeds: int = 3,
    utterances: int = 120,
) -> list[MemberResult]:
    """Made-up results of activations × directions × folds × seeds; `utterances` per fold.

    The numbers are drawn at random, the same ones at every call: relu loses, arelu gains.

    >>> import reports
    >>> results = reports.example(["tanh", "arelu"], ["gru"], folds=1, seeds=1)
    >>> [(r.variant.label, r.fold, r.seed) for r in results]
    [('tanh · gru', 'Ses01', 0), ('arelu · gru', 'Ses01', 0)]
    """
    chosen = variants(activations, directions)
    return study(chosen, folds=folds, seeds=seeds, utterances=utterances)


def variants(
    activations: Sequence[str] = ACTIVATIONS, directions: Sequence[Direction] = ("gru", "bigru")
) -> list[Variant]:
    """Every activation in every direction."""
    return [Variant(activation=a, direction=d) for d in directions for a in activations]


def study(
    chosen: Sequence[Variant] = (),
    *,
    folds: int = 5,
    seeds: int = 3,
    utterances: int = 120,
    effects: dict[str, float] | None = None,
    diverged: Sequence[tuple[str, int, int]] = (),
    missing: Sequence[tuple[str, int, int]] = (),
    selection: str = "dev",
    seed: int = 0,
) -> list[MemberResult]:
    """Results of every variant × fold × seed, but for `missing`.

    utterances: per fold (varied by up to a tenth). effects: shift of the logit of the right class
    by activation name. diverged, missing: (variant label, fold number, seed) of such runs.
    """
    chosen = list(chosen) or variants()
    effects = EFFECTS if effects is None else effects
    world = np.random.default_rng(seed)
    results = []
    sizes = [int(utterances * world.uniform(0.9, 1.1)) for _ in range(folds)]
    for fold in range(folds):
        table = _utterances(fold, sizes[fold], world)
        fold_level = 0.15 * world.standard_normal()
        by_seed = {s: 0.06 * world.standard_normal() for s in range(seeds)}
        for variant in chosen:
            ability = effects.get(variant.activation.name, 0.0) + 0.1 * (
                variant.direction == "bigru"
            )
            ability += fold_level + 0.04 * world.standard_normal()
            for s in range(seeds):
                if (variant.label, fold, s) in missing:
                    continue
                level = ability + by_seed[s] + 0.05 * world.standard_normal()
                broken = (variant.label, fold, s) in diverged
                results.append(
                    _result(variant, fold, s, table, sizes, level, broken, selection, world)
                )
    return results


def _utterances(fold: int, n: int, rng: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
    dialog = np.sort(rng.integers(0, DIALOGS, n))
    speaker = rng.integers(0, SPEAKERS, n)
    names = [f"Ses{fold + 1:02d}_{'impro' if d % 2 == 0 else 'script'}{d:02d}" for d in dialog]
    letters = np.array(["F", "M"])[speaker]
    ids = [f"{name}_{x}{i:03d}" for i, (name, x) in enumerate(zip(names, letters, strict=True))]
    truths = rng.choice(len(CLASSES), n, p=SHARES)
    truths[: len(CLASSES)] = np.arange(len(CLASSES))
    ease = 0.25 * rng.standard_normal(SPEAKERS)[speaker]
    ease += 0.2 * rng.standard_normal(DIALOGS)[dialog] + 0.6 * rng.standard_normal(n)
    return {
        "ids": np.array(ids),
        "truths": truths.astype(np.int64),
        "speakers": np.array([f"Ses{fold + 1:02d}{letter}" for letter in letters]),
        "dialogs": np.array(names),
        "lengths": np.clip(rng.lognormal(4.3, 0.6, n), 8, 500).astype(np.int64),
        "improvised": dialog % 2 == 0,
        "ease": ease,
        "luck": rng.gumbel(size=(n, len(CLASSES))),
    }


def _result(
    variant: Variant,
    fold: int,
    seed: int,
    table: dict[str, npt.NDArray[np.generic]],
    sizes: list[int],
    level: float,
    broken: bool,
    selection: str,
    rng: np.random.Generator,
) -> MemberResult:
    truths, ease = table["truths"].astype(np.int64), table["ease"].astype(np.float64)
    n = len(truths)
    step = np.arange(1, EVALUATIONS + 1) * 50
    learnt = 1 - np.exp(-np.arange(1, EVALUATIONS + 1) / 5)
    # utterances are hard for every run alike: without that, seeds would scatter by many points
    noise = table["luck"].astype(np.float64) + 0.15 * rng.gumbel(size=(n, len(CLASSES)))

    def logits(progress: float) -> npt.NDArray[np.float32]:
        signal = (1.6 + level + ease)[:, None] * np.eye(len(CLASSES))[truths]
        return (progress * signal + noise).astype(np.float32)

    def uar(z: npt.NDArray[np.float32]) -> float:
        hit = z.argmax(1) == truths
        return float(np.mean([hit[truths == c].mean() for c in range(len(CLASSES))]))

    test = np.array([uar(logits(p)) for p in learnt])
    dev = test + 0.02 * rng.standard_normal(EVALUATIONS)
    chosen = {"dev": int(dev.argmax()), "oracle": int(test.argmax()), "last": EVALUATIONS - 1}
    outputs = {name: logits(learnt[k]) for name, k in chosen.items()}
    selected = {name: int(step[k]) for name, k in chosen.items()}
    loss = 1.386 * (1 - 0.55 * learnt) + 0.02 * rng.standard_normal(EVALUATIONS)
    gradient = np.exp(0.3 * rng.standard_normal(EVALUATIONS))
    if broken:
        constant = np.log(SHARES).astype(np.float32)
        outputs = {name: np.tile(constant, (n, 1)) for name in chosen}
        selected = dict.fromkeys(chosen, 0)
        keep = EVALUATIONS // 2
        step, test, dev = step[:keep], test[:keep], dev[:keep]
        loss, gradient = loss[:keep], gradient[:keep]
    dev_size = sizes[(fold + 1) % len(sizes)] if len(sizes) > 2 else 0
    train = sum(sizes) - sizes[fold] - dev_size if len(sizes) > 1 else 3 * sizes[0]
    dev_truths = rng.choice(len(CLASSES), max(dev_size, 20), p=SHARES).astype(np.int64)
    protocol = Protocol(selection=selection)  # type: ignore[arg-type]
    return MemberResult(
        identity=Identity(
            study="synthetic",
            member=Member(variant, f"Ses{fold + 1:02d}", seed, HYPER),
            protocol=protocol,
            corpus=CorpusIdentity(name="made up", fingerprint="0" * 16, synthetic=True),
            features="0" * 16,
            code_version="0.1.0",
            kernel="reference (torch)",
            device="cpu",
            precision="ieee",
            torch="2.13.0",
            host="nowhere",
        ),
        outcome="diverged" if broken else "ok",
        diverged_at=int(step[-1]) + 7 if broken else None,
        curves={
            "step": step,
            "train_loss": loss,
            "dev_uar": dev,
            "dev_war": dev - 0.01,
            "test_uar": test,
            "test_war": test - 0.01,
            "gradient_norm": gradient,
        },
        ids=table["ids"],
        truths=truths,
        speakers=table["speakers"],
        dialogs=table["dialogs"],
        lengths=table["lengths"],
        improvised=table["improvised"],
        logits=outputs,
        selected_step=selected,
        dev_truths=dev_truths,
        dev_logits=_dev_logits(dev_truths, level, chosen, learnt, broken),
        classes=CLASSES,
        train_size=train,
        test_size=n,
        parameters=_parameters(variant, len(step), rng),
        diagnostics={} if broken else _diagnostics(variant, rng),
        wall_seconds=float(rng.uniform(20, 30) * variant.directions),
        stack_members=15,
        peak_memory_bytes=int(4e8 * variant.directions),
        parameter_count=100_000 * variant.directions,
    )


def _dev_logits(
    truths: npt.NDArray[np.int64],
    level: float,
    chosen: dict[str, int],
    learnt: npt.NDArray[np.float64],
    broken: bool,
) -> dict[str, npt.NDArray[np.float32]]:
    """As the test logits, of people drawn anew; their own stream, so that nothing else moves."""
    shape = (len(truths), len(CLASSES))
    if broken:
        return dict.fromkeys(chosen, np.tile(np.log(SHARES).astype(np.float32), (shape[0], 1)))
    noise = np.random.default_rng(len(truths)).gumbel(size=shape)
    signal = (1.6 + level) * np.eye(len(CLASSES))[truths]
    return {name: (learnt[k] * signal + noise).astype(np.float32) for name, k in chosen.items()}


def _parameters(
    variant: Variant, points: int, rng: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    start = np.array(variant.activation.formula.initial)
    if not start.size:
        return {}
    walk = 0.02 * rng.standard_normal((points, variant.directions, start.size, 1)).cumsum(0)
    return {
        f"{encoder}.candidate": (start[None, None, :, None] + walk).astype(np.float32)
        for encoder in ("current", "own", "other")
    }


def _diagnostics(variant: Variant, rng: np.random.Generator) -> dict[str, npt.NDArray[np.float32]]:
    """The shapes of training.diagnostics: 3 encoders, D directions; the longest reach is short."""
    D, relu = variant.directions, variant.activation.name == "relu"
    keep = 0.85 + 0.1 * rng.uniform(size=(3, D, 1)) ** (2 if relu else 1)
    reach = keep ** np.arange(51) * np.exp(0.1 * rng.standard_normal((3, D, 51)))
    reach[1:, :, 45:] = np.nan
    found = {
        "saturated": rng.uniform(0, 0.2, (3, D, 2, 2)),
        "dead_units": rng.uniform(0, 0.3 if relu else 0.01, (3, D)),
        "state_norm": rng.uniform(0.3, 0.6, (3, D)),
        "gradient_reach": 0.02 * reach,
    }
    return {name: values.astype(np.float32) for name, values in found.items()}
