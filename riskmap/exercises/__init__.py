"""Exercises that answer: ``check("twin", shuffle)`` tells which property of an answer fails, and a hint."""

from riskmap.exercises.checking import ask, check
from riskmap.exercises.own_weights import above_twin
from riskmap.exercises.records import published_dice

__all__ = ["above_twin", "ask", "check", "published_dice"]
