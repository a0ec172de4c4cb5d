import torch

from i2i_forge.data.stream import Stream
from i2i_forge.system.seeding import generator


class Endless:
    """A million examples that nobody draws."""

    def __len__(self):
        return 1_000_000

    def name(self, index):
        return str(index)


def test_an_order_is_that_of_randperm_in_four_bytes_an_example():
    stream = Stream([Endless(), Endless()], batch=4, seed=7)
    expected = [
        [str(i) for i in torch.randperm(1_000_000, generator=generator(7, "order", "main", number, 1))[:4].tolist()]
        for number in (0, 1)
    ]
    assert stream.names(250_000) == expected[0] + expected[1]
    for step in (0, 500_000, 750_000, 1_000_000):
        stream.names(step)
    assert len(stream._orders) <= 4  # two epochs of each source at most
    assert {order.nelement() * order.element_size() for order in stream._orders.values()} == {4_000_000}
