"""Every operator action, in the order in which an operator usually needs them.

Each is an ``ltw`` command and a Dagster job; both are generated from this list.
"""

from __future__ import annotations

from collections.abc import Sequence

from sync.operations.backfill import Backfill
from sync.operations.customer_report import CustomerReport
from sync.operations.doctor.doctor import Doctor
from sync.operations.endpoint_override import OverrideEndpoint
from sync.operations.endpoint_settings import SetEndpoint
from sync.operations.endpoint_switch import DisableEndpoint, EnableEndpoint
from sync.operations.erase import Erase
from sync.operations.explain.explain import Explain
from sync.operations.operation import Kind
from sync.operations.pauses import PauseSending, ResumeSending
from sync.operations.preview import Preview
from sync.operations.replay import Replay
from sync.operations.reroute import Reroute
from sync.operations.retention import Retention
from sync.operations.send_test import SendTest
from sync.operations.settle import Settle

OPERATIONS: Sequence[Kind] = (
    Doctor,
    Preview,
    Explain,
    PauseSending,
    ResumeSending,
    SendTest,
    CustomerReport,
    Replay,
    Reroute,
    Backfill,
    Settle,
    DisableEndpoint,
    EnableEndpoint,
    OverrideEndpoint,
    SetEndpoint,
    Retention,
    Erase,
)
