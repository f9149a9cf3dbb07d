"""A file never makes code run unasked: modules that environments' ids name."""

import json
import pickle
import sys

import pytest

from ewm_studio.envs import trust
from ewm_studio.envs.factory import find_spec, make_env, make_prepared_env
from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings
from tests.support.canary import Canary


@pytest.fixture
def canary(nothing_trusted, tmp_path, monkeypatch):
    return Canary(tmp_path / "elsewhere", monkeypatch)


def test_what_a_file_names_is_not_imported(canary):
    for make in (lambda: find_spec(canary.id), lambda: make_prepared_env(EnvSettings(id=canary.id))):
        with pytest.raises(trust.Untrusted) as refused:
            make()
        assert (refused.value.module, refused.value.place) == (canary.module, str(canary.file.resolve()))
        assert "--trust-env" in str(refused.value)
        assert not canary.ran


def test_what_was_agreed_to_is_imported_and_remembered(canary):
    trust.trust(canary.id)
    assert not canary.ran
    assert json.loads(trust.agreements_file().read_text()) == {canary.module: [str(canary.file.resolve())]}
    assert find_spec(canary.id).id == "Canary-v0"
    assert canary.ran


def test_another_file_of_that_name_is_asked_about_again(canary, tmp_path, monkeypatch):
    trust.trust(canary.id)
    other = Canary(tmp_path / "other", monkeypatch, module=canary.module)
    with pytest.raises(trust.Untrusted, match="other"):
        trust.check_trusted(other.id)
    trust.trust(other.id)
    monkeypatch.syspath_prepend(str(canary.folder))
    trust.check_trusted(canary.id)  # both are known now
    assert not other.ran
    assert not canary.ran


def test_what_is_written_into_a_program_is_meant(canary):
    make_env(canary.id).close()
    assert canary.ran
    find_spec(canary.id)  # imported already: nothing more runs


def test_parents_of_a_module_are_not_imported_to_find_it(nothing_trusted, tmp_path, monkeypatch):
    canary = Canary(tmp_path / "elsewhere", monkeypatch, module="canary_package.inner")
    with pytest.raises(trust.Untrusted, match="inner"):
        find_spec(canary.id)
    assert not canary.ran
    assert "canary_package" not in sys.modules


@pytest.mark.parametrize("module", ["no_such_module", "no.such.module", "", ".", "..", "a..b", "os.path.nothing", "\0"])
def test_a_module_that_is_not_there(nothing_trusted, module):
    with pytest.raises(UserError):
        find_spec(f"{module}:Env-v0")


SENSELESS = ["", "[]", "null", "{", '{"canary_env": 5}', '{"canary_env": {"a": 1}}', "[" * 100_000]


@pytest.mark.parametrize("text", SENSELESS)
def test_a_list_that_makes_no_sense_agrees_to_nothing(canary, text):
    file = trust.agreements_file()
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(trust.Untrusted):
        find_spec(canary.id)
    trust.trust(canary.id)
    trust.check_trusted(canary.id)


def test_a_list_that_cannot_be_written_is_said(canary):
    trust.agreements_file().parent.parent.mkdir(exist_ok=True)
    trust.agreements_file().parent.write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        trust.trust(canary.id)


def test_the_refusal_travels_between_processes():
    refusal = trust.Untrusted("m:Id-v0", "m", "/m.py")
    assert vars(pickle.loads(pickle.dumps(refusal))) == vars(refusal)
