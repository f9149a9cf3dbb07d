"""Randomness is an argument: nobody else's draws change a run, and a run changes nobody else's."""

import threading

import pytest
import torch

import ewm_studio as ewm
from ewm_studio.models.randomness import drawing_from, dropout, make_generator
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish

PICTURES = {
    "env": {"id": "CarRacing-v3", "image_size": 16, "action_repeat": 8, "batch_size": 2},
    "vision": {"name": "ConvVAE", "latent_dim": 4, "channels": 2},
    "memory": {"name": "TemporalTransformer", "hidden_dim": 8, "heads": 2, "dropout": 0.1},
    "ppo": {"rollout_steps": 8},
}


def asked(seed=0, **sections):
    return experiment(
        **{"memory": {"name": "LSTMMemory", "dropout": 0.2}, **sections}, run={"seed": seed, "threads": 1}
    )


def weights(result):
    return load_model(result["checkpoint"])[0]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("job", [ewm.train, ewm.pretrain])
@pytest.mark.parametrize("sections", [{}, PICTURES], ids=["numbers", "pictures"])
def test_what_others_draw_changes_nothing_and_nothing_is_drawn_from_theirs(tmp_path, job, sections):
    settings = asked(**sections, data={"frames": 40 * sections.get("env", {}).get("action_repeat", 1)})
    alone = weights(finish(job(settings, Workspace(tmp_path / "alone"))))
    torch.manual_seed(123)
    expected = torch.rand(5)
    torch.manual_seed(123)
    drawn, result = [], None
    for event in job(settings, Workspace(tmp_path / "beside")):
        if len(drawn) < 5:
            drawn.append(torch.rand(()))
        result = event.result if hasattr(event, "result") else result
    assert same(alone, weights(result))
    assert torch.equal(torch.stack(drawn), expected[: len(drawn)])
    assert len(drawn) == 5


def test_playing_inside_the_loop_of_a_training_changes_neither(tmp_path):
    workspace = Workspace(tmp_path / "w")
    model = finish(ewm.train(asked(5), workspace))["checkpoint"]
    play = ewm.Experiment.from_dict(
        {"start": {"load_path": model}, "infer": {"episodes": 2, "greedy": False}, "run": {"threads": 1}}
    )
    scores = finish(ewm.infer(play, workspace))["episodes"]
    alone = weights(finish(ewm.train(asked(1), workspace)))
    inside, result = [], None
    for event in ewm.train(asked(1), workspace):
        inside.append(finish(ewm.infer(play, workspace))["episodes"]) if len(inside) < 4 else None
        result = event.result if hasattr(event, "result") else result
    assert same(alone, weights(result))
    assert inside == [scores] * 4


def test_two_trainings_in_two_threads_are_those_that_ran_alone(tmp_path):
    alone = {seed: weights(finish(ewm.train(asked(seed), Workspace(tmp_path / f"alone{seed}")))) for seed in (1, 2)}
    together = {}

    def run(seed):
        together[seed] = weights(finish(ewm.train(asked(seed), Workspace(tmp_path / f"together{seed}"))))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(alone[seed], together[seed]) for seed in (1, 2))


def test_modules_are_made_as_pytorch_alone_would_make_them():
    def make():
        layers = [torch.nn.LSTM(3, 5), torch.nn.Conv2d(2, 3, 3), torch.nn.Linear(4, 2), torch.nn.Embedding(4, 3)]
        torch.nn.init.orthogonal_(layers[2].weight)
        return [p.detach() for layer in layers for p in layer.parameters()] + [torch.randn(3), torch.randperm(9)]

    torch.manual_seed(7)
    expected, before = make(), torch.get_rng_state()
    generator = make_generator(7)
    twin = torch.Generator().set_state(generator.get_state())
    with drawing_from(generator):
        found = make()
    with drawing_from(twin):
        again = make()
    assert all(torch.equal(*pair) for pair in zip(expected, found, strict=True))
    assert all(torch.equal(*pair) for pair in zip(expected, again, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_pytorchs_own():
    x = torch.randn(40, 30)
    torch.manual_seed(3)
    expected = torch.nn.functional.dropout(x, 0.3, True)
    assert torch.equal(dropout(x, 0.3, True, make_generator(3)), expected)
    assert dropout(x, 0.3, False, make_generator(3)) is x
    assert dropout(x, 0.0, True, make_generator(3)) is x
