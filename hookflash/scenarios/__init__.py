"""Scenarios: scripts of calls, with their expected results, in files that people can write."""
