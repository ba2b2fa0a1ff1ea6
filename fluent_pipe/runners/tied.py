"""A process that ends with the one that started it, however that one ends.

This file is run by itself, with nothing but the standard library: ``python tied.py java -jar ...`` starts the command
in its own process group and waits for it. Its standard input is a pipe that the starter holds and never writes to: the
system closes it when the starter dies, of SIGKILL too, and then the whole group is ended.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

GRACE_SECONDS = 5.0
"""For Java's shutdown hooks, which remove what Flink and Spark keep in the folder of temporary files."""
LOOK_SECONDS = 1.0


def start(command: Sequence[str | Path], log: BinaryIO, *, folder: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a command that ends with this process; nothing that is typed at the terminal reaches it.

    Parameters
    ----------
    command
        And its arguments.
    log
        Gets its output and its errors.
    folder
        That it works in. Default: that of this process.

    Returns
    -------
    subprocess.Popen
        The process that watches over the command; it ends with the command's own exit code.
    """
    return subprocess.Popen(
        [sys.executable, "-I", __file__, *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        cwd=folder,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a command that was started here, with all that it has started. May be called twice."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        try:
            process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
    elif process.returncode < 0:  # the watching process was killed, and the command was left alone
        _signal(process, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def main(command: Sequence[str]) -> int:
    """Run the command; its exit code, or 128 and the signal that ended it."""
    # A handler and not SIG_IGN, which the command would inherit. This process ends when the command does.
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_with(parent: int) -> None:
    # A process that the starter forked may hold the pipe open as well, so its number is looked at too.
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], LOOK_SECONDS)
        if readable and not os.read(0, 1):
            break
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
