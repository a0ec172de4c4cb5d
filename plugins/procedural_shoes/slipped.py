"""Shoes one slips into: loafer and sandal. Toe at x = 0, heel at x = 1, ground at y = 0."""

from __future__ import annotations

import numpy as np

from .curves import join, line, moved, offset, part_of, spline, y_at
from .shapes import ACCENT, LINING, SOLE, UPPER, Part


def loafer(random: np.random.Generator) -> list[Part]:
    """A slip-on: raised apron, saddle strap, low heel."""
    t, block, wide = random.uniform((0.03, 0.04, 0.23), (0.05, 0.08, 0.30)).tolist()
    high, box, vamp = random.uniform((0.31, 0.115, 0.40), (0.38, 0.15, 0.47)).tolist()
    high += block
    bed = spline((0.012, t + 0.012), (0.12, t), (0.36, t), (0.66, t + 0.8 * block), (0.985, t + block))
    toe, peak, heel_top = t + box, (vamp, high - 0.01), (0.965, high)
    front = spline((0.02, t), (0.02, toe - 0.55 * box), (0.065, toe - 0.08 * box), (0.16, toe + 0.03),
                   (0.28, toe + 0.075), peak)  # fmt: skip
    rim = spline(peak, (vamp + 0.08, high - 0.055), (0.74, high - 0.1), (0.88, high - 0.07), heel_top)
    far = spline(peak, (vamp + 0.13, high - 0.035), (0.76, high - 0.06), (0.88, high - 0.04), heel_top)
    back = spline(heel_top, (0.985, high - 0.06), (0.965, 0.6 * high), (0.985, 0.3 * high + 0.4 * block),
                  (0.98, t + block))  # fmt: skip
    apron = spline((0.045, toe - 0.22 * box), (0.11, toe - 0.1 * box), (0.24, toe + 0.0), (vamp - 0.02, toe + 0.07))
    arch = 1.0 - wide
    heel = line((arch, y_at(bed, arch) - 0.5 * t), (0.98, t + 0.6 * block), (0.985, 0.0), (arch + 0.02, 0.0))
    start, stop = vamp - 0.105, vamp - 0.005
    edge = spline((start, y_at(front[:41], start)), (start + 0.055, 0.55 * toe + 0.05),
                  (start + 0.06, y_at(bed, start + 0.06)))  # fmt: skip
    hem = spline((stop + 0.1, y_at(bed, stop + 0.1)), (stop + 0.09, 0.55 * toe + 0.06), (stop, y_at(front[:41], stop)))
    seams = (apron, spline((0.83, high - 0.095), (0.865, 0.6 * high), (0.82, y_at(bed, 0.82))),
             offset(part_of(rim, 0.12, 0.95), 0.03))  # fmt: skip
    return [
        Part(LINING, join(far, rim[::-1])),
        Part(UPPER, join(front, rim, back, bed[::-1]), seams),
        Part(ACCENT, join(edge, hem), (moved(part_of(edge, 0.2, 0.6), 0.055, 0.01),)),
        Part(SOLE, heel),
        Part(SOLE, join(bed, moved(bed[::-1], 0.0, -t))),
    ]


def sandal(random: np.random.Generator) -> list[Part]:
    """A wedge sandal: footbed, broad toe strap, heel cup with ankle strap."""
    t, wedge, spring = random.uniform((0.06, 0.04, 0.0), (0.11, 0.22, 0.02)).tolist()
    start, broad, rise = random.uniform((0.07, 0.29, 0.15), (0.12, 0.36, 0.20)).tolist()
    tall, band = random.uniform((0.28, 0.085), (0.36, 0.115)).tolist()
    bed = spline((0.012, spring + t), (0.1, t), (0.32, t + 0.02 * wedge), (0.62, t + 0.6 * wedge),
                 (0.82, t + 0.95 * wedge), (0.985, t + wedge + 0.012))  # fmt: skip
    ends = spline((0.985, t + wedge + 0.012), (1.008, 0.85 * t + 0.9 * wedge), (0.985, 0.5 * (t + wedge)), (0.955, 0.0))
    ground = spline((0.955, 0.0), (0.6, 0.0), (0.3, 0.0), (0.14, 0.0), (0.05, spring))
    toe = spline((0.05, spring), (0.0, spring + 0.3 * t), (-0.01, spring + 0.7 * t), (0.012, spring + t))
    stop = start + broad
    strap = join(
        spline((start, t - 0.015), (start + 0.04, t + 0.55 * rise), (start + 0.15, t + 0.9 * rise)),
        spline((start + 0.15, t + 0.9 * rise), (start + 0.26, t + 1.12 * rise), (stop + 0.03, t + 1.22 * rise)),
        spline((stop + 0.03, t + 1.22 * rise), (stop - 0.005, t + 0.7 * rise),
               (stop + 0.03, y_at(bed, stop + 0.03) - 0.02)),
    )  # fmt: skip
    top, heel = t + wedge + tall, t + wedge
    cup = join(spline((0.975, heel), (0.99, heel + 0.4 * tall), (0.965, top)), line((0.965 - band, top - 0.01)),
               spline((0.965 - band, top - 0.01), (0.87, heel + 0.5 * tall),
                      (0.74, y_at(bed, 0.74) - 0.01)))  # fmt: skip
    upper_edge = spline((0.968, top), (0.76, top - 0.02), (0.56, top + 0.04))
    tip = spline((0.56, top + 0.04), (0.54, top + 0.04 - 0.5 * band), (0.565, top + 0.035 - band))
    lower_edge = spline((0.565, top + 0.035 - band), (0.76, top - 0.025 - band), (0.972, top - band))
    far = spline((0.965, top - 0.01), (0.76, top + 0.05), (0.56, top + 0.035))
    buckle = line((0.645, top + 0.045), (0.735, top + 0.025), (0.73, top - 0.04 - band), (0.64, top - 0.02 - band))
    return [
        Part(LINING, join(far, upper_edge[8:0:-1])),
        Part(UPPER, strap, (offset(strap[8:33], 0.028),)),
        Part(UPPER, cup),
        Part(UPPER, join(upper_edge, tip, lower_edge)),
        Part(ACCENT, buckle),
        Part(SOLE, join(bed, ends, ground, toe), (moved(bed, 0.0, -0.032),)),
    ]
