"""Exercises of the lessons, one file a lesson, each with a checker that a notebook calls."""
