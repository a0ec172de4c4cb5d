import pytest
import torch
from PIL import Image

from i2i_forge.errors import DataError
from i2i_forge.measure.image_folders import FolderSamples, grouped

CPU = torch.device("cpu")


def write(file, colour=(10, 200, 30), size=(8, 6)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)
    return file


def fill(folder, *names):
    for index, name in enumerate(names):
        write(folder / name, (index, 2 * index, 3 * index))
    return folder


def test_sub_folders_are_inputs(tmp_path):
    fill(tmp_path, "bag/2.png", "bag/10.png", "shoe/1.png")
    assert {name: [f.name for f in files] for name, files in grouped(tmp_path).items()} == {
        "bag": ["2.png", "10.png"],
        "shoe": ["1.png"],
    }


def test_numbers_at_the_end_are_draws_and_the_sheet_is_left_out(tmp_path):
    fill(tmp_path, "bag-00.png", "bag-01.png", "my_shoe_0.png", "my_shoe_1.png", "plain.png", "sheet.png")
    assert {name: len(files) for name, files in grouped(tmp_path).items()} == {"bag": 2, "my_shoe": 2, "plain": 1}


def test_only_a_sheet_is_nothing(tmp_path):
    with pytest.raises(DataError, match="nothing but sheet"):
        grouped(fill(tmp_path, "sheet.png"))


def test_images_come_as_they_are(tmp_path):
    fill(tmp_path / "out", "a-0.png", "a-1.png", "b-0.png", "b-1.png")
    samples = FolderSamples(tmp_path / "out", CPU)
    assert (samples.inputs, samples.draws, samples.codec, samples.has) == (2, 2, "png", set())
    (part,) = samples.translations(0, [2, 1], 8)
    assert (part.inputs, part.draws, part.names) == ([0, 0, 1], [0, 1, 0], ["a", "a", "b"])
    assert torch.equal(((part.images[1, :, 0, 0] + 1) * 127.5).round(), torch.tensor([1.0, 2.0, 3.0]))
    assert set(samples.seen["translations"]) == {(0, 0), (0, 1), (1, 0)}
    assert samples.seen["inputs"] == {0: "a", 1: "b"}


def test_the_seed_changes_no_file_and_ranks_share(tmp_path):
    samples = FolderSamples(fill(tmp_path, "a-0.png", "b-0.png", "c-0.png"), CPU)
    for seed in (0, 1):
        assert [p.names for p in samples.translations(seed, [1, 1, 1], 8, (0, 2))] == [["a", "c"]]


def test_ragged_inputs_are_cut_and_said(tmp_path):
    samples = FolderSamples(fill(tmp_path, "a-0.png", "a-1.png", "a-2.png", "b-0.png"), CPU)
    assert samples.draws == 1
    assert samples.warnings == ["inputs have 1 to 3 images; 1 of each are used"]


def test_mixed_formats_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"mixes jpeg .* and png"):
        FolderSamples(fill(tmp_path, "a-0.png", "a-1.jpg"), CPU)


def test_another_format_of_the_real_images_is_said(tmp_path):
    fill(tmp_path, "out/a-0.png", "real/x.jpg")
    samples = FolderSamples(tmp_path / "out", CPU, real=tmp_path / "real")
    assert "the translations are png, the real images jpeg" in samples.warnings[0]
    (real,) = samples.real("train", 5, 8)
    assert len(real) == samples.real_count("test") == 1


def test_sources_and_truths_are_found_by_name(tmp_path):
    fill(tmp_path, "out/a-0.png", "out/a-1.png", "out/b-0.png", "out/b-1.png", "in/b.png", "in/a.png", "truth/a.png")
    samples = FolderSamples(tmp_path / "out", CPU, sources=tmp_path / "in")
    assert samples.has == {"sources"}
    (part,) = samples.translations(0, [1, 1], 8)
    assert torch.equal(((part.sources[:, 0, 0, 0] + 1) * 127.5).round(), torch.tensor([5.0, 4.0]))
    with pytest.raises(DataError, match="no image for 1 of 2 inputs, for example 'b'"):
        FolderSamples(tmp_path / "out", CPU, truths=tmp_path / "truth")


def test_a_damaged_image_is_named(tmp_path):
    fill(tmp_path, "a-0.png")
    (tmp_path / "b-0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b-0\.png"):
        FolderSamples(tmp_path, CPU)
