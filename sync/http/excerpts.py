"""What is kept of a response body: facts that identify no one, and nothing that was sent.

Receivers echo what they got, in any encoding. Stripping known personal data can never be complete,
so only known harmless data is kept: the media type and the words of a refusal, both from lists in
this file, and the length. There is no hash: a short body's hash can be reversed by guessing
addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

EXAMINED_BYTES = 4 * 1024
"""Only the start is searched for words: error texts are there, and the work stays bounded."""
MAX_WORDS = 40
GAP = "..."
"""Replaces words that are not in the vocabulary."""

MEDIA_TYPES = frozenset(
    {
        "application/json",
        "application/octet-stream",
        "application/problem+json",
        "application/problem+xml",
        "application/soap+xml",
        "application/vnd.api+json",
        "application/x-www-form-urlencoded",
        "application/xhtml+xml",
        "application/xml",
        "text/html",
        "text/plain",
        "text/xml",
    }
)
# None is a common name of a person or a place, so "page", "long", "field" and "post" are missing.
_REFUSING = """
abort aborted accept acceptable accepted access account activated active address administrator again
allowed allowlist allowlisted already api application archived argument array attempt attempts
attribute audience auth authenticate authenticated authentication authority authorization authorized
available backend bad banned bearer blocked body boolean busy canceled cancelled cannot capacity
captcha cert certificate certificates challenge channel character characters client clock closed
cloudflare completion conflict connect connection constraint content cookie cors course created
credential credentials csrf customer damaged data database date deactivated deadlock decode decoded
deleted denied deny deprecated did digest disabled disconnected dns does domain duplicate duplicated
duration email empty enable enabled encoding endpoint enrollment enterprise entity error errors
event events exceed exceeded exceeds exception exist existing exists expected expire expired expires
explicit failed failure fatal filter firewall forbidden format found function future gateway given
gone greater handler handshake has header headers hmac hostname html http https id identifier ids
inaccessible inactive incomplete incorrect insufficient integer internal invalid issuer json jwt key
keys large larger later learner length license limit limited limits locked login maintenance
malformed mandatory many match maximum media memory message method minimum mismatch missing moved
must name network no nonce none not null number oauth object obsolete offline organization origin
out overload overloaded parameter parameters parse parsing password path payload payment permanently
permission permissions permitted policy precondition private privileges processed processing
prohibited property protocol provided proxy public query queue quota rate reached read reason
received receiver recognized redirect refresh refused rejected replay replayed request requests
required reserved reset resource response restrict restricted retry revision revoked role route rule
rules schema scheme scope secret secure security send sender sent server service session signature
signatures signed signing size skew source spam ssl stale state status stopped storage string
subject subscribed subscription success successful suspended syntax system temporarily temporary
tenant terminated throttle throttled throttling time timed timeout timestamp tls token tokens too
traceback traffic transaction transport trial try type unable unacceptable unauthenticated
unauthorized unavailable undefined unexpected unhandled unique unknown unpaid unprocessable
unreachable unreadable unrecognized unregistered unresolved unsuccessful unsupported unverified
upgrade upstream uri url urls use used user utf valid validate validated validating validation value
values verification verified verify version violation waf webhook webhooks whitelist whitelisted
wrong xml
"""
VOCABULARY = frozenset(_REFUSING.split())
"""Words with which software refuses a request."""

_RUN = re.compile(r"[A-Za-z0-9]+")
# The words of invalidSignature, InvalidSignature and HTTPError.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LONGEST_RUN = 48
# Without this, the letter of a JSON-escaped line break would stick to the next word.
_ESCAPED_BLANK = re.compile(r"\\[nrt]")


def excerpt(body: bytes, *, media_type: str, is_encoded: bool = False, is_cut: bool = False) -> str:
    """Media type, length in bytes, and the words of ``VOCABULARY`` at the start of a body.

    For example ``application/json, 61 bytes: invalid signature ... expired``. ``media_type`` is the
    header ``Content-Type``; ``is_encoded`` means that the body is compressed, ``is_cut`` that it is
    longer than what was read. At most 1,000 characters, whatever the body contains.
    """
    if not body:
        return "no body"
    facts = f"{_media_type(media_type)}, {len(body)} bytes{' or more' if is_cut else ''}"
    if is_encoded:
        return f"{facts}, encoded"
    words = " ".join(_words(body[:EXAMINED_BYTES].decode("latin-1")))
    return f"{facts}: {words}" if words else facts


def _media_type(header: str) -> str:
    found = header.partition(";")[0].strip().lower()
    if not found:
        return "no media type"
    return found if found in MEDIA_TYPES else "other media type"


def _words(text: str) -> Iterator[str]:
    """Known words in order, with gaps between them; never the same word twice in a row."""
    count, last, is_gap = 0, "", False
    for run in _RUN.findall(_ESCAPED_BLANK.sub(" ", text)):
        for word in _split(run):
            if word not in VOCABULARY:
                is_gap = True
            elif is_gap or word != last:
                if is_gap and last:
                    yield GAP
                yield word
                count, last, is_gap = count + 1, word, False
                if count == MAX_WORDS:
                    return


def _split(run: str) -> list[str]:
    # A run with a digit, or a very long one, is a number, a key or an encoding, not text.
    if len(run) > _LONGEST_RUN or not run.isalpha():
        return [GAP]
    return [run] if run.islower() else [word.lower() for word in _WORD.findall(run)]
