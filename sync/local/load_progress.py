"""Load tracking logs with a progress bar and a line per file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from sync.local.tracking_logs import Loaded, Outcome, Reading, Skipped, load_logs
from sync.warehouse import Warehouse


def load_with_progress(
    warehouse: Warehouse,
    files: Iterable[Path],
    *,
    console: Console,
    is_quiet: bool,
    is_any_text_taken: bool,
) -> list[Outcome]:
    """Load files and show the progress.

    Raises:
        LogFileError, LoadFailed: as ``load_logs``; the bar is removed first.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=is_quiet,
    )
    with bar:
        task = bar.add_task("", total=None)

        def tell(text: str) -> None:
            # A file name is not markup, and must not be wrapped, so that it can be copied.
            console.print(text, markup=False, soft_wrap=True)

        def show(seen: Reading | Loaded | Skipped) -> None:
            match seen:
                case Reading(file=file, bytes_read=done, bytes_total=total):
                    bar.update(task, description=file.name, completed=done, total=total)
                case _ if is_quiet:
                    pass
                case Loaded(file=file, lines=lines, seconds=seconds):
                    rate = f"{lines / seconds:,.0f} lines/s" if seconds else ""
                    tell(f"loaded   {file}: {lines:,} lines  {rate}")
                    if (first := seen.sample).events < first.lines:
                        tell(
                            f"         {first.events:,} of its first {first.lines:,} lines look "
                            "like tracking events"
                        )
                    if seen.cut_lines:
                        tell(f"         {seen.cut_lines} lines were too long and are cut")
                case Skipped(file=file, reason=reason):
                    tell(f"skipped  {file}: {reason}")

        return load_logs(warehouse, files, progress=show, is_any_text_taken=is_any_text_taken)


def summary(outcome: Outcome) -> dict[str, object]:
    """An outcome for JSON."""
    match outcome:
        case Loaded():
            return {
                "file": str(outcome.file),
                "outcome": "loaded",
                "lines": outcome.lines,
                "cut_lines": outcome.cut_lines,
            }
        case Skipped():
            return {"file": str(outcome.file), "outcome": "skipped", "reason": outcome.reason}
