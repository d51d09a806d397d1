"""Structured logs: one JSON line per event, for log collectors.

Text is the default, since people read a terminal: then no JSON line is written at all. The lines go
to standard output through ``logging``; structlog renders them as JSON.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from sync.errors import ConfigurationError

FORMAT_SETTING = "LTW_LOG_FORMAT"
LEVEL_SETTING = "LTW_LOG_LEVEL"
LOGGER = logging.getLogger("learning_time_webhooks")
"""Not under ``sync``: Dagster stores those logs in its database, and a line per webhook would fill
it."""
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
"""The fields allowed in a line besides time, level, logger and message. All others are dropped, so
that no caller can log a learner's data by mistake."""


def json_formatter() -> logging.Formatter:
    """One JSON object per line. Dagster's instance names this function for its runs' logs."""
    from structlog import processors, stdlib

    return stdlib.ProcessorFormatter(
        processors=[
            processors.EventRenamer("message"),  # `event` is one of our fields
            stdlib.ExtraAdder(allow=FIELDS),
            processors.TimeStamper(fmt="iso", key="time"),
            stdlib.add_log_level,
            stdlib.add_logger_name,
            _bounded,
            processors.JSONRenderer(ensure_ascii=False),
        ]
    )


def _bounded(_: object, __: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    """The fields of a line that have a value, plus run, job and step from Dagster's own fields.

    An exception becomes its type and text, without local values.
    """
    from_dagster = getattr(line["_record"], "dagster_meta", None)
    if isinstance(from_dagster, Mapping):
        line.update(
            run_id=from_dagster.get("run_id"),
            job=from_dagster.get("job_name"),
            step=from_dagster.get("step_key"),
            message=from_dagster.get("orig_message") or line["message"],
        )
    kind, error, _ = line.get("exc_info") or (None, None, None)
    if kind is not None:
        line["error"] = f"{kind.__name__}: {error}"
    shown = ("time", "level", "logger", *FIELDS, "job", "step", "message", "error")
    return {name: line[name] for name in shown if line.get(name) is not None}


def format_and_level(environ: Mapping[str, str]) -> tuple[str, str]:
    """The line format and the lowest level, from the environment.

    Raises:
        ConfigurationError: a setting has an invalid value; names it.
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


def configure(environ: Mapping[str, str], *, stream: TextIO | None = None) -> None:
    """Write events, or none, as the environment configures it.

    Raises:
        ConfigurationError: a setting has an invalid value; names it.
    """
    form, level = format_and_level(environ)
    LOGGER.propagate = False
    if form == "text":
        LOGGER.handlers = [logging.NullHandler()]
        LOGGER.setLevel(logging.CRITICAL)
        return
    # Not the stream at import time: Dagster redirects a step's standard output.
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(json_formatter())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(level)


def write(message: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one event. Fields that are not in ``FIELDS`` are refused, so a review sees new ones.

    Raises:
        ValueError: a field is not in ``FIELDS``; the caller is wrong.
    """
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise ValueError(f"not a field of a log line: {', '.join(sorted(unknown))}")
    LOGGER.log(level, message, extra=fields)


@contextmanager
def command_logged(arguments: Sequence[str]) -> Iterator[None]:
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
        write(text, event="command", command=name, exit_code=code, duration_ms=took)
