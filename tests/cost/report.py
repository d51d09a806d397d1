"""The tables of docs/performance.md from the model of partitions."""

from __future__ import annotations

from tests.cost.increment import EVERYTHING, TABLES, Build
from tests.cost.year import DAILY, GAPS, LINES, YEAR


def increment_table(usual: Build, late: Build) -> str:
    """Partitions that one increment touches, by table."""
    rows = ["| table | partitions | read | rewritten | line 200 days late | keyed by learner |"]
    rows += ["|---|---:|---:|---:|---:|---:|"]
    for table in TABLES:
        touched, more = usual.touched(table), late.touched(table)
        whole = usual.with_old_key(table).rewritten[table] if table in (GAPS, DAILY) else 0
        rows.append(
            f"| `{table}` | {_count(table):,} | {_share(len(touched.scanned[table]), table)} "
            f"| {_share(touched.rewritten[table], table)} "
            f"| {_share(len(more.scanned[table]), table)} "
            f"| {_share(whole, table) if whole else ''} |"
        )
    return "\n".join(rows)


def readers_table(build: Build) -> str:
    """Partitions that each model after the increment reads."""
    rows = ["| model | lines | gaps | days |", "|---|---:|---:|---:|"]
    for model in (one for one in EVERYTHING if one not in TABLES):
        read = [len(build.touched(table, [model]).scanned[table]) for table in (LINES, GAPS, DAILY)]
        cells = [f"{count:,}" if count else "" for count in read]
        rows.append(f"| `{model}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _count(table: str) -> int:
    return len(YEAR.tables[table].partitions)


def _share(count: int, table: str) -> str:
    return f"{count:,} ({count / _count(table):.1%})" if count else "0"
