"""Endpoint URLs: one strict interpretation, and the rule that a bad one breaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import ConfigurationError
from sync.http.urls import InvalidTarget, Rule, Target, parse_development_targets, parse_url


def parse(url: str, *ports: int) -> Target:
    return parse_url(url, frozenset(), frozenset(ports or (443,)))


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://hooks.example.com", "https://hooks.example.com/"),
        ("https://hooks.example.com:443/in?a=b%20c", "https://hooks.example.com/in?a=b%20c"),
        ("HTTPS://Hooks.Example.COM./In", "https://hooks.example.com/In"),
        ("https://hooks.example.com?a=b", "https://hooks.example.com/?a=b"),
        ("https://xn--bcher-kva.example.com/", "https://xn--bcher-kva.example.com/"),
        ("https://93.184.216.34/", "https://93.184.216.34/"),
        ("https://[2606:4700:4700:0::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://a_b.example.com/a/../b//c", "https://a_b.example.com/a/../b//c"),
    ],
)
def test_a_good_url_is_read_in_canonical_form(url: str, canonical: str):
    assert parse(url).url == canonical


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", Rule.SYNTAX),
        ("hooks.example.com/in", Rule.SYNTAX),
        ("https:/hooks.example.com", Rule.SYNTAX),
        ("https://hooks.example.com/" + "x" * 2048, Rule.SYNTAX),
        ("https:///in", Rule.HOST),
        ("https://:443/", Rule.HOST),
        ("https://hooks.example.com:/", Rule.HOST),
        ("https://hooks.example.com:443:443/", Rule.HOST),
        ("https://[::1/", Rule.HOST),
        ("https://[::g]/", Rule.HOST),
        ("https://-a.example.com/", Rule.HOST),
        ("https://a..example.com/", Rule.HOST),
        ("https://hooks.example.com../", Rule.HOST),
        ("https://" + "a." * 126 + "example.com/", Rule.HOST),
        ("https://" + "a" * 64 + ".example.com/", Rule.HOST),
        ("http://hooks.example.com/", Rule.SCHEME),
        ("ftp://hooks.example.com/", Rule.SCHEME),
        ("https://hooks.example.com:22/", Rule.PORT),
        ("https://hooks.example.com:99999/", Rule.PORT),
        ("https://user@hooks.example.com/", Rule.CREDENTIALS),
        ("https://@hooks.example.com/", Rule.CREDENTIALS),
        ("https://hooks.example.com/#part", Rule.FRAGMENT),
        ("https://[fe80::1%25eth0]/", Rule.ZONE),
        ("https://hooks%2eexample.com/", Rule.ZONE),
        ("https://hooks.example.com/a b", Rule.CHARACTERS),
        ("https://hooks.example.com/\n", Rule.CHARACTERS),
        ("https://hooks.example.com\\@inner/", Rule.CHARACTERS),
        ("https://bücher.example.com/", Rule.CHARACTERS),
        ("https://127.1/", Rule.NUMERIC_HOST),
        ("https://0x7f.1/", Rule.NUMERIC_HOST),
        ("https://a.0x7f/", Rule.NUMERIC_HOST),
        ("https://0x/", Rule.NUMERIC_HOST),
        ("https://0177.0.0.1/", Rule.NUMERIC_HOST),
        ("https://1.2.3.256/", Rule.NUMERIC_HOST),
        ("https://1.2.3.4.5/", Rule.NUMERIC_HOST),
        ("https://2130706433/", Rule.NUMERIC_HOST),
        ("https://kubernetes/", Rule.INNER_NAME),
        ("https://LOCALHOST./", Rule.INNER_NAME),
        ("https://a.localhost/", Rule.INNER_NAME),
        ("https://printer.local/", Rule.INNER_NAME),
        ("https://metadata.google.internal/", Rule.INNER_NAME),
    ],
)
def test_a_bad_url_is_refused_by_the_rule_it_breaks(url: str, rule: Rule):
    with pytest.raises(InvalidTarget) as caught:
        parse(url)
    assert caught.value.rule is rule
    assert str(caught.value) == rule.value


def test_inner_names_are_refused_only_as_the_last_label():
    assert parse("https://localhost.example.com/").host == "localhost.example.com"
    assert parse("https://internal.example.com/").host == "internal.example.com"


def test_a_deployment_may_allow_a_further_port():
    target = parse("https://hooks.example.com:8443/", 443, 8443)
    assert target.port == 8443
    assert target.host_header == "hooks.example.com:8443"


def test_the_path_of_a_target_does_not_show():
    assert "canary" not in repr(parse("https://hooks.example.com/in?token=canary"))


@given(st.text())
def test_any_text_is_a_target_or_breaks_a_rule(text: str):
    for url in (text, f"https://{text}", f"https://{text}.example.com/{text}"):
        try:
            target = parse(url)
        except InvalidTarget:
            continue
        assert parse(target.url) == target


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", set()),
        ("  ", set()),
        ("localhost:8080", {("localhost", 8080)}),
        ("127.0.0.1:8080, [::1]:8443", {("127.0.0.1", 8080), ("::1", 8443)}),
        ("Receiver:9 receiver.:10", {("receiver", 9), ("receiver", 10)}),
    ],
)
def test_development_targets_are_exact_pairs(text: str, pairs: set[tuple[str, int]]):
    assert parse_development_targets(text) == pairs


@pytest.mark.parametrize("text", ["localhost", "localhost:", "*:80", "127.1:80", "a:b", "x:1:2"])
def test_a_development_target_that_is_no_pair_is_refused_by_name(text: str):
    with pytest.raises(ConfigurationError, match="development target"):
        parse_development_targets(text)
