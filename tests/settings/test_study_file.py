"""Studies as files: what they make of their base, and one clear line for whatever is wrong with one."""

import pytest

from ewm_studio.errors import UserError
from ewm_studio.resources import presets, study_presets
from ewm_studio.settings.cells import CELL_COLUMNS, EPISODE_COLUMNS
from ewm_studio.settings.study_file import read_study


@pytest.fixture
def study(tmp_path):
    """Reads a text as a study."""

    def read(text, name="mine"):
        path = tmp_path / f"{name}.study.toml"
        path.write_text(text)
        return read_study(path)

    return read


def test_a_grid_tries_every_combination_one_seed_after_the_other(study):
    file = study('vary.memory.name = ["NoMemory", "LSTMMemory"]\nvary.ppo.lr = [1e-3, 3e-4]\nseeds.reported = "3, 5"')
    plans = file.plans()
    assert [cell.options for cell in file.cells] == [
        {"memory": "NoMemory", "ppo.lr": "0.001"},
        {"memory": "NoMemory", "ppo.lr": "0.0003"},
        {"memory": "LSTMMemory", "ppo.lr": "0.001"},
        {"memory": "LSTMMemory", "ppo.lr": "0.0003"},
    ]
    assert [plan.seed for plan in plans] == [3] * 4 + [5] * 4
    last = plans[-1].experiment
    assert (last.memory.name, last.ppo.lr, last.run.seed) == ("LSTMMemory", 3e-4, 5)
    assert len({plan.key for plan in plans}) == 8


def test_options_have_names_and_any_settings(study):
    file = study(
        "[vary.memory]\n"
        '"last 2" = { memory.name = "History", memory.steps = 2 }\n'
        '"LSTM untrained" = { memory.name = "LSTMMemory", memory.frozen = true }\n'
    )
    first, second = file.plans([0])
    assert first.experiment.memory.given == {"steps": 2}
    assert second.experiment.memory.given == {"frozen": True}
    assert second.key == "lstm-untrained-seed-0"


def test_combinations_that_cannot_be_are_left_out(study):
    file = study(
        'vary.memory.name = ["NoMemory", "LSTMMemory"]\n'
        '[vary.learning]\n"for real" = {}\n"in dreams" = { dream.train = true }\n'
        '[[leave_out]]\nmemory = "NoMemory"\nlearning = "in dreams"\n'
    )
    assert [cell.name for cell in file.cells] == [
        "NoMemory + for real",
        "LSTMMemory + for real",
        "LSTMMemory + in dreams",
    ]
    assert [plan.experiment.dream.train for plan in file.check()] == [False, False, True]


def test_a_list_in_place_of_a_grid(study):
    file = study('[[cells]]\nname = "slow"\nppo.lr = 1e-5\n[[cells]]\nname = "wide"\n"controller.hidden_size" = 256\n')
    assert [cell.name for cell in file.cells] == ["slow", "wide"]
    assert file.plans([0])[1].experiment.controller.given == {"hidden_size": 256}


def test_a_base_is_a_preset_or_a_file_beside_and_another_part_drops_what_was_the_old_ones(study, tmp_path):
    of_preset = study('base = "carracing"\nvary.memory.name = ["NoMemory", "History"]').plans([0])
    assert [p.experiment.memory.given for p in of_preset] == [{}, {"steps": 4}]
    assert of_preset[0].experiment.env.skip_penalty == 10
    (tmp_path / "own.toml").write_text("[ppo]\nlr = 0.01\n")
    file = study('base = "own.toml"\nexperiment.ppo.gamma = 0.5')
    assert (file.plans()[0].experiment.ppo.lr, file.plans()[0].experiment.ppo.gamma) == (0.01, 0.5)


def test_the_budget_is_in_frames_and_every_run_keeps_to_its_share_of_the_machine(study):
    text = 'base = "carracing"\n[budget]\nframes = 100_001\nminutes = 5\n[place]\nthreads = 2'
    made = study(text).plans()[0].experiment
    assert (made.train.total_steps, made.train.minutes) == (23_334, 5)  # decisions of three frames, 10,000 random
    assert (made.run.threads, made.env.workers) == (2, 0)


def test_what_is_warmed_up_with_is_of_the_budget(study):
    text = 'base = "carracing"\nexperiment.warm_up.random_frames = 4000\nbudget.frames = 30_000'
    assert study(text).plans()[0].experiment.train.total_steps == 6_000


def test_ready_made_studies_are_found_by_name_and_are_no_presets_of_experiments():
    assert study_presets()
    for path in study_presets():
        file = read_study(path.name.removesuffix(".study.toml"))
        assert len(file.plans()) == len(file.cells) * len(file.study.seeds.reported)
        assert file.study.title
    assert not {*presets()} & {*study_presets()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bass = 1", "no setting 'bass'; did you mean base"),
        ('base = "cartpol"', "base: no preset 'cartpol'; did you mean cartpole"),
        ('base = "away.toml"', "away.toml: no such file"),
        ("x =", "not a TOML file"),
        ("seeds = 3", "seeds should be a table"),
        ('seeds.reported = "0-x"', 'should be seeds, such as "0-4"'),
        ("seeds.reported = []", "should name at least one seed"),
        ("seeds.reported = [1, 1]", "seeds.reported has 1 twice"),
        ('seeds.reported = "0-4"\nseeds.tuning = "4"', "seed 4 is tuned on and reported"),
        ("judge.episodez = 3", "did you mean judge.episodes"),
        ('judge.ways = ["greedie"]', "should be 'greedy' or 'sampled'"),
        ("judge.floor = 5\njudge.target = 5", "judge.target should be above judge.floor"),
        ("judge.seed = 769_999", "checkpoints; take others"),
        ("judge.moments = 3", "judge.moments are shares of budget.frames"),
        ("budget.frames = 9\njudge.moments = 3\njudge.moment_episodes = 30", "no more than judge.episodes"),
        ("place.parallel = 0", "place.parallel should be 'auto' or"),
        ("budget.frames = 0", "budget.frames should be greater than"),
        ("vary.memory = 3", "should be a list of values"),
        ('vary.memory.name = ["LSTMMemory", "LSTMMemory"]', "has LSTMMemory twice"),
        ('vary.memroy.name = ["NoMemory"]', "no setting 'memroy.name'; did you mean memory.name"),
        ('vary.ppo.lr = [1, "x"]', "ppo.lr: should be a valid number"),
        ("vary.ppo.lr = []", "vary.ppo.lr has nothing to choose from"),
        ("vary.memory.a = { ppo = 3 }", "ppo is a group of settings"),
        ("vary.run.seed = [1]", "a study sets it by seeds"),
        ("[vary.memory]\na = {}\nA = {}", "two cells would be called 'a'"),
        ("[[cells]]\nppo.lr = 1e-3", "cells: number 1 has no name"),
        ("vary.ppo.lr = [1]\n[[cells]]\nname = 'a'", "vary and cells: give one of them"),
        ('[[leave_out]]\nmemory = "a"', "without vary there are none"),
        ("vary.ppo.lr = [1]\nleave_out = [{}]", "leave_out has an empty combination"),
        ('vary.ppo.lr = [1]\n[[leave_out]]\nmemory = "a"', "nothing of vary is called 'memory'"),
        ('vary.ppo.lr = [1]\n[[leave_out]]\n"ppo.lr" = "3"', "ppo.lr has no '3'"),
        ('vary.ppo.lr = [1]\n[[leave_out]]\n"ppo.lr" = "1"', "leave_out leaves nothing"),
        ('base = "carracing"\nbudget.frames = 30_000', "warm_up.random_frames takes 10,000 of them"),
        ("experiment.ppo.lr = 9", "experiment: ppo.lr: should be less than or equal to 1"),
        ("vary.ppo.epochs = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\nvary.env.batch_size = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
         "vary.env.image_size = [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]", "makes 1,100 cells"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(study, text, said):
    with pytest.raises(UserError) as raised:
        study(text)
    line = str(raised.value)
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize("name", [*EPISODE_COLUMNS, *CELL_COLUMNS])
@pytest.mark.parametrize("more", ["", "search.on = true\n"])
def test_an_axis_is_not_called_like_a_column_of_the_results(study, name, more):
    with pytest.raises(UserError, match=rf"vary\.{name}: the results have a column of their own called '{name}'; give"):
        study(f"{more}[vary.{name}]\na = {{ ppo.lr = 1e-3 }}\nb = {{ ppo.lr = 1e-4 }}").cells  # noqa: B018


def test_no_such_study_and_a_name_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"no such study; ready-made ones: .*cartpole-memories"):
        read_study(tmp_path / "nothing")
    (tmp_path / "plain.toml").write_text("")
    with pytest.raises(UserError, match=r"called NAME\.study\.toml"):
        read_study(tmp_path / "plain.toml")
