"""A strict subset of YAML with the data model of JSON, for files that people write.

Plain data only. No tags, so the values are texts, numbers, true, false, null, lists and mappings;
no anchors, so a small file stays small; no duplicate keys, so nothing is silently lost. Words such
as ``no`` and ``on``, and dates, are texts, as in YAML 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from sync.errors import SyncError

MAX_BYTES = 65_536
"""Forty times the largest format that we know of."""
MAX_DEPTH = 24
"""Maximum nesting of lists and mappings; code that reads the result may recurse."""

_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?")

_DOUBTFUL = re.compile(
    r"true|false|null|[-+]?\.(inf|nan)|0x[0-9a-f]+|0o[0-7]+"
    r"|[-+]?(0|[1-9][0-9_]*|(?=\.[0-9]))(\.[0-9_]*)?(e[-+]?[0-9]+)?",
    re.IGNORECASE,
)
"""Scalars that YAML 1.1 or 1.2 (yaml.org/spec/1.2.2, 10.3.2) does not read as text, in a form that
is refused here: other letters, signs and bases, and numbers with more digits than every reader
supports."""


class YamlError(SyncError):
    """The text is not accepted; one line that names the line and the fix."""


def read_yaml(content: bytes) -> Any:
    """The single document in the text.

    Raises:
        YamlError: as for ``read_documents``, or there is not exactly one document.
    """
    found = read_documents(content)
    if len(found) != 1:
        raise YamlError(f"it has {len(found)} documents; write one")
    return found[0]


def read_documents(content: bytes) -> list[Any]:
    """The documents in the text, in order.

    Raises:
        YamlError: it is not YAML, or uses a feature of YAML that is not accepted.
    """
    if len(content) > MAX_BYTES:
        raise YamlError(f"it has {len(content):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        # The C parser is ten times as fast, and a code location may read a hundred files.
        events = yaml.parse(content.decode(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return [_read(one, events, 0) for one in events if isinstance(one, yaml.NodeEvent)]
    except UnicodeDecodeError:
        raise YamlError("it is not UTF-8; save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(f"line {line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError):
        raise YamlError("it holds a character that YAML does not allow; remove it") from None


def _read(event: Any, events: Iterator[yaml.Event], depth: int) -> object:
    """The value that starts with ``event``; the rest of it is read from ``events``."""
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _refused(event, "anchors and aliases (& and *) are not supported; write it out")
    if event.tag is not None:
        raise _refused(event, "tags (!) are not supported; remove it, and quote a text with a !")
    if depth > MAX_DEPTH:
        raise _refused(event, f"more than {MAX_DEPTH} levels; make it flatter")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        return [_read(one, events, depth + 1) for one in _until(yaml.SequenceEndEvent, events)]
    found: dict[str, object] = {}
    for one in _until(yaml.MappingEndEvent, events):
        key = _read(one, events, depth + 1)
        if not isinstance(key, str):
            raise _refused(one, "a key must be a text; put it in quotes")
        if key in found:
            raise _refused(one, f"the key {key[:40]!r} is there twice; remove one")
        found[key] = _read(next(events), events, depth + 1)
    return found


def _until(end: type[yaml.Event], events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    while not isinstance(event := next(events), end):
        yield event


def _scalar(event: yaml.ScalarEvent) -> object:
    text = event.value
    if any("\ud800" <= one <= "\udfff" for one in text):
        raise _refused(event, "half a surrogate pair is not a character; remove it")
    is_plain, _ = event.implicit
    if not is_plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    if _DOUBTFUL.fullmatch(text):
        raise _refused(
            event,
            f"{text[:40]} may be a text or not; write true, false, null or a number such as -0.5 "
            "with 18 digits at most, or put it in quotes",
        )
    return text


def _refused(event: yaml.Event, what: str) -> YamlError:
    return YamlError(f"line {event.start_mark.line + 1}: {what}")
