"""The course of the demo: bring up the hospitals, ask, compare, train, be refused, add up what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

from farr.client import Federation
from farr.demo.compare import Comparison, compare
from farr.demo.questions import EPSILON, QUESTIONS, TOO_DEAR, UNANSWERABLE, exact_answers
from farr.demo.trained import MODEL, TrainedModel, beside_the_pooled
from farr.errors import FarrError
from farr.federation import Hospital
from farr.figures.result import plain_units
from farr.lab import up as labs
from farr.lab.hospitals import in_folders
from farr.lab.record import ANALYST
from farr.lab.watchdog import Watch
from farr.problems import Problem, problem_of
from farr.questions.asking import Terms
from farr.texts import _, language
from farr.training.run import Progress, train
from queries.agreed.catalogue_file import read_catalogue
from queries.errors import QueryError

FOLDER = Path(__file__).parent
DATA = FOLDER / "data" / "ist"

POLICY = """\
# What the hospitals of the demo answer: as the default, but they let themselves be told apart, for the questions by
# country.
lifetime_epsilon = 10.0
most_epsilon_per_question = 2.0
tables = "all"
own_row = true
site_group_minimum = 3
minimum_hospitals = 3
least_honest = 2
trust_floor = "one-third"
authorities = "all"
analysts = "all"
columns = "all"
newcomer_days = 0
minimum_cell = 10
period = "month"
epsilon_per_period = 10.0
approval_purposes = "none"
approval_above_epsilon = 2.0
purposes.statistics = 10.0
purposes.research = 10.0
finest.time = "day"

[training]
models = ["logistic"]
networks = "none"
apps = []
unsandboxed_apps = false
unsandboxed_reason = ""
most_app_minutes = 1
most_app_megabytes = 512
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A question that was refused."""

    statement: str
    """What was asked."""
    epsilon: float
    """At which price."""
    problem: Problem
    """Why it was refused, and what to do."""
    seconds: float
    """Until the refusal was there."""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        plain = self.problem.to_plain()
        return {"statement": self.statement, "epsilon": self.epsilon, "seconds": round(self.seconds, 3), **plain}


@dataclass(slots=True, kw_only=True)
class Course:
    """What happened so far."""

    hospitals: tuple[Hospital, ...] = ()
    """As the roster names them, with their budgets at the end."""
    start_seconds: float = 0.0
    """Until all hospitals were connected."""
    comparisons: list[Comparison] = field(default_factory=list)
    """The answered questions."""
    model: TrainedModel | None = None
    """The model that was trained."""
    again: Comparison | None = None
    """The first question once more."""
    refused: Refusal | None = None
    """Refused at the analyst's own machine."""
    refused_by_hospitals: Refusal | None = None
    """Refused by each hospital's policy."""
    seconds: float = 0.0
    """All in all."""

    @property
    def figures(self) -> int:
        """Return how many figures were released."""
        return sum(len(each.pairs) for each in self.comparisons)

    @property
    def covered(self) -> int:
        """Return how many intervals hold the exact value."""
        return sum(each.covered for each in self.comparisons)

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "hospitals": [{"site": each.id, "en": each.label.en, "zh": each.label.zh} for each in self.hospitals],
            "start_seconds": round(self.start_seconds, 3),
            "questions": [each.to_plain() for each in self.comparisons],
            "model": self.model.to_plain() if self.model else None,
            "again": self.again.to_plain() if self.again else None,
            "refused": self.refused.to_plain() if self.refused else None,
            "refused_by_hospitals": self.refused_by_hospitals.to_plain() if self.refused_by_hospitals else None,
            "budget": [
                {
                    "site": each.id,
                    "lifetime": plain_units(each.lifetime_units or 0),
                    "spent": plain_units(spent_units(each)),
                    "remaining": plain_units(each.remaining_units or 0),
                }
                for each in self.hospitals
            ],
            "coverage": {"figures": self.figures, "covered": self.covered},
            "seconds": round(self.seconds, 3),
        }


Told = Callable[[Course], None]


class Watching(Protocol):
    """Who is told how far the training is, while it lasts."""

    def told(self, progress: Progress) -> None:
        """Take note."""

    def __enter__(self) -> object:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""


def start(home: Path, watch: Watch, progress: labs.Progress) -> float:
    """Bring up the hospitals in ``home``, guarded by ``watch``; return the seconds until all were connected."""
    begun = time.monotonic()
    catalogue = read_catalogue((FOLDER / "stroke.toml").read_bytes(), "stroke.toml")
    labs.up(
        home,
        labs.Federation(
            catalogue=catalogue,
            hospitals=in_folders(DATA, None),
            mapping=FOLDER / "stroke_mapping.toml",
            policy=POLICY,
            name="stroke-demo",
        ),
        watch,
        progress=progress,
    )
    return time.monotonic() - begun


def ask_all(home: Path, course: Course, told: Told, watching: Watching) -> None:
    """Ask everything that the demo asks, and train; ``told`` is called after each step."""
    begun = time.monotonic() - course.start_seconds
    exact = exact_answers(DATA)
    with Federation.open(home / ANALYST) as federation:
        course.hospitals = federation.budget()
        told(course)
        for question in QUESTIONS:
            statement = question.statement.in_language(language())
            asked = time.monotonic()
            result = federation.ask(statement, Terms(epsilon=EPSILON, reason=_("demo")))
            seconds = time.monotonic() - asked
            course.comparisons.append(compare(question, result, exact[question.id], seconds))
            told(course)
        asked = time.monotonic()
        with watching:
            trained = train(federation, MODEL, told=watching.told)
        course.model = beside_the_pooled(trained, DATA, time.monotonic() - asked)
        told(course)
        first = QUESTIONS[0]
        asked = time.monotonic()
        result = federation.ask(first.statement.in_language(language()), Terms(epsilon=EPSILON))
        course.again = compare(first, result, exact[first.id], time.monotonic() - asked)
        told(course)
        course.refused = _refused(federation, UNANSWERABLE, EPSILON)
        told(course)
        dear = QUESTIONS[0].statement.in_language(language())
        course.refused_by_hospitals = _refused(federation, dear, TOO_DEAR)
        course.hospitals = federation.budget()
        course.seconds = time.monotonic() - begun
        told(course)


def spent_units(hospital: Hospital) -> int:
    """Return what a hospital's patients were charged, in ledger units."""
    return (hospital.lifetime_units or 0) - (hospital.remaining_units or 0)


def _refused(federation: Federation, statement: str, epsilon: float) -> Refusal:
    begun = time.monotonic()
    try:
        federation.ask(statement, Terms(epsilon=epsilon))
    except (FarrError, QueryError) as error:
        problem = problem_of(error)
        if problem is not None:
            return Refusal(statement=statement, epsilon=epsilon, problem=problem, seconds=time.monotonic() - begun)
        raise
    raise FarrError("demo", _("a question was answered that should have been refused"))
