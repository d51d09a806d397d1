"""Replica rows of the sample data: fictional customers, course runs and learners.

Most learners are ordinary. Each special one has one peculiarity, so that every way in which a
completion can fail to become a webhook occurs at least once, whatever the size.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

FIRST_NAMES = (
    *("ada", "bela", "caro", "dario", "elin", "faro", "gwen", "hanno", "ines", "joris", "kaja"),
    *("lorin", "mira", "nils", "orla", "petro", "quin", "rosa", "sven", "tilda", "umar", "vera"),
)
LAST_NAMES = (
    *("abel", "brook", "carver", "dahl", "ember", "frost", "gable", "holt", "iver", "juniper"),
    *("kestrel", "lark", "marlow", "north", "oakley", "penn", "quill", "rowan", "sable", "wren"),
)
COURSE_NUMBERS = ("DATA101", "SAFE150", "LEAD305", "WRIT210", "MATH120", "CODE230", "LAWS140")
ORG = "ExampleX"

CustomerKind = Literal["working", "no_endpoint", "bad_url", "failing_endpoint", "inactive"]


@dataclass(frozen=True, kw_only=True)
class Customer:
    """An enterprise. ``uuid`` has the replica's form: 32 hex digits."""

    uuid: str
    name: str
    slug: str
    kind: CustomerKind


@dataclass(frozen=True, kw_only=True)
class Learner:
    """An LMS account."""

    user_id: int
    username: str
    email: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """One learner in one course run, who may be active in it and may pass it."""

    learner: Learner
    courserun_key: str
    is_active: bool = True
    passed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A special case: a learner whose completion is not processed the ordinary way."""

    case: str
    ineligible_reason: str | None = None
    """The reason expected in the mart ``ineligible_completions``; None if eligible."""
    customer: CustomerKind = "working"
    mode: str = "verified"
    consent: Literal["granted", "refused", "unset", "missing", "late"] = "granted"
    has_user: bool = True
    is_linked: bool = True
    is_retired: bool = False
    is_active: bool = True
    has_passed: bool = True
    has_enterprise_enrollment: bool = True
    has_second_customer: bool = False
    passed_days_before_start: int = 0
    team_role: Literal["", "run", "org"] = ""


DIRTY = Trouble(case="dirty_lines", has_passed=False, is_active=False)
"""The learner of ``sample_dirty``, active only through those lines."""

TROUBLES = (
    Trouble(case="user_missing", ineligible_reason="user_missing", has_user=False),
    Trouble(case="customer_inactive", ineligible_reason="customer_inactive", customer="inactive"),
    Trouble(case="learner_unlinked", ineligible_reason="learner_unlinked", is_linked=False),
    Trouble(case="consent_missing", ineligible_reason="consent_missing", consent="missing"),
    Trouble(case="consent_refused", ineligible_reason="consent_missing", consent="refused"),
    Trouble(case="consent_unset", ineligible_reason="consent_missing", consent="unset"),
    Trouble(case="audit_mode", ineligible_reason="audit_not_reportable", mode="audit"),
    Trouble(case="account_retired", ineligible_reason="account_retired", is_retired=True),
    Trouble(case="course_team", ineligible_reason="course_team", team_role="run"),
    Trouble(case="organization_team", ineligible_reason="course_team", team_role="org"),
    Trouble(case="late_consent", consent="late"),
    Trouble(case="before_activation", passed_days_before_start=30, is_active=False),
    Trouble(case="no_endpoint", customer="no_endpoint"),
    Trouble(case="bad_url", customer="bad_url"),
    Trouble(case="failing_endpoint", customer="failing_endpoint"),
    Trouble(case="no_activity", is_active=False),
    Trouble(case="two_customers", has_second_customer=True),
    Trouble(case="never_passed", has_passed=False),
    Trouble(case="private_learner", has_enterprise_enrollment=False),
    DIRTY,
)


def course_runs(count: int) -> list[str]:
    """Run keys; every fourth is a second run of the preceding course."""
    keys: list[str] = []
    for index in range(count):
        course, is_second_run = (index - 1, True) if index % 4 == 3 else (index, False)
        number = COURSE_NUMBERS[course % len(COURSE_NUMBERS)]
        suffix = str(course // len(COURSE_NUMBERS)) if course >= len(COURSE_NUMBERS) else ""
        keys.append(f"course-v1:{ORG}+{number}{suffix}+2026_T{2 if is_second_run else 1}")
    return keys


def learner(user_id: int, index: int) -> Learner:
    """A fictional account; names repeat with a number when the lists are exhausted."""
    first = FIRST_NAMES[index % len(FIRST_NAMES)]
    last = LAST_NAMES[index // len(FIRST_NAMES) % len(LAST_NAMES)]
    lap = index // (len(FIRST_NAMES) * len(LAST_NAMES))
    username = f"{first}_{last}{lap or ''}"
    return Learner(user_id=user_id, username=username, email=f"{username}@example.com")


Tables = dict[str, list[dict[str, Any]]]

WAVES = 2
_WORKING = (
    ("Example Industries", "US", ("US", "EU", "OTHER")),
    ("Sample Foods", "GB", ("OTHER",)),
    ("Fable Logistics", "DE", ("EU", "OTHER")),
)
_TROUBLED: tuple[tuple[str, CustomerKind], ...] = (
    ("Quiet Harbor Bank", "no_endpoint"),
    ("Broken Gate Media", "bad_url"),
    ("Rainy Day Insurance", "failing_endpoint"),
    ("Closed Doors Retail", "inactive"),
)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A webhook configuration. ``name`` is unique and is the last segment of its URL."""

    endpoint_id: int
    name: str
    url: str
    region: str
    enterprise_customer_uuid: str
    """With hyphens, as the marts have it."""


@dataclass(kw_only=True)
class Rows:
    """Rows by wave and table, numbered per table over both waves."""

    tables: tuple[Tables, ...] = field(
        default_factory=lambda: tuple(defaultdict(list) for _ in range(WAVES))
    )
    _ids: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, table: str, /, *, wave: int = 0, **values: Any) -> int:
        """Append a row under the next id; returns the id."""
        self._ids[table] += 1
        self.tables[wave][table].append({"id": self._ids[table], **values})
        return self._ids[table]

    def add_keyed(self, table: str, /, **values: Any) -> None:
        """Append a row to the first wave, in a table whose key the caller supplies."""
        self.tables[0][table].append(values)


@dataclass(kw_only=True)
class CustomerRows:
    """Adds customers and their related rows to the first wave."""

    rows: Rows
    rng: Random
    created: datetime
    receiver_url: str
    customers: list[Customer] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)

    def add_all(self, working: int) -> None:
        """Add ``working`` customers with good endpoints, then one of each problem kind."""
        for index in range(working):
            name, country, regions = _WORKING[index % len(_WORKING)]
            lap = index // len(_WORKING)
            self._add_customer(f"{name} {lap + 1}" if lap else name, country, "working", regions)
        for name, kind in _TROUBLED:
            self._add_customer(name, None, kind, () if kind == "no_endpoint" else ("OTHER",))

    def _add_customer(
        self, name: str, country: str | None, kind: CustomerKind, regions: tuple[str, ...]
    ) -> None:
        customer = Customer(
            uuid=uuid.UUID(int=self.rng.getrandbits(128), version=4).hex,
            name=name,
            slug=name.lower().replace(" ", "-"),
            kind=kind,
        )
        self.customers.append(customer)
        self.rows.add_keyed(
            "enterprise_enterprisecustomer",
            uuid=customer.uuid,
            created=self.created,
            modified=self.created,
            name=name,
            slug=customer.slug,
            active=kind != "inactive",
            country=country,
            enable_data_sharing_consent=True,
            enforce_data_sharing_consent="at_enrollment",
            enable_audit_enrollment=False,
            enable_audit_data_reporting=False,
        )
        self.rows.add(
            "enterprise_enterprisecustomeridentityprovider",
            enterprise_customer_id=customer.uuid,
            provider_id=f"saml-{customer.slug}",
        )
        for region in regions:
            self._add_endpoint(customer, region)

    def _add_endpoint(self, customer: Customer, region: str) -> None:
        name = f"{customer.slug}-{region.lower()}"
        url = {
            "bad_url": "htp:/broken gate.example.com",
            "failing_endpoint": f"{self.receiver_url}/status/503/{name}",
        }.get(customer.kind, f"{self.receiver_url}/hooks/{name}")
        endpoint_id = self.rows.add(
            "channel_integration_enterprisewebhookconfiguration",
            created=self.created,
            modified=self.created,
            enterprise_customer_id=customer.uuid,
            region=region,
            webhook_url=url,
            webhook_token_url=None,
            webhook_timeout_seconds=30,
            webhook_retry_attempts=3,
            max_requests_per_minute=100,
            active=True,
            enable_enrollment_events_processing=True,
            client_id=None,
        )
        self.endpoints.append(
            Endpoint(
                endpoint_id=endpoint_id,
                name=name,
                url=url,
                region=region,
                enterprise_customer_uuid=str(uuid.UUID(customer.uuid)),
            )
        )


FIRST_USER_ID = 5001
COUNTRIES = ("US", "DE", "GB", "FR", "us", "IN")


@dataclass(frozen=True, kw_only=True)
class SampleCompletion:
    """A completion that the models must find, and its expected outcome."""

    case: str
    wave: int
    """Index of the wave that brings the grade row."""
    enterprise_customer_uuid: str
    user_id: int
    courserun_key: str
    passed_at: datetime
    ineligible_reason: str | None
    eligible_from_wave: int | None
    """None: never. Later than ``wave`` if the consent arrives late."""


@dataclass(frozen=True, kw_only=True)
class Replica:
    """Everything except the log lines. ``tables`` has one entry per wave."""

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
    """Rows for ``learners`` ordinary learners, plus one learner per entry of ``TROUBLES``."""
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
    for run in runs:
        rows.add_keyed(
            "course_overviews_courseoverview",
            id=run,
            created=who.created,
            modified=who.created,
            org=ORG,
            display_name=f"Example course {run.split('+')[1]}",
        )
    working = [one for one in who.customers if one.kind == "working"]
    for index in range(learners):
        # Three of eight finish in each wave; two of eight never do.
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
            # Every customer gets learners from every country, however many customers there are.
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
        """Add the grade row; ordinary completions are 12 to 4 hours before the end of the wave."""
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
        if stamp is not None:
            self.rows.add(
                "certificates_generatedcertificate",
                wave=wave,
                user_id=who.user_id,
                course_id=run,
                verify_uuid=uuid.uuid5(uuid.NAMESPACE_URL, f"{who.user_id} {run}").hex,
                download_url="",
                grade=str(round(percent, 2)),
                mode="honor" if index % 5 == 2 else "verified",
                # The LMS generates it minutes later, and some learners wait for verification.
                status="unverified" if index % 7 == 3 else "downloadable",
                created_date=stamp + timedelta(minutes=2),
                modified_date=stamp + timedelta(minutes=3),
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
                # The row may name the run or the course: both occur.
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
