"""A telephone switch with people, as a plain loop: no network, and a clock of its own.

The same seed gives the same run, to the byte. Start reading at `world`.
"""
