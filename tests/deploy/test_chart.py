"""The values for Dagster's Helm chart: it knows them, and they set what the image needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.launcher import K8sRunLauncher

from sync.settings import PROJECT_ROOT
from tests.support.chart import code_server, unknown_keys, values
from tests.support.compose import DEPLOY, Service
from tests.support.dockerfile import read

VALUES = values()
CODE = code_server(VALUES)
DAEMON = VALUES["dagsterDaemon"]


def test_the_chart_knows_every_value() -> None:
    assert list(unknown_keys(VALUES)) == []


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (DAEMON, "runRetry"),
        (VALUES, "dagit"),
        (CODE, "environment"),
        (VALUES["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"], "pod_spec_config"),
    ],
)
def test_a_misspelt_value_would_be_noticed(
    section: dict[str, Any], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(section, key, {})
    assert [path.split(".")[-1] for path in unknown_keys(VALUES)] == [key]


def test_the_chart_says_what_dagster_yaml_says() -> None:
    instance: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert VALUES["additionalInstanceConfig"] == {
        name: instance[name] for name in ("nux", "run_queue", "concurrency")
    }
    assert snake(DAEMON["runMonitoring"]) == instance["run_monitoring"] | {
        "max_resume_run_attempts": 0
    }
    assert snake(DAEMON["runRetries"]) == instance["run_retries"]
    assert snake(DAEMON["sensors"]) == instance["sensors"]
    assert snake(DAEMON["schedules"]) == instance["schedules"]
    assert snake(VALUES["pythonLogs"]) == instance["python_logs"]
    for kind in ("schedule", "sensor"):
        assert snake(VALUES["retention"][kind]) == instance["retention"][kind]
    scheme = instance["storage"]["postgres"]["postgres_db"]["scheme"]
    assert VALUES["postgresql"]["postgresqlScheme"] == scheme


def test_dagster_starts_with_our_limits_only_if_the_chart_writes_none(tmp_path: Path) -> None:
    """An enabled coordinator has ``max_concurrent_runs: -1`` if nothing else is set."""
    assert DAEMON["runCoordinator"] == {"enabled": False}
    ours = VALUES["additionalInstanceConfig"]
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(ours), encoding="utf-8")
    settings, _ = dagster_instance_config(str(tmp_path))
    assert settings["run_queue"] == {"dequeue_interval_seconds": 2}
    theirs = {
        "module": "dagster._core.run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"max_concurrent_runs": -1},
    }
    without_queue = {name: value for name, value in ours.items() if name != "run_queue"}
    text = yaml.safe_dump(without_queue | {"run_coordinator": theirs})
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(dg.DagsterInvalidConfigError, match="max_concurrent_runs"):
        dagster_instance_config(str(tmp_path))


def test_the_chart_starts_the_code_server_of_the_image() -> None:
    command = " ".join(Service.named("code").command)
    assert " ".join(CODE["dagsterApiGrpcArgs"]) in command
    assert f"--port {CODE['port']}" in command
    users = {one.text for one in read() if one.name == "USER"}
    security = CODE["podSecurityContext"]
    assert users == {f"{security['runAsUser']}:{security['runAsGroup']}"}
    mounts = {one["mountPath"] for one in CODE["volumeMounts"]}
    assert CODE["env"]["LTW_SECRETS_DIR"] in mounts
    assert CODE["env"]["SNOWFLAKE_PRIVATE_KEY_PATH"].rsplit("/", 1)[0] in mounts


def test_the_web_server_opens_a_port_that_its_user_may_open_and_is_asked_there() -> None:
    """The chart starts it on its service's port; without capabilities, a port below 1024 fails."""
    server = VALUES["dagsterWebserver"]
    assert server["podSecurityContext"]["runAsNonRoot"] is True
    assert server["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert server["service"]["port"] >= 1024
    assert server["readinessProbe"]["httpGet"]["port"] == server["service"]["port"]


def test_a_start_up_probe_is_one_that_the_chart_writes() -> None:
    """The chart omits it unless set explicitly, and its schema's default is not applied."""
    assert CODE["startupProbe"]["enabled"] is True


def test_a_run_gets_the_memory_that_is_meant_for_it() -> None:
    """With ``includeConfigInLaunchedRuns``, the code server's resources override the launcher's."""
    assert CODE["includeConfigInLaunchedRuns"] == {"enabled": True}
    launcher = {"resources": {"limits": {"memory": "9Gi"}}}
    location = {"resources": CODE["resources"]}
    merged = _context(launcher).merge(_context(location)).run_k8s_config.container_config
    assert merged["resources"] == CODE["resources"]
    assert "resources" not in VALUES["runLauncher"]["config"]["k8sRunLauncher"]


def test_the_run_launcher_accepts_its_settings() -> None:
    given = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    config = {
        "image_pull_policy": given["imagePullPolicy"],
        "fail_pod_on_run_failure": given["failPodOnRunFailure"],
        "run_k8s_config": snake(given["runK8sConfig"]),
        "service_account_name": VALUES["global"]["serviceAccountName"],
        "instance_config_map": "dagster-instance",
        "dagster_home": "/opt/dagster/dagster_home",
    }
    result = process_config(dg.Field(K8sRunLauncher.config_type()).config_type, config)
    assert result.success, result.errors
    wrong = process_config(
        dg.Field(K8sRunLauncher.config_type()).config_type, config | {"imagePullPolicy": "Always"}
    )
    assert not wrong.success


def test_the_chart_is_that_of_the_dagster_that_is_installed() -> None:
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    assert re.findall(r"--version (\S+)", text) == [dg.__version__]
    documents = (PROJECT_ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert set(re.findall(r"--version (\d\S+)", documents)) == {dg.__version__}


def _context(config: dict[str, Any]) -> K8sContainerContext:
    return K8sContainerContext.create_from_config({"k8s": config})


def snake(value: Any) -> Any:
    """Keys spelled as in Dagster instead of the chart."""
    if not isinstance(value, dict):
        return value
    return {
        re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", key): (
            snake(inner) if key != "podSpecConfig" else inner
        )
        for key, inner in value.items()
    }
