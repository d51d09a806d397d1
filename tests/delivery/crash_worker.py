"""One whole run in a separate process, which kills itself at a given step of the protocol."""

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
from tests.support.signals import noticed

PRELOADED = ["snowflake.connector", "tests.delivery.crash_worker"]


@dataclass(frozen=True)
class Death:
    """Die when ``step`` is reached for the ``occurrence``-th time, by a power cut or a signal."""

    step: Step
    occurrence: int = 1
    by: signal.Signals = signal.SIGKILL


def start(settings: EmbeddedWarehouse, run: Run, death: Death | None = None) -> BaseProcess:
    """A run in a new process, forked from a server that has only imported modules."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=work, args=(settings, run, death))
    process.start()
    return process


def finish(process: BaseProcess, *, within_seconds: float = 300.0) -> int:
    """Wait for a process; returns its exit code, negative for the signal that killed it."""
    process.join(within_seconds)
    code = process.exitcode
    if code is None:
        process.kill()
        raise AssertionError(f"the run did not end within {within_seconds:.0f} s")
    process.close()
    return code


def work(settings: EmbeddedWarehouse, run: Run, death: Death | None) -> None:
    """Record, build and send."""
    # The process that started the tests may ignore them, as a shell does for background jobs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with noticed() as is_noted, open_warehouse(settings, purpose="crash") as warehouse:
        all_steps(warehouse, run, hook=dying_at(death, is_noted))


def dying_at(death: Death | None, is_noted: threading.Event) -> Hook:
    """A hook that signals this process and waits until the run has noticed."""
    seen: Counter[Step] = Counter()
    lock = threading.Lock()

    def hook(step: Step) -> None:
        # Two concurrent threads must not both see the count after both have incremented it.
        with lock:
            seen[step] += 1
            occurrence = seen[step]
        if death is not None and (step, occurrence) == (death.step, death.occurrence):
            os.kill(os.getpid(), death.by)
            assert is_noted.wait(120)

    return hook
