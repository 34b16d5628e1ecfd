"""What a study trains on, seen before it is trained."""

import dataclasses

import numpy as np
import pytest

from studies.loading import load
from studies.material import deaf_encoders
from studies.workspace import Workspace
from tests.bench import tiny


@pytest.mark.parametrize(
    ("kind", "dialogues", "told"),
    [("iaan", False, True), ("iaan", True, False), ("gru", False, False)],
)
def test_a_network_for_dialogues_is_told_where_there_are_none(
    kind: str, dialogues: bool, told: bool, workspace: Workspace
) -> None:
    examples = tiny.data().examples
    if not dialogues:
        alone = np.full(len(examples), -1)
        examples = dataclasses.replace(examples, own=alone, other=alone)
    said = deaf_encoders(load("demo", [f"model.kind={kind}"], workspace=workspace), examples)
    assert bool(said) == told
    assert not told or "model.kind: gru" in said
