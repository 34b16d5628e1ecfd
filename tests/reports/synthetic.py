"""The made-up results that tests of reports read; see reports.made_up."""

import dataclasses
from typing import Any

from bench.training.results import MemberResult
from reports.analysis.searched import SearchDesign, Tried
from reports.made_up import CLASSES, EVALUATIONS, HYPER, study, variants

__all__ = ["CLASSES", "EVALUATIONS", "HYPER", "of_another", "search", "study", "variants"]


def of_another(result: MemberResult, **changes: Any) -> MemberResult:
    """The result with other fields in its identity; its activation's parameters only where the
    variant stays.
    """
    identity = dataclasses.replace(result.identity, **changes)
    same = identity.member.variant == result.variant
    return dataclasses.replace(
        result, identity=identity, parameters=result.parameters if same else {}
    )


def search(results: list[MemberResult]) -> SearchDesign:
    """A search whose settings are the results' seeds: 0 the study's own, each other one its own."""
    settings = [
        dataclasses.replace(HYPER, learning_rate=rate, clip_norm=clip)
        for rate, clip in ((HYPER.learning_rate, HYPER.clip_norm), (1e-2, 1.0), (1e-3, 5.0))
    ]
    return SearchDesign(
        space={
            "training.learning_rate": {"low": 1e-6, "high": 10.0, "log": True},
            "training.clip_norm": {"choices": (None, 1.0, 5.0)},
        },
        own=HYPER,
        sampler="tpe",
        seeds=(1000,),
        confirmed=True,
        tried=tuple(
            Tried(r.variant.label, r.fold, settings[r.seed], (r,))
            for r in sorted(results, key=lambda r: -r.seed)
        ),
    )
