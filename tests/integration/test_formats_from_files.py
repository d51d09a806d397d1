"""A format from a file in a run: sent like any other, and held while its file cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sync.delivery.build import EnrichmentPolicy
from sync.operations.next_run import next_run
from tests.support.completions import add_completions, completion
from tests.support.marts import create_endpoints, endpoint
from tests.support.pipeline import OTHER_ENTERPRISE, PASSED_AT, Pipeline

ACME = """
headers: {X-Version: "%s"}
success_statuses: [409]
bodies:
  course_completion:
    who: {fact: username}
    version: "%s"
"""
Process = Callable[..., None]


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    """The next process, with this content in ``acme.yml``; None: no such file."""
    number = iter(range(100))

    def start(text: str | None, **others: str) -> None:
        folder = tmp_path / f"formats{next(number)}"
        folder.mkdir()
        for name, content in {"acme": text, **others}.items():
            if content is not None:
                (folder / f"{name}.yml").write_text(content)
        monkeypatch.setenv("LTW_FORMATS_DIR", str(folder))

    return start


def endpoints(pipeline: Pipeline, payload_format: str = "acme") -> None:
    url = f"{pipeline.target.url}/hooks"
    other = endpoint(2, f"{url}/other", enterprise_customer_uuid=OTHER_ENTERPRISE)
    create_endpoints(
        pipeline.warehouse, [endpoint(1, f"{url}/acme", payload_format=payload_format), other]
    )


def of_two_customers(pipeline: Pipeline) -> None:
    other = completion(3, PASSED_AT, enterprise_customer_uuid=OTHER_ENTERPRISE)
    add_completions(pipeline.warehouse, [other])
    endpoints(pipeline)
    pipeline.detect()


def states(pipeline: Pipeline) -> list[object]:
    return [row["state_reason"] or row["state"] for row in pipeline.rows("state, state_reason")]


def announced(pipeline: Pipeline) -> list[str | None]:
    found = next_run(
        pipeline.warehouse,
        policy=EnrichmentPolicy(enabled=False),
        clock=pipeline.clock,
        readiness_of=pipeline.readiness,
    )
    assert any("acme.yml" in problem for problem in found.problems)
    lines = sorted(found.lines, key=lambda line: line.fate.endpoint_id or 0)
    return [line.fate.reason for line in lines if line.fate.verdict == "hold"]


def test_a_format_from_a_file_is_sent_with_its_headers_and_its_successes(
    pipeline: Pipeline, process: Process
) -> None:
    process(ACME % (1, 1))
    of_two_customers(pipeline)
    pipeline.target.answers["/hooks/acme"] = (409, {})
    assert pipeline.build().built == {"flag_off": 3}
    pipeline.send()
    assert states(pipeline) == ["delivered"] * 3
    first = next(one for one in pipeline.target.received if one.path == "/hooks/acme")
    assert first.headers["x-version"] == "1"
    assert json.loads(first.body) == {"who": "learner_1", "version": "1"}


@pytest.mark.parametrize("text", [None, "bodies: {}"], ids=["vanished", "broken"])
def test_what_a_file_has_built_is_held_without_it_and_goes_out_with_its_bytes(
    pipeline: Pipeline, process: Process, text: str | None
) -> None:
    process(ACME % (1, 1))
    of_two_customers(pipeline)
    pipeline.build()
    process(text)
    assert announced(pipeline) == ["endpoint_row_invalid"] * 2
    report = pipeline.send()
    assert states(pipeline) == ["endpoint_row_invalid"] * 2 + ["delivered"]
    assert "acme.yml" in report.problems[1]
    process(ACME % (2, 2))
    pipeline.send()
    assert states(pipeline) == ["delivered"] * 3
    told = [one for one in pipeline.target.received if one.path == "/hooks/acme"]
    assert [json.loads(one.body)["version"] for one in told] == ["1", "1"]


def test_what_is_not_built_waits_for_the_file_and_is_built_with_the_new_one(
    pipeline: Pipeline, process: Process
) -> None:
    process("bodies: {course_completion: {a: {fact: nothing}}}")
    of_two_customers(pipeline)
    assert announced(pipeline) == ["endpoint_row_invalid"] * 2
    report = pipeline.build()
    assert report.held == {"endpoint_row_invalid": 2}
    assert report.built == {"flag_off": 1}
    assert "acme.yml: bodies.course_completion.a: no fact nothing" in next(iter(report.problems))
    process(ACME % (2, 2))
    assert pipeline.build().built == {"flag_off": 2}
    pipeline.send()
    assert states(pipeline) == ["delivered"] * 3


def test_an_event_that_a_format_has_no_body_for_is_held_and_names_files_that_are_broken(
    pipeline: Pipeline, process: Process
) -> None:
    process("bodies: {course_enrollment: {who: {fact: username}}}")
    of_two_customers(pipeline)
    report = pipeline.build()
    assert report.held == {"payload_invalid": 2}
    assert set(report.problems) == {"the endpoint's format has no body for course_completion"}
    process("bodies: {course_enrollment: {who: {fact: username}}}", broken="extends: v3")
    (problem,) = pipeline.build().problems
    assert problem.endswith("; broken.yml: bodies: it is missing")
    process(ACME % (1, 1))
    assert pipeline.build().built == {"flag_off": 2}


def test_a_message_in_a_format_that_its_endpoint_has_left_is_held_without_its_file(
    pipeline: Pipeline, process: Process
) -> None:
    process(ACME % (1, 1))
    of_two_customers(pipeline)
    pipeline.build()
    endpoints(pipeline, "v2")
    add_completions(pipeline.warehouse, [completion(4, PASSED_AT)])
    pipeline.detect()
    process(None)
    pipeline.build()
    assert announced(pipeline) == ["endpoint_row_invalid"] * 2
    report = pipeline.send()
    assert states(pipeline) == ["endpoint_row_invalid"] * 2 + ["delivered"] * 2
    (said,) = set(report.unchecked)
    assert said.startswith("endpoint 1: ")
    assert "acme.yml" in said
    pipeline.send()
    assert states(pipeline) == ["endpoint_row_invalid"] * 2 + ["delivered"] * 2
    process(ACME % (1, 1))
    pipeline.send()
    assert states(pipeline) == ["delivered"] * 4
