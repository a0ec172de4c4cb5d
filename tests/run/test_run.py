import json
import logging
import os
import socket

import pytest
from PIL import Image

from i2i_forge.catalog.hookspecs import hookimpl
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.errors import CheckpointError, DivergedError, UsageError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run import loop as run_module
from i2i_forge.run import progress as progress_module
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.identity import identity


def steps_saved(folder):
    return checkpoint.list_steps(folder / "checkpoints")


def short(message):
    """At most six lines, and it says what to do."""
    lines = message.strip().splitlines()
    return len(lines) <= 6 and lines[-1].startswith("fix: ") and "Traceback" not in message


# ---- the folder ------------------------------------------------------------------------------------------------


def test_what_a_run_leaves(tiny, straight):
    folder, _ = straight
    names = {
        "recipe.yaml",
        "resolved.yaml",
        "env.json",
        "metrics.jsonl",
        "log.txt",
        "samples",
        "checkpoints",
        "run.lock",
    }
    assert {p.name for p in folder.iterdir()} == names
    assert steps_saved(folder) == [10]
    assert (folder / "recipe.yaml").read_text().startswith("# forge train munit_synthetic")
    environment = json.loads((folder / "env.json").read_text())
    assert environment["recipe"] == "munit_synthetic"
    assert {"torch", "i2i-forge"} <= set(environment["packages"])
    assert "munit" in environment["plugins"]
    assert "saved step 10" in (folder / "log.txt").read_text()
    assert (folder / "run.lock").read_text() == ""
    state = json.loads((folder / "checkpoints/step-00000010/state.json").read_text())
    recipe = identity(RunFolder(folder).recipe())
    assert state == {"format": 1, "images": 20, "ranks": 1, "step": 10, **recipe}


def test_records(straight):
    lines = [json.loads(line) for line in (straight[0] / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert [line["epoch"] for line in lines] == [round(2 * step / 7, 4) for step in range(1, 11)]
    for line in lines:
        assert line["images_per_second"] == pytest.approx(2 * line["steps_per_second"], rel=1e-3)
        assert len([name for name in line if name.count("/") == 2]) == 10  # 5 terms on 2 routes
        assert all(isinstance(value, float) for name, value in line.items() if name != "step")


def test_log_every_and_the_last_step(tiny, tmp_path):
    tiny.train(tmp_path, "run.log_every=3", "steps=5")
    assert [m["step"] for m in tiny.metrics(tmp_path)] == [3, 5]


def test_a_run_can_be_started_from_its_resolved_recipe(tiny, straight, tmp_path):
    folder = straight[0]
    recipe = read_recipe(folder / "resolved.yaml")
    assert recipe.model_dump() == tiny.recipe().model_dump()
    assert (folder / "resolved.yaml").read_text().startswith("# munit_synthetic: ")
    assert RunFolder.open(folder).recipe().name == "munit_synthetic"


def test_a_recipe_that_a_program_made_needs_no_file(tiny, tmp_path):
    recipe = tiny.recipe("steps=1").named("made_here")
    run = tiny.run(tmp_path, "steps=1")
    run.recipe, run.source = recipe, recipe.name
    assert run.train() == 1
    assert not (tmp_path / "recipe.yaml").exists()
    assert (tmp_path / "resolved.yaml").exists()


# ---- again, further, other -------------------------------------------------------------------------------------


def test_a_finished_run_is_left_as_it_is(tiny, call_forge, train_command, tmp_path):
    code, out, _ = call_forge(*train_command(tmp_path, "steps=2"))
    assert (code, out.count("\n")) == (0, 1)
    watched = [*tmp_path.glob("checkpoints/*/*"), *tmp_path.glob("samples/*"), tmp_path / "metrics.jsonl"]
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in watched if file.name != "metrics.jsonl"}
    records = (tmp_path / "metrics.jsonl").read_bytes()
    code, out, err = call_forge(*train_command(tmp_path, "steps=2"))
    assert code == 0
    assert "2 steps done" in out and "has taken its 2 steps already" in err
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in before} == before
    assert (tmp_path / "metrics.jsonl").read_bytes() == records


def test_more_steps_go_on(tiny, straight, tmp_path):
    tiny.train(tmp_path, "steps=4")
    assert tiny.train(tmp_path) == straight[1]
    assert steps_saved(tmp_path) == [4, 10]


def test_fewer_steps_than_done_change_nothing(tiny, tmp_path):
    tiny.train(tmp_path, "steps=3")
    assert tiny.run(tmp_path, "steps=2").train() == 3
    assert steps_saved(tmp_path) == [3]
    assert len(tiny.metrics(tmp_path)) == 3


def test_another_recipe_in_the_folder_is_refused(tiny, straight, call_forge, train_command):
    folder, digest = straight
    before = (folder / "resolved.yaml").read_bytes()
    code, out, err = call_forge(*train_command(folder, "networks.decoder.mlp_dim=16", "seed=3"))
    assert (code, out) == (5, "")
    assert "networks.decoder.mlp_dim: 8 there, 16 here" in err and "seed: 0 there, 3 here" in err
    assert "--run" in err and short(err)
    assert (folder / "resolved.yaml").read_bytes() == before
    assert tiny.digest(folder) == digest


def test_what_changes_no_number_may_change(tiny, tmp_path):
    tiny.train(tmp_path, "steps=1")
    changes = ("steps=2", "run.sample_inputs=2", "run.checkpoint_every=1", "run.keep=1", "data.workers=1")
    assert tiny.run(tmp_path, *changes).train() == 2


@pytest.mark.parametrize("change", ["data.batch=1", "precision=bf16", "data.count=8", "optimizers.default.lr=1.0e-5",
                                    "phases.generator.minimize.style=~"])  # fmt: skip
def test_what_changes_a_number_may_not(tiny, straight, change):
    key = change.partition("=")[0]
    with pytest.raises(CheckpointError, match=key.replace(".", r"\.")):
        tiny.run(straight[0], change).train()


def test_all_checkpoints_damaged_is_exit_5_and_no_new_start(tiny, call_forge, train_command, tmp_path):
    tiny.train(tmp_path, "steps=1")
    (tmp_path / "checkpoints/step-00000001/model.safetensors").write_bytes(b"")
    code, _, err = call_forge(*train_command(tmp_path, "steps=2"))
    assert code == 5
    assert "no checkpoint can be used" in err and short(err)
    assert steps_saved(tmp_path) == [1]


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(tiny, straight, call_forge, train_command, tmp_path):
    tiny.train(tmp_path, "steps=4", "run.checkpoint_every=2")
    (tmp_path / "checkpoints/step-00000004/optimizers.safetensors").write_bytes(b"")
    code, _, err = call_forge(*train_command(tmp_path))
    assert code == 0
    assert "step-00000004 is damaged" in err and "using step 2" in err
    assert tiny.digest(tmp_path) == straight[1]
    assert tiny.metrics(tmp_path) == tiny.metrics(straight[0])


# ---- one run at a time -----------------------------------------------------------------------------------------


def test_a_second_run_in_the_folder_is_told_who_has_it(tiny, straight, call_forge, train_command):
    folder = RunFolder(straight[0])
    with folder.locked():
        code, out, err = call_forge(*train_command(straight[0]))
    assert (code, out) == (2, "")
    assert f"process {os.getpid()} on {socket.gethostname()}" in err
    assert short(err)
    with folder.locked():  # free again
        pass


def test_the_lock_of_a_process_that_is_gone_is_taken_over(tiny, tmp_path):
    (tmp_path / "run.lock").write_text("process 999999 on elsewhere\n")
    assert tiny.run(tmp_path, "steps=1").train() == 1
    assert (tmp_path / "run.lock").read_text() == ""


def test_a_failure_frees_the_folder(tiny, tmp_path, monkeypatch):
    run = tiny.run(tmp_path, "steps=1")
    monkeypatch.setattr(run.trainer, "step", lambda batch, step: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.train()
    assert "the run failed" in (tmp_path / "log.txt").read_text()
    assert tiny.run(tmp_path, "steps=1").train() == 1


@pytest.mark.parametrize("blocked", ["run", "run/checkpoints", "run/samples"])
def test_a_folder_that_cannot_be_written(tiny, call_forge, train_command, tmp_path, blocked):
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file")
    code, out, err = call_forge(*train_command(tmp_path / "run", "steps=1"))
    assert (code, out) == (2, "")
    assert f"the run folder {tmp_path / 'run'} cannot be written" in err
    assert "--run" in err and short(err)
    assert (tmp_path / blocked).read_text() == "a file"


def test_odd_folder_names(tiny, tmp_path):
    folder = tmp_path / "a b\nc'ü" / ("x" * 200)
    assert tiny.run(folder, "steps=1").train() == 1
    assert steps_saved(folder) == [1]


# ---- records after a kill --------------------------------------------------------------------------------------


def test_records_after_the_checkpoint_are_taken_back(tiny, straight, tmp_path):
    tiny.train(tmp_path, "steps=3")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "epoch": 9.9}\n{"step": 5, "epoch": 9.9}\n{"step": 6, "epo')
    assert tiny.train(tmp_path) == straight[1]
    assert tiny.metrics(tmp_path) == tiny.metrics(straight[0])


@pytest.mark.parametrize("rest", ["", "{", "\x00\x00", "12", "[]", "null", '{"epoch": 1}'])
def test_what_is_no_record_is_dropped(tmp_path, rest):
    folder = RunFolder(tmp_path)
    folder.metrics.write_bytes(b'{"step": 1}\n\xff\xfe\n' + rest.encode() + b'\n{"step": 2}\n{"step": 3}\n')
    folder.forget_after(2)
    assert folder.metrics.read_text() == '{"step": 1}\n{"step": 2}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_records_that_cannot_be_written_do_not_stop_the_training(tiny, straight, tmp_path, monkeypatch):
    def full(self, entry):
        raise OSError(28, "No space left on device")

    notes = []
    monkeypatch.setattr(RunFolder, "record", full)
    run = tiny.run(tmp_path)
    monkeypatch.setattr(run, "_note", notes.append)
    assert run.train() == 10
    assert checkpoint.digest(run.trainer) == straight[1]
    assert ["No space left on device" in note for note in notes] == [False, True]


# ---- when checkpoints are written ------------------------------------------------------------------------------


def test_checkpoint_every_and_keep(tiny, tmp_path):
    tiny.train(tmp_path, "steps=7", "run.checkpoint_every=2", "run.keep=3")
    assert steps_saved(tmp_path) == [4, 6, 7]


def test_checkpoint_minutes(tiny, tmp_path):
    tiny.train(tmp_path, "steps=3", "run.checkpoint_minutes=1.0e-9", "run.keep=9")
    assert steps_saved(tmp_path) == [1, 2, 3]


def test_none_in_between_without_need(straight):
    assert steps_saved(straight[0]) == [10]


# ---- a loss that is not finite ---------------------------------------------------------------------------------

TRAP = """
from i2i_forge import hookimpl

class Trap:
    def __init__(self, calls=4, value="nan"):
        self.left, self.value = calls, float(value)

    def __call__(self, image):
        self.left -= 1
        return image.mean() * (self.value if self.left < 0 else 0.0)

@hookimpl
def register_components(catalog):
    catalog.losses.add("trap", Trap)
"""


@pytest.fixture
def trap(tmp_path):
    """A folder with a plugin whose loss stops being finite: at its fifth call, in the third step."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/trap.py").write_text(TRAP)
    return tmp_path / "plugins"


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite(tiny, call_forge, train_command, tmp_path, trap, value):
    run = tmp_path / "run"
    term = f"phases.generator.minimize.trap=1 * trap(translation, value='{value}')"
    code, out, err = call_forge("--plugins", trap, *train_command(run, term, "run.checkpoint_every=1", "run.keep=9"))
    assert (code, out) == (7, "")
    message = err[err.index("error:") :]
    assert "not finite at step 2: generator/trap/ab" in message
    assert "phase 'generator' was not updated" in message
    names = tiny.run(tmp_path / "other").streams["main"].names(2)
    assert len(names) == 4 and ", ".join(names) in message
    assert f"`forge checkpoint replay {run} --step 2`" in message
    assert short(message)
    record = json.loads((run / "diverged.json").read_text())
    assert (record["step"], record["phase"], record["images"]) == (2, "generator", names)
    loss = record["losses"]["generator/trap/ab"]
    assert value in loss and record["not_finite"][0] == f"generator/trap/ab = {loss}"
    assert 0 < record["losses"]["generator/image/ab"] < 10
    assert steps_saved(run) == [1, 2]
    assert checkpoint.read(run / "checkpoints/step-00000002").step == 2
    assert [m["step"] for m in tiny.metrics(run)] == [1, 2]
    assert "not finite at step 2" in (run / "log.txt").read_text()


def test_nothing_of_a_phase_that_diverged_is_applied(tiny, tmp_path, trap):
    host = load_plugins([trap])
    term = "phases.generator.minimize.trap=1 * trap(translation, calls=0)"
    run = tiny.run(tmp_path / "run", term, host=host)
    before = {n: t.clone() for n, t in run.trainer.state_dict().items()}
    with pytest.raises(DivergedError):
        run.train()
    after = run.trainer.state_dict()
    assert all(after[n].equal(before[n]) for n in after if not n.startswith("discriminator"))
    assert any(not after[n].equal(before[n]) for n in after if n.startswith("discriminator"))  # it had its turn before
    assert steps_saved(tmp_path / "run") == []


# ---- what is shown ---------------------------------------------------------------------------------------------


def test_plain_lines_on_stderr_and_the_result_alone_on_stdout(call_forge, train_command, tmp_path):
    code, out, err = call_forge(*train_command(tmp_path / "run", "steps=2"))
    assert code == 0
    assert out.splitlines() == [
        f"{tmp_path / 'run'}: 2 steps done. Pictures: {tmp_path / 'run/samples'}. "
        f"Next: forge translate {tmp_path / 'run'} IMAGES --out DIR"
    ]
    begun, *lines = err.splitlines()
    assert begun.startswith("munit_synthetic in ") and begun.endswith(": 2 steps on cpu, a line every 1")
    assert [line.split("  ")[0] for line in lines] == ["step 1/2", "step 2/2"]
    assert "images/s" in lines[0] and "left 00:00:" in lines[0] and "generator/image" in lines[0]
    assert "\x1b" not in err


def test_progress_is_told_everything_in_order(tiny, tmp_path):
    seen = []

    class Spy:
        def __getattr__(self, event):
            return lambda *arguments: seen.append((event, *[a for a in arguments if not isinstance(a, dict)]))

    tiny.train(tmp_path, "steps=2", "run.log_every=2")
    tiny.run(tmp_path, "steps=4", "run.log_every=2", progress=Spy()).train()
    note = f"resuming {tmp_path} after step 2"
    assert seen == [("note", note), ("start", 2, 4), ("step", 3, None), ("step", 4), ("stop",)]


def test_the_duration_is_told_before_the_first_step_and_changes_none(tiny, straight, tmp_path, monkeypatch):
    told = []

    class Listener:
        def __getattr__(self, event):
            return lambda *arguments: told.append((event, *arguments))

    monkeypatch.setattr(run_module, "WORTH_TIMING", 1)
    monkeypatch.setattr(progress_module, "ENOUGH", 0.01)
    tiny.run(tmp_path, progress=Listener()).train()
    events = [event for event, *_ in told]
    foreseen = told[events.index("foresee")]
    assert events.index("foresee") < events.index("step") and foreseen[1] == 0 and foreseen[2] > 0
    assert tiny.digest(tmp_path) == straight[1]


def test_logging_is_as_before_afterwards(tiny, tmp_path):
    log = logging.getLogger("i2i_forge")
    before = (log.level, list(log.handlers))
    tiny.train(tmp_path, "steps=1")
    assert (log.level, list(log.handlers)) == before


# ---- hooks and sample grids ------------------------------------------------------------------------------------


class Recorder:
    def __init__(self):
        self.calls = []

    @hookimpl
    def run_started(self, run, step):
        self.calls.append(("started", step))

    @hookimpl
    def step_finished(self, step, report):
        self.calls.append(("finished", step, sorted(report)[0], len(report)))


def test_hooks_are_called_with_the_steps(tiny, tmp_path):
    recorder, host = Recorder(), load_plugins()
    host.manager.register(recorder, "recorder")
    tiny.train(tmp_path, "steps=2", host=host)
    tiny.train(tmp_path, "steps=3", host=host)
    tiny.train(tmp_path, "steps=3", host=host)
    finished = [("finished", step, "discriminator/gan/ab", 10) for step in (1, 2, 3)]
    assert recorder.calls == [("started", 0), *finished[:2], ("started", 2), finished[2], ("started", 3)]


def test_sample_grids(tiny, host, straight, tmp_path):
    samples = tmp_path / "samples"
    changes = ("run.sample_every=4", "run.sample_inputs=2", "run.sample_styles=3")
    tiny.train(tmp_path, *changes, "steps=6", host=host)
    expected = {f"{route}-step-{step:08d}.png" for route in ("ab", "ba") for step in (0, 4, 6)}
    assert {p.name for p in samples.iterdir()} == expected
    assert tiny.train(tmp_path, *changes, host=host) == straight[1]  # looking changes nothing
    assert len(list(samples.iterdir())) == 10  # steps 8 and 10 more
    for file in samples.iterdir():
        with Image.open(file) as image:  # input, reconstruction, 3 styles, reference, its style; 2 inputs
            assert (image.width, image.height, image.mode) == (7 * 132 + 4, 27 + 2 * 132, "RGB")
    first, last = ((samples / f"ab-step-{step:08d}.png").read_bytes() for step in (0, 10))
    assert first != last


def test_sample_grids_show_the_same_inputs_and_styles_every_time(tiny, host, tmp_path):
    frozen = ("optimizers.default.lr=1.0e-30", "optimizers.default.weight_decay=0", "run.sample_every=1", "steps=2")
    tiny.train(tmp_path, *frozen, host=host)
    for route in ("ab", "ba"):
        pictures = {file.read_bytes() for file in (tmp_path / "samples").glob(f"{route}-*.png")}
        assert len(pictures) == 1


def test_a_kill_between_a_checkpoint_and_its_samples_costs_no_step(tiny, host, straight, tmp_path):
    class Kill:
        @hookimpl(tryfirst=True)
        def step_finished(self, step):
            if step == 4:
                raise KeyboardInterrupt

    def drawn():
        return sorted(int(file.stem[-8:]) for file in (tmp_path / "samples").glob("ab-*"))

    changes, killed = ("run.sample_every=4", "run.checkpoint_every=4"), load_plugins()
    killed.manager.register(Kill(), "kill")
    with pytest.raises(KeyboardInterrupt):
        tiny.train(tmp_path, *changes, host=killed)
    assert (steps_saved(tmp_path), drawn()) == ([4], [0])
    assert tiny.train(tmp_path, *changes, host=host) == straight[1]
    assert drawn() == [0, 4, 8, 10]


def test_usage_errors_of_python_callers(tiny, tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="there is no run here"):
        RunFolder.open(tmp_path)
    (tmp_path / "runs/mine").mkdir(parents=True)
    (tmp_path / "runs/mine/resolved.yaml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"fix: did you mean runs/mine\?"):
        RunFolder.open("mine")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        tiny.run(tmp_path / "file", "steps=1").train()


def test_a_plugin_that_fails_in_a_hook_does_not_cost_the_run(tiny, straight, listening, tmp_path):
    (tmp_path / "fails.py").write_text(
        "from i2i_forge import hookimpl\n"
        "@hookimpl\ndef step_finished(step):\n"
        "    assert step <= 2\n    if step == 2:\n        raise ValueError('no luck')\n"
    )
    host = load_plugins([tmp_path])
    assert tiny.train(tmp_path / "run", host=host, progress=listening) == straight[1]
    assert [n for n in listening.notes if "'fails'" in n] == [
        "plugin 'fails' failed in step_finished and is not called again: ValueError: no luck"
    ]
