"""A whole step as users write it: the same network as ours, so that times can be compared."""

import pytest
import torch

from activations import registry
from bench.data.batches import gather
from bench.data.members import Hyperparameters, Member, Variant
from bench.speed.layers import measure
from bench.speed.layers.whole_step import PackedLoop, PlainIAAN, UsersTraining, padded
from bench.speed.step_time import iemocap_like_data
from bench.training.stack import Stack

HYPER = Hyperparameters(hidden_size=6, attention_size=3, dense_size=5, batch_size=8)
DATA = iemocap_like_data(40)
WHO = ("torch.nn.GRU's", "the eager loop's")


@pytest.mark.parametrize("name", ["tanh", "swish_beta"])
def test_the_users_network_is_ours(name: str) -> None:
    member = Member(Variant(name), "session 1", 0, HYPER)
    stack = Stack([member], DATA)
    network = stack.network
    plain = PlainIAAN(DATA, HYPER, None if name == "tanh" else registry.get(name)).eval()
    ours = dict(network.named_parameters())
    with torch.no_grad():
        for number, encoder in enumerate(plain.encoders):
            gru = encoder.gru if isinstance(encoder, PackedLoop) else encoder
            for leaf, parameter in gru.named_parameters():
                parameter.copy_(ours[f"encoders.{leaf}"][number])
            plain.keys[number].weight.copy_(ours["attention_weight"][number])
            plain.keys[number].bias.copy_(ours["attention_bias"][number])
            plain.scores[number].weight.copy_(ours["attention_score"][number])
        for number, context in enumerate(plain.contexts):
            context.weight.copy_(ours["context_weight"][number])
        for layer, theirs in (("dense", plain.dense), ("output", plain.output)):
            theirs.weight.copy_(ours[f"{layer}_weight"][0])
            theirs.bias.copy_(ours[f"{layer}_bias"][0])
        examples = torch.arange(8)  # the first two lack contexts
        batch = gather(DATA, examples[None])
        logits = network(batch.frames, batch.packing)[0]
        # float32, sums of some hundred terms in another order
        torch.testing.assert_close(plain(*padded(DATA, examples)), logits, rtol=1e-4, atol=1e-5)


def test_the_user_trains() -> None:
    torch.manual_seed(0)
    plain = PlainIAAN(DATA, HYPER, registry.get("swish_beta"))
    before = {name: value.clone() for name, value in plain.named_parameters()}
    training = UsersTraining(plain, DATA, HYPER)
    for _ in range(4):  # more than an epoch
        training.step()
    same = [name for name, value in plain.named_parameters() if torch.equal(value, before[name])]
    assert same == []


def test_whole_steps_are_compared_with_those_of_torchs_gru() -> None:
    found = measure(parts=["step"], hidden=[4], activations=["relu"], repeats=1)
    rows = {row.contestant: row for row in found.rows}
    assert rows.keys() == {"gateswap", "torch.nn.GRU", "eager"}
    assert all(row.shape.step and row.shape.R == 3 for row in rows.values())
    assert {row["step"] for row in found.as_dict()["rows"]} == {True}
    ours = rows["gateswap"]
    assert ours.ratio == pytest.approx(rows["torch.nn.GRU"].ms / ours.ms)
    assert len({row.frames for row in rows.values()}) == 1
    said = [finding["what"] for finding in found.as_dict()["summary"]]
    assert said == [f"H=4: a training step, as fast as {who}" for who in WHO]
