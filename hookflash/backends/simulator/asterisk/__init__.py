"""A simulated Asterisk: it runs the dialplan that operators include.

Start reading at `switch`; `pbx` gives it the interface that a `World` needs.
"""
