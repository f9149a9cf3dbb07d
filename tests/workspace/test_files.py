"""Writing aside, model files and trainer trees: nothing is lost, nothing damaged is taken for good."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import math
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ewm_studio.errors import JobError, UserError
from ewm_studio.workspace.container import Entry, write_container
from ewm_studio.workspace.files import move_new, write_aside, write_new, write_text
from ewm_studio.workspace.models import load_model, read_metadata, save_model
from ewm_studio.workspace.tree import load_tree, save_tree

METADATA = {"parts": {"vision": {"name": "ConvVAE", "settings": {"latent_dim": 32}}}, "counters": {"env_steps": 7}}
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "a.weight": torch.randn(5, 3),
        "a.bias": torch.randn(5),
        "count": torch.tensor(3),
        "empty": torch.zeros(0, 4),
    }


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, weights(), METADATA)
    return path


def one_line(error: pytest.ExceptionInfo[Exception], *words: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


# ---- writing aside


def no_links(source: object, target: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("folders", [True, False])
def test_of_many_who_want_one_name_each_gets_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, folders: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "0").write_text("was here first")

    def move(number: int) -> None:
        source = tmp_path / f"from-{number}"
        if folders:
            source.mkdir()
        (source / "in" if folders else source).write_text(str(number))
        move_new(source, (tmp_path / str(n) for n in itertools.count()))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(move, range(24)))
    assert sorted(os.listdir(tmp_path), key=int) == [str(n) for n in range(25)]
    assert (tmp_path / "0").read_text() == "was here first"
    found = [(tmp_path / str(n) / "in" if folders else tmp_path / str(n)).read_text() for n in range(1, 25)]
    assert sorted(found, key=int) == [str(n) for n in range(24)]


@pytest.mark.parametrize("links", [True, False])
def test_a_move_that_fails_leaves_both_places_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "folder").mkdir()
    for name in ("a", "b", "folder/c"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        move_new(tmp_path / "a", [tmp_path / "b", tmp_path / "folder"])
    with pytest.raises(FileExistsError):
        move_new(tmp_path / "folder", [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(FileNotFoundError):
        move_new(tmp_path / "gone", [tmp_path / "new"])
    with pytest.raises(UserError) as error:
        write_new([tmp_path / "a"], lambda path: path.write_text("mine"))
    one_line(error, "choose another name")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "folder"]
    assert [(tmp_path / name).read_text() for name in ("a", "b", "folder/c")] == ["a", "b", "folder/c"]


def test_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(JobError) as error:
        write_aside(path, fail)
    one_line(error, str(path), "No space left")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_program_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_aside(tmp_path / "a", lambda t: t.write_bytes(b"x") and 1 / 0)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("where", ["missing/a.txt", "file/a.txt", "folder"])
def test_places_that_cannot_be_written(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as error:
        write_text(tmp_path / where, "x")
    one_line(error, str(tmp_path / where))


def test_no_permission_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        write_text(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == []


def read_by_somebody(monkeypatch: pytest.MonkeyPatch, windows: bool, times: int) -> list[object]:
    """A file that cannot be replaced so many times; gives every attempt."""
    tried: list[object] = []
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        tried.append(target)
        if len(tried) <= times:
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(source, target)

    monkeypatch.setattr("ewm_studio.workspace.files._WINDOWS", windows)
    monkeypatch.setattr(os, "replace", refuse)
    return tried


def test_windows_replaces_a_file_once_nobody_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old")
    tried = read_by_somebody(monkeypatch, windows=True, times=2)
    write_text(tmp_path / "a", "new")
    assert ((tmp_path / "a").read_text(), len(tried)) == ("new", 3)


@pytest.mark.parametrize(("windows", "patience"), [(True, 0.0), (False, 1000.0)])
def test_a_file_that_is_never_free_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: bool, patience: float
) -> None:
    monkeypatch.setattr("ewm_studio.workspace.files.READING_SECONDS", patience)
    tried = read_by_somebody(monkeypatch, windows, times=1000)
    with pytest.raises(UserError, match="Access is denied"):
        write_text(tmp_path / "a", "new")
    assert len(tried) == 1
    assert os.listdir(tmp_path) == []


def test_a_link_keeps_pointing(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


# ---- models


def test_model_comes_back_bit_for_bit(model: Path) -> None:
    tensors, metadata = load_model(model)
    assert tensors.keys() == weights().keys()
    for name, tensor in weights().items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype
    assert metadata == {**METADATA, "format": "ewm-studio-model", "version": 1}
    assert read_metadata(model) == metadata


def test_other_programs_read_the_tensors(model: Path) -> None:
    from safetensors import safe_open

    with safe_open(model, "pt") as file:
        assert torch.equal(file.get_tensor("a.weight"), weights()["a.weight"])
        assert json.loads(file.metadata()["ewm-studio"])["parts"] == METADATA["parts"]


def test_views_and_tied_weights_are_saved_whole(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"base": base, "tied": base, "turned": base.t(), "slice": base[:, 1:3], "grad": torch.nn.Parameter(base)}
    save_model(tmp_path / "m", tensors, {})
    for name, tensor in load_model(tmp_path / "m")[0].items():
        assert torch.equal(tensor, tensors[name])


def test_infinite_bounds_in_metadata_survive(tmp_path: Path) -> None:
    save_model(tmp_path / "m", {}, {"low": -math.inf, "name": "Ünï\ud83d"})
    assert load_model(tmp_path / "m")[1]["low"] == -math.inf
    assert load_model(tmp_path / "m")[1]["name"] == "Ünï\ud83d"


def test_every_single_flipped_bit_is_found(model: Path) -> None:
    good = model.read_bytes()
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        model.write_bytes(bad)
        with pytest.raises(UserError) as error:
            load_model(model)
        one_line(error, str(model), "expected", "found")


def test_every_truncation_is_found(model: Path) -> None:
    good = model.read_bytes()
    for length in range(len(good)):
        model.write_bytes(good[:length])
        with pytest.raises(UserError, match=r"expected.*found"):
            load_model(model)
    model.write_bytes(good + b"\0")
    with pytest.raises(UserError, match=f"expected {len(good)} bytes, found {len(good) + 1}"):
        load_model(model)


@FEW
@given(data=st.data())
def test_random_damage_is_only_ever_a_user_error(model: Path, data: st.DataObject) -> None:
    good = model.read_bytes()
    bad = bytearray(good)
    places = data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=8))
    for place in places:
        bad[place] = data.draw(st.integers(0, 255))
    bad = bad[: data.draw(st.integers(0, len(bad)))] + data.draw(st.binary(max_size=20))
    damaged = model.with_name("damaged")
    damaged.write_bytes(bad)
    if bytes(bad) == good:
        return
    for load in (load_model, load_tree):
        with pytest.raises(UserError):
            load(damaged)
    with contextlib.suppress(UserError):
        read_metadata(damaged)


@FEW
@given(
    content=st.binary(max_size=300),
    header=st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=5),
        lambda s: st.lists(s, max_size=3) | st.dictionaries(st.sampled_from(["__metadata__", "a", "data_offsets"]), s),
    ),
)
def test_foreign_content_is_only_ever_a_user_error(tmp_path: Path, content: bytes, header: object) -> None:
    path = tmp_path / "foreign"
    text = json.dumps(header).encode()
    for data in (
        content,
        len(content).to_bytes(8, "little") + content,
        len(text).to_bytes(8, "little") + text + content,
    ):
        path.write_bytes(data)
        for load in (load_model, load_tree, read_metadata):
            with pytest.raises(UserError):
                load(path)


@FEW
@given(dtype=st.sampled_from(["F32", "U8", "X", "F64", ""]), shape=st.lists(st.integers(-2, 2**40), max_size=3))
def test_sealed_nonsense_is_only_ever_a_user_error(tmp_path: Path, dtype: str, shape: list[int]) -> None:
    """A right digest proves no good will: the tensors' description may still be impossible."""
    path, data = tmp_path / "sealed", memoryview(bytes(8))
    write_container(path, {"a": Entry(dtype, tuple(shape), data)}, {"format": "ewm-studio-model", "version": 1})
    try:
        tensors, _ = load_model(path)
    except UserError:
        return
    assert tensors["a"].nbytes == 8


@pytest.mark.parametrize(
    "nodes",
    [
        None,
        {"tuple": 3},
        {"x": 1},
        {"tensor": ["9", "float32", []]},
        {"tensor": ["0", "load", []]},
        {"int": "zz"},
        {"array": ["0", "O", [1]]},
        {"dict": [[{"tuple": [[]]}, 1]]},
        {"a": 1, "b": 2},
        {},
    ],
)
def test_sealed_nonsense_trees(tmp_path: Path, nodes: object) -> None:
    path, entries = tmp_path / "t", {"0": Entry("U8", (8,), memoryview(bytes(8)))}
    write_container(path, entries, {"format": "ewm-studio-trainer", "version": 1, "tree": nodes})
    if nodes is None:
        assert load_tree(path) is None
        return
    with pytest.raises(UserError, match="found"):
        load_tree(path)


def test_each_kind_of_wrong_file_is_named(tmp_path: Path, model: Path) -> None:
    from safetensors.torch import save_file

    def refused(path: Path, *words: str) -> None:
        for load in (load_model, read_metadata):
            with pytest.raises(UserError) as error:
                load(path)
            one_line(error, str(path), "expected", *words)

    other = tmp_path / "other.safetensors"
    save_file(weights(), other)
    refused(other, "another program")
    save_file(weights(), other, metadata={"format": "pt"})
    refused(other, "another program")
    save_tree(other, {"a": 1})
    refused(other, "ewm-studio-trainer")
    write_container(other, {}, {"format": "ewm-studio-model", "version": 2})
    refused(other, "up to 1", "found 2", "update")
    refused(tmp_path, "folder")
    refused(tmp_path / "none.safetensors", "nothing by that name")
    refused(tmp_path / "a\0b", "found")
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty", "empty")
    (tmp_path / "text").write_text("once upon a time " * 99)
    refused(tmp_path / "text", "no safetensors")
    save_model(other, weights(), METADATA)
    other.write_bytes(model.read_bytes()[:-9])
    refused(other, "truncated")
    with pytest.raises(UserError, match="expected ewm-studio-trainer, found ewm-studio-model"):
        load_tree(model)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no file"):
        load_model(tmp_path / "pipe")


def test_unreadable_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        load_model(model)


def test_deeply_nested_header_is_refused(tmp_path: Path) -> None:
    text = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    (tmp_path / "deep").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(UserError):
        load_model(tmp_path / "deep")


# ---- trees


def same(a: object, b: object) -> bool:
    """Same types, same bits, same order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bits(a) == bits(b)
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return (
            list(a) == list(b)
            and all(same(k, j) for k, j in zip(a, b, strict=True))
            and all(same(a[k], b[k]) for k in a)
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a.hex() == b.hex()
    return a == b


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.text()
    | st.binary(max_size=9)
    | st.sampled_from(
        [
            np.float32(1.5),
            np.int64(-3),
            np.arange(6, dtype=">i2").reshape(2, 3),
            np.array(["a", "bc"]),
            np.zeros((0, 3)),
            np.array(True),
            np.array([1 + 2j]),
        ]
    )
    | st.sampled_from(
        [
            torch.tensor([1, 200], dtype=torch.uint8),
            torch.tensor([True, False]),
            torch.tensor(2.5),
            torch.tensor([math.nan, -0.0, math.inf]),
            torch.zeros(2, 0),
            torch.ones(3, dtype=torch.bfloat16),
            torch.ones(3, dtype=torch.float16),
            torch.tensor([1j], dtype=torch.complex128),
            torch.arange(6).reshape(2, 3).t(),
            torch.tensor([2**63 - 1]),
            torch.ones(2, dtype=torch.float8_e4m3fn),
            torch.ones(2, dtype=torch.uint64),
        ]
    )
)
TREES = st.recursive(
    LEAVES,
    lambda s: (
        st.lists(s, max_size=4)
        | st.lists(s, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(-5, 5), s, max_size=4)
    ),
    max_leaves=12,
)


@settings(FEW, max_examples=150)
@given(tree=TREES)
def test_tree_comes_back_the_same(tmp_path: Path, tree: object) -> None:
    save_tree(tmp_path / "t", tree)
    assert same(load_tree(tmp_path / "t"), tree)


def test_optimizer_and_random_states_come_back(tmp_path: Path) -> None:
    moments = {"step": torch.tensor(1.0), "exp_avg": torch.randn(4, 2), "exp_avg_sq": torch.rand(4, 2)}
    adam = {"state": {0: moments, 1: {}}, "param_groups": [{"lr": 1e-3, "betas": (0.8, 0.99), "params": [0, 1]}]}
    rng = np.random.default_rng(5)
    rng.random(3)
    tree = {
        "optimizer": adam,
        "torch": torch.get_rng_state(),
        "numpy": rng.bit_generator.state,
        "python": random.getstate(),
        "legacy": np.random.RandomState(3).get_state(),
    }
    save_tree(tmp_path / "t", tree)
    back = load_tree(tmp_path / "t")
    assert same(back, tree)
    expected = rng.random(4)
    rng.bit_generator.state = back["numpy"]
    assert (rng.random(4) == expected).all()
    random.setstate(back["python"])


def test_huge_integers(tmp_path: Path) -> None:
    save_tree(tmp_path / "t", [7**9000, -(7**9000), True, 2**53, -(2**53) + 1])
    assert load_tree(tmp_path / "t") == [7**9000, -(7**9000), True, 2**53, -(2**53) + 1]


@pytest.mark.parametrize("value", [{1, 2}, object(), {1.5: 1}, {True: 1}, np.array([None]), torch.zeros(3).to_sparse()])
def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError):
        save_tree(tmp_path / "t", {"a": [0, value]})
    assert os.listdir(tmp_path) == []


def test_damaged_tree_is_found(tmp_path: Path) -> None:
    path = tmp_path / "t"
    save_tree(path, {"a": torch.ones(3), "b": [1, 2, ("x", 2**80)]})
    good = path.read_bytes()
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 7)
        path.write_bytes(bad)
        with pytest.raises(UserError):
            load_tree(path)
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(UserError):
            load_tree(path)
