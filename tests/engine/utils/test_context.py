"""The context of long work: progress, cancellation, findings."""

from __future__ import annotations

import copy
import threading

import pytest

from engine.errors import Cancelled
from engine.utils.context import ERROR, Context, Findings, Remark


def test_progress_reaches_the_callback() -> None:
    steps: list[tuple[int, int, str]] = []
    context = Context(lambda *step: steps.append(step))
    context.progress(1, 3, "Reading")
    context.progress(2)
    assert steps == [(1, 3, "Reading"), (2, 0, "")]


def test_a_callback_of_two_numbers_can_stop_the_work() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyError((done, total))

    with pytest.raises(KeyError):
        Context.from_callback(stop).progress(1, 2, "Reading")
    Context.from_callback(None).progress(1, 2)


def test_a_cancelled_context_raises_at_the_next_step() -> None:
    context = Context()
    context.progress(0)
    thread = threading.Thread(target=context.cancel)
    thread.start()
    thread.join()
    with pytest.raises(Cancelled):
        context.progress(1)
    with pytest.raises(Cancelled):
        context.check_cancelled()


def test_whoever_owns_the_work_can_be_asked_whether_it_is_cancelled() -> None:
    answers = iter([False, True])
    context = Context(is_cancelled=lambda: next(answers))
    context.check_cancelled()
    with pytest.raises(Cancelled):
        context.check_cancelled()


def test_findings_of_one_kind_are_counted_and_the_first_record_is_named() -> None:
    context = Context()
    context.report("id 1", "Crowd", "kept aside")
    context.report("id 2", "Crowd", "kept aside")
    context.report("", "Text that is not valid Unicode", severity=ERROR)
    crowd, text = context.findings.sentences()
    assert crowd == "Crowd, kept aside: id 1 and 1 more"
    assert text == "Text that is not valid Unicode"
    assert isinstance(crowd, Remark)
    assert (crowd.kind, crowd.where, crowd.occurrences) == ("Crowd, kept aside", "id 1", 2)
    assert isinstance(text, Remark)
    assert text.severity == ERROR
    assert len(context.findings) == 2


def test_every_record_can_be_listed() -> None:
    findings = Findings()
    for name in ("a.csv", "b.csv"):
        findings.add("Table of another scorer", name, listed=True)
    assert findings.sentences() == ["Table of another scorer: a.csv; b.csv"]


def test_a_copied_remark_keeps_its_parts() -> None:
    remark = copy.deepcopy([Remark("Crowd", "id 1", 3, ERROR)])[0]
    assert (remark.kind, remark.where, remark.occurrences, remark.severity) == ("Crowd", "id 1", 3, ERROR)
