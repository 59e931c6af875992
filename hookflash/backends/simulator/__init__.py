"""A telephone switch with people, as a plain loop: no network, no clock but its own.

The same seed gives the same run, to the byte. `world` is where to begin.
"""
