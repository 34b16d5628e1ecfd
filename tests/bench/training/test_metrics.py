import numpy as np
import pytest
from sklearn import metrics as sk

from bench.training import metrics


def labels(seed: int, n: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truths = generator.integers(0, classes, n)
    return truths, np.where(generator.random(n) < 0.6, truths, generator.integers(0, classes, n))


@pytest.mark.parametrize("seed", range(5))
def test_the_scores_are_scikit_learns(seed):
    truths, predictions = labels(seed)
    assert metrics.uar(truths, predictions, 4) == pytest.approx(
        sk.recall_score(truths, predictions, average="macro"), abs=1e-15
    )
    assert metrics.war(truths, predictions, 4) == pytest.approx(
        sk.accuracy_score(truths, predictions), abs=1e-15
    )
    counts = metrics.confusion(truths, predictions, 4)
    assert np.array_equal(counts, sk.confusion_matrix(truths, predictions, labels=range(4)))
    assert np.allclose(metrics.recalls(counts), sk.recall_score(truths, predictions, average=None))


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_class_missing_from_the_truths_is_left_out_as_in_balanced_accuracy():
    truths, predictions = labels(0)
    truths[truths == 2] = 1
    assert (predictions == 2).any()
    expected = sk.balanced_accuracy_score(truths, predictions)
    assert metrics.uar(truths, predictions, 4) == pytest.approx(expected, abs=1e-15)
    assert np.isnan(metrics.recalls(metrics.confusion(truths, predictions, 4))[2])


def test_stacked_members_are_scored_as_each_alone():
    truths, _ = labels(0)
    predictions = np.stack([labels(seed)[1] for seed in range(6)]).reshape(2, 3, -1)
    counts = metrics.confusion(truths, predictions, 4)
    assert counts.shape == (2, 3, 4, 4)
    for i in range(2):
        for j in range(3):
            alone = metrics.confusion(truths, predictions[i, j], 4)
            assert np.array_equal(counts[i, j], alone)
            assert metrics.uar(truths, predictions, 4)[i, j] == metrics.uar_from(alone)
            assert metrics.war(truths, predictions, 4)[i, j] == metrics.war_from(alone)


def test_each_member_may_have_its_own_truths():
    pairs = [labels(seed) for seed in range(3)]
    truths, predictions = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    expected = [metrics.uar(t, p, 4) for t, p in pairs]
    assert np.array_equal(metrics.uar(truths, predictions, 4), expected)


@pytest.mark.parametrize("constant", range(4))
def test_a_constant_prediction_scores_exactly_one_over_the_classes(constant):
    truths, _ = labels(1)
    assert metrics.uar(truths, np.full_like(truths, constant), 4) == 0.25


def test_nothing_to_score_is_nan_and_not_zero():
    empty = np.array([], dtype=np.int64)
    assert np.isnan(metrics.uar(empty, empty, 4))
    assert np.isnan(metrics.war(empty, empty, 4))


@pytest.mark.parametrize(
    ("truths", "predictions", "match"),
    [
        ([0, 1], [0], "differ in n"),
        ([0, 4], [0, 1], "truths must be in 0 … 3"),
        ([0, 1], [-1, 1], "predictions must be in 0 … 3"),
        ([0.5, 1.0], [0, 1], "integers"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(truths, predictions, match):
    with pytest.raises(ValueError, match=match):
        metrics.confusion(truths, predictions, 4)
