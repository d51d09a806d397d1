"""Replica rows of the sample data's learners: accounts, enrollments, grades, consents."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sync.local.sample_customers import CustomerRows, Endpoint, Rows, Tables
from sync.local.sample_people import (
    DIRTY,
    ORG,
    TROUBLES,
    Customer,
    Learner,
    Study,
    Trouble,
    course_runs,
    learner,
)

FIRST_USER_ID = 5001
COUNTRIES = ("US", "DE", "GB", "FR", "us", "IN")


@dataclass(frozen=True, kw_only=True)
class SampleCompletion:
    """A pass the models must see, and what must become of it."""

    case: str
    wave: int
    """Index of the wave that brings the grade row."""
    enterprise_customer_uuid: str
    user_id: int
    courserun_key: str
    passed_at: datetime
    ineligible_reason: str | None
    eligible_from_wave: int | None
    """None: never. Later than ``wave`` when the consent arrives late."""


@dataclass(frozen=True, kw_only=True)
class Replica:
    """Everything but the log lines. ``tables`` has one entry per wave."""

    tables: tuple[Tables, ...]
    studies: tuple[Study, ...]
    dirty_study: Study
    completions: tuple[SampleCompletion, ...]
    endpoints: tuple[Endpoint, ...]


def build_replica(
    *,
    rng: Random,
    learners: int,
    courses: int,
    customers: int,
    days: int,
    start: datetime,
    receiver_url: str,
) -> Replica:
    """Rows for ``learners`` ordinary learners and one for each entry of ``TROUBLES``."""
    rows = Rows()
    who = CustomerRows(
        rows=rows,
        rng=rng,
        created=start - timedelta(days=200),
        receiver_url=receiver_url.rstrip("/"),
    )
    who.add_all(customers)
    builder = _Builder(rows=rows, rng=rng, start=start, days=days, customers=who.customers)
    runs = course_runs(courses)
    working = [one for one in who.customers if one.kind == "working"]
    for index in range(learners):
        # Three of eight finish in each wave, two of eight never do.
        wave = (0, 1, 0, None, 1, 0, 1, None)[index % 8]
        trouble = Trouble(case="ordinary", has_passed=wave is not None)
        builder.add_learner(trouble, working[index % len(working)], runs[index % len(runs)], wave)
    for index, trouble in enumerate(TROUBLES):
        customer = next(one for one in who.customers if one.kind == trouble.customer)
        builder.add_learner(trouble, customer, runs[index % len(runs)], 0)
    return Replica(
        tables=rows.tables,
        studies=tuple(builder.studies),
        dirty_study=builder.studies[learners + TROUBLES.index(DIRTY)],
        completions=tuple(builder.completions),
        endpoints=tuple(who.endpoints),
    )


@dataclass(kw_only=True)
class _Builder:
    rows: Rows
    rng: Random
    start: datetime
    days: int
    customers: list[Customer]
    studies: list[Study] = field(default_factory=list)
    completions: list[SampleCompletion] = field(default_factory=list)

    def add_learner(self, trouble: Trouble, customer: Customer, run: str, wave: int | None) -> None:
        index = len(self.studies)
        who = learner(FIRST_USER_ID + index, index)
        if trouble.is_retired:
            mask = f"retired__user_{self.rng.getrandbits(64):016x}"
            who = Learner(user_id=who.user_id, username=mask, email=f"{mask}@retired.invalid")
        enrolled_at = self.start - timedelta(days=40, minutes=index % 1440)
        if trouble.has_user:
            self._add_account(who, customer, enrolled_at, index)
        self.rows.add(
            "student_courseenrollment",
            user_id=who.user_id,
            course_id=run,
            created=enrolled_at,
            is_active=index % 11 != 10,
            mode=trouble.mode,
        )
        if trouble.team_role:
            self.rows.add(
                "student_courseaccessrole",
                user_id=who.user_id,
                org=ORG,
                course_id=run if trouble.team_role == "run" else "",
                role="staff",
            )
        passed_at = self._grade(trouble, who, run, wave, index)
        self.studies.append(
            Study(
                learner=who,
                courserun_key=run,
                is_active=trouble.is_active,
                passed_at=passed_at,
                completes_in_wave=wave if passed_at else None,
            )
        )
        customers = [customer]
        if trouble.has_second_customer:
            others = [one for one in self.customers if one.kind == "working" and one != customer]
            customers += others[:1]
        if trouble.has_enterprise_enrollment:
            for one in customers:
                self._enroll_with(trouble, one, who, run, enrolled_at)
                if wave is not None and passed_at:
                    self._note(trouble, one, who, run, passed_at, wave)

    def _add_account(self, who: Learner, customer: Customer, joined: datetime, index: int) -> None:
        self.rows.add_keyed(
            "auth_user",
            id=who.user_id,
            username=who.username,
            email=who.email,
            is_active=True,
            is_staff=False,
            is_superuser=False,
            date_joined=joined,
            last_login=None if index % 7 == 6 else self.start,
        )
        if index % 5 == 4:
            return  # no single sign-on: the region comes from the customer's country
        sso: dict[str, Any] = {
            # Every customer gets learners of every country, whatever the number of customers.
            "country": self.rng.choice(COUNTRIES),
            "PercipioUserUUID": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
            "percipioOrganizationUuid": str(uuid.UUID(customer.uuid)),
        }
        if index // 2 % 3 == 1:
            sso = {key: [value] for key, value in sso.items()}
        text = json.dumps(sso)
        self.rows.add(
            "social_auth_usersocialauth",
            user_id=who.user_id,
            provider="tpa-saml",
            uid=f"{customer.slug}:{who.username}",
            extra_data=json.dumps(text) if index % 9 == 5 else text,
            created=joined,
            modified=joined,
        )

    def _grade(
        self, trouble: Trouble, who: Learner, run: str, wave: int | None, index: int
    ) -> datetime | None:
        """Add the grade row; ordinary passes lie 12 to 4 hours before the end of the wave."""
        if wave is None:
            return None
        passed_at = self.start + timedelta(
            days=(wave + 1) * self.days - 1,
            hours=12,
            seconds=self.rng.randrange(8 * 3600),
            microseconds=self.rng.randrange(1_000_000),
        )
        if trouble.passed_days_before_start:
            passed_at = self.start - timedelta(days=trouble.passed_days_before_start)
        if not trouble.has_passed:
            percent, letter, stamp = 0.41, "", None
        else:
            percent, letter, stamp = 0.6 + index * 7 % 41 / 100, "Pass", passed_at
        self.rows.add(
            "grades_persistentcoursegrade",
            wave=wave,
            created=passed_at - timedelta(days=2),
            modified=passed_at,
            user_id=who.user_id,
            course_id=run,
            percent_grade=round(percent, 2),
            letter_grade=letter,
            passed_timestamp=stamp,
        )
        return stamp

    def _enroll_with(
        self, trouble: Trouble, customer: Customer, who: Learner, run: str, at: datetime
    ) -> None:
        link = self.rows.add(
            "enterprise_enterprisecustomeruser",
            created=at,
            modified=at,
            enterprise_customer_id=customer.uuid,
            user_id=who.user_id,
            active=True,
            linked=trouble.is_linked,
        )
        self.rows.add(
            "enterprise_enterprisecourseenrollment",
            created=at,
            modified=at,
            enterprise_customer_user_id=link,
            course_id=run,
            saved_for_later=False,
            unenrolled=None,
            unenrolled_at=None,
        )
        if trouble.consent != "missing":
            granted = {"granted": True, "late": True, "refused": False, "unset": None}
            org_and_course = run.removeprefix("course-v1:").rpartition("+")[0]
            self.rows.add(
                "consent_datasharingconsent",
                wave=1 if trouble.consent == "late" else 0,
                created=at,
                modified=at,
                enterprise_customer_id=customer.uuid,
                username=who.username,
                # The row may name the run or the course: both habits occur.
                course_id=org_and_course if who.user_id % 3 == 0 else run,
                granted=granted[trouble.consent],
            )

    def _note(
        self,
        trouble: Trouble,
        customer: Customer,
        who: Learner,
        run: str,
        passed_at: datetime,
        wave: int,
    ) -> None:
        first = 1 if trouble.consent == "late" else wave
        self.completions.append(
            SampleCompletion(
                case=trouble.case,
                wave=wave,
                enterprise_customer_uuid=str(uuid.UUID(customer.uuid)),
                user_id=who.user_id,
                courserun_key=run,
                passed_at=passed_at,
                ineligible_reason=trouble.ineligible_reason,
                eligible_from_wave=None if trouble.ineligible_reason else first,
            )
        )
