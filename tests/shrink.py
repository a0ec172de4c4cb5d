"""The `--set` changes that make any recipe so small that a step takes moments, found from its components' options."""

import inspect

SMALL = {
    "width": 4, "blocks": 1, "mlp_dim": 8, "layers": 2, "scales": 1, "levels": 4, "hidden": 4,
    "code_width": 4,
}  # fmt: skip
SIDE = 64


def small(width=4, **options):
    """The changes that give networks these options: `small(4, decoder="blocks=1 mlp_dim=8", discriminator="")`."""
    return tuple(
        f"networks.{role}.{option}" for role, more in options.items() for option in (f"width={width}", *more.split())
    )


TINY_MUNIT = small(
    content_encoder="blocks=1", style_encoder="", decoder="blocks=1 mlp_dim=8", discriminator="scales=1 layers=2"
)


def tiny_networks(recipe, catalog, kinds):
    """Widths and depths of every network, of each domain's own options too."""
    for role, network in recipe.networks.items():
        options = network.options
        own = network.per if isinstance(network.per, dict) else {}
        for domain, spec in network.built().items():
            component = getattr(catalog, kinds[role]).get(spec.use)
            small = {key: value for key, value in SMALL.items() if key in inspect.signature(component).parameters}
            for key, value in small.items():
                place = f"per.{domain}." if domain in own and (key in own[domain] or key not in options) else ""
                yield f"networks.{role}.{place}{key}={value}"


def tiny_data(recipe, catalog, root):
    """Every stream at SIDE pixels, from `root` where it reads files; of cases from the folder `cases` there."""
    for name, stream in recipe.data.streams.items():
        at = "data" if name == "main" else f"data.{name}"
        size = stream.options.get("size")
        if size is not None:
            yield f"{at}.size={SIDE if isinstance(size, int) else [SIDE, SIDE]}"
        if "root" in stream.options:
            yield f"{at}.root={root / 'cases' if stream.use == 'cases' else root}"
        elif "count" in inspect.signature(catalog.datasets.get(stream.use)).parameters:
            yield from (f"{at}.count=3", f"{at}.test_count=1")
        if "resize" in stream.options:
            yield f"{at}.resize={SIDE}"
        # the even and the odd samples of a batch may have different parts to play
        yield f"{at}.batch={2 if stream.batch % 2 == 0 else 1}"
        yield f"{at}.workers=0"


def shrunk(recipe, catalog, root):
    """All changes."""
    kinds = catalog.trainers.get(recipe.trainer).roles
    return [
        *dict.fromkeys(tiny_networks(recipe, catalog, kinds)),
        *tiny_data(recipe, catalog, root),
        "steps=2", "run.log_every=1", "run.checkpoint_every=1", "run.sample_inputs=1", "run.sample_styles=1",
    ]  # fmt: skip
