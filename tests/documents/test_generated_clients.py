"""Clients generated from ``docs/openapi.json`` accept every sample, also with an additional key.

``pip install datamodel-code-generator`` and ``npm install -g quicktype`` install the generators,
which running or building this project does not need.
"""

from __future__ import annotations

import json
import runpy
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sync.operations.openapi import document
from tests.documents.test_openapi import KINDS
from tests.support.programs import needs
from tests.support.samples import bodies

pytestmark = pytest.mark.prove

Bodies = Sequence[tuple[str, str]]
"""Names of schemas, and JSON for each."""


def schema_of(webhook: str) -> str:
    content = document()["webhooks"][webhook]["post"]["requestBody"]["content"]
    return content["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]


def samples() -> list[tuple[str, Any]]:
    """Every body that the documents show, and the samples of the document itself."""
    shown = [(schema_of(KINDS[kind]), json.loads(body)) for kind, body in bodies().items()]
    for webhook in set(KINDS.values()):
        content = document()["webhooks"][webhook]["post"]["requestBody"]["content"]
        sample = content["application/json"]["examples"]["sample"]["value"]
        shown.append((schema_of(webhook), sample))
    return shown


def with_one_more(value: Any) -> Any:
    """The same with an unknown key in each object."""
    if not isinstance(value, dict):
        return value
    return {name: with_one_more(one) for name, one in value.items()} | {"one_more": "x"}


def closed(value: Any) -> Any:
    """The document changed to forbid unknown keys."""
    if isinstance(value, list):
        return [closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    more = {"additionalProperties": False} if "properties" in value else {}
    return {name: closed(one) for name, one in value.items()} | more


def in_python(made: Mapping[str, Any], given: Bodies, directory: Path) -> list[bool]:
    source, target = directory / "openapi.json", directory / "webhook_models.py"
    source.write_text(json.dumps(made), encoding="utf-8")
    command = ["datamodel-codegen", "--input", str(source), "--input-file-type", "openapi"]
    command += ["--output", str(target), "--output-model-type", "pydantic_v2.BaseModel"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    models = runpy.run_path(str(target), run_name="webhook_models")

    def takes(schema: str, body: str) -> bool:
        try:
            models[schema].model_validate_json(body)
        except ValueError:
            return False
        return True

    return [takes(*one) for one in given]


def in_javascript(made: Mapping[str, Any], given: Bodies, directory: Path) -> list[bool]:
    source = directory / "openapi.json"
    source.write_text(json.dumps(made), encoding="utf-8")
    for schema in {name for name, _ in given}:
        command = ["quicktype", "--src-lang", "schema", "--lang", "javascript", "--top-level", "It"]
        command += ["--out", str(directory / f"{schema}.js")]
        command += [f"{source}#/components/schemas/{schema}"]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    main = """
for (const [schema, body] of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  try { require(`./${schema}.js`).toIt(body); console.log("true"); }
  catch (error) { console.log("false"); }
}
"""
    (directory / "main.js").write_text(main, encoding="utf-8")
    done = subprocess.run(
        ["node", "main.js"],  # noqa: S607
        cwd=directory,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [word == "true" for word in done.stdout.split()]


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(in_python, id="datamodel-code-generator", marks=needs("datamodel-codegen")),
        pytest.param(in_javascript, id="quicktype", marks=needs("quicktype", "node")),
    ],
)
def test_a_generated_client_takes_every_sample_and_one_with_a_key_more(
    client: Callable[[Mapping[str, Any], Bodies, Path], list[bool]], tmp_path: Path
) -> None:
    given = [(schema, json.dumps(body)) for schema, body in samples()]
    given += [(schema, json.dumps(with_one_more(body))) for schema, body in samples()]
    assert client(document(), given, tmp_path) == [True] * len(given)
    refused = client(closed(document()), given, tmp_path)
    assert refused == [True] * len(samples()) + [False] * len(samples())
    assert client(document(), [(given[0][0], "{}")], tmp_path) == [False]
