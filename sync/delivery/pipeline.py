"""Sending without a pause: while threads send, the caller's own thread speaks to the warehouse.

It claims the next batch before the last one has run out, and records answers while others come
in. A batch has no end that anybody waits for, so a slow endpoint holds up its own rows only.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sync.delivery.admission import Admission, Row
from sync.delivery.bulkheads import Bulkheads
from sync.delivery.delivery_run import Run
from sync.delivery.sender import DispatchLimits
from sync.delivery.stop import LOOK_SECONDS, Stop
from sync.delivery.workers import Workers
from sync.ledger.attempts import Attempt

log = logging.getLogger(__name__)

RECORD_AFTER_SECONDS = 15.0
"""Answers wait no longer for the ledger, however few they are: with the wait for a token that is
less than ``admission.LEASE_MARGIN``, or a lease could end between an answer and its record."""
THREADS_PER_UNWRITTEN = 2
"""One answer for so many threads may wait for the disk while its slot is used again.

Most commits take a few milliseconds, in which few answers come, and one in a hundred some ten; a
disk that is slower holds up the slots. The more may wait, the more a crash can lose.
"""


def deliver(
    run: Run,
    limits: DispatchLimits,
    *,
    end: float,
    on_batch: Callable[[Sequence[Attempt]], None],
    stop: Stop,
) -> None:
    """Send what is due until nothing is, ``end`` has come, a stop is asked for, or our own
    network is down.

    ``end`` is a time of the monotonic clock. What waits then is given back, what runs may end.
    After a request to stop it is given back at once, and not only when what runs has ended.

    Raises:
        As ``sending.dispatch.dispatch``. What runs has ended, and its answers are in the journal.
    """
    with _garbage_of_this_only(), _workers(run, limits) as workers:
        try:
            _deliver(run, workers, limits, end=end, on_batch=on_batch, stop=stop)
        except Exception:
            raise
        except BaseException:
            # The Snowflake driver turns Ctrl-C into an exception in the midst of a statement.
            _give_back(run, workers)
            raise


def _deliver(
    run: Run,
    workers: Workers[int, Row, Attempt],
    limits: DispatchLimits,
    *,
    end: float,
    on_batch: Callable[[Sequence[Attempt]], None],
    stop: Stop,
) -> None:
    is_given_up = False
    while True:
        if time.monotonic() < end and not stop.is_asked:
            rows = run.claim(workers.waiting())
            workers.add([(row.claimed.endpoint_id, row) for row in rows])
        if workers.is_spent:
            if not stop.is_asked and run.linger(end - time.monotonic()):
                continue
            return
        if not stop.is_asked:
            _await_turn(workers, run.admission, limits, end, stop)
        elif is_given_up:
            workers.wait(lambda results: False)
        else:
            workers.give_up_waiting()
            is_given_up = True
        attempts, untried = workers.collect(run.admission.collected)
        on_batch(run.record(attempts, [row.claimed for row in untried]))
        if run.report.is_own_network_down:
            return


def _give_back(run: Run, workers: Workers[int, Row, Attempt]) -> None:
    """After an interruption at any point: record what was answered, give back all the rest."""
    try:
        workers.give_up_waiting()
        workers.wait(lambda results: False)
        run.give_back()
    except Exception as error:
        log.warning(
            "what this run holds could not be given back (%s); its lease ends by itself",
            type(error).__name__,
        )


@contextmanager
def _garbage_of_this_only() -> Iterator[None]:
    """Keep the garbage collector from what was there before.

    To look through everything that is loaded takes it 50 ms and more, and no thread sends then.
    """
    is_frozen = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        if not is_frozen:
            gc.unfreeze()


def _await_turn(
    workers: Workers[int, Row, Attempt],
    admission: Admission,
    limits: DispatchLimits,
    end: float,
    stop: Stop,
) -> None:
    """Wait until there is enough to record, soon too little to send, no time left, or a stop is
    asked for.

    Silence alone is not recorded while something runs: it may turn out to be our own network's.
    """

    def is_turn(results: int) -> bool:
        return admission.answers > 0 and (
            results >= limits.batch_size or admission.runs_short(limits.batch_size)
        )

    record_at = time.monotonic() + RECORD_AFTER_SECONDS
    while (left := end - time.monotonic()) > 0:
        if workers.wait(is_turn, seconds=min(left, LOOK_SECONDS)) or stop.is_asked:
            return
        if admission.answers and time.monotonic() >= record_at:
            return
    workers.give_up_waiting()
    workers.wait(lambda results: False)


def _workers(run: Run, limits: DispatchLimits) -> Workers[int, Row, Attempt]:
    bulkheads = Bulkheads[int, Row](
        threads=limits.threads,
        per_key=limits.per_endpoint,
        may_start=run.admission.may_start,
        standings=run.admission.standings,
    )

    def settle(row: Row, attempt: Attempt) -> Sequence[Row]:
        endpoint_id = row.claimed.endpoint_id
        bulkheads.finish(endpoint_id, run.admission.judge(attempt))
        return bulkheads.drop(endpoint_id) if run.admission.must_rest(attempt) else ()

    return Workers(
        bulkheads,
        threads=limits.threads,
        work=run.attempt,
        settle=settle,
        keep=run.keep,
        arrive=run.arrive,
        backlog=unwritten(limits.threads),
    )


def unwritten(threads: int) -> int:
    """How many answers may wait for the journal beside the requests that run."""
    return max(2, threads // THREADS_PER_UNWRITTEN)
