"""Vision components: shapes, gradients, that they learn, and that encoding leaves no trace."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from ewm_studio.errors import UserError
from ewm_studio.models.base import Tag, VisionModel
from ewm_studio.models.registry import check_settings, component, components
from ewm_studio.models.vision.conv_vae import ConvVAE, divergence
from ewm_studio.models.vision.identity import Identity
from ewm_studio.models.vision.jepa import JEPA, decorrelation, draw_masks
from ewm_studio.models.vision.vq_vae import VQ_VAE
from ewm_studio.training.adam import FusedAdam

PICTURES = ["ConvVAE", "VQ_VAE", "JEPA"]
STEPS = {"ConvVAE": 250, "VQ_VAE": 200, "JEPA": 120}  # of a short training on squares
SHAPES = [(3, 64, 64), (1, 16, 16), (3, 96, 96), (4, 8, 8), (3, 50, 84), (12, 33, 17)]
SMALL = {
    "ConvVAE": {"latent_dim": 16, "channels": 16},
    "VQ_VAE": {"codes": 32, "channels": 16},
    "JEPA": {"latent_dim": 32, "features": 32, "predictor_features": 32, "layers": 2, "ema": 0.98},
}


def space(shape: tuple[int, ...]) -> gym.spaces.Box:
    return gym.spaces.Box(0, 255, shape, np.uint8)


def make(name: str, shape: tuple[int, ...] = (3, 32, 32), **given: object) -> VisionModel:
    torch.manual_seed(0)
    cls = component("vision", name)
    return cls(check_settings("vision", cls, given), space(shape))


def noise(batch: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randint(0, 256, (batch, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def squares(count: int, seed: int, side: int = 32, edge: int = 8) -> tuple[Tensor, np.ndarray]:
    """Pictures (N, 3, side, side) of a bright square on gray, and the square's corners (N, 2)."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, side - edge + 1, (count, 2))
    pictures = np.full((count, 3, side, side), 40, np.uint8)
    for picture, (y, x) in zip(pictures, corners, strict=True):
        picture[:, y : y + edge, x : x + edge] = np.array([250, 200, 60])[:, None, None]
    return torch.from_numpy(pictures), corners


def train(model: VisionModel, pictures: Tensor, steps: int, lr: float = 2e-3, batch: int = 32) -> list[float]:
    """The plain loop a trainer runs; the total loss of each step."""
    optimizer = FusedAdam(model, lr)
    history = []
    for _ in range(steps):
        losses = model.loss(pictures[torch.randint(len(pictures), (batch,))])
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        model.after_update()
        history.append(losses["total"].item())
    return history


@pytest.fixture(scope="module")
def trained() -> dict[str, tuple[VisionModel, list[float]]]:
    """Each picture component after a short training on squares, with its losses."""
    pictures, _ = squares(512, seed=1)
    result = {}
    for name in PICTURES:
        model = make(name, **SMALL[name])
        result[name] = (model, train(model, pictures, steps=STEPS[name]))
    return result


@torch.no_grad()
def latents(model: VisionModel, pictures: Tensor) -> np.ndarray:
    return model.encode(pictures).double().numpy()


def effective_rank(z: np.ndarray) -> float:
    values = np.linalg.svd(z - z.mean(0), compute_uv=False)
    share = values / values.sum()
    return float(np.exp(-(share * np.log(share + 1e-300)).sum()))


def probe_r2(z: np.ndarray, y: np.ndarray, z_test: np.ndarray, y_test: np.ndarray) -> float:
    """R2 on held-out samples of a ridge regression from z to y, the worst of y's columns."""
    mean, spread = z.mean(0), z.std(0) + 1e-6
    a, b = (z - mean) / spread, (z_test - mean) / spread
    weights = np.linalg.solve(a.T @ a + 1.0 * np.eye(a.shape[1]), a.T @ (y - y.mean(0)))
    error = ((b @ weights + y.mean(0) - y_test) ** 2).sum(0)
    return float((1 - error / ((y_test - y_test.mean(0)) ** 2).sum(0)).min())


def snapshot(model: VisionModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


# Every component -----------------------------------------------------------------------------------------------


def test_the_registry_finds_all_four():
    assert {"Identity", "ConvVAE", "VQ_VAE", "JEPA"} <= set(components("vision"))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_for_any_picture(name: str, shape: tuple[int, ...]):
    model, obs = make(name, shape), noise(3, shape)
    z = model.encode(obs)
    assert z.shape == (3, model.latent_dim)
    assert z.dtype == torch.float32
    assert torch.isfinite(z).all()
    if Tag.RECONSTRUCTS in model.tags:
        picture = model.decode(z)
        assert picture.shape == obs.shape
        assert picture.min().item() >= 0
        assert picture.max().item() <= 1
    else:
        with pytest.raises(TypeError):
            model.decode(z)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 16, 16), (2, 8, 11)], ids=str)
def test_every_trained_parameter_gets_a_gradient(name: str, shape: tuple[int, ...]):
    model = make(name, shape)
    losses = model.loss(noise(4, shape))
    losses["total"].backward()
    assert all(value.dim() == 0 and torch.isfinite(value) for value in losses.values())
    without = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("training", [True, False])
def test_encoding_is_deterministic_and_leaves_no_trace(name: str, training: bool):
    model, obs = make(name).train(training), noise(5, (3, 32, 32))
    before, random_state = snapshot(model), torch.get_rng_state()
    first, second = model.encode(obs), model.encode(obs)
    model.diagnostics(obs)
    model.after_update() if name == "VQ_VAE" else None  # nothing was gathered, so nothing may move
    assert torch.equal(first, second)
    assert torch.equal(random_state, torch.get_rng_state())
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", PICTURES)
def test_one_picture_encodes_as_in_a_batch(name: str):
    model, obs = make(name).eval(), noise(6, (3, 32, 32))
    torch.testing.assert_close(model.encode(obs)[2:3], model.encode(obs[2:3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_seed_trains_the_same_weights(name: str):
    def run() -> dict[str, Tensor]:
        model = make(name, (3, 16, 16), **SMALL[name])
        train(model, noise(32, (3, 16, 16)), steps=4, batch=8)
        return snapshot(model)

    one, other = run(), run()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", PICTURES)
def test_the_state_dict_carries_everything(name: str):
    model = make(name, (3, 16, 16), **SMALL[name])
    train(model, noise(32, (3, 16, 16)), steps=3, batch=8)
    twin = make(name, (3, 16, 16), **SMALL[name])
    twin.load_state_dict(model.state_dict())
    obs = noise(4, (3, 16, 16))
    assert torch.equal(model.encode(obs), twin.encode(obs))


@pytest.mark.parametrize("name", PICTURES)
def test_vectors_and_tiny_pictures_are_refused(name: str):
    with pytest.raises(UserError, match="Identity"):
        make(name, (4,))
    with pytest.raises(UserError, match="image_size"):
        make(name, (3, 4, 64))


@pytest.mark.parametrize("name", PICTURES)
def test_loss_falls_on_squares(name: str, trained: dict):
    history = trained[name][1]
    assert np.isfinite(history).all()
    assert np.mean(history[-10:]) < 0.6 * np.mean(history[:10])


@pytest.mark.parametrize("name", PICTURES)
def test_the_latent_tells_where_the_square_is(name: str, trained: dict):
    model = trained[name][0].eval()
    (seen, corners), (unseen, unseen_corners) = squares(600, seed=2), squares(300, seed=3)
    assert probe_r2(latents(model, seen), corners, latents(model, unseen), unseen_corners) > 0.5


@pytest.mark.parametrize("name", ["ConvVAE", "VQ_VAE"])
def test_reconstructions_are_not_blank(name: str, trained: dict):
    model = trained[name][0].eval()
    pictures = squares(256, seed=4)[0]
    truth = pictures.float() / 255
    with torch.no_grad():
        error = (model.decode(model.encode(pictures)) - truth).square().mean()
    blank = (truth.mean(0) - truth).square().mean()  # the best picture that does not look
    assert error < 0.5 * blank


# Identity ------------------------------------------------------------------------------------------------------


def test_identity_gives_the_vector_back():
    vectors = gym.spaces.Box(-np.inf, np.inf, (7,), np.float32)
    model = Identity(Identity.Settings(), vectors)
    obs = torch.randn(5, 7)
    assert model.latent_dim == 7
    assert torch.equal(model.decode(model.encode(obs)), obs)
    assert model.loss(obs) == {}
    assert list(model.parameters()) == []


def test_identity_stays_finite():
    model = Identity(Identity.Settings(), gym.spaces.Box(-np.inf, np.inf, (2,), np.float32))
    z = model.encode(torch.tensor([[np.inf, -3.4e38]]))
    assert torch.isfinite(z.square().sum())
    with pytest.raises(UserError, match="ConvVAE"):
        Identity(Identity.Settings(), space((3, 32, 32)))


# ConvVAE -------------------------------------------------------------------------------------------------------


def test_divergence_agrees_with_torch():
    mean, log_variance = torch.randn(6, 5), torch.randn(6, 5)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    prior = torch.distributions.Normal(torch.zeros(6, 5), torch.ones(6, 5))
    torch.testing.assert_close(divergence(mean, log_variance), torch.distributions.kl_divergence(posterior, prior))


def test_the_vae_loss_is_summed_error_and_charged_divergence():
    model, obs = make("ConvVAE", kl_free=0.0), noise(4, (3, 32, 32))
    with torch.no_grad():  # no noise to speak of: the sample is the mean
        model.to_log_variance.weight.zero_()
        model.to_log_variance.bias.fill_(-18.0)
    losses = model.loss(obs)
    error = (model.decode(model.encode(obs)) - obs.float() / 255).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(losses["reconstruction"], error, rtol=1e-3, atol=0)
    torch.testing.assert_close(losses["mse"], error / (3 * 32 * 32), rtol=1e-3, atol=0)
    torch.testing.assert_close(losses["total"], losses["reconstruction"] + losses["kl"])


def test_free_nats_cost_nothing():
    model, obs = make("ConvVAE", latent_dim=10, kl_free=3.0), noise(4, (3, 32, 32))
    losses = model.loss(obs)
    assert losses["kl"] < 30
    assert losses["total"].item() == pytest.approx(losses["reconstruction"].item() + 30, rel=1e-5)


def test_the_vae_shows_each_latents_divergence():
    model, obs = make("ConvVAE"), noise(4, (3, 32, 32))
    kl = model.diagnostics(obs)["kl"]
    assert kl.shape == (model.latent_dim,)
    assert kl.sum() == pytest.approx(model.loss(obs)["kl"].item(), rel=1e-4)


# VQ_VAE --------------------------------------------------------------------------------------------------------


def oracle_update(vectors: np.ndarray, codebook: np.ndarray, use: np.ndarray, total: np.ndarray, settings: object):
    """One moving-average update of a codebook (K, D), vector by vector: van den Oord et al. 2017, appendix A.1."""
    count, sums = np.zeros(len(use)), np.zeros_like(total)
    for vector in vectors:
        code = int(((codebook - vector) ** 2).sum(1).argmin())
        count[code] += 1
        sums[code] += vector
    use = settings.decay * use + (1 - settings.decay) * count
    total = settings.decay * total + (1 - settings.decay) * sums
    n = use.sum()
    smoothed = (use + settings.epsilon) / (n + len(use) * settings.epsilon) * n
    return total / smoothed[:, None], use, total


def test_the_codebook_follows_the_plain_rule():
    model, obs = make("VQ_VAE", (3, 16, 16), codes=12, dead_below=0.0), noise(6, (3, 16, 16))
    model.codebook.mul_(0.1)  # near the encoder's outputs, so that several codes win
    for _ in range(3):
        use, total, codebook = (x.double().numpy().copy() for x in (model.code_use, model.code_sum, model.codebook))
        with torch.no_grad():
            vectors = model._vectors(obs).reshape(-1, 8).double().numpy()
        expected = oracle_update(vectors, codebook, use, total, model.settings)
        model.loss(obs)
        model.after_update()
        for found, right in zip((model.codebook, model.code_use, model.code_sum), expected, strict=True):
            np.testing.assert_allclose(found.numpy(), right, rtol=1e-3, atol=1e-5)
    assert (model.code_use > 0).sum() > 1


def test_only_a_training_loss_and_its_update_move_the_codebook():
    model, obs = make("VQ_VAE"), noise(4, (3, 32, 32))
    before = snapshot(model)
    model.eval()
    model.loss(obs)
    model.after_update()
    model.train()
    with torch.no_grad():
        model.loss(obs)
    model.after_update()
    model.encode(obs)
    model.after_update()
    model.loss(obs)  # gathered, but not yet applied
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    model.after_update()
    assert not torch.equal(before["codebook"], model.codebook)


def test_dead_codes_come_back():
    model, obs = make("VQ_VAE", codes=32), noise(8, (3, 32, 32))
    model.codebook[1:] = 1e3  # nothing will ever choose these
    model.code_use.fill_(10.0)
    model.code_sum.copy_(model.codebook * 10.0)
    model.code_use[1:] = 0.0
    model.code_sum[1:] = 0.0
    assert (model.diagnostics(obs)["usage"] > 0).sum() == 1
    model.loss(obs)
    with torch.no_grad():
        vectors = model._vectors(obs).flatten(0, 2)
    model.after_update()
    assert (torch.cdist(model.codebook[1:], vectors).min(1).values < 1e-3).all()
    assert (model.diagnostics(obs)["usage"] > 0).sum() > 16


def test_most_codes_are_used_after_training(trained: dict):
    usage = trained["VQ_VAE"][0].diagnostics(squares(256, seed=5)[0])["usage"]
    assert usage.sum() == 256 * 8 * 8
    assert (usage > 0).mean() > 0.5


def test_the_gradient_passes_straight_through():
    model, obs = make("VQ_VAE", commitment=0.0), noise(4, (3, 32, 32))
    model.loss(obs)["total"].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.encoder.parameters())


def test_a_latent_between_codes_is_drawn_as_the_nearest(trained: dict):
    model = trained["VQ_VAE"][0]
    assert isinstance(model, VQ_VAE)
    z = model.encode(squares(4, seed=6)[0])
    with torch.no_grad():
        assert torch.equal(model.decode(z), model.decode(z + 1e-4 * torch.randn_like(z)))
    cell = z.unflatten(1, model.cells)[0, :, 3, 5]
    assert (model.codebook == cell).all(1).any()


# JEPA ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (8, 8), (5, 9)])
def test_hidden_blocks_and_context_never_overlap(rows: int, columns: int):
    torch.manual_seed(0)
    places = set()
    for _ in range(200):
        keep, blocks = draw_masks(rows, columns)
        assert len(blocks) == 4
        assert len(keep) >= 1
        assert not set(keep.tolist()) & set(blocks.flatten().tolist())
        assert int(max(keep.max(), blocks.max())) < rows * columns
        assert 0.08 <= blocks.shape[1] / (rows * columns) <= 0.3
        places.update(blocks.flatten().tolist())
    assert places == set(range(rows * columns))


def test_the_context_does_not_see_the_hidden_patches():
    model = make("JEPA", **SMALL["JEPA"])
    keep, blocks = draw_masks(model.rows, model.columns)
    obs = torch.rand(2, 3, 32, 32)
    changed = obs.clone()
    for patch in blocks.flatten().tolist():
        y, x = (model.patch * i for i in divmod(patch, model.columns))
        changed[:, :, y : y + model.patch, x : x + model.patch] = 1.0
    assert torch.equal(model.encoder(obs, keep), model.encoder(changed, keep))
    assert not torch.equal(model.encoder(obs), model.encoder(changed))


def test_the_target_follows_the_encoder_slowly():
    model = make("JEPA", ema=0.9)
    with torch.no_grad():
        for p in model.encoder.parameters():
            p.add_(1.0)
    before = [p.clone() for p in model.target.parameters()]
    model.after_update()
    for old, new, fast in zip(before, model.target.parameters(), model.encoder.parameters(), strict=True):
        assert not new.requires_grad
        torch.testing.assert_close(new.data, 0.9 * old + 0.1 * fast.data)


def test_jepa_does_not_collapse(trained: dict):
    model = trained["JEPA"][0].eval()
    z = latents(model, squares(300, seed=7)[0])
    assert effective_rank(z) >= model.latent_dim / 4
    assert np.median(z.std(0)) > 0.1


def test_decorrelation_agrees_with_numpy():
    x = torch.randn(50, 6, dtype=torch.float64)
    covariance = np.cov(x.numpy(), rowvar=False)
    off = (covariance**2).sum() - (np.diag(covariance) ** 2).sum()
    assert decorrelation(x).item() == pytest.approx(off / 6)


def test_jepa_shows_its_feature_map():
    model = make("JEPA", (3, 40, 56), **SMALL["JEPA"])
    assert isinstance(model, JEPA)
    assert model.diagnostics(noise(3, (3, 40, 56)))["features"].shape == (model.rows, model.columns, 32)


def test_jepa_refuses_features_that_its_heads_cannot_share():
    with pytest.raises(UserError, match="multiple"):
        check_settings("vision", JEPA, {"features": 30})


def test_conv_vae_is_what_auto_takes_for_pictures():
    assert Tag.IMAGE in ConvVAE.tags
    assert Tag.RECONSTRUCTS in ConvVAE.tags
