"""``docs/events.md`` is correct: its YAML equals the file, and when enabled it sends a webhook."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import yaml

from sync.domain.event_types import COMPONENT, FOLDER, EventType, event_types
from sync.http.network import DEVELOPMENT_SETTING
from sync.local.raw_tables import insert_rows
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.dbt.scenario import RUN, enroll, stand_models
from tests.support.dbt import Dbt
from tests.support.definitions import STEPS, event_types_on, load_definitions, metadata_of
from tests.support.document_blocks import blocks_of
from tests.support.event_types import CERTIFICATES
from tests.support.marts import create_endpoints, endpoint
from tests.support.pipeline import SECRET
from tests.support.receiver import receiver
from tests.support.scenarios import Scenarios

PAGE = PROJECT_ROOT / "docs" / "events.md"
BLOCKS = blocks_of(PAGE)
RECORD = dg.AssetKey(["sync", "newly_recorded_certificates"])
SELECTED = [RECORD, *STEPS[1:]]


def test_the_yaml_of_certificates_is_that_of_the_file_and_has_at_most_30_lines() -> None:
    (block,) = [one for one in BLOCKS if one.language == "yaml"]
    text = (FOLDER / CERTIFICATES.name / "defs.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(block.text) == yaml.safe_load(text)
    assert len(block.text.splitlines()) <= 30


def test_every_attribute_and_every_type_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in EventType.model_fields:
        assert f"| `{name}` |" in text, name
    for one in event_types().values():
        assert f"| `{one.name}` | `marts.{one.mart}` | {'on' if one.enabled else 'off'} |" in text
    assert COMPONENT in text


def certificate(user_id: int, at: datetime, status: str = "downloadable") -> dict[str, object]:
    """A row as the LMS writes it."""
    return {
        "id": user_id,
        "user_id": user_id,
        "course_id": RUN,
        "download_url": "https://certificates.example.com/1.pdf",
        "grade": "0.9",
        "mode": "verified",
        "status": status,
        "modified_date": at,
    }


def test_certificates_that_are_switched_on_arrive_as_the_page_shows_them(
    scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = [json.loads(one.text) for one in BLOCKS if one.language == "json"]
    (command,) = [one.text for one in BLOCKS if one.text.startswith("ltw endpoints set")]
    option, asked = command.split()[-2:]
    assert (option, asked) == ("--event-types", CERTIFICATES.name)
    stand_models(scenarios, dbt)
    # Replaced by a table that points to the receiver.
    warehouse.execute("drop view analytics.marts.webhook_endpoints")
    enroll(warehouse, [1, 2, 3, 4])
    began = datetime(2026, 3, 1)
    insert_rows(warehouse, "certificates_generatedcertificate", [certificate(1, began)])
    with (
        receiver() as target,
        event_types_on(CERTIFICATES.name),
        dg.DagsterInstance.ephemeral() as instance,
    ):
        monkeypatch.setenv(DEVELOPMENT_SETTING, target.host_port)
        monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", SECRET)
        hooks = f"{target.url}/hooks/example"
        customer = shown["enterprise_customer"]["uuid"]
        create_endpoints(
            warehouse,
            [endpoint(1, hooks, enterprise_customer_uuid=customer, event_types=asked)],
        )
        job = load_definitions(dbt, CERTIFICATES.name).resolve_job_def("completion_webhooks_job")

        def run() -> dict[str, object]:
            result = job.execute_in_process(instance=instance, asset_selection=SELECTED)
            return metadata_of(result)["newly_recorded_certificates"]

        # The first run decides which certificates are old.
        assert run()["suppressed_before_activation"] == 1
        assert target.received == []
        later = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0, tzinfo=None)
        insert_rows(
            warehouse,
            "certificates_generatedcertificate",
            [certificate(2, later), certificate(3, later, "unverified")],
        )
        assert run()["recorded"] == 1
        (got,) = [json.loads(one.body) for one in target.received]
        assert got | {"timestamp": shown["timestamp"], "certificate": None} == shown | {
            "certificate": None
        }
        assert got["certificate"] == shown["certificate"] | {
            "awarded_date": f"{later.isoformat()}Z"
        }
        run()
        assert len(target.received) == 1
        # A certificate that no endpoint has asked for is not even recorded.
        create_endpoints(warehouse, [endpoint(1, hooks, enterprise_customer_uuid=customer)])
        insert_rows(warehouse, "certificates_generatedcertificate", [certificate(4, later)])
        assert run()["recorded"] == 0
