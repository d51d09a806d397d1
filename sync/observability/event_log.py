"""Structured logs: one JSON line per event, for machines that collect them.

The standard library is enough: Dagster captures its loggers already, and a formatter of thirty
lines needs no package. Text stays the default, since people read a terminal.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from sync.errors import ConfigurationError

FORMAT_SETTING = "LTW_LOG_FORMAT"
LEVEL_SETTING = "LTW_LOG_LEVEL"
LOGGER = "learning_time_webhooks"
"""Not below ``sync``: Dagster keeps what is logged there in its database, and lines for each
webhook would fill it."""
FIELDS = (
    "event",
    "run_id",
    "webhook_id",
    "endpoint_id",
    "outcome",
    "reason",
    "status",
    "error_kind",
    "attempt",
    "duration_ms",
    "count",
    "command",
    "exit_code",
)
"""What a line may carry beside time, level and message, in this order. Nothing else gets through,
so that no caller can put a learner into a log by mistake."""
OF_DAGSTER = {"run_id": "run_id", "job_name": "job", "step_key": "step"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line; Dagster's own records tell their run, job and step as well."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line; an exception becomes its type and text, without local values."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        from_dagster = getattr(record, "dagster_meta", None)
        if isinstance(from_dagster, Mapping):
            found = {ours: from_dagster.get(theirs) for theirs, ours in OF_DAGSTER.items()}
            line |= {name: value for name, value in found.items() if value is not None}
            message = from_dagster.get("orig_message") or record.getMessage()
        else:
            message = record.getMessage()
        given = {name: getattr(record, name, None) for name in FIELDS}
        line |= {name: value for name, value in given.items() if value is not None}
        line["message"] = message
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
        return json.dumps(line, ensure_ascii=False, default=str)


def form_and_level(environ: Mapping[str, str]) -> tuple[str, str]:
    """What the environment says of the form of lines and of the lowest level.

    Raises:
        ConfigurationError: one of the settings has a value that means nothing; names it.
    """
    form = environ.get(FORMAT_SETTING) or "text"
    if form not in ("text", "json"):
        raise ConfigurationError(f"{FORMAT_SETTING} is {form!r}; it must be 'json' or 'text'")
    level = (environ.get(LEVEL_SETTING) or "INFO").upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigurationError(
            f"{LEVEL_SETTING} is {level!r}; it must be DEBUG, INFO, WARNING or ERROR"
        )
    return form, level


def start(environ: Mapping[str, str], *, stream: TextIO | None = None) -> bool:
    """Begin to write events as the environment says; whether they are written at all.

    Raises:
        ConfigurationError: one of the settings has a value that means nothing; names it.
    """
    form, level = form_and_level(environ)
    logger = logging.getLogger(LOGGER)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    if form == "text":
        logger.addHandler(logging.NullHandler())
        logger.setLevel(logging.CRITICAL)
        return False
    # Of now and not of the import: Dagster redirects the standard output of a step.
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(level)
    return True


def tell(message: str, *, level: int = logging.INFO, **fields: object) -> None:
    """One event. Fields that are not in ``FIELDS`` are refused, so that a review sees new ones.

    Raises:
        ValueError: a field has no place in a line; a mistake of the caller.
    """
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise ValueError(f"no field of a log line: {', '.join(sorted(unknown))}")
    logging.getLogger(LOGGER).log(level, message, extra=fields)


@contextmanager
def of_command(arguments: Sequence[str]) -> Iterator[None]:
    """Write one event at the end of a command: its name and exit code, never its arguments."""
    words = [word for word in arguments[:2] if word.isalpha() or "-" in word.strip("-")]
    name = " ".join(words if words[:1] in (["endpoints"], ["warehouse"]) else words[:1])
    started, code = time.monotonic(), 0
    try:
        yield
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except BaseException as error:
        code = 2 if isinstance(error, ConfigurationError) else 1
        raise
    finally:
        took = round((time.monotonic() - started) * 1_000)
        text = f"command {name or 'help'} ended"
        tell(text, event="command", command=name, exit_code=code, duration_ms=took)
