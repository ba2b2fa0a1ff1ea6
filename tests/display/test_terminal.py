"""Progress as a person sees it: on a terminal of any size, in plain lines, in a notebook's cell."""

import fcntl
import io
import os
import pty
import struct
import termios
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from fluent_pipe import progress
from fluent_pipe.display.in_cell import drawn
from fluent_pipe.display.live_table import Steps, in_view
from fluent_pipe.display.terminal import OnlyWords, PlainLines, observer
from fluent_pipe.live import Board, Live, LiveStep, Observers
from tests.test_imports import in_fresh_process

BEGUN = datetime(2026, 1, 1)
STEPS = (
    LiveStep("from_csv", "ran", 1, 2.3, 336_776, note="336,776 rows, 2 splits"),
    LiveStep("infer_schema", "cached", note="19 features"),
    LiveStep("preprocess", "running", 2, 12.3, 120_000, 336_776, 0.56, 8.2, "transforming"),
    LiveStep("train", "running", 3, 100.0, detail="epoch 3/10 · loss 0.31"),
    LiveStep("push_to"),
)
HOSTILE = "<script>alert(1)</script>[red]{{7*7}}\x1b[2J\x07\u202e🎈\n" + "x" * 300


@pytest.fixture(autouse=True)
def _nothing_reported():
    progress.reset()
    yield
    progress.reset()


def live(steps=STEPS, seconds=130.0, **more):
    return Live("id", "flights", "running", BEGUN, BEGUN + timedelta(seconds=seconds), steps=tuple(steps), **more)


def lines(shown, *, width=100, height=30):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(shown)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def line_of(step, all_lines):
    return next(line for line in all_lines if f"{step} " in line)


def test_a_wide_terminal_shows_what_runs_how_far_and_for_how_long():
    seen = lines(Steps(live()), width=130)
    assert " ".join(line_of("preprocess", seen).split()) == (
        "▸ preprocess running 2 120,000 of 336,776 12.3 s ━━━━━━──── 56 % · 9 s left · transforming"
    )
    assert "epoch 3/10 · loss 0.31" in line_of("train", seen)
    assert "left" not in line_of("train", seen)  # nobody knows
    assert line_of("from_csv", seen).startswith("✓")
    assert seen[-1] == "2 of 5 steps · job 3 · 2 min 10 s"


@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_a_narrow_terminal_does_without_columns(width):
    seen = lines(Steps(live()), width=width)
    assert len(seen) == 1 + len(STEPS) + 1  # nothing is broken into two lines
    assert all(cell_len(line) <= width for line in seen)
    for step in STEPS:
        assert step.step in line_of(step.step, [*seen, *(f"{line} " for line in seen)])
    assert ("running" in line_of("train", seen)) == (width >= 100)
    assert ("120,000" in line_of("preprocess", seen)) == (width >= 80)
    assert ("━" in line_of("preprocess", seen)) == (width >= 100)
    if width >= 60:
        assert "9 s left" in line_of("preprocess", seen)


def test_a_low_terminal_shows_the_steps_at_work_and_counts_the_others():
    steps = [LiveStep(f"step_{i}", "ran" if i < 14 else "running" if i == 14 else "waiting") for i in range(30)]
    seen = lines(Steps(live(steps)), height=12)
    assert len(seen) <= 11
    assert "step_14" in "".join(seen)
    assert seen[-2] == "and 10 ran, 12 waiting"
    assert len(lines(Steps(live(steps), whole=True), height=12)) == 31  # and all of them at the end


def test_what_is_in_view_stays_in_order():
    steps = tuple(LiveStep(str(i), "running" if i in (2, 20) else "waiting") for i in range(30))
    assert [step.step for step in in_view(steps, 7)] == ["1", "2", "3", "19", "20", "21"]
    assert in_view(steps, 30) == steps
    assert len(in_view(steps, 0)) == 3


def test_at_the_end_words_are_there_as_a_whole():
    refused = LiveStep("push_to", "not pushed", 1, 0.2, note="refused: " + "auc is too low " * 8)
    assert "…" in line_of("push_to", lines(Steps(live([refused])), width=60))
    assert " ".join("".join(lines(Steps(live([refused]), whole=True), width=60)).split()).count("auc") == 8


def test_stopping_is_said():
    assert lines(Steps(live(stopping=True)))[-1].startswith("Stopping.")


def test_names_and_words_of_any_kind_stay_in_their_line():
    steps = [LiveStep(HOSTILE, "running", detail=HOSTILE), LiveStep("push_to", "failed", note=HOSTILE)]
    for width in (130, 60):
        seen = lines(Steps(live(steps)), width=width)
        assert len(seen) == 4
        assert not {"\x1b", "\x07", "\u202e"} & set("".join(seen))
    html = drawn(live(steps), "line")["text/html"]
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_no_steps_at_all():
    assert lines(Steps(live([])))[-1].startswith("0 of 0 steps")
    assert drawn(live([]), "line")["text/plain"]


class Terminal:
    """One of the system's own, of which we are the other end."""

    def __init__(self, width, height):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.stream = os.fdopen(slave, "w", buffering=1)
        self._said = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def read(self):
        self.stream.close()
        self._reader.join()
        os.close(self._master)
        return self._said.decode()

    def _read(self):
        with suppress(OSError):  # how Linux tells that the other end is closed
            while more := os.read(self._master, 65536):
                self._said += more


def ran(board, shown):
    """Two steps in a job, the second of which tells how far it is."""
    told = Observers(board, shown)
    told.started(["from_csv", "train"])
    told.changed("from_csv", "cached", note="1,000 rows")
    told.job(["train"])
    progress.report("train", detail="epoch 1/2", part=0.5)
    told.said("train", "must not be [missed]")
    time.sleep(0.3)
    told.changed("train", "ran", seconds=0.3, note="200 parameters")
    told.ended("succeeded")


def test_a_terminal_gets_a_table_that_is_drawn_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, board = Terminal(100, 30), Board("id", "p")
    ran(board, observer(board, terminal.stream, tmp_path / "log.txt"))
    said = terminal.read()
    assert "━━━━━" in said
    assert "epoch 1/2" in said
    assert "must not be [missed]" in said
    assert said.rstrip().endswith("1 of 2 steps from the cache")
    assert "\x1b[36m" in said  # coloured
    assert "200 parameters" in said[said.rindex("from_csv") :]


def test_colours_are_left_out_where_they_are_not_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal, board = Terminal(100, 30), Board("id", "p")
    ran(board, observer(board, terminal.stream, tmp_path / "log.txt"))
    assert "\x1b[36m" not in terminal.read()


def test_a_dumb_terminal_gets_lines(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    terminal, board = Terminal(100, 30), Board("id", "p")
    ran(board, observer(board, terminal.stream, tmp_path / "log.txt"))
    said = terminal.read()
    assert "\x1b" not in said
    assert len(said.splitlines()) == 4


def test_a_file_gets_a_line_for_every_step_that_ends(tmp_path):
    file, board = io.StringIO(), Board("id", "p")
    ran(board, observer(board, file, tmp_path / "log.txt"))
    cached, must, done, end = file.getvalue().splitlines()
    assert cached.split() == ["from_csv", "cached", "1,000", "rows"]
    assert must == "train: must not be [missed]"
    assert done.split() == ["train", "ran", "0.3", "s", "200", "parameters"]
    assert end.startswith("succeeded in 0.")


def test_a_failed_run_names_its_log(tmp_path):
    file, board = io.StringIO(), Board("id", "p")
    told = Observers(board, observer(board, file, tmp_path / "log.txt"))
    told.started(["train"])
    told.job(["train"])
    told.changed("train", "failed")
    told.ended("failed")
    assert file.getvalue().splitlines()[-1].endswith(f"log: {tmp_path / 'log.txt'}")


def test_a_file_shows_life_now_and_then_while_a_step_takes_long():
    file = io.StringIO()
    plain = PlainLines(Board("id", "p"), file, None)
    plain.started(["from_csv", "train"])
    step = LiveStep("train", "running", 1, detail="epoch 1/10")
    for second in range(301):
        detail = f"epoch {1 + second // 40}/10"
        train = replace(step, seconds=float(second), detail=detail, fraction=second / 400, left=400.0 - second)
        plain.tell(live([LiveStep("from_csv", "cached"), train]))
    said = file.getvalue().splitlines()
    assert [line.split("running")[1].split("s  ")[0].strip() for line in said] == [
        "10.0", "20.0", "30.0", "1 min 00", "2 min 00", "3 min 00", "4 min 00", "5 min 00",
    ]  # fmt: skip
    assert said[4].split("  ")[-1] == "30 %, 5 min left, epoch 4/10"


def test_a_job_is_told_in_one_line():
    file = io.StringIO()
    plain = PlainLines(Board("id", "p"), file, None)
    steps = [LiveStep(name, "running", 1, 10.0) for name in ("from_csv", "generate_statistics", "validate")]
    plain.started([step.step for step in steps])
    plain.tell(live(steps))
    assert file.getvalue().split() == ["from_csv", "running", "10.0", "s"]
    plain.tell(live([replace(step, seconds=20.0, rows=i * 10) for i, step in enumerate(steps)]))
    assert file.getvalue().splitlines()[1:] == ["validate             running         20.0 s  20 rows"]
    plain.tell(live([replace(step, seconds=31.0, rows=i * 10) for i, step in enumerate(steps)]))
    assert "generate_statistics" in file.getvalue().splitlines()[-1]  # of the other there is nothing new


def test_what_is_cached_is_not_told_where_only_work_is():
    file, board = io.StringIO(), Board("id", "p")
    told = Observers(board, observer(board, file, None, "work"))
    told.started(["from_csv"])
    told.changed("from_csv", "cached")
    told.ended("succeeded")
    assert not file.getvalue()
    ran(board := Board("id", "p"), observer(board, file, None, "work"))
    assert [line.split()[0] for line in file.getvalue().splitlines()] == ["train:", "train", "succeeded"]


def test_what_matters_is_told_in_any_case():
    file, board = io.StringIO(), Board("id", "p")
    ran(board, observer(board, file, None, "what matters"))
    assert file.getvalue() == "train: must not be [missed]\n"
    assert isinstance(observer(board, file, None, "what matters"), OnlyWords)


def test_a_notebook_s_cell_gets_a_table():
    bundle = drawn(live(), "2 of 5 steps")
    assert "━━━━━━──── 56 % · 9 s left" in bundle["text/plain"]
    assert "━━━━━━──── 56 % · 9 s left".replace(" ", "\N{NO-BREAK SPACE}") in bundle["text/html"]
    assert "<style" not in bundle["text/html"]
    assert bundle["text/html"].count("<tr") == 1 + len(STEPS)
    assert "epoch 3/10 · loss 0.31" in bundle["text/plain"]


def test_a_cell_has_one_table_that_is_replaced(tmp_path):
    pytest.importorskip("IPython")
    code = """
import io, json, time
from pathlib import Path
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from fluent_pipe import progress
from fluent_pipe.display.in_cell import InCell
from fluent_pipe.live import Board, Observers

cell = InteractiveShell.instance().display_pub = CapturingDisplayPublisher()
said, board = io.StringIO(), Board("id", "p")
told = Observers(board, InCell(board, said, Path("log.txt")))
told.started(["train"])
told.job(["train"])
for epoch in range(1, 50):
    progress.report("train", detail=f"epoch {epoch}")
    time.sleep(0.03)
told.changed("train", "ran", seconds=1.5, note="200 parameters")
told.ended("succeeded")
print(json.dumps([said.getvalue(), [[one["update"], one["data"]["text/plain"]] for one in cell.outputs]]))
"""
    written, tables = in_fresh_process(code, tmp_path)
    assert not written
    assert [update for update, _ in tables] == [False, *[True] * (len(tables) - 1)]
    assert 2 <= len(tables) <= 5  # about one a second, whatever is reported
    assert "epoch" in tables[-2][1]
    assert "200 parameters" in tables[-1][1]
    assert "succeeded in" in tables[-1][1]
