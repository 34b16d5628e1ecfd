"""The made-up results that tests of reports read; see reports.made_up."""

import dataclasses
from typing import Any

from bench.training.results import MemberResult
from reports.made_up import CLASSES, EVALUATIONS, HYPER, study, variants

__all__ = ["CLASSES", "EVALUATIONS", "HYPER", "of_another", "study", "variants"]


def of_another(result: MemberResult, **changes: Any) -> MemberResult:
    """The result with other fields in its identity; its activation's parameters only where the
    variant stays.
    """
    identity = dataclasses.replace(result.identity, **changes)
    same = identity.member.variant == result.variant
    return dataclasses.replace(
        result, identity=identity, parameters=result.parameters if same else {}
    )
