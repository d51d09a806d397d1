"""One event in every known envelope, by the name of the tool that writes it."""

from __future__ import annotations

import json
from typing import Any

from tests.dbt.scenario import line

AT = "2026-03-04T09:00:00.250000+00:00"
EVENT = line(7, AT, event='{"id": "a}{b}, {c", "currentTime": 1.5}')

SECOND = line(
    8, "2026-03-04T09:01:00+00:00", name="problem_check", event={"id": "}{", "a": [{}, {}]}
)


def wrapped(**fields: Any) -> str:
    """A JSON object as text."""
    return json.dumps(fields)


CRI = f"2026-03-04T09:00:01.1Z stdout F {EVENT}"
PREFIXED = (
    f"2026-03-04 09:00:01,123 INFO 12 [tracking] [user 7] [ip 192.0.2.1] logger.py:42 - {EVENT}"
)
ENVELOPES = {
    "bare": EVENT,
    "logger prefix": PREFIXED,
    "syslog": f"<134>1 2026-03-04T09:00:01Z lms-1 tracking 9 - - {EVENT}",
    "containerd": CRI,
    "byte order mark": "\ufeff" + EVENT,
    "Docker": wrapped(log=PREFIXED + "\n", stream="stderr", time="2026-03-04T09:00:02.5Z"),
    "Fluent Bit": wrapped(
        date=1772614802.1, log=CRI, kubernetes={"labels": {"a": "b"}, "host": "n1"}
    ),
    "Fluentd": wrapped(message=EVENT, tag="lms", kubernetes={"pod_name": "lms-1"}),
    "Filebeat": wrapped(**{"@timestamp": "2026-03-04T09:00:02Z", "message": EVENT, "host": {}}),
    "Filebeat, decoded": wrapped(**{"@timestamp": "x", "json": json.loads(EVENT)}),
    "CloudWatch": wrapped(
        messageType="DATA_MESSAGE",
        logGroup="lms",
        logEvents=[{"id": "1", "timestamp": 1772614802000, "message": EVENT}],
    ),
    "Loki": wrapped(streams=[{"stream": {"app": "lms"}, "values": [["1772614802000", EVENT]]}]),
    "logcli": wrapped(labels={"app": "lms"}, line=EVENT, timestamp="2026-03-04T09:00:02Z"),
    "journald": wrapped(MESSAGE=PREFIXED, PRIORITY="6", _PID="12"),
    "Google text": wrapped(textPayload=EVENT, resource={"type": "k8s"}, timestamp="x"),
    "Google JSON": wrapped(jsonPayload=json.loads(EVENT), resource={"type": "k8s"}),
    "Google JSON message": wrapped(jsonPayload={"message": EVENT}, severity="INFO"),
    "Splunk": wrapped(time=1772614802.1, host="lms-1", source="tracking", event=json.loads(EVENT)),
    "Kafka": wrapped(topic="t", partition=0, offset=3, key=None, value=EVENT),
    "Kafka Connect": wrapped(schema={"type": "string"}, payload=json.loads(EVENT)),
    "CloudEvents": wrapped(specversion="1.0", type="x", data=json.loads(EVENT)),
    "event bus": wrapped(event={"data": {"tracking_event": EVENT}}),
    "Elasticsearch": wrapped(_index="logs", _source={"message": EVENT}),
    "unknown key": wrapped(some_shipper_of_tomorrow={"deep": {"inside": EVENT}}),
    "context as text": json.dumps(
        json.loads(EVENT) | {"context": json.dumps(json.loads(EVENT)["context"])}
    ),
    "JSON string": json.dumps(EVENT),
    "logfmt": f"level=info msg={json.dumps(EVENT)} caller=x",
    "envelope with a source of its own": wrapped(
        event_source="kafka", event_type="log", data=json.loads(EVENT)
    ),
    "label that speaks of the field": wrapped(
        labels={"field": "event_source"}, error="no event_source {", message=EVENT
    ),
    "Kafka Connect with its schema": wrapped(
        schema={"fields": [{"field": "event_source"}]}, payload=json.loads(EVENT)
    ),
    "Graylog": wrapped(short_message=EVENT[:200], full_message=EVENT, level=6),
    "tuple with the event at its end": json.dumps(["1", "lms", None, EVENT]),
    "list": f"[{EVENT}]",
    "list of texts": json.dumps([EVENT]),
    "trailing comma": EVENT + ",",
    "NUL padding": EVENT + "\0\0\0",
    "twice": wrapped(log=wrapped(log=PREFIXED, stream="stdout"), kubernetes={}),
    "three times": wrapped(message=wrapped(log=wrapped(MESSAGE=EVENT))),
    "Docker in CloudWatch": wrapped(
        logEvents=[{"id": "1", "message": wrapped(log=PREFIXED, stream="stdout")}]
    ),
}
SEVERAL = [
    wrapped(first=EVENT, second=SECOND),
    wrapped(log={"1": json.loads(EVENT), "2": json.loads(SECOND)}, stream="stderr"),
    wrapped(first=json.loads(EVENT), log="level=info msg=" + json.dumps(SECOND) + " caller=x"),
    wrapped(lines=[EVENT], more=[SECOND]),
    json.dumps(["1772614802000", EVENT, SECOND]),
    json.dumps([None, EVENT, SECOND]),
    json.dumps(["1", "lms", "x", EVENT, 5, json.loads(SECOND)]),
]
"""Envelopes and tuples around two events, EVENT and SECOND."""
