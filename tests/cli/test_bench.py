"""`forge bench` measures what it says; its numbers are not asserted."""

import re


def test_a_small_step_of_a_method_is_measured(forge, tmp_path):
    tiny = ["data.size=64", "data.batch=1", "networks.encoder.width=4", "networks.decoder.width=4",
            "networks.encoder.blocks=1", "networks.discriminator.width=4"]  # fmt: skip
    options = [word for change in tiny for word in ("--set", change)]
    code, out, err = forge("bench", "cyclegan_horse2zebra", *options, "--rounds", "1", "--device", "cpu",
                           "--out", tmp_path)  # fmt: skip
    assert code == 0, err
    (file,) = tmp_path.glob("speed-*-cpu.md")
    assert file.read_text().strip() == out.strip()
    rows = re.findall(r"^\| ([a-z0-9 ,]+) \| ([0-9.]+) \| ([0-9.]+) \|", out, re.MULTILINE)
    assert [name for name, *_ in rows] == ["plain step, fp32", "fp32", "bf16", "fp32, recompute", "bf16, recompute"]
    assert rows[0][2] == "1.00" and all(float(seconds) > 0 for _, seconds, _ in rows)
    assert "GFLOP/s" in out and "convolutions and products" in out and "command: `forge" in out


def test_a_recipe_without_a_plain_step_is_named(forge):
    code, _, err = forge("bench", "cyclegan_horse2zbra")
    assert code == 2 and "did you mean 'cyclegan_horse2zebra'?" in err
