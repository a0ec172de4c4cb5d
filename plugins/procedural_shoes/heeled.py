"""Shoes on a heel: ankle boot and pump. Toe at x = 0, heel at x = 1, ground at y = 0."""

from __future__ import annotations

import numpy as np

from .curves import join, line, moved, offset, part_of, spline, y_at
from .shapes import ACCENT, LINING, SOLE, UPPER, Part


def boot(random: np.random.Generator) -> list[Part]:
    """An ankle boot: shaft, elastic gore, stacked heel."""
    t, block, wide = random.uniform((0.035, 0.08, 0.24), (0.055, 0.18, 0.32)).tolist()
    high, box, ankle = random.uniform((0.68, 0.11, 0.49), (0.92, 0.14, 0.56)).tolist()
    toe, high = t + box, high + 0.5 * block
    bed = spline((0.015, t + 0.012), (0.1, t), (0.32, t), (0.58, t + 0.4 * block), (0.78, t + 0.88 * block),
                 (0.975, t + block))  # fmt: skip
    front = spline((0.02, t), (0.022, toe - 0.55 * box), (0.07, toe - 0.08 * box), (0.16, toe + 0.02),
                   (0.34, toe + 0.11 + 0.3 * block), (ankle - 0.04, toe + 0.2 + 0.3 * block),
                   (ankle - 0.005, 0.62 * high), (ankle, high))  # fmt: skip
    rim = spline((ankle, high), (0.74, high - 0.025), (0.96, high + 0.005))
    back = spline((0.96, high + 0.005), (0.925, 0.62 * high), (0.975, 0.3 * high + 0.3 * block), (0.97, t + block))
    far = spline((ankle, high), (0.74, high + 0.022), (0.96, high + 0.005))
    pull = spline((0.905, high - 0.04), (0.905, high + 0.055), (0.95, high + 0.055), (0.95, high - 0.04))
    middle, low = (ankle + 0.96) / 2, 0.47 * high + 0.2 * block
    gore = spline((middle - 0.09, high - 0.02), (middle - 0.055, 0.66 * high), (middle, low),
                  (middle + 0.055, 0.66 * high), (middle + 0.09, high - 0.02))  # fmt: skip
    arch = 1.0 - wide
    heel = join(line((arch, y_at(bed, arch) - 0.5 * t), (0.972, t + 0.6 * block)),
                spline((0.972, block), (0.962, 0.5 * block), (0.968, 0.0)), line((arch + 0.03, 0.0)))  # fmt: skip
    seams = (
        spline((0.36, y_at(front[:40], 0.36)), (0.46, toe + 0.02 + 0.2 * block), (0.6, y_at(bed, 0.6))),
        spline((0.925, high), (0.89, 0.6 * high), (0.92, t + block)),
    )
    ribs = tuple(line((middle + x, high - 0.03), (middle + 0.35 * x, low + 0.09)) for x in (-0.035, 0.035))
    return [
        Part(LINING, join(far, rim[::-1])),
        Part(ACCENT, pull),
        Part(UPPER, join(front, rim, back, bed[::-1]), seams),
        Part(ACCENT, gore, ribs),
        Part(SOLE, heel),
        Part(SOLE, join(bed, moved(bed[::-1], 0.0, -t))),
    ]


def pump(random: np.random.Generator) -> list[Part]:
    """A court shoe: low front, slender to solid heel."""
    block, foot, vamp = random.uniform((0.20, 0.035, 0.27), (0.38, 0.12, 0.35)).tolist()
    toe, counter, blunt = random.uniform((0.095, 0.22, 0.0), (0.13, 0.29, 0.03)).tolist()
    t = 0.026
    bed = spline((0.0, t + 0.008), (0.1, t), (0.26, t + 0.01), (0.5, t + 0.42 * block), (0.74, t + 0.9 * block),
                 (0.985, t + block))  # fmt: skip
    peak = (vamp, toe + 0.055 + 0.22 * block)
    front = spline((0.0, t), (0.012 - 0.3 * blunt, t + 0.3 * toe + blunt), (0.09 - blunt, toe + 0.5 * blunt),
                   (0.2, toe + 0.04 + 0.09 * block), peak)  # fmt: skip
    heel_top = (0.972, t + block + counter)
    rim = spline(peak, (vamp + 0.08, y_at(bed, vamp + 0.08) + 0.1), (0.6, y_at(bed, 0.6) + 0.13),
                 (0.84, t + block + 0.68 * counter), heel_top)  # fmt: skip
    far = spline(peak, (vamp + 0.09, y_at(bed, vamp + 0.09) + 0.14), (0.6, y_at(bed, 0.6) + 0.175),
                 (0.84, t + block + 0.85 * counter), heel_top)  # fmt: skip
    back = spline(heel_top, (1.0, t + block + 0.6 * counter), (0.985, t + block))
    arch, tip = 0.79 - 0.4 * foot, 0.955 - foot
    inner = spline((tip, 0.0), (tip + 0.01 - 0.12 * foot, 0.5 * block), (arch, y_at(bed, arch) - 0.5 * t))
    outer = spline((0.978, t + 0.9 * block), (0.968, 0.6 * block), (0.955, 0.0))
    return [
        Part(LINING, join(far, rim[::-1])),
        Part(UPPER, join(front, rim, back, bed[::-1]), (offset(part_of(rim, 0.08, 0.96), 0.028),)),
        Part(SOLE, join(inner, outer), (line((tip, 0.03), (0.956, 0.03)),)),
        Part(SOLE, join(bed, moved(bed[::-1], 0.0, -t))),
    ]
