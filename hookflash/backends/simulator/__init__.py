"""A telephone switch with people, as a plain loop: without a network, and with its own clock.

The same seed gives the same run, to the byte. Start reading at `world`.
"""
