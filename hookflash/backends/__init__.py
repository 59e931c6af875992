"""Backends, one for each kind of switch: they yield events, execute commands, decide nothing."""
