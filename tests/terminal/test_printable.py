"""Texts from files cannot speak to the terminal."""

import io
import os

import pytest
from rich.console import Console

from ewm_studio import events as ev
from ewm_studio.cli import main
from ewm_studio.errors import UserError
from ewm_studio.formatting import printable, printable_lines
from ewm_studio.terminal.lists import print_table
from ewm_studio.terminal.output import complain, summary
from ewm_studio.terminal.progress import PlainView, RichView
from ewm_studio.terminal.prompt import Prompt

HOSTILE = "\x1b[2J\x1b]0;title\x07 \r\n\u202egnp.exe\u2028[red]bold[/] \x9b31m \udcff <b>"


def harmless(text):
    return all(line.isprintable() for line in text.split("\n"))


def test_what_is_spelled_out():
    assert printable(HOSTILE).isprintable()
    assert printable("Straße, 日本語, x² – ok") == "Straße, 日本語, x² – ok"
    assert printable("a\u00a0b\tc") == "a b c"
    assert printable("\x1b[1m\n\udcff") == "\\x1b[1m\\n\\udcff"
    assert printable_lines("a\nb\r\n\x1b") == "a\nb\\r\n\\x1b"


def test_lists_errors_and_results(capsys):
    print_table(("name", "note"), [{"name": HOSTILE, "note": [HOSTILE]}])
    complain(UserError(HOSTILE), 2)
    out, err = capsys.readouterr()
    assert harmless(out)
    assert len(out.strip().split("\n")) == 2
    assert "[red]bold[/]" in out
    assert harmless(err)
    assert err.count("\n") == 1
    assert harmless(summary({"a": HOSTILE, "b": {HOSTILE: HOSTILE}}))


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_job_says(terminal):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=200)
    with RichView(console) if terminal else PlainView(stream) as view:
        view.show(ev.RunStarted("train", HOSTILE, "", HOSTILE))
        view.show(ev.Message(HOSTILE, "warning"))
        view.show(ev.EvaluationKept(HOSTILE))
        view.say(HOSTILE)
    said = stream.getvalue()
    for part in ("\x1b[2J", "\x1b]0", "\x07", "\u202e", "\u2028", "\x9b", "\udcff"):
        assert part not in said
    assert "[red]bold[/]" in said


def test_the_menu(tmp_path):
    stream = io.StringIO()
    prompt = Prompt(Console(file=stream, color_system=None, width=400, highlight=False))
    prompt.show_table(["name"], [(HOSTILE,)])
    prompt.guarded(lambda: (_ for _ in ()).throw(UserError(HOSTILE)))
    assert harmless(stream.getvalue())


def test_names_of_folders(tmp_path, capsys):
    for name in (b"\xff\xfe", b"\x1b[2J", b"new\nline"):
        for place in (b"recordings", b"runs", b"replays"):
            os.makedirs(os.path.join(os.fsencode(tmp_path), place, name))
    for words in (["runs"], ["recordings"], ["train", "--resume", "x"], ["pretrain", "--recording", "\x1b[2Jx"]):
        main([*words, "--workspace", str(tmp_path)])
        out, err = capsys.readouterr()
        assert harmless(out + err)
