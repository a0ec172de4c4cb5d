"""A record of results.jsonl as no command wrote it."""

from i2i_forge.measure.records import Record


def record(name, *warnings):
    """Of a model with this name."""
    return Record(
        metric="ssim", protocol="few/1", value=0.5, unit="none", direction="up", seeds=[0], per_seed=[0.5],
        n={"inputs": 1, "outputs_per_input": 1}, model={"name": name, "weights_sha256": "ab"},
        data={"name": "set", "split": "test", "list_sha256": "cd", "reference_list_sha256": ""},
        preprocess={"size": [8, 8], "resize": "none", "antialias": False, "quantised": True, "codec": "none"},
        backbone={"id": "pixels", "weights_sha256": "", "version": ""}, warnings=warnings,
        env={"package": "1", "torch": "1", "torchvision": "1", "device": "cpu", "deterministic": True},
        created_utc="2026-01-01T00:00:00",
    )  # fmt: skip
