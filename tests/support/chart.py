"""The keys that Dagster's own Helm chart knows among the values of this project.

Key names only, for the sections in use. Where the chart's schema is open, Helm silently drops an
unknown key, so a misspelled one would only be noticed in production.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.support.compose import DEPLOY

IMAGE = "repository tag pullPolicy"
POD = "podSecurityContext securityContext resources"
RETRIES = "enabled maxRetries retryOnAssetOrOpFailure"
THREADS = "useThreads numWorkers numSubmitWorkers"
TICKS = "skipped success failure started"
PROBE = "initialDelaySeconds periodSeconds timeoutSeconds successThreshold failureThreshold"

KNOWN: Mapping[str, str] = {
    "": (
        "global generatePostgresqlPasswordSecret postgresql dagsterWebserver dagsterDaemon"
        " dagster-user-deployments runLauncher retention pythonLogs telemetry concurrency"
        " additionalInstanceConfig"
    ),
    "global": (
        "postgresqlSecretName dagsterHome serviceAccountName celeryConfigSecretName"
        " dagsterInstanceConfigMap"
    ),
    "postgresql": (
        "enabled image postgresqlHost postgresqlUsername postgresqlPassword postgresqlDatabase"
        " postgresqlParams postgresqlScheme service"
    ),
    "postgresql.service": "port",
    "dagsterWebserver": f"replicaCount image service env envSecrets readinessProbe {POD}",
    "dagsterWebserver.image": IMAGE,
    "dagsterWebserver.service": "type port annotations",
    "dagsterDaemon": (
        f"enabled image runCoordinator runMonitoring runRetries sensors schedules {POD}"
    ),
    "dagsterDaemon.image": IMAGE,
    "dagsterDaemon.runCoordinator": "enabled type config",
    "dagsterDaemon.runMonitoring": (
        "enabled startTimeoutSeconds cancelTimeoutSeconds maxResumeRunAttempts pollIntervalSeconds"
        " maxRuntimeSeconds freeSlotsAfterRunEndSeconds"
    ),
    "dagsterDaemon.runRetries": RETRIES,
    "dagsterDaemon.sensors": THREADS,
    "dagsterDaemon.schedules": THREADS,
    "dagster-user-deployments": "enabled enableSubchart imagePullSecrets deployments",
    "dagster-user-deployments.deployments": (
        "name image dagsterApiGrpcArgs port includeConfigInLaunchedRuns env envConfigMaps"
        f" envSecrets volumes volumeMounts startupProbe livenessProbe readinessProbe {POD}"
    ),
    "dagster-user-deployments.deployments.image": IMAGE,
    "dagster-user-deployments.deployments.includeConfigInLaunchedRuns": "enabled",
    "dagster-user-deployments.deployments.startupProbe": f"enabled exec {PROBE}",
    "dagster-user-deployments.deployments.livenessProbe": f"exec {PROBE}",
    "runLauncher": "type config",
    "runLauncher.config": "celeryK8sRunLauncher k8sRunLauncher customRunLauncher",
    "runLauncher.config.k8sRunLauncher": (
        "imagePullPolicy jobNamespace loadInclusterConfig envSecrets envVars volumes volumeMounts"
        " labels failPodOnRunFailure resources schedulerName securityContext runK8sConfig"
    ),
    "runLauncher.config.k8sRunLauncher.runK8sConfig": (
        "containerConfig podSpecConfig podTemplateSpecMetadata jobSpecConfig jobMetadata"
    ),
    "retention": "enabled schedule sensor autoMaterialize",
    "retention.schedule": "purgeAfterDays",
    "retention.schedule.purgeAfterDays": TICKS,
    "retention.sensor": "purgeAfterDays",
    "retention.sensor.purgeAfterDays": TICKS,
    "pythonLogs": "pythonLogLevel managedPythonLoggers dagsterHandlerConfig",
    "telemetry": "enabled",
}
"""Keys by the dotted path of their section; the chart allows any key in other sections."""


def values() -> dict[str, Any]:
    """``deploy/kubernetes/values.yaml``, with its anchors resolved."""
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def code_server(given: Mapping[str, Any]) -> dict[str, Any]:
    """The only code location in the values."""
    (found,) = given["dagster-user-deployments"]["deployments"]
    return found


def unknown_keys(given: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """Dotted paths of values that the chart does not know."""
    known = KNOWN[section].split()
    for key, value in given.items():
        path = f"{section}.{key}".removeprefix(".")
        if key not in known:
            yield path
        elif path in KNOWN:
            for one in value if isinstance(value, list) else [value]:
                yield from unknown_keys(one, path)
