"""Lines of tracking-log files are split into parts unchanged, whatever they contain."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.local import log_files
from sync.local.log_files import LogFileError, Part, identify, write_parts


def parts_of(path: Path, directory: Path) -> list[Part]:
    directory.mkdir(exist_ok=True)
    return list(write_parts(identify(path), directory, advance=lambda _: None))


def lines_in(parts: list[Part]) -> list[str]:
    """What an engine would read: rows split at LF, each without its marker."""
    text = b"".join(gzip.decompress(part.path.read_bytes()) for part in parts).decode("utf-8")
    rows = text.split("\n")
    assert rows.pop() == ""
    assert all(row.startswith(log_files.LINE_MARK) for row in rows)
    return [row[1:] for row in rows]


def read_back(content: bytes, tmp_path: Path) -> list[str]:
    path = tmp_path / "tracking.log"
    path.write_bytes(content)
    return lines_in(parts_of(path, tmp_path / "parts"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"a\nb\n", ["a", "b"], id="plain"),
        pytest.param(b"a\nb", ["a", "b"], id="no final newline"),
        pytest.param(b"a\r\nb\r\n", ["a", "b"], id="CRLF"),
        pytest.param(b"a\r\nb\r", ["a", "b"], id="CR at the very end"),
        pytest.param(b"a\rb\n", ["a b"], id="lone CR becomes a space"),
        pytest.param(b"\n\na\n", ["", "", "a"], id="empty lines stay lines"),
        pytest.param(b"\x00\x00{}\n", ["\x00\x00{}"], id="NUL padding"),
        pytest.param(b"a\xffb\n", ["a\ufffdb"], id="not UTF-8"),
        pytest.param(b"a\x01b\n", ["a\ufffdb"], id="the delimiter itself"),
        pytest.param(b'"a\\N,NONE\n', ['"a\\N,NONE'], id="quote, NULL marker, comma"),
        pytest.param("é\u2028ü\n".encode(), ["é\u2028ü"], id="Unicode line separator"),
    ],
)
def test_a_line_stays_one_line(content: bytes, expected: list[str], tmp_path: Path) -> None:
    assert read_back(content, tmp_path) == expected


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x01"), max_size=30),
        min_size=1,
        max_size=20,
    ),
    st.integers(min_value=1, max_value=40),
    st.integers(min_value=1, max_value=60),
    st.booleans(),
)
def test_any_text_comes_back_line_by_line_at_any_block_and_part_size(
    lines: list[str], block: int, part: int, is_gzip: bool
) -> None:
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "_BLOCK_BYTES", block)
        patch.setattr(log_files, "PART_BYTES", part)
        path = Path(scratch) / ("tracking.log.gz" if is_gzip else "tracking.log")
        content = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(content) if is_gzip else content)
        parts = parts_of(path, Path(scratch) / "parts")
        assert lines_in(parts) == lines
        assert sum(one.lines for one in parts) == len(lines)
        assert sum(one.byte_count for one in parts) == len(content)


@pytest.mark.parametrize("block", [3, 7, 64])
def test_a_line_over_the_limit_is_cut_and_counted_and_its_neighbors_are_whole(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr(log_files, "_BLOCK_BYTES", block)
    path = tmp_path / "tracking.log"
    path.write_bytes(b"before\n" + b"x" * 50 + b"\nexactly 10\n" + b"y" * 11 + b"\nafter\n")
    parts = parts_of(path, tmp_path / "parts")
    assert lines_in(parts) == ["before", "x" * 10, "exactly 10", "y" * 10, "after"]
    assert sum(part.cut_lines for part in parts) == 2


objects = st.dictionaries(
    st.text('ab}{"', max_size=2), st.text('ab}{"\\\\, []', max_size=4), max_size=2
).map(json.dumps)


@given(
    records=st.lists(objects, min_size=2, max_size=9),
    separator=st.sampled_from(["", " ", ",", " , "]),
    ends=st.sampled_from([("", ""), ("[", "]"), ("", "\n"), ("[", "]\n")]),
    block=st.integers(1, 40),
)
def test_an_over_long_line_is_split_into_the_objects_side_by_side_in_it(
    records: list[str], separator: str, ends: tuple[str, str], block: int
) -> None:
    """A delivery stream writes files of a hundred megabytes without a newline."""
    content = ends[0] + separator.join(records) + ends[1]
    limit = max(len(one) for one in records) + 6
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        patch.setattr(log_files, "MAX_LINE_BYTES", limit)
        patch.setattr(log_files, "_BLOCK_BYTES", block)
        (Path(directory) / "parts").mkdir()
        found = read_back(content.encode(), Path(directory))
    assert all(len(one) <= limit for one in found)
    decoder, read = json.JSONDecoder(), []
    for line in found:
        rest = line.strip(" ,[]")
        while rest:
            one, end = decoder.raw_decode(rest)
            read.append(one)
            rest = rest[end:].lstrip(" ,[]")
    assert read == [json.loads(one) for one in records]


def test_a_brace_in_a_string_ends_no_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MAX_LINE_BYTES", 30)
    records = ['{"a": "}{", "b": 1}', r'{"a": "\\\"}{"}', '{"a": {"b": {}}}']
    assert read_back("".join(records).encode(), tmp_path) == records


def test_a_cut_never_splits_a_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_LINE_BYTES", 10)
    assert read_back(("a" + "é" * 9 + "\n").encode(), tmp_path) == ["a" + "é" * 4]


def test_bytes_that_grow_when_replaced_still_respect_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U+FFFD takes three bytes: a megabyte of garbage must not become a line of three megabytes."""
    monkeypatch.setattr(log_files, "MAX_LINE_BYTES", 9)
    assert read_back(b"\xff" * 9 + b"\n", tmp_path) == ["\ufffd" * 3]


def test_an_empty_file_has_no_part(tmp_path: Path) -> None:
    assert parts_of(_file(tmp_path / "a.log", b""), tmp_path / "parts") == []
    assert parts_of(_file(tmp_path / "a.log.gz", gzip.compress(b"")), tmp_path / "parts") == []


def test_gzip_is_recognized_by_its_content_so_a_missing_suffix_does_not_matter(
    tmp_path: Path,
) -> None:
    path = _file(tmp_path / "tracking.log-1", gzip.compress(b"a\n") + gzip.compress(b"b\n"))
    assert lines_in(parts_of(path, tmp_path / "parts")) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("a.gz", b"plain text", "not gzip", id="plain text named gz"),
        pytest.param("a.log", b"\x28\xb5\x2f\xfdxxxx", "zstd", id="zstd"),
        pytest.param("a.gz", b"BZh91AY", "bzip2", id="bzip2 named gz"),
        pytest.param("a.gz", gzip.compress(b"x" * 9999)[:-12], "cut-off", id="truncated"),
        pytest.param("a.gz", gzip.compress(b"x\n") + b"rubbish", "damaged", id="rubbish behind"),
        pytest.param(
            "a.gz", gzip.compress(b"x\n")[:-5] + b"\0\0\0\0\0", "damaged", id="wrong checksum"
        ),
    ],
)
def test_a_damaged_file_is_named_with_the_fix(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = _file(tmp_path / name, content)
    with pytest.raises(LogFileError, match=message) as caught:
        parts_of(path, tmp_path / "parts")
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_directory_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(LogFileError, match="does not exist"):
        identify(tmp_path / "absent.log")
    with pytest.raises(LogFileError, match="directory"):
        identify(tmp_path)


def test_a_pipe_is_refused_at_once_instead_of_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogFileError, match="not a regular file"):
        identify(tmp_path / "pipe")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """A live tracking.log: half of its last line would be loaded, but never the rest."""
    path = _file(tmp_path / "tracking.log", b"a\n")
    log_file = identify(path)
    path.write_bytes(b"a\nb\n")
    with pytest.raises(LogFileError, match="changed"):
        list(write_parts(log_file, tmp_path, advance=lambda _: None))


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    log_file = identify(_file(tmp_path / "a.gz", gzip.compress(b"line\n" * 1000)))
    seen: list[int] = []
    list(write_parts(log_file, tmp_path, advance=seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == log_file.size_bytes


def test_the_stored_name_changes_with_the_content_and_not_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = identify(_file(tmp_path / "tracking.log", b"a\n"))
    elsewhere = identify(_file(tmp_path / "other" / "tracking.log", b"a\n"))
    grown = identify(_file(tmp_path / "tracking.log", b"a\nb\n"))
    assert first.stored_name == elsewhere.stored_name
    assert first.stored_name != grown.stored_name


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
