"""A temporary URL or timeout instead of the LMS's: subject to the same rules, and never shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync.delivery.endpoints import load_endpoints
from sync.http.network import DEVELOPMENT_SETTING
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.overrides import add_override, clear_overrides, in_force
from tests.support.command_line import Command
from tests.support.delivery import SECRET, enterprise
from tests.support.operator import World

TOKEN = "a-token-in-a-path"
OVERRIDES = "analytics.sync.endpoint_overrides"
AUDIT = ("--reason", "their new host", "--requested-by", "night")


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv(DEVELOPMENT_SETTING, world.target.host_port)
    for n in (1, 2):
        monkeypatch.setenv(f"LTW_SECRET_WEBHOOK_SIGNING_{n}", SECRET)
    return world


def tomorrow(world: World) -> str:
    return (world.clock() + timedelta(days=1)).isoformat()


def sent_to(world: World, user: int) -> list[str]:
    """The paths at which a webhook of a learner of customer 1 arrives."""
    world.complete(user)
    world.deliver()
    return [one.path for one in world.take()]


def test_the_next_run_sends_to_the_url_of_an_override_until_it_ends_by_itself(
    world: World, ltw: Command
) -> None:
    url = f"{world.target.url}/hooks/{TOKEN}"
    said = ltw("endpoints", "override", 1, "--url", url, "--until", tomorrow(world), *AUDIT)
    assert said.code == 0, said.text
    assert "another URL at 127.0.0.1 instead of the LMS's" in said.text
    assert sent_to(world, 2) == [f"/hooks/{TOKEN}"]
    assert load_endpoints(world.warehouse).by_id[1].timeout_seconds == 45
    world.warehouse.execute(f"update {OVERRIDES} set until_at = sysdate()")
    assert sent_to(world, 4) == ["/hooks/one"]


def test_it_is_told_wherever_one_looks_and_its_url_nowhere(world: World, ltw: Command) -> None:
    url = f"{world.target.url}/hooks/{TOKEN}"
    shown = [
        ltw("endpoints", "override", 1, "--url", url, "--until", tomorrow(world), *AUDIT),
        ltw("endpoints", "override", 1),
        ltw("endpoints", "override", 1, "--json"),
        ltw("endpoints", "list"),
        ltw("endpoints", "list", "--json"),
        ltw("status"),
        ltw("status", "--json"),
    ]
    for one in shown:
        assert "night" in one.text
        assert TOKEN not in one.text
    assert "To end it: `ltw endpoints override 1 --clear`" in ltw("status").text


def test_a_newer_one_takes_its_place_whole_and_cleared_ones_stay_as_rows(
    world: World, ltw: Command
) -> None:
    url = f"{world.target.url}/hooks/{TOKEN}"
    until = ("--until", tomorrow(world), *AUDIT)
    ltw("endpoints", "override", 1, "--url", url, *until)
    ltw("endpoints", "override", 1, "--timeout", 60, *until)
    first = load_endpoints(world.warehouse).by_id[1]
    assert (first.url, first.timeout_seconds) == (f"{world.target.url}/hooks/one", 60)
    cleared = ltw("endpoints", "override", 1, "--clear", "--requested-by", "day")
    assert "has the URL and the timeout from the LMS" in cleared.text
    assert load_endpoints(world.warehouse).by_id[1].timeout_seconds == 45
    rows = world.warehouse.rows(f"select cleared_by from {OVERRIDES} order by set_at")
    assert [row["cleared_by"] for row in rows] == ["night", "day"]


def test_it_makes_an_endpoint_usable_whose_url_the_lms_has_lost(world: World, ltw: Command) -> None:
    world.warehouse.execute(
        "update analytics.marts.webhook_endpoints set url = null where endpoint_id = 1"
    )
    assert sent_to(world, 2) == []
    url = f"{world.target.url}/hooks/{TOKEN}"
    ltw("endpoints", "override", 1, "--url", url, "--until", tomorrow(world), *AUDIT)
    world.deliver()
    assert [one.path for one in world.take()] == [f"/hooks/{TOKEN}"]


def test_what_the_old_address_was_refused_for_does_not_keep_the_new_one(
    world: World, ltw: Command
) -> None:
    ltw("endpoints", "disable", 1, *AUDIT)
    assert sent_to(world, 2) == []
    url = f"{world.target.url}/hooks/{TOKEN}"
    ltw("endpoints", "override", 1, "--url", url, "--until", tomorrow(world), *AUDIT)
    assert ltw("endpoints", "enable", 1).code == 0
    assert EndpointStates(world.warehouse).load([1])[1].disabled_by is None
    world.take()
    world.deliver()
    assert [one.path for one in world.take()] == [f"/hooks/{TOKEN}"]


AGAINST_THE_RULES = (
    ("--url", f"http://hooks.example.com/{TOKEN}"),
    ("--url", f"https://10.0.0.1/{TOKEN}"),
    ("--url", f"https://user:{TOKEN}@hooks.example.com/"),
    ("--url", f"https://hooks.example.com:8443/{TOKEN}"),
    ("--timeout", "0"),
    ("--timeout", "301"),
)


def test_an_override_keeps_the_rules_of_the_lms(world: World, ltw: Command) -> None:
    for option, value in AGAINST_THE_RULES:
        said = ltw("endpoints", "override", 1, option, value, "--until", tomorrow(world), *AUDIT)
        names = "url: " if option == "--url" else option
        assert (said.code, names in said.text, TOKEN in said.text) == (2, True, False), value
    assert world.warehouse.rows(f"select * from {OVERRIDES}") == []


HALF = {
    "1 --timeout 9 --reason x": "needs --until and --reason",
    "1 --timeout 9 --until 2099-01-01": "needs --until and --reason",
    "1 --timeout 9 --until 2026-01-01 --reason x": "is in the past",
    "1 --timeout 9 --clear": "clear ends an override",
    "1 --until 2099-01-01": "needs --url or --timeout",
    "99 --timeout 9 --until 2099-01-01 --reason x --requested-by night": "it has 1, 2",
    "77 --clear": "no endpoint 77",
}


def test_half_an_override_is_refused(world: World, ltw: Command) -> None:
    for arguments, names in HALF.items():
        said = ltw("endpoints", "override", *arguments.split())
        assert (said.code, names in said.text) == (2, True), arguments
    assert world.warehouse.rows(f"select * from {OVERRIDES}") == []


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(seconds=1)])
def test_of_two_who_override_at_once_the_override_of_one_stays(
    world: World, apart: timedelta
) -> None:
    """Each ends the older overrides after writing its own, without checking first."""
    now, until = world.clock(), world.clock() + timedelta(days=1)
    times = {
        add_override(
            world.warehouse,
            1,
            enterprise=enterprise(1),
            url=None,
            timeout_seconds=9,
            until=until,
            reason="",
            by="",
            now=at,
        ): at
        for at in (now - apart, now)
    }
    for mine, at in times.items():
        clear_overrides(world.warehouse, 1, by="", now=at, but=mine)
    assert len(world.warehouse.rows(in_force(world.warehouse))) == 1
    assert load_endpoints(world.warehouse).by_id[1].timeout_seconds == 9


def test_an_override_is_not_of_another_customer_that_has_the_id_by_now(
    world: World, ltw: Command
) -> None:
    """Data about one customer's learners must not reach another customer's URL."""
    url = f"{world.target.url}/hooks/{TOKEN}"
    ltw("endpoints", "override", 1, "--url", url, "--until", tomorrow(world), *AUDIT)
    endpoints = "analytics.marts.webhook_endpoints"
    world.warehouse.execute(f"delete from {endpoints} where endpoint_id = 1")
    world.warehouse.execute(f"update {endpoints} set endpoint_id = 1")
    assert sent_to(world, 3) == ["/hooks/two"]
    assert "another URL" not in ltw("endpoints", "list").text


def test_an_override_can_be_ended_after_its_endpoint_is_deleted(world: World, ltw: Command) -> None:
    ltw("endpoints", "override", 1, "--timeout", 60, "--until", tomorrow(world), *AUDIT)
    world.warehouse.execute("delete from analytics.marts.webhook_endpoints where endpoint_id = 1")
    assert "`ltw endpoints override 1 --clear`" in ltw("status").text
    assert ltw("endpoints", "override", 1, "--clear", "--requested-by", "day").code == 0
    assert "another timeout" not in ltw("status").text


def test_its_end_says_that_the_endpoint_is_disabled_still(world: World, ltw: Command) -> None:
    url = f"{world.target.url}/hooks/{TOKEN}"
    ltw("endpoints", "override", 1, "--url", url, "--until", tomorrow(world), *AUDIT)
    world.target.answers[f"/hooks/{TOKEN}"] = (410, {})
    sent_to(world, 2)
    said = ltw("endpoints", "override", 1, "--clear", "--requested-by", "day")
    assert "after its own 410" in said.text
    assert "`ltw endpoints enable 1`" in said.text
