"""Wrong settings and broken data give a clear message or a counted outcome, never loss or hang."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
from snowflake.connector import platform_detection

from sync.errors import ConfigurationError
from sync.http.secrets import SecretStore
from sync.ledger.tables import ensure_ledger
from sync.local.embedded.lifecycle import ensure_running
from sync.local.raw_tables import insert_rows
from sync.local.receiver import ReceiverError, running_receiver
from sync.local.tracking_logs import Loaded, Skipped, load_logs
from sync.settings import EmbeddedWarehouse, SnowflakeWarehouse
from sync.warehouse import Warehouse, WarehouseUnavailable, open_warehouse, private_key_der
from tests.dbt.scenario import stand_models
from tests.support.completions import ENTERPRISE, completion
from tests.support.dbt import Dbt
from tests.support.dead_hosts import closed_port
from tests.support.delivery import PASSED_AT, Run, all_steps, enterprise
from tests.support.marts import create_marts, endpoint
from tests.support.receiver import Receiver
from tests.support.scenarios import Scenarios


def outcomes(warehouse: Warehouse) -> dict[int, tuple[str, str | None]]:
    """State and reason by learner."""
    rows = warehouse.rows("select user_id, state, state_reason from analytics.sync.webhook_outbox")
    return {row["user_id"]: (row["state"], row["state_reason"]) for row in rows}


# --- settings and servers


def test_a_warehouse_that_nobody_started_is_an_error_that_names_command_and_setting(
    tmp_path: Path,
) -> None:
    started = time.monotonic()
    with (
        closed_port("127.0.0.1") as port,
        pytest.raises(WarehouseUnavailable, match=r"warehouse start.*LTW_WAREHOUSE_PORT"),
        open_warehouse(EmbeddedWarehouse(port=port, home=tmp_path), purpose="tests"),
    ):
        pass
    assert time.monotonic() - started < 30


def test_a_login_to_the_embedded_warehouse_asks_no_cloud_where_it_runs(
    warehouse_settings: EmbeddedWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION")
    asked: list[str] = []
    for name in ("is_ec2_instance", "is_azure_vm", "is_gce_vm"):
        monkeypatch.setattr(platform_detection, name, lambda *_, name=name: asked.append(name))
    with open_warehouse(warehouse_settings, purpose="tests"):
        assert asked == []


def test_a_port_of_another_program_is_named_with_the_fix(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port} .*LTW_WAREHOUSE_PORT"):
            ensure_running(EmbeddedWarehouse(port=port, home=tmp_path))
        with (
            pytest.raises(ReceiverError, match=rf"port {port} is in use"),
            running_receiver(secrets=SecretStore({}, None), port=port),
        ):
            pass


@pytest.mark.parametrize(
    ("key", "path", "named"),
    [
        pytest.param("not a key", "", "SNOWFLAKE_PRIVATE_KEY:", id="no key"),
        pytest.param("", "absent.p8", "SNOWFLAKE_PRIVATE_KEY_PATH:", id="no file"),
    ],
)
def test_an_unusable_private_key_is_named_and_not_shown(
    tmp_path: Path, key: str, path: str, named: str
) -> None:
    settings = SnowflakeWarehouse(
        account="example",
        user="example",
        role="example",
        warehouse="example",
        database="ANALYTICS",
        schema="PUBLIC",
        private_key=key,
        private_key_path=str(tmp_path / path) if path else "",
    )
    with pytest.raises(ConfigurationError) as caught:
        private_key_der(settings)
    assert str(caught.value).startswith(named)
    assert "not a key" not in str(caught.value)


# --- rows


ENDPOINT_ROWS: dict[int, tuple[dict[str, object], tuple[str, str | None]]] = {
    1: ({}, ("delivered", None)),
    2: ({"url": "htp:/broken gate"}, ("held", "endpoint_invalid")),
    3: ({"url": None}, ("held", "endpoint_row_invalid")),
    4: ({"region": "MARS"}, ("held", "endpoint_row_invalid")),
    5: ({"is_active": False}, ("held", "no_active_endpoint")),
}
"""Customers, the fault in their endpoint's row, and the outcome of a completion."""
WITHOUT_AN_ENDPOINT = 6


def test_a_broken_or_missing_endpoint_row_holds_back_its_own_customer_only(
    scenarios: Scenarios, warehouse: Warehouse, target: Receiver, tmp_path: Path
) -> None:
    scenarios.stand("ledger", ensure_ledger)
    create_marts(
        warehouse,
        completions=[
            completion(n, PASSED_AT, enterprise_customer_uuid=enterprise(n))
            for n in (*ENDPOINT_ROWS, WITHOUT_AN_ENDPOINT)
        ],
        endpoints=[
            endpoint(n, f"{target.url}/in", enterprise_customer_uuid=enterprise(n)) | changes
            for n, (changes, _) in ENDPOINT_ROWS.items()
        ],
    )
    all_steps(warehouse, Run(host_ports=target.host_port, journals=tmp_path, endpoints=5))
    assert outcomes(warehouse) == {n: state for n, (_, state) in ENDPOINT_ROWS.items()} | {
        WITHOUT_AN_ENDPOINT: ("suppressed", "no_endpoint")
    }
    assert [json.loads(one.body)["learner"]["user_id"] for one in target.received] == [1]


def test_a_completion_without_a_user_row_is_listed_and_found_when_the_row_arrives(
    scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt
) -> None:
    """A replica whose tables arrive at different times must not lose a learner."""
    stand_models(scenarios, dbt)
    course = "course-v1:ExampleX+DATA101+2026_T1"
    customer = ENTERPRISE.replace("-", "")
    insert_rows(
        warehouse,
        "enterprise_enterprisecustomer",
        [{"uuid": customer, "name": "Example Industries", "active": True}],
    )
    insert_rows(
        warehouse,
        "enterprise_enterprisecustomeruser",
        [{"id": 1, "enterprise_customer_id": customer, "user_id": 7, "linked": True}],
    )
    insert_rows(
        warehouse,
        "enterprise_enterprisecourseenrollment",
        [{"id": 1, "enterprise_customer_user_id": 1, "course_id": course}],
    )
    insert_rows(
        warehouse,
        "student_courseenrollment",
        [{"id": 1, "user_id": 7, "course_id": course, "is_active": True, "mode": "verified"}],
    )
    insert_rows(
        warehouse,
        "grades_persistentcoursegrade",
        [
            {
                "id": 1,
                "user_id": 7,
                "course_id": course,
                "percent_grade": 0.9,
                "letter_grade": "Pass",
                "passed_timestamp": PASSED_AT,
            }
        ],
    )
    consent = {"id": 1, "enterprise_customer_id": customer, "course_id": course, "granted": True}
    insert_rows(warehouse, "consent_datasharingconsent", [consent | {"username": "learner_7"}])

    def eligible() -> list[int]:
        rows = warehouse.rows("select user_id from analytics.marts.completed_enrollments")
        return [row["user_id"] for row in rows]

    assert eligible() == []
    assert warehouse.rows(
        "select user_id, ineligible_reason from analytics.marts.ineligible_completions"
    ) == [{"user_id": 7, "ineligible_reason": "user_missing"}]
    user = {"id": 7, "username": "learner_7", "email": "learner_7@example.com", "is_active": True}
    insert_rows(warehouse, "auth_user", [user])
    assert eligible() == [7]


# --- log files


def test_lines_that_are_no_json_arrive_and_an_empty_file_is_told(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """Loading accepts every line: the models count it, with its reason."""
    dirty, empty = tmp_path / "dirty.log", tmp_path / "empty.log"
    dirty.write_bytes(b'\0\0\0\0\nnot JSON\n\n{"cut": \n')
    empty.write_bytes(b"")
    first, second = load_logs(warehouse, [dirty, empty], progress=lambda _: None)
    assert isinstance(first, Loaded)
    assert first.lines == 4
    assert second == Skipped(file=empty, reason="it is empty")


COUNTS = (
    "int_learning_gaps",
    "int_learning_event_counts",
    "int_tracking_line_counts",
    "quarantined_lines",
    "tracking_line_counts",
)


def test_unreadable_lines_are_counted_with_their_reason(
    scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt, tmp_path: Path
) -> None:
    stand_models(scenarios, dbt)
    good = json.dumps(
        {
            "name": "play_video",
            "event_source": "browser",
            "time": "2026-03-04T10:00:00+00:00",
            "context": {"user_id": 7, "course_id": "course-v1:ExampleX+DATA101+2026_T1"},
        }
    )
    path = tmp_path / "tracking.log"
    path.write_bytes(b'\0\0\0\0\nnot JSON\n{"cut": \n\0' + good.encode() + b"\n")
    load_logs(warehouse, [path], progress=lambda _: None)
    dbt("run", "--select", "int_tracking_events", *COUNTS)
    assert _reasons(warehouse) == {"line_without_object": 2, "line_unreadable": 1}
    kept = warehouse.rows(
        "select line_count from analytics.marts.tracking_line_counts where outcome = 'learning'"
    )
    assert kept == [{"line_count": 1}], "NUL padding before a good object costs nothing"


def _reasons(warehouse: Warehouse) -> dict[str, int]:
    rows = warehouse.rows(
        "select reason, sum(line_count) as n from analytics.marts.quarantined_lines group by reason"
    )
    return {row["reason"]: int(row["n"]) for row in rows}
