"""Episodes of CarRacing that begin anywhere on the track."""

import math

import numpy as np
from gymnasium.envs.box2d.car_racing import TRACK_WIDTH

from ewm_studio.envs.carracing.environment import FastCarRacing
from ewm_studio.envs.carracing.start import random_pose
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.settings import EnvSettings


def begun(share, seed):
    env = FastCarRacing()
    env.random_start = share
    env.reset(seed=seed)
    pose = tuple(env.car.hull.position), env.car.hull.angle
    road = [tuple(tile) for tile in env.track]
    env.close()
    return pose, road


def test_without_it_the_car_begins_where_the_stock_one_does_on_the_same_track():
    (usual, road), (elsewhere, same) = begun(0.0, 3), begun(1.0, 3)
    assert road[1:] == same[1:]
    assert math.dist(usual[0], road[0][2:]) < 3
    assert math.dist(elsewhere[0], usual[0]) > 10
    assert begun(1.0, 3)[0] == elsewhere


def test_most_starts_are_on_the_road_some_the_wrong_way_and_some_on_the_grass():
    road = begun(0.0, 1)[1]
    rng, beside, wrong = np.random.default_rng(0), 0, 0
    for _ in range(500):
        angle, x, y = random_pose(road, rng)
        _, direction, *middle = min(road, key=lambda tile: math.dist(tile[2:], (x, y)))
        beside += math.dist(middle, (x, y)) > 1.1 * TRACK_WIDTH
        wrong += math.cos(angle - direction) < 0
    assert 0.04 < beside / 500 < 0.2
    assert 0.04 < wrong / 500 < 0.2


def test_only_training_and_collecting_begin_elsewhere():
    settings = EnvSettings(id="CarRacing-v3", random_start=1.0)
    for env, share in (
        (make_prepared_env(settings, training=True), 1.0),
        (make_prepared_env(settings.as_collected(None), training=True), 1.0),
        (make_prepared_env(settings), 0.0),
        (make_prepared_env(settings.as_played(), training=True), 0.0),
    ):
        assert env.unwrapped.random_start == share
        env.close()
