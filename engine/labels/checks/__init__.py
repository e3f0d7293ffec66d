"""Checks of labels: each is one module of ``builtin`` that registers itself.

    with engine.read_labels("labels.json") as labels:
        for finding in run_checks(labels):
            print(finding.where, finding.message)

How to add one: docs/extending/check.md.
"""

from engine.labels.checks.base import Check, CheckedFrame, CheckedInstance, Finding
from engine.labels.checks.fixing import FixedLabels
from engine.labels.checks.registry import checks, find_check, register_check, unregister_check
from engine.labels.checks.running import ImageOfFrame, run_checks, run_instances
from engine.labels.checks.summary import Problem, Summary, is_clean, problem_of

__all__ = [
    "Check",
    "CheckedFrame",
    "CheckedInstance",
    "Finding",
    "FixedLabels",
    "ImageOfFrame",
    "Problem",
    "Summary",
    "checks",
    "find_check",
    "is_clean",
    "problem_of",
    "register_check",
    "run_checks",
    "run_instances",
    "unregister_check",
]
