"""Memory that is used again: never while somebody can still see it."""

import torch

from activations.kernels.cpu.memory import empty


def test_memory_is_taken_again_once_nobody_refers_to_it():
    first = empty(1000, 1000)
    address = first.data_ptr()
    assert empty(1000, 1000).data_ptr() != address
    del first
    assert empty(990, 1000).data_ptr() == address


def test_a_view_keeps_the_memory_of_its_tensor():
    whole = empty(1000, 1000).fill_(1)
    view = whole[500:502].detach()
    del whole
    others = [empty(1000, 1000).fill_(2) for _ in range(3)]
    assert (view == 1).all()
    assert len({other.data_ptr() for other in others}) == 3


def test_memory_that_autograd_saved_is_not_taken():
    x = empty(1000, 1000).fill_(3).requires_grad_()
    loss = (x * x).sum()
    x_again = x.detach()
    del x_again
    others = [empty(1000, 1000).fill_(2) for _ in range(3)]
    loss.backward()
    assert (x.grad == 6).all()
    assert others[0].dtype == torch.float32
