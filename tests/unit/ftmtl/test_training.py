"""A training run: what it leaves, how it goes on, when it stops, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.recipes import DEFAULTS, small_recipe

import ftmtl.training.train
from ftmtl.datasets.phantoms import phantom_images
from ftmtl.datasets.sample import Sample, to_sample
from ftmtl.errors import DatasetError, TrainingError
from ftmtl.network.ftmtlnet import FTMTLNet
from ftmtl.training.batches import BatchPlan, batches
from ftmtl.training.curves import draw_curves
from ftmtl.training.data import list_data
from ftmtl.training.engine import Engine, judged
from ftmtl.training.recipe import Recipe, ValidationSection
from ftmtl.training.runs import LAST, Progress, RunFolder
from ftmtl.training.train import train
from ftmtl.weights import load_weights, read_card


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Phantoms are drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFAULTS, "cache", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def undrawn(finished: tuple[Recipe, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves take seconds; the finished run has some."""
    monkeypatch.setattr("ftmtl.training.runs.draw_curves", lambda history, path: path.write_bytes(b""))


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [to_sample(image, (128, 104)) for image in phantom_images(500, 6)]


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = RunFolder(folder).checkpoint()
    assert checkpoint is not None
    return checkpoint.network


def steps_of(folder: Path) -> list[int]:
    return [line["step"] for line in RunFolder(folder).history() if line["kind"] == "step"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A run of four steps."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = small_recipe(folder)
    train(recipe, folder / "run")
    return recipe, folder / "run"


def test_what_a_run_leaves(finished: tuple[Recipe, Path]) -> None:
    recipe, folder = finished
    assert {path.name for path in folder.iterdir()} - {".lock"} == {
        *("recipe.json", "run.json", "history.jsonl", "events", "curves.png"),
        *("checkpoint.pt", "best.safetensors", "last.safetensors"),
    }
    assert steps_of(folder) == [1, 2, 3, 4]
    run = json.loads((folder / "run.json").read_text())
    assert run["data"]["training"]["images"] + run["data"]["validation"]["images"] == 12
    _, card, _ = load_weights(folder / "last.safetensors")
    assert card.recipe == recipe.to_json()
    assert card.metrics["step"] == 4
    assert card.metrics["validation"].keys() == {"sensitivity", "dice", "auc", "score"}
    assert "12 synthetic mammograms" in card.data


def test_a_finished_run_is_left_as_it_is(finished: tuple[Recipe, Path]) -> None:
    recipe, folder = finished
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert train(recipe, folder).total == 4
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_another_recipe_is_refused(finished: tuple[Recipe, Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds a run of another recipe: phases\.0\.rate was 0\.001 and is 0\.01"):
        train(small_recipe(tmp_path, rate=1e-2), finished[1])


def test_it_can_start_from_weights_of_another_run(finished: tuple[Recipe, Path], tmp_path: Path) -> None:
    weights = finished[1] / "last.safetensors"
    train(small_recipe(tmp_path, f'[start]\nweights = "{weights}"\n', steps=1, rate=1e-9), tmp_path / "run")
    start, before, _ = load_weights(weights)
    began = start.state_dict()
    assert all(torch.allclose(began[name], tensor, atol=1e-6) for name, tensor in state_of(tmp_path / "run").items())
    told = read_card(tmp_path / "run" / LAST).data
    assert told.endswith(f"; before, as {before.name} {before.version}: {before.data}")


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(
    finished: tuple[Recipe, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Engine._step

    def cut_off(self: Engine, progress: Progress, *rest: Any) -> Any:
        if progress.total == 3:
            raise KeyboardInterrupt
        return step(self, progress, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_step", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(finished[0], tmp_path)
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"kind": "st')
    assert steps_of(tmp_path) == [1, 2, 3]
    train(finished[0], tmp_path)
    assert steps_of(tmp_path) == [1, 2, 3, 4]
    assert all(torch.equal(a, b) for a, b in zip(*(state_of(f).values() for f in (finished[1], tmp_path)), strict=True))


def test_a_loss_that_is_not_finite_stops_with_the_weights_before_it(
    finished: tuple[Recipe, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = FTMTLNet.forward, []

    def spoilt(self: FTMTLNet, *arguments: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        losses = forward(self, *arguments)
        return losses | {"mask": losses["mask"] * (torch.nan if len(calls) == 4 else 1)}

    monkeypatch.setattr(FTMTLNet, "forward", spoilt)
    with pytest.raises(TrainingError, match=r"not finite at step 4 \(phase 1, .*mask=nan.*last\.safetensors holds"):
        train(finished[0], tmp_path)
    assert all(tensor.isfinite().all() for tensor in state_of(tmp_path).values())
    assert load_weights(tmp_path / "last.safetensors")[1].metrics["step"] == 3
    monkeypatch.setattr(FTMTLNet, "forward", forward)
    train(finished[0], tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(*(state_of(f).values() for f in (finished[1], tmp_path)), strict=True))


def test_running_statistics_are_those_before_the_spoilt_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = FTMTLNet.forward

    def spoilt(self: FTMTLNet, images: torch.Tensor, *rest: Any) -> dict[str, torch.Tensor]:
        return forward(self, images * torch.nan, *rest)

    monkeypatch.setattr(FTMTLNet, "forward", spoilt)
    recipe = small_recipe(tmp_path)
    recipe = recipe.model_copy(update={"network": recipe.network | {"norm": "batch"}})
    with pytest.raises(TrainingError, match="not finite at step 1"):
        train(recipe, tmp_path / "run")
    assert all(tensor.isfinite().all() for tensor in state_of(tmp_path / "run").values())


def test_no_better_validation_ends_the_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(ftmtl.training.train, "validate", lambda *_: {"score": next(scores)})
    progress = train(small_recipe(tmp_path, every=1, patience=2, steps=9), tmp_path / "run")
    assert progress == Progress(phase=1, total=3, best=0.5, best_step=1, finished=True)
    assert load_weights(tmp_path / "run" / "best.safetensors")[1].metrics["step"] == 1


def test_what_is_better() -> None:
    watch = ValidationSection(metric="dice")
    first = judged(Progress(total=4), {"dice": 0.2, "score": 0.9}, watch)
    assert (first.best, first.best_step, first.waited) == (0.2, 4, 0)
    assert judged(first, {"dice": 0.2}, watch).waited == 1
    assert judged(first, {}, watch) == first
    with pytest.raises(TrainingError, match=r"validation\.metric: 'dice' is not measured here, only auc, score"):
        judged(first, {"auc": 0.1, "score": 0.1}, watch)


def test_a_source_may_repeat(tmp_path: Path) -> None:
    """Training sees its images as often as it says, validation sees each once."""
    few = {"name": "phantoms", "count": 4, "seed": 600, "repeat": 3}
    recipe = small_recipe(tmp_path).altered(data=("phantoms:12@500", few))
    listed = list_data(recipe)
    training, validation = listed.load(recipe, recipe.network_config())
    seen = Counter(sample.image_id for sample in training)
    repeated = {f"phantom-{n}" for n in range(600, 604)}
    assert {name: seen[name] for name in seen} == {
        i.image_id: 3 if i.image_id in repeated else 1 for i in listed.training
    }
    assert len(validation) == len(listed.validation)
    assert repeated & set(seen)


def test_without_validation(tmp_path: Path) -> None:
    progress = train(small_recipe(tmp_path, part=0.0, steps=2), tmp_path / "run")
    assert progress == Progress(phase=1, total=2, finished=True)
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_a_validation_part_of_one_class_says_which_key_to_change(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^validation\.part: the 1 images held back show no .*; raise validation"):
        train(small_recipe(tmp_path, part=0.05), tmp_path / "run")


def test_a_batch_that_processes_cannot_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftmtl.training.distributed.world", lambda: 3)
    with pytest.raises(TrainingError, match=r"^phases\.0\.batch: 2 images cannot be divided among 3 processes$"):
        train(small_recipe(tmp_path), tmp_path / "run")


def test_an_empty_data_set(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    with pytest.raises(DatasetError, match=r"labels\.csv is missing"):
        train(recipe.model_copy(update={"data": (f"mias:{tmp_path}",)}), tmp_path / "run")


def test_a_damaged_checkpoint(finished: tuple[Recipe, Path], tmp_path: Path) -> None:
    whole = (finished[1] / "checkpoint.pt").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense"):
        (tmp_path / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"checkpoint .*checkpoint\.pt is damaged; without it"):
            train(finished[0], tmp_path)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    folder = RunFolder(tmp_path / "run")
    folder.open(0)
    with pytest.raises(TrainingError, match="another process is training in"):
        train(recipe, tmp_path / "run")
    folder.close()


def test_out_may_not_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(TrainingError, match="is a file"):
        train(small_recipe(tmp_path), tmp_path / "out")


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path)
    machine = recipe.machine.model_copy(update={"device": "nowhere"})
    with pytest.raises(TrainingError, match=r"machine\.device: 'nowhere' cannot be used"):
        train(recipe.model_copy(update={"machine": machine}), tmp_path / "run")


def test_threads_and_processes_change_no_image(samples: list[Sample]) -> None:
    whole = BatchPlan(samples, batch=4, crop=96, share=0.25, seed=(1, 0))
    parts = [BatchPlan(samples, 4, 96, 0.25, (1, 0), rank=rank, world=2) for rank in (0, 1)]
    expected = list(batches(whole, 2, 5, workers=0))
    assert len(expected) == 3
    for (images, targets), (left, right) in zip(
        batches(whole, 2, 5, workers=3), zip(*(batches(p, 2, 5, workers=1) for p in parts), strict=True), strict=True
    ):
        wanted, truth = expected.pop(0)
        assert torch.equal(images, wanted)
        assert torch.equal(torch.cat([left[0], right[0]]), wanted)
        assert [t.seed for t in targets] == [t.seed for t in truth] == [t.seed for t in left[1] + right[1]]
        assert len({t.seed for t in targets}) == 4


def test_curves_of_a_run_without_a_step(tmp_path: Path) -> None:
    draw_curves([], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
