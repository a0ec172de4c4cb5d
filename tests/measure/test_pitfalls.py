"""Thirty ways in which numbers go wrong, and the tests that keep each of them out; some of those tests."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

import i2i_forge
from i2i_forge.data import decode, to_tensor
from i2i_forge.data.images import save_png
from i2i_forge.measure.records import Data, Preprocess, Record

TESTS = Path(__file__).parents[1]
PITFALLS = """
1. versions of LPIPS mixed
    measure/test_lpips::test_the_versions_differ
    measure/test_lpips_diversity::test_it_is_in_the_catalog
2. [0, 1] taken for [-1, 1]
    measure/test_tensors::test_the_range_is_never_guessed
    measure/test_tensors::test_one_batch_of_each_range_is_refused
3. JPEG beside PNG
    measure/test_pitfalls::test_jpeg_changes_numbers_and_png_does_not
    measure/test_folder_samples::test_mixed_formats_are_refused
    measure/test_folder_samples::test_another_format_of_the_real_images_is_said
4. images stretched to their own minimum and maximum
    data/test_images::test_nothing_is_stretched
5. resize filters
    measure/test_resizing::test_tf1_bilinear_of_four_pixels_by_hand
    measure/test_resizing::test_the_filters_differ_where_there_is_something_to_alias
6. truncated instead of rounded to 8 bits
    measure/test_resizing::test_values_are_rounded_and_cut_not_truncated_or_wrapped
    measure/test_paired::test_levels_are_those_of_saved_files
7. bytes that wrap around
    measure/test_resizing::test_values_are_rounded_and_cut_not_truncated_or_wrapped
8. the bias of few samples
    measure/test_fid::test_it_falls_with_the_number_of_images_and_says_so
    measure/test_kid::test_one_distribution_is_at_zero_and_the_error_is_right
    measure/test_mode_scores::test_few_draws_bias_cis_down_and_the_correction_mends_it
    measure/test_records::test_numbers_made_otherwise_never_share_a_column
9. other or damaged weights
    system/test_weights::test_one_flipped_bit_is_found_and_mended
    cli/test_eval_commands::test_a_file_with_the_wrong_hash_is_not_used
    measure/test_stored::test_damage_is_named
    system/test_download::test_offline
10. torchvision's Inception for TensorFlow's
    measure/test_inception::test_it_is_torch_fidelitys_network
    measure/test_inception::test_another_network_is_refused
    measure/test_records::test_another_network_is_another_column
11. inputs normalised twice
    measure/test_training::test_inception_takes_imagenets_trunk_and_new_heads
    measure/test_training::test_modes_are_learned_and_the_card_says_so
12. deterministic methods
    measure/test_lpips_diversity::test_a_deterministic_method_has_none
    measure/test_mode_scores::test_a_deterministic_method_has_exactly_zero_cis_from_one_translation
13. CIS above IS
    measure/test_mode_scores::test_cis_is_between_0_and_is_and_their_difference_is_the_jsd
14. standard errors over pairs
    measure/test_bootstrap::test_the_error_is_that_of_inputs_and_not_of_images
    measure/test_lpips_diversity::test_uncertainty_is_over_inputs
15. the order of files or styles
    measure/test_lpips_diversity::test_the_order_of_draws_matters_to_neighbours_only
    measure/test_folder_samples::test_sub_folders_are_inputs
16. the same styles for all inputs, or new ones
    measure/test_run_samples::test_noise_depends_on_seed_input_and_draw_alone
    measure/test_pitfalls::test_a_record_says_where_styles_come_from
17. batch sizes and the weight of a small last batch
    measure/test_evaluate::test_the_batch_size_changes_nothing
    measure/test_lpips_diversity::test_it_is_the_mean_over_its_pairs_whatever_the_batches
18. images counted twice by several processes
    measure/test_evaluate::test_ranks_share_the_work_and_agree_with_one
19. TF32 and bf16
    measure/test_batch::test_products_are_fp32_inside_and_as_they_were_after
20. cancellation between nearly equal images
    measure/test_lpips_diversity::test_a_collapsed_generator_is_measured_to_a_thousandth
21. grey, alpha, palette, EXIF, 16 bit, CMYK
    data/test_decode::test_alpha_is_composited_on_white
    data/test_decode::test_exif_orientation_is_applied
    data/test_decode::test_16_bit_is_scaled_not_clipped
    faults/test_faults_of_images::test_41_cmyk
    faults/test_faults_of_images::test_45_palette_one_bit_and_grey
22. real images among the translations, another reference
    measure/test_evaluate::test_a_real_image_among_the_translations_is_refused
    measure/test_records::test_another_reference_is_another_column
23. networks in training mode
    measure/test_lpips_diversity::test_neither_autocast_nor_training_mode_reaches_it
    measure/test_lpips::test_nothing_around_it_changes_it
24. autocast around the metric
    measure/test_batch::test_numbers_are_the_same_inside_autocast
25. precision and recall swapped
    measure/test_prdc::test_a_tight_cluster_among_wide_real_images_is_precise_and_recalls_little
26. NDB of equal distributions
    measure/test_ndb::test_one_distribution_differs_in_alpha_of_the_bins
    measure/test_ndb::test_one_distribution_has_about_the_expected_count
27. aspect and crop
    data/test_transforms::test_test_images_are_cropped_in_the_centre_or_kept_whole
    measure/test_evaluate::test_images_of_different_sizes_are_refused
    measure/test_pitfalls::test_a_record_says_which_pixels_were_measured
28. a classifier that has learned from the real images it judges
    measure/test_mode_scores::test_real_images_that_the_classifier_has_learned_from_are_named
29. the mean of exp for exp of the mean
    measure/test_mode_scores::test_exp_of_the_mean_is_not_the_mean_of_exp
30. functions that SciPy removed
    measure/test_pitfalls::test_nothing_needs_scipy
"""


@pytest.mark.parametrize("pitfall", re.split(r"\n(?=\d)", PITFALLS.strip()), ids=lambda text: text.partition(".")[0])
def test_each_pitfall_has_its_test(pitfall):
    about, *tests = pitfall.split("\n    ")
    assert tests
    for test in tests:
        file, name = test.split("::")
        tree = ast.parse((TESTS / f"{file}.py").read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{about}: {test}"


def test_there_are_thirty_pitfalls():
    assert [int(number) for number in re.findall(r"^(\d+)\.", PITFALLS, re.MULTILINE)] == list(range(1, 31))


def picture(seed: int) -> Image.Image:
    """Lines and areas, as in the images that one translates."""
    image = Image.new("RGB", (64, 64), (250, 240, 230))
    draw = ImageDraw.Draw(image)
    draw.ellipse((8 + seed, 12, 50, 52 - seed), fill=(200, 30 * seed, 60), outline=(0, 0, 0))
    draw.line((4, 60, 60, 4 + 3 * seed), fill=(20, 40, 220), width=2)
    return image


def test_jpeg_changes_numbers_and_png_does_not(tmp_path):
    images = torch.stack([to_tensor(picture(seed)) for seed in range(4)])

    def diversity(suffix):
        for index, image in enumerate(images):
            if suffix == "png":
                save_png(image, tmp_path / f"{index}.png")
            else:
                picture(index).save(tmp_path / f"{index}.jpg", quality=75)
        saved = torch.stack([to_tensor(decode(tmp_path / f"{index}.{suffix}")) for index in range(4)])
        return i2i_forge.measure("lpips-diversity", saved[None], backbone="random")[0].value

    direct = i2i_forge.measure("lpips-diversity", images[None], backbone="random")[0].value
    assert diversity("png") == pytest.approx(direct, rel=1e-6)
    assert abs(diversity("jpg") / direct - 1) > 1e-3


def test_a_record_says_where_styles_come_from(munit_run, catalog):
    from i2i_forge.measure.run_samples import RunSamples
    from i2i_forge.translate.loading import load

    samples = RunSamples(load(munit_run, catalog=catalog), catalog, "ab", torch.device("cpu"))
    assert samples.model["styles"] == "drawn for each input"


def test_a_record_says_which_pixels_were_measured():
    assert {"range", "size", "resize", "antialias", "quantised", "codec"} <= set(Preprocess.model_fields)
    assert {"list_sha256", "reference_list_sha256"} <= set(Data.model_fields)
    required = {name for name, field in Record.model_fields.items() if field.is_required()}
    assert {"preprocess", "data", "protocol", "backbone", "seeds"} <= required


def test_nothing_needs_scipy():
    code = """
import sys
class NoScipy:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("scipy", "lpips", "torch_fidelity"):
            raise ImportError(f"{name} is not to be imported")
sys.meta_path.insert(0, NoScipy())
import torch, i2i_forge
from i2i_forge.catalog.loading import load_plugins
host = load_plugins()
bad = [(p.name, p.reason) for p in host.plugins if p.status != "ok"]
assert not bad, bad
torch.manual_seed(0)
x = torch.rand(3, 2, 3, 64, 64) * 2 - 1
for metric in ("lpips-diversity", "cis", "is", "mode-coverage"):
    assert i2i_forge.measure(metric, x, backbone="random", catalog=host.catalog)
assert i2i_forge.measure("ssim", x[:, :1], truths=x[:, 1], catalog=host.catalog)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
