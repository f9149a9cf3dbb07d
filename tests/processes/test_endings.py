"""What asks a process to end: acted on outside of handlers, and waited for where Windows would not wait."""

import threading
import time

from ewm_studio.processes import endings


def test_what_handlers_ask_for_is_done_on_another_thread_in_order():
    done = []
    calls = endings.Calls(lambda what: done.append((what, threading.current_thread())))
    for number in range(3):
        calls.ask(number)
    calls.close()
    assert [what for what, _ in done] == [0, 1, 2]
    assert threading.main_thread() not in [thread for _, thread in done]


def test_a_closed_console_waits_for_what_is_saved():
    asked, over = [], threading.Event()
    threading.Timer(0.2, over.set).start()
    began = time.monotonic()
    assert endings.closing(2, lambda: asked.append(True), over)
    assert asked == [True]
    assert over.is_set()
    assert time.monotonic() - began < endings.CONSOLE_SECONDS


def test_other_events_of_a_console_are_left_to_python():
    assert not endings.closing(0, lambda: None, threading.Event())
