"""Trained networks in onnxruntime: what load_network says, for other batches and times."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from activations.errors import InputError
from bench.data.members import Hyperparameters, Member, Variant
from bench.training.loaded_network import LoadedNetwork
from bench.training.onnx_file import export_onnx
from bench.training.saved_network import SavedNetwork
from bench.training.train import TrainingSettings, train_stack
from tests.bench import tiny

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

CASES = {
    "gru, operator": (
        Variant(direction="bigru", reset_order="before"),
        {"kind": "gru", "pooling": "last"},
    ),
    "iaan, scan": (Variant("acon_c"), {}),
    "literal": (Variant(), {"missing_context": "frames"}),
}


def network(variant: Variant, settings: dict[str, object], normal: bool) -> LoadedNetwork:
    data = tiny.data()
    if normal:
        random = np.random.default_rng(1).uniform(0.5, 2, (2, tiny.FEATURES))
        data = dataclasses.replace(
            data, normal={name: data.frames.new_tensor(random) for name in data.folds}
        )
    hyper: Hyperparameters = dataclasses.replace(tiny.SMALL, **settings)  # type: ignore[arg-type]
    kept: list[SavedNetwork | None] = []
    train_stack(
        [Member(variant, "S0", 0, hyper)], data, TrainingSettings(keep="best"),
        on_networks=kept.extend,
    )  # fmt: skip
    assert kept[0] is not None
    return LoadedNetwork(kept[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "case",
    [*list(CASES)[:2], pytest.param("literal", marks=pytest.mark.exhaustive)],  # 15 s of torch's
)
def test_onnxruntime_says_of_any_batch_what_the_network_says(case: str, tmp_path: Path) -> None:
    trained = network(*CASES[case], normal=case == "iaan, scan")
    exported = export_onnx(trained, tmp_path / "m.onnx")
    assert exported.difference is not None
    assert exported.difference < 1e-4

    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    names = [each.name for each in session.get_inputs()]
    assert names == [*(n for n in ("current", "own", "other") if n in exported.inputs), "lengths"]
    random = np.random.default_rng(3)
    lengths = np.array([[2, 30], [0, 4], [17, 0]])[: len(names) - 1]
    given = {
        name: random.standard_normal((2, own.max(), tiny.FEATURES)).astype(np.float32)
        for name, own in zip(names, lengths, strict=False)
    }
    logits, probabilities = session.run(None, {**given, "lengths": lengths})
    heard = []
    for row in range(2):
        three = [given[n][row, : lengths[i, row]] for i, n in enumerate(names[:-1])]
        heard.append(tuple([*three, None, None][:3]))
    np.testing.assert_allclose(logits, trained.logits(heard), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, trained.probabilities(heard), rtol=1e-4, atol=1e-5)

    (about,) = (
        json.loads(entry.value)
        for entry in onnx.load(str(tmp_path / "m.onnx")).metadata_props
        if entry.key == "gateswap"
    )
    assert about["classes"] == list(tiny.CLASSES)
    assert about["identity"]["fold"] == "S0"


def test_contexts_that_end_with_their_batch_are_refused(tmp_path: Path) -> None:
    trained = network(Variant(), {"context_mask": False}, normal=False)
    with pytest.raises(InputError, match="to the end of their batch"):
        export_onnx(trained, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
