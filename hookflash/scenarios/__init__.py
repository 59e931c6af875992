"""Scenarios: who does what and when, and what must come of it, in files that a person can write."""
