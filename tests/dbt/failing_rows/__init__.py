"""Rows that make each data test fail, and neighbors that it lets through.

A new data test gets an entry here, in the file of its subject: a base that passes, and one case
for each branch, comparison (a row on each side), join (a row missing on each side) and NULL.
"""

from __future__ import annotations

from tests.dbt.failing_rows import deliveries, keys, learning_time, sources

PROOFS = keys.PROOFS | sources.PROOFS | learning_time.PROOFS | deliveries.PROOFS
