"""NDB (Richardson and Weiss 2018, On GANs and GMMs): in how many bins translations are too many or too few."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Outcome, Protocol
from i2i_forge.system import generator
from i2i_forge_plugins.metrics.two_samples import TwoSamples

BINS = 100
PER_BIN = 10  # real images, on average: with fewer the normal approximation of the test does not hold
ALPHA = 0.05


class Ndb(TwoSamples):
    """NDB: how many clusters of the real images' features hold a different share of the translations.

    In each bin the shares of translations and of real images are compared by a two-sided z-test. If both come from one
    distribution, about `expected` bins differ all the same; it is not exact, because the bins were fitted to the real
    images: of 50 bins 4.5 instead of 2.5 differed for 500 and 500 draws of one normal distribution with 2048 features.
    Beside it stands the Jensen-Shannon divergence of the shares, in nats.
    """

    direction = "down"
    protocols = (
        Protocol(
            "i2i-test/1",
            "features instead of the paper's pixels; 100 bins, or one for every ten real test images; alpha 0.05",
            inputs=None,
            real="test",
            is_equal=True,
        ),
        Protocol(
            "ndb-2018/1",
            "the same with the training images of the target, from which the paper makes its bins",
            inputs=None,
            real="train",
        ),
    )
    least = 2 * PER_BIN

    def compute(self) -> list[Outcome]:
        """One count. Raises DataError for fewer than twenty images of a kind."""
        fakes, reals = self.features()
        centres = k_means(reals, min(BINS, len(reals) // PER_BIN))
        bins = len(centres)
        p, q = (torch.bincount(nearest(rows, centres), minlength=bins).double() for rows in (fakes, reals))
        differs = proportions_differ(p, q)
        count = int(differs.sum())
        components = {
            "ndb_over_k": count / bins,
            "bins": bins,
            "expected": ALPHA * bins,
            "jsd_nats": jensen_shannon(p / p.sum(), q / q.sum()),
        }
        return [Outcome(count, real=len(reals), components=components)]


def proportions_differ(a: Tensor, b: Tensor) -> Tensor:
    """Whether the shares of each bin differ in a two-proportion z-test, from two rows of counts: (K) bool."""
    n, m = a.sum(), b.sum()
    pooled = (a + b) / (n + m)
    error = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    threshold = math.sqrt(2) * torch.erfinv(torch.tensor(1 - ALPHA, dtype=torch.float64)).item()
    return (a / n - b / m).abs() > threshold * error  # z is not formed: an empty bin has error 0


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """H((p + q) / 2) - (H(p) + H(q)) / 2 in nats."""
    entropy = torch.special.entr
    return float(entropy((p + q) / 2).sum() - (entropy(p).sum() + entropy(q).sum()) / 2)


def k_means(rows: Tensor, count: int, rounds: int = 100) -> Tensor:
    """Lloyd's algorithm from the start of k-means++ (Arthur and Vassilvitskii 2007): (N, D) -> (count, D).

    The same rows in the same order have the same centres, fewer where there are fewer different rows. A cluster that
    lost all its rows keeps its centre.
    """
    draws = generator("k-means", count)
    centres = rows[torch.randint(len(rows), (1,), generator=draws).to(rows.device)]
    squares = torch.cdist(rows, centres)[:, 0].square()
    while len(centres) < count and squares.any():
        chosen = torch.multinomial(squares.cpu(), 1, generator=draws).to(rows.device)
        centres = torch.cat([centres, rows[chosen]])
        squares = squares.minimum(torch.cdist(rows, rows[chosen])[:, 0].square())
    own = nearest(rows, centres)
    for _ in range(rounds):
        members = one_hot(own, len(centres)).to(rows.dtype)  # a product, because sums by index are in no order on CUDA
        sizes = members.sum(0)[:, None]
        centres = torch.where(sizes > 0, members.T @ rows / sizes.clamp(min=1), centres)
        before, own = own, nearest(rows, centres)
        if torch.equal(own, before):
            break
    return centres


def nearest(rows: Tensor, centres: Tensor) -> Tensor:
    """The number of the centre nearest to each row: (N)."""
    return torch.cdist(rows, centres).argmin(1)


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("ndb", Ndb)
