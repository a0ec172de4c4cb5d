"""The checkpoint layout of the published MUNIT code: `gen_*.pt` and `dis_*.pt`, each with state dicts "a" and "b"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from i2i_forge.errors import CheckpointError
from i2i_forge.hookspecs import hookimpl

# Plain instance norms of old files carry statistics that nothing uses; AdaIN layers carry constant ones.
UNUSED = re.compile(r"\.norm\.(running_mean|running_var|num_batches_tracked)$")
ADAIN = re.compile(r"dec\.model\.0\.model\.\d+\.model\.\d\.conv\.bias$")
SPECTRAL = {
    "conv.parametrizations.weight.original": "conv.module.weight_bar",
    "conv.parametrizations.weight.0._u": "conv.module.weight_u",
    "conv.parametrizations.weight.0._v": "conv.module.weight_v",
}
ORDER = ("enc_style", "enc_content", "dec", "mlp", "cnns")
# fmt: off
RANKS = (  # the order of names within a layer
    "model", "norm", "activation", "conv", "fc", "module", "gamma", "beta", "weight", "bias",
    "weight_u", "weight_v", "weight_bar", "running_mean", "running_var", "num_batches_tracked",
)
# fmt: on


class NvlabsMunit:
    """Reads and writes the published MUNIT layout."""

    parts = ("gen", "dis")
    recipe = "munit_edge2shoes"
    title = "the published MUNIT code"
    file = "{part}_{step:08d}.pt"

    def part_of(self, content: Any, name: str) -> str:
        """gen or dis, by the names of the tensors."""
        names = _domain(content, "a", "the file")
        return "dis" if any(name.startswith("cnns.") for name in names) else "gen"

    def networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Widths and depths, from the shapes."""
        try:
            return self._networks(files)
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"this is not a checkpoint of the published MUNIT code, its widths cannot be read ({error})",
                fix="give the gen_*.pt and dis_*.pt files",
            ) from None

    def _networks(self, files: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        if "gen" in files:
            shapes = {name: tuple(t.shape) for name, t in _domain(files["gen"], "a", "gen").items()}
            width = shapes["enc_content.model.0.conv.weight"][0]
            depth = max(int(m[1]) for n in shapes if (m := re.match(r"enc_content\.model\.(\d+)\.conv\.", n)))
            blocks = len({m[1] for n in shapes if (m := re.match(r"dec\.model\.0\.model\.(\d+)\.", n))})
            mlp_dim, style_dim = shapes["mlp.model.0.fc.weight"]
            found["content_encoder"] = {"width": width, "downsamples": depth, "blocks": blocks}
            found["style_encoder"] = {"width": shapes["enc_style.model.0.conv.weight"][0], "dim": style_dim}
            found["decoder"] = {
                "width": width, "upsamples": depth, "blocks": blocks, "style_dim": style_dim, "mlp_dim": mlp_dim,
            }  # fmt: skip
        if "dis" in files:
            shapes = {name: tuple(t.shape) for name, t in _domain(files["dis"], "a", "dis").items()}
            indices = [(int(m[1]), int(m[2])) for n in shapes if (m := re.match(r"cnns\.(\d+)\.(\d+)\.", n))]
            found["discriminator"] = {
                "width": shapes["cnns.0.0.conv.weight"][0],
                "layers": max(layer for _, layer in indices),
                "scales": 1 + max(scale for scale, _ in indices),
                "norm": "spectral" if any("weight_bar" in n for n in shapes) else "none",
            }
        return found

    def load(self, files: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The files' tensors under our names."""
        loaded, left = {}, {(p, d, n) for p in files for d in ("a", "b") for n in _domain(files[p], d, p)}
        for key in own:
            place = self._published(key, own)
            if place is None or place[0] not in files:
                continue
            part, domain, name = place
            tensors = _domain(files[part], domain, part)
            if name not in tensors:
                raise CheckpointError(
                    f"{part}['{domain}'] has no '{name}' (our {key})",
                    fix="`forge checkpoint import` makes a recipe that fits the file",
                )
            if tensors[name].shape != own[key].shape:
                raise CheckpointError(
                    f"{part}['{domain}']['{name}'] has shape {tuple(tensors[name].shape)}, our {key} "
                    f"{tuple(own[key].shape)}",
                    fix=f"give the recipe these networks: {self.networks(files)}",
                )
            loaded[key] = tensors[name]
            left.discard(place)
        unknown = sorted(name for _, _, name in left if not UNUSED.search(name))
        if unknown:
            raise CheckpointError(
                f"the file holds {len(unknown)} tensors that the recipe's networks lack, first '{unknown[0]}'",
                fix="`forge checkpoint import` makes a recipe that fits the file",
            )
        return loaded

    def save(self, own: Mapping[str, Tensor]) -> dict[str, Any]:
        """Our tensors as the content of gen and dis, names in the published order."""
        files: dict[str, Any] = {part: {"a": {}, "b": {}} for part in self.parts}
        for key, value in own.items():
            place = self._published(key, own)
            if place is None:
                raise CheckpointError(f"'{key}' has no place in the published layout", fix="export a plain MUNIT run")
            part, domain, name = place
            files[part][domain][name] = value.detach().cpu().clone()
            if ADAIN.search(name):
                norm = name.removesuffix("conv.bias") + "norm."
                files[part][domain][norm + "running_mean"] = torch.zeros(len(value), dtype=value.dtype)
                files[part][domain][norm + "running_var"] = torch.ones(len(value), dtype=value.dtype)
        return {
            part: {domain: dict(sorted(tensors.items(), key=_published_order)) for domain, tensors in domains.items()}
            for part, domains in files.items()
        }

    def _published(self, key: str, own: Mapping[str, Tensor]) -> tuple[str, str, str] | None:
        """(part, domain, published name) of one of our tensors."""
        role, domain, name = [*key.split(".", 2), "", ""][:3]
        if domain not in ("a", "b"):  # the published code shares no network
            return None
        downs = len({k.split(".")[3] for k in own if k.startswith(f"{role}.{domain}.down.")})
        ups = len({k.split(".")[3] for k in own if k.startswith(f"{role}.{domain}.up.")})
        match role, *name.split("."):
            case "content_encoder", "blocks", index, which, *rest:
                published = ["enc_content.model", downs + 1, "model", index, "model", _place(which), *rest]
            case (("content_encoder" | "style_encoder"), ("stem" | "down" | "to_code") as layer, *rest):
                index = {"stem": 0, "to_code": downs + 2}.get(layer)
                at = [index] if index is not None else [int(rest.pop(0)) + 1]
                published = [f"enc_{role.removesuffix('_encoder')}.model", *at, *rest]
            case "decoder", "blocks", index, which, *rest:
                published = ["dec.model.0.model", index, "model", _place(which), *rest]
            case "decoder", "up", index, *rest:
                published = ["dec.model", 2 * int(index) + 2, *rest]
            case "decoder", "to_image", *rest:
                published = ["dec.model", 2 * ups + 1, *rest]
            case "decoder", "mlp", index, layer, *rest:
                published = ["mlp.model", index, "fc" if layer == "linear" else layer, *rest]
            case "discriminator", "scales", *rest:
                text = ".".join(rest)
                for ours, theirs in SPECTRAL.items():
                    text = text.replace(ours, theirs)
                if f"{key.rpartition('.')[0]}.parametrizations.weight.original" in own:
                    text = text.replace("conv.bias", "conv.module.bias")
                return "dis", domain, f"cnns.{text}"
            case _:
                return None
        return "gen", domain, ".".join(map(str, published))


def _place(which: str) -> int:
    return {"first": 0, "second": 1}[which]


def _published_order(item: tuple[str, Tensor]) -> tuple[Any, ...]:
    """Encoders before decoder before MLP, layers by number, norm before activation before convolution."""
    top, *rest = item[0].split(".")
    return ORDER.index(top), *((0, int(p)) if p.isdigit() else (1, RANKS.index(p)) for p in rest)


def _domain(content: Any, domain: str, part: str) -> dict[str, Tensor]:
    tensors = content.get(domain) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise CheckpointError(
            f"{part}: this is not a checkpoint of the published MUNIT code, it has no state dict under '{domain}'",
            fix="give the gen_*.pt and dis_*.pt files",
        )
    return dict(tensors)


@hookimpl
def register_components(catalog):
    catalog.formats.add("nvlabs-munit", NvlabsMunit)
