"""One whole run in a process of its own, which kills itself at a given step of the protocol."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

from sync.ledger.steps import Hook, Step
from sync.settings import EmbeddedWarehouse
from sync.warehouse import open_warehouse
from tests.support.delivery import Run, all_steps

PRELOADED = ["snowflake.connector", "tests.delivery.crash_worker"]


@dataclass(frozen=True)
class Death:
    """Die when ``step`` is reached for the ``occurrence``-th time, by a power cut or a signal."""

    step: Step
    occurrence: int = 1
    by: signal.Signals = signal.SIGKILL


def start(settings: EmbeddedWarehouse, run: Run, death: Death | None = None) -> BaseProcess:
    """A run in a new process. It is forked from a server that has only imported things."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=work, args=(settings, run, death))
    process.start()
    return process


def finish(process: BaseProcess, *, within_seconds: float = 60.0) -> int:
    """Wait for a process; its exit code, negative for the signal that ended it."""
    process.join(within_seconds)
    code = process.exitcode
    if code is None:
        process.kill()
        raise AssertionError(f"the run did not end within {within_seconds:.0f} s")
    process.close()
    return code


def work(settings: EmbeddedWarehouse, run: Run, death: Death | None) -> None:
    """Record, build and send."""
    # Whoever started the tests may have them ignored, as a shell does in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with open_warehouse(settings, purpose="crash") as warehouse:
        all_steps(warehouse, run, hook=dying_at(death))


def dying_at(death: Death | None) -> Hook:
    """The hook that sends this process its signal."""
    seen: Counter[Step] = Counter()
    lock = threading.Lock()

    def hook(step: Step) -> None:
        # Two threads that come at once must not both see the number after theirs.
        with lock:
            seen[step] += 1
            occurrence = seen[step]
        if death is not None and (step, occurrence) == (death.step, death.occurrence):
            os.kill(os.getpid(), death.by)

    return hook
