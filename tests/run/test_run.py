import json
import logging
import os
import signal

import pytest
import torch
from PIL import Image

from i2i_forge.catalog.hookspecs import hookimpl
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.engine.trainer import Trainer
from i2i_forge.errors import CheckpointError, DivergedError, UsageError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint, forecast
from i2i_forge.run import loop as run_module
from i2i_forge.run.folder import RunFolder, newest_run
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
    names = "recipe.yaml resolved.yaml env.json metrics.jsonl log.txt samples checkpoints run.lock"
    assert {p.name for p in folder.iterdir()} == set(names.split())
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


def test_the_command_and_a_finished_run_is_left_as_it_is(forge, train_command, tmp_path):
    """Plain lines on stderr, and the result alone on stdout."""
    code, out, err = forge(*train_command(tmp_path, "steps=2"))
    assert code == 0
    assert out.splitlines() == [
        f"{tmp_path}: 2 steps done. Pictures: {tmp_path / 'samples'}. Next: forge translate {tmp_path} IMAGES --out DIR"
    ]
    begun, *lines = err.splitlines()
    assert begun.startswith("munit_synthetic in ") and begun.endswith(": 2 steps on cpu, a line every 1")
    assert [line.split("  ")[0] for line in lines] == ["step 1/2", "step 2/2"]
    assert "images/s" in lines[0] and "left 00:00:" in lines[0] and "generator/image" in lines[0]
    assert "\x1b" not in err

    watched = [*tmp_path.glob("checkpoints/*/*"), *tmp_path.glob("samples/*"), tmp_path / "metrics.jsonl"]
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in watched if file.name != "metrics.jsonl"}
    records = (tmp_path / "metrics.jsonl").read_bytes()
    code, out, err = forge(*train_command(tmp_path, "steps=2"))
    assert code == 0
    assert "2 steps done" in out and "has taken its 2 steps already" in err
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in before} == before
    assert (tmp_path / "metrics.jsonl").read_bytes() == records


def test_what_changes_no_number_may_change_and_fewer_steps_than_done_change_nothing(tiny, tmp_path):
    tiny.train(tmp_path, "steps=1")
    changes = ("steps=2", "run.sample_inputs=2", "run.checkpoint_every=1", "run.keep=1", "data.workers=1")
    for fewer in ((), ("steps=1",)):
        assert tiny.run(tmp_path, *changes, *fewer).train() == 2
        assert steps_saved(tmp_path) == [2] and len(tiny.metrics(tmp_path)) == 2


@pytest.mark.parametrize("change", ["data.batch=1", "precision=bf16", "data.count=8", "optimizers.default.lr=1.0e-5",
                                    "phases.generator.minimize.style=~"])  # fmt: skip
def test_what_changes_a_number_may_not(tiny, straight, change):
    key = change.partition("=")[0]
    with pytest.raises(CheckpointError, match=key.replace(".", r"\.")):
        tiny.run(straight[0], change).train()


# ---- one run at a time -----------------------------------------------------------------------------------------


def test_a_failure_frees_the_folder(tiny, tmp_path, monkeypatch):
    run = tiny.run(tmp_path, "steps=1")
    monkeypatch.setattr(run.trainer, "step", lambda batch, step: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.train()
    assert "the run failed" in (tmp_path / "log.txt").read_text()
    assert tiny.run(tmp_path, "steps=1").train() == 1


@pytest.mark.parametrize("blocked", ["run", "run/checkpoints", "run/samples"])
def test_a_folder_that_cannot_be_written(tiny, forge, train_command, tmp_path, blocked):
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file")
    code, out, err = forge(*train_command(tmp_path / "run", "steps=1"))
    assert (code, out) == (2, "")
    assert f"the run folder {tmp_path / 'run'} cannot be written" in err
    assert "--run" in err and short(err)
    assert (tmp_path / blocked).read_text() == "a file"


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


# ---- when checkpoints are written ------------------------------------------------------------------------------


def test_checkpoints_and_records_of_every_so_many_steps_and_of_the_last(tiny, tmp_path):
    tiny.train(tmp_path, "steps=7", "run.checkpoint_every=2", "run.keep=3", "run.log_every=3")
    assert steps_saved(tmp_path) == [4, 6, 7]
    assert [m["step"] for m in tiny.metrics(tmp_path)] == [3, 6, 7]


def test_checkpoint_minutes(tiny, tmp_path):
    tiny.train(tmp_path, "steps=3", "run.checkpoint_minutes=1.0e-9", "run.keep=9")
    assert steps_saved(tmp_path) == [1, 2, 3]


def test_a_run_whose_steps_are_judged_late_leaves_the_same_and_tells_the_same(tiny, straight, tmp_path, monkeypatch):
    """As on a GPU: a step's record is written when the next one was begun, or when a checkpoint is due."""
    written, told = [], []

    class Observer:
        @hookimpl
        def step_finished(self, run, step, report):
            written.append(len(list(run.folder.records())))
            told.append({"step": step, **report})

    monkeypatch.setattr(Trainer, "judged_late", True)
    host = load_plugins()
    host.manager.register(Observer())
    assert tiny.train(tmp_path, "run.checkpoint_every=4", host=host) == straight[1]
    records = tiny.metrics(tmp_path)
    assert records == tiny.metrics(straight[0])
    assert written == [0, 1, 2, 4, 4, 5, 6, 8, 8, 10]
    assert told == [{k: v for k, v in line.items() if k == "step" or k.count("/") == 2} for line in records]


# ---- a loss that is not finite ---------------------------------------------------------------------------------


def test_nothing_of_a_phase_that_diverged_is_applied(tiny, tmp_path):
    host = load_plugins()
    host.catalog.registering("(by hand)")
    host.catalog.losses.add("trap", lambda image: image.mean() * float("nan"))
    run = tiny.run(tmp_path / "run", "phases.generator.minimize.trap=1 * trap(translation)", host=host)
    before = {n: t.clone() for n, t in run.trainer.state_dict().items()}
    with pytest.raises(DivergedError):
        run.train()
    record = json.loads((tmp_path / "run/diverged.json").read_text())
    assert record["not_finite"][0] == "generator/trap/ab = nan" and record["losses"]["generator/trap/ab"] == "nan"
    assert "not finite at step 0" in (tmp_path / "run/log.txt").read_text()
    after = run.trainer.state_dict()
    assert all(after[n].equal(before[n]) for n in after if not n.startswith("discriminator"))
    assert any(not after[n].equal(before[n]) for n in after if n.startswith("discriminator"))  # it had its turn before
    assert steps_saved(tmp_path / "run") == []


# ---- what is shown ---------------------------------------------------------------------------------------------


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
    monkeypatch.setattr(forecast, "ENOUGH", 0.01)
    tiny.run(tmp_path, progress=Listener()).train()
    events = [event for event, *_ in told]
    foreseen = told[events.index("foresee")]
    assert events.index("foresee") < events.index("step") and foreseen[1] == 0 and foreseen[2] > 0
    assert tiny.digest(tmp_path) == straight[1]


def test_logging_and_signals_are_as_before_afterwards(tiny, tmp_path):
    log = logging.getLogger("i2i_forge")
    before = (log.level, list(log.handlers), signal.getsignal(signal.SIGINT))
    tiny.train(tmp_path, "steps=1")
    assert (log.level, list(log.handlers), signal.getsignal(signal.SIGINT)) == before


def test_a_second_sigint_stops_at_once(tiny, tmp_path):
    class Impatient:
        @hookimpl
        def step_finished(self, step):
            if step > 1:
                os.kill(os.getpid(), signal.SIGINT)

    host = load_plugins()
    host.manager.register(Impatient(), "impatient")
    with pytest.raises(KeyboardInterrupt):  # the first, after step 2, would let step 3 be finished
        tiny.train(tmp_path, "run.checkpoint_every=1", host=host)
    assert steps_saved(tmp_path)[-1] == 3 and tiny.digest(tmp_path)


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


@pytest.mark.parametrize("wanted", [False, True])
def test_a_run_repeats_its_convolutions_where_it_is_asked_to(tiny, tmp_path, wanted):
    class Looking:
        @hookimpl
        def step_finished(self):
            seen.append((torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark))

    seen, host = [], load_plugins()
    host.manager.register(Looking(), "looking")
    tiny.train(tmp_path, "steps=1", f"run.deterministic={str(wanted).lower()}", host=host)
    assert seen == [(wanted, not wanted)]
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (False, False)


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


def test_the_newest_run_is_the_one_with_the_newest_checkpoint(tmp_path):
    for age, place in enumerate(("runs/a/checkpoints/step-1", "b/checkpoints/step-1", "runs/a/checkpoints/step-2")):
        manifest = tmp_path / place / "MANIFEST.json"
        manifest.parent.mkdir(parents=True)
        manifest.touch()
        os.utime(manifest, (age, age))
        (manifest.parents[2] / "resolved.yaml").touch()
    assert newest_run(tmp_path) == tmp_path / "runs/a"
    (tmp_path / "runs/a/resolved.yaml").unlink()
    assert newest_run(tmp_path) == tmp_path / "b"
