"""A simulated switch with Asterisk's habits: it runs the dialplan that operators include.

`switch` says what it does; `pbx` makes it a `World`'s.
"""
