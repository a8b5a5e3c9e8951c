"""Exercises that answer: ``check("twin", shuffle)`` tells which property of an answer fails, with a hint. It may import
the rooms below the pages, and the pages; none imports it."""

from riskmap.exercises.checking import ask, check
from riskmap.exercises.own_weights import above_twin
from riskmap.exercises.records import published_dice

__all__ = ["above_twin", "ask", "check", "published_dice"]
