"""What a job of a multirun gets, and which study a command means."""

import pytest
from omegaconf import OmegaConf
from test_config import FIVE, complaint, composed, pinned

from medner.config import check
from medner.sweeps import cores_and_cards


@pytest.mark.parametrize(
    ("nodes", "jobs", "gets"),
    [
        ([{"CPU": 2}], 1, (2, 0)),
        ([{"CPU": 2}], 2, (1, 0)),
        ([{"CPU": 2}], 5, (1, 0)),
        ([{"CPU": 64}], 5, (12, 0)),
        ([{"CPU": 8}, {"CPU": 4}], 2, (4, 0)),  # wherever it goes
        ([{"CPU": 4, "GPU": 2}], 5, (2, 1)),  # two T4, as on Kaggle
        ([{"CPU": 1, "GPU": 4}], 5, (1, 1)),
        ([{"CPU": 16}, {"CPU": 32, "GPU": 8}], 5, (4, 1)),
    ],
)
def test_a_job_gets_a_card_or_its_share_of_the_cores(
    nodes: list[dict[str, float]], jobs: int, gets: tuple[int, int]
) -> None:
    assert cores_and_cards(nodes, jobs) == gets


def study(*overrides: str) -> str:
    words = OmegaConf.create({"words": list(overrides), "id": "${study_id:${words}}"})
    composed("train")  # registers the resolvers
    return words.id


def test_a_study_is_that_of_its_options_in_any_order_and_wherever_it_runs() -> None:
    assert study("model=biobert", "seed=1") == study("seed=1", "launcher=ray", "model=biobert")
    assert study("model=biobert", "seed=1") != study("model=biobert", "seed=2")


@pytest.mark.parametrize("model", FIVE)
def test_a_sweep_on_a_t4_has_the_effective_batch_that_it_has_anywhere(model: str) -> None:
    """``-m 'model=glob(*)' hardware=t4``; with one given, all models have that one."""
    own = "4" if model == "modernbert" else "8"
    assert pinned("t4", f"model={model}")["effective_batch"][0] == own
    one = pinned("t4", f"model={model}", "trainer.effective_batch=16")
    assert (one["effective_batch"][0], one["device_batch"][0]) == ("16", "8")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("trainer.layer_decay=0", "trainer.layer_decay=0.0: takes a number above 0, up to 1"),
        ("trainer.layer_decay=1.1", "trainer.layer_decay=1.1: takes a number above 0, up to 1"),
        ("model.dropout=1", "model.dropout=1.0: takes a share from 0 to below 1"),
    ],
)
def test_what_is_searched_has_its_bounds(option: str, line: str) -> None:
    assert complaint("train", option) == line
    check(composed("train", "trainer.layer_decay=0.9", "model.dropout=0.3"))
