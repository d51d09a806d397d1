"""Tracking-log lines of the sample data: sessions of learners, and the noise around them.

They come in the order in which a server would write them: nearly, not exactly, by time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from sync.local.sample_people import Study
from sync.local.sample_templates import (
    BROWSER_AGENT,
    HOST,
    STUDIO_HOST,
    Templates,
    make_templates,
    request_line,
)
from sync.local.sample_time import DAY, HOUR, MICROSECONDS, to_microseconds, write_time

EVENTS_PER_SESSION = 14
"""Average number of lines one session gives, noise included; sizes are derived from it."""

Scheduled = tuple[int, int, str]
"""When the line is written (microseconds since 1970), a number that breaks ties, the line."""


@dataclass(kw_only=True)
class LogWriter:
    """Generates the log of ``[begin, end)`` for some studies, about ``lines`` lines long."""

    rng: Random
    studies: Sequence[Study]
    begin: int
    end: int
    lines: int
    fixtures: Sequence[Scheduled] = ()
    """Lines that must be there, beside the ones of chance."""
    _templates: dict[int, Templates] = field(default_factory=dict)
    _serial: int = 0

    def write(self) -> Iterator[tuple[int, str]]:
        """Lines with the microsecond at which each was written, in that order."""
        waiting: list[Scheduled] = list(self.fixtures)
        heapq.heapify(waiting)
        for starts_at, index, is_desk in self._sessions():
            while waiting and waiting[0][0] < starts_at:
                yield self._pop(waiting)
            for at, line in self._session(index, starts_at, is_desk=is_desk):
                heapq.heappush(waiting, self._numbered(at, line))
                chance = self.rng.random()
                if chance < 0.003:  # the same line once more, soon or much later
                    again = at + self.rng.choice((1, 900, 4000)) * MICROSECONDS
                    heapq.heappush(waiting, self._numbered(again, line))
                elif chance < 0.063:
                    heapq.heappush(waiting, self._numbered(at, self._noise(at, index)))
        while waiting:
            yield self._pop(waiting)

    def _pop(self, waiting: list[Scheduled]) -> tuple[int, str]:
        at, _, line = heapq.heappop(waiting)
        return min(at, self.end - 1), line

    def _numbered(self, at: int, line: str) -> Scheduled:
        self._serial += 1
        return at, self._serial, line

    def _sessions(self) -> list[tuple[int, int, bool]]:
        """Start and study of each session, by start; True: on a desk, never on a phone.

        One of those precedes every pass by under an hour, so that every pass has learning time.
        """
        rng = self.rng
        active = [index for index, study in enumerate(self.studies) if study.is_active]
        planned: list[tuple[int, int, bool]] = []
        for index in active:
            passed_at = self.studies[index].passed_at
            if passed_at and self.begin <= (at := to_microseconds(passed_at)) < self.end:
                before = rng.randrange(20 * 60, 55 * 60) * MICROSECONDS
                planned.append((at - before, index, True))
        if active:  # something after the last pass, so that no load ends at one
            planned.append((self.end - 2 * HOUR, active[0], True))
        days = (self.end - self.begin) // DAY
        wanted = (self.lines - len(self.fixtures)) // EVENTS_PER_SESSION
        for _ in range(max(wanted - len(planned), 0) if active else 0):
            # People study 18 of 24 hours, and some sessions run past midnight.
            second = rng.randrange(6 * 3600, 24 * 3600)
            at = self.begin + rng.randrange(days) * DAY + second * MICROSECONDS
            planned.append((at + rng.randrange(MICROSECONDS), rng.choice(active), False))
        return sorted(planned)

    def _session(self, index: int, at: int, *, is_desk: bool) -> Iterator[tuple[int, str]]:
        rng = self.rng
        templates = self._templates.get(index)
        if templates is None:
            templates = self._templates[index] = make_templates(self.studies[index], index)
        is_mobile = rng.random() < 0.08 and not is_desk
        # Phones deliver when they are online again: minutes to two days later.
        received = at + rng.choice((5, 600, 30 * 3600, 48 * 3600)) * MICROSECONDS + 2 * HOUR
        for _ in range(rng.randrange(4, 21)):
            if at >= self.end or (is_mobile and received >= self.end):
                return
            fields = {"time": write_time(at), "n": rng.randrange(1, 90)}
            if is_mobile:
                fields["received"] = write_time(received)
                yield received, rng.choice(templates.mobile) % fields
            elif (kind := rng.random()) < 0.75:
                # Every two-hundredth line is written a moment too early: not quite in order.
                written = at - rng.randrange(900_000) if kind < 0.005 else at
                yield written, rng.choice(templates.browser) % fields
            elif kind < 0.88:
                yield at, rng.choice(templates.server) % fields
            else:
                for template in templates.check:
                    yield at, template % (fields | {"time": write_time(at)})
                    at += 400_000
            at += self._gap()

    def _gap(self) -> int:
        chance = self.rng.random()
        if chance < 0.3:
            return self.rng.randrange(MICROSECONDS)
        if chance < 0.9:
            return self.rng.randrange(2 * MICROSECONDS, 240 * MICROSECONDS)
        if chance < 0.985:
            return self.rng.randrange(240 * MICROSECONDS, 1_500 * MICROSECONDS)
        # The timeout itself, one microsecond beside it, and a break.
        return self.rng.choice((1_799_999_999, 1_800_000_000, 1_800_000_001, 3 * HOUR))

    def _noise(self, at: int, index: int) -> str:
        """A line that no one's learning time may depend on."""
        rng, study, time = self.rng, self.studies[index], write_time(at)
        run, who = study.courserun_key, study.learner
        chance = rng.random()
        if chance < 0.4:
            return request_line(time, f"/courses/{run}/about", run, "", "null", "ExampleBot/3.1")
        if chance < 0.6:
            poll = f"/courses/{run}/instructor/api/list_instructor_tasks"
            return request_line(time, poll, run, "tutor_b", "31", BROWSER_AGENT)
        if chance < 0.75:
            return request_line(time, "/heartbeat", "", "", '""', "ELB-HealthChecker/2.0")
        if chance < 0.85:
            line = request_line(
                time, "play_video", run, who.username, str(who.user_id), BROWSER_AGENT
            )
            return line.replace(f'"host":"{HOST}"', f'"host":"{STUDIO_HOST}"')
        if chance < 0.97:
            name = "edx.user.settings.changed"
            return request_line(time, name, run, who.username, str(who.user_id), BROWSER_AGENT)
        if chance < 0.99:
            line = request_line(
                time, "page_close", run, who.username, str(who.user_id), BROWSER_AGENT
            )
            return line[: rng.randrange(40, 200)]
        return ""
