"""Sources of settings laid over each other, and what a model brings among them."""

from ewm_studio.settings import EnvSettings
from ewm_studio.settings.layers import over, with_model
from ewm_studio.settings.paths import all_fields

MODEL = {
    "env": {"id": "CarRacing-v3", "image_size": 96},
    "vision": {"name": "ConvVAE", "latent_dim": 16},
    "memory": {"name": "NoMemory"},
    "controller": {"name": "LinearController"},
}


def test_what_lies_above_holds_and_what_it_leaves_open_stays():
    lower = {"ppo": {"lr": 1, "gamma": 2}, "run": {"seed": 3}}
    assert over(lower, {"ppo": {"lr": 5}}) == {"ppo": {"lr": 5, "gamma": 2}, "run": {"seed": 3}}
    assert lower == {"ppo": {"lr": 1, "gamma": 2}, "run": {"seed": 3}}


def test_another_components_name_drops_the_settings_of_the_first():
    lower = {"vision": {"name": "ConvVAE", "latent_dim": 8}}
    assert over(lower, {"vision": {"name": "JEPA"}}) == {"vision": {"name": "JEPA"}}
    assert over(lower, {"vision": {"kl_weight": 1}})["vision"] == {"name": "ConvVAE", "latent_dim": 8, "kl_weight": 1}


def test_a_model_lies_over_what_was_chosen_and_under_what_is_chosen_for_it():
    chosen = {"env": {"id": "CartPole-v1", "batch_size": 3}, "vision": {"name": "JEPA"}}
    later = ({"env": {"image_size": 80}, "vision": {"latent_dim": 4}}, {"env": {"image_size": 72}})
    found = with_model(chosen, MODEL, *later)
    assert found["env"] == {"id": "CarRacing-v3", "batch_size": 3, "image_size": 72}
    assert found["vision"] == {"name": "ConvVAE", "latent_dim": 16}  # what it is made of is not chosen
    assert with_model(chosen, {}, {"env": {"id": "Pendulum-v1"}})["env"]["id"] == "Pendulum-v1"


def test_how_a_models_component_goes_on_being_trained_is_chosen():
    model = MODEL | {"vision": {"name": "ConvVAE", "latent_dim": 16, "lr": 1, "frozen": False}}
    file = {"vision": {"lr": 2}, "controller": {"name": "DeepDiscreteController", "lr": 3}}
    found = with_model({"vision": {"lr": 9}}, model, file, {"vision": {"frozen": True, "latent_dim": 4}})
    assert found["vision"] == {"name": "ConvVAE", "latent_dim": 16, "lr": 2, "frozen": True}
    assert found["controller"] == {"name": "LinearController"}  # what was chosen is of another one


def test_what_is_not_the_models_is_declared_with_the_setting():
    brought = EnvSettings(batch_size=3, idle_limit=50, skip_penalty=1).of_model()
    fields = [field for field in all_fields().values() if field.section == "env"]
    assert set(brought) == {field.name for field in fields if field.of_model}
    left = {field.name for field in fields} - set(brought)
    assert left - {field.name for field in fields if field.training_only} == {"batch_size", "workers", "render_mode"}
