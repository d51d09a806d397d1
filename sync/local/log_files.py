"""Tracking-log files on disk: their identity, and their lines in a form every engine loads alike.

A file is identified by its name and the SHA-256 of its bytes. Its lines are rewritten, a block at
a time, into gzip parts in which each line stays one line whatever it contains:

* each line starts with ``LINE_MARK``: an empty line stays a row, and no line can be mistaken for a
  number, a NULL marker or a quoted field;
* bytes that are not UTF-8 become U+FFFD; CRLF becomes LF; a lone carriage return becomes a space
  and ``FIELD_DELIMITER`` becomes U+FFFD (raw control characters are not valid inside JSON anyway);
* a line longer than ``MAX_LINE_BYTES`` is split into one line per top-level object, since a
  delivery stream without newlines writes several objects in a row; a result that is still too long
  is cut at that limit and counted.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from sync.errors import SyncError

LINE_MARK = ">"
FIELD_DELIMITER = "\x01"
"""Used instead of no delimiter: the embedded engine reads FIELD_DELIMITER = NONE literally."""

MAX_LINE_BYTES = 1_048_576
"""Open edX cuts events at 50,000 characters; the embedded engine refuses lines of 2 MB."""

PART_BYTES = 128 * 1_048_576
"""Uncompressed size of a part: limits memory and disk, and lets Snowflake load in parallel."""

SAMPLE_BYTES = 1_048_576
EVENT_FIELD = b"event_source"

_BLOCK_BYTES = 1_048_576
_SEPARATORS = b" \t\r,[]"
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}]', re.DOTALL)
"""A brace, or a string that may be cut off at the end of the text."""
_GZIP_MAGIC = b"\x1f\x8b"
_FOREIGN_MAGICS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
}

Advance = Callable[[int], None]
"""Called with the number of bytes read so far, as stored on disk."""


class LogFileError(SyncError):
    """A tracking-log file that cannot be loaded; the text names the file and the fix."""


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """A file at the time it was identified."""

    path: Path
    size_bytes: int
    sha256: str
    compression: Literal["none", "gzip"]

    @property
    def stored_name(self) -> str:
        """``file_name`` of its rows. The digest distinguishes files with the same name."""
        return f"{self.path.name}@{self.sha256[:12]}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some complete lines of a file, ready for upload."""

    path: Path
    lines: int
    byte_count: int
    """Uncompressed, without the parts that were cut off."""
    cut_lines: int


def check_readable(path: Path) -> None:
    """Raise LogFileError unless ``path`` is a regular file that can be opened."""
    try:
        if path.is_dir():
            raise LogFileError(f"{path} is a directory; name the files in it, e.g. {path}/*")
        if not path.exists():
            raise LogFileError(f"{path} does not exist; check the name")
        if not path.is_file():
            raise LogFileError(f"{path} is not a regular file; write its lines to a file first")
        with path.open("rb"):
            pass
    except OSError as error:
        raise _unreadable(path, error) from error


def identify(path: Path) -> LogFile:
    """Digest and compression of a file; reads it once.

    Raises LogFileError for files that ``check_readable`` refuses, for a ``.gz`` that is not gzip
    and for other compressions.
    """
    check_readable(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
            compression = _compression(path, head)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise _unreadable(path, error) from error
    return LogFile(path=path, size_bytes=size, sha256=digest, compression=compression)


@dataclass(frozen=True)
class Sample:
    """The first lines of a file."""

    lines: int
    events: int
    """Lines with the field that every tracking event has, whatever surrounds the event."""

    @property
    def is_a_log(self) -> bool:
        """Whether it looks like a tracking log: at least half of its lines have that field."""
        return self.events * 2 >= self.lines


def sample(log_file: LogFile) -> Sample:
    """Read up to ``SAMPLE_BYTES`` of a file.

    Raises:
        LogFileError: the file cannot be read.
    """
    path = log_file.path
    opened = gzip.open if log_file.compression == "gzip" else open
    try:
        with opened(path, "rb") as file:
            lines = [line for line in file.read(SAMPLE_BYTES).splitlines() if line.strip()]
    except (EOFError, zlib.error, gzip.BadGzipFile):
        # The full read will report what is wrong with the file.
        return Sample(0, 0)
    except OSError as error:
        raise _unreadable(path, error) from error
    return Sample(len(lines), sum(EVENT_FIELD in line for line in lines))


def write_parts(log_file: LogFile, directory: Path, *, advance: Advance) -> Iterator[Part]:
    """Write the lines of a file as gzip parts into ``directory``, yielding each when complete.

    Parts are numbered in line order; the caller may delete a part once it requests the next one.
    Raises LogFileError when the file is damaged, truncated, or no longer the one identified.
    """
    blocks = _cleaned_blocks(log_file, advance)
    number = 0
    block = next(blocks, None)
    while block is not None:
        path = directory / f"part-{number:05}.gz"
        lines = size = cut = 0
        with gzip.open(path, "wb", compresslevel=1) as out:
            while block is not None and size < PART_BYTES:
                marked, block_lines, block_bytes, block_cut = block
                out.write(marked)
                lines, size, cut = lines + block_lines, size + block_bytes, cut + block_cut
                block = next(blocks, None)
        yield Part(path=path, lines=lines, byte_count=size, cut_lines=cut)
        number += 1


class _Watched:
    """A file that counts and hashes what is read from it."""

    def __init__(self, file: BinaryIO, advance: Advance) -> None:
        self._file = file
        self._advance = advance
        self._count = 0
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        self._count += len(data)
        self._advance(self._count)
        return data

    def seek(self, *_: int) -> int:
        raise OSError("the file is read once, from start to end")

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _cleaned_blocks(log_file: LogFile, advance: Advance) -> Iterator[tuple[bytes, int, int, int]]:
    """Marked lines, with their number, original size and how many were cut."""
    path = log_file.path
    try:
        with path.open("rb") as file:
            watched = _Watched(file, advance)
            stream = gzip.GzipFile(fileobj=watched) if log_file.compression == "gzip" else watched
            for block in _whole_lines(stream.read):
                cleaned, cut = _cut_long_lines(_clean(block))
                lines = cleaned.count(b"\n")
                mark = LINE_MARK.encode()
                marked = mark + cleaned[:-1].replace(b"\n", b"\n" + mark) + b"\n"
                yield marked, lines, len(block), cut
            if watched.hexdigest() != log_file.sha256:
                raise LogFileError(
                    f"{path} changed while it was read; load it after the writer has rotated it"
                )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LogFileError(
            f"{path} is a damaged or cut-off gzip file ({error}); copy it again from its source"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _whole_lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Blocks that end in a newline. An overlong line is kept up to one byte above the limit."""
    rest = b""
    is_skipping = has_split = False
    while block := read(_BLOCK_BYTES):
        if has_split:
            block = block.lstrip(_SEPARATORS)
            has_split = not block
            block = block.removeprefix(b"\n")
        if is_skipping:
            newline = block.find(b"\n")
            if newline < 0:
                continue
            block, is_skipping = block[newline:], False
        data = rest + block
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end]
        rest = data[end:]
        if len(rest) > MAX_LINE_BYTES and (ends := _object_ends(rest)):
            yield b"\n".join(_pieces(rest, ends)) + b"\n"
            rest = rest[ends[-1] :].lstrip(_SEPARATORS)
            has_split = not rest
        if len(rest) > MAX_LINE_BYTES:
            rest, is_skipping = rest[: MAX_LINE_BYTES + 1], True
    if rest:
        yield rest.removesuffix(b"\r") + b"\n"


def _object_ends(text: bytes) -> list[int]:
    """The ends of complete top-level objects; braces in strings are ignored."""
    ends: list[int] = []
    position, depth = text.find(b"{"), 0
    while position >= 0 and (token := _TOKEN.search(text, position)):
        position = token.end()
        depth += {b"{": 1, b"}": -1}.get(token[0], 0)
        if depth == 0:
            ends.append(position)
            position = text.find(b"{", position)
    return ends


def _pieces(text: bytes, ends: list[int]) -> list[bytes]:
    return [
        text[begin:end].lstrip(_SEPARATORS) for begin, end in zip([0, *ends], ends, strict=False)
    ]


def _clean(block: bytes) -> bytes:
    if not block.isascii():
        try:
            block.decode("utf-8")
        except UnicodeDecodeError:
            block = block.decode("utf-8", errors="replace").encode("utf-8")
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    delimiter = FIELD_DELIMITER.encode()
    return block.replace(delimiter, "\ufffd".encode()) if delimiter in block else block


def _cut_long_lines(block: bytes) -> tuple[bytes, int]:
    start = 0
    while len(block) - start > MAX_LINE_BYTES + 1:
        newline = block.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if newline < 0:
            break
        start = newline + 1
    else:
        return block, 0
    lines = [record for line in block[:-1].split(b"\n") for record in _records(line)]
    kept = [
        line
        if len(line) <= MAX_LINE_BYTES
        else line[:MAX_LINE_BYTES].decode("utf-8", errors="ignore").encode("utf-8")
        for line in lines
    ]
    return b"\n".join(kept) + b"\n", sum(len(line) > MAX_LINE_BYTES for line in lines)


def _records(line: bytes) -> list[bytes]:
    """The line; or, if it is too long, its objects and what follows the last one."""
    ends = _object_ends(line) if len(line) > MAX_LINE_BYTES else []
    if not ends:
        return [line]
    rest = line[ends[-1] :].strip(_SEPARATORS)
    return [*_pieces(line, ends), *([rest] if rest else [])]


def _compression(path: Path, head: bytes) -> Literal["none", "gzip"]:
    for magic, name in _FOREIGN_MAGICS.items():
        if head.startswith(magic):
            raise LogFileError(f"{path} is compressed with {name}; decompress it, or use gzip")
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    if path.suffix == ".gz" and head:
        raise LogFileError(
            f"{path} is named .gz but is not gzip; drop the suffix if it is plain text"
        )
    return "none"


def _unreadable(path: Path, error: OSError) -> LogFileError:
    return LogFileError(f"{path} cannot be read: {error.strerror or error}")
