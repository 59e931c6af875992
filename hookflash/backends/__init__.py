"""Ways to a switch: each yields events, executes commands, and decides nothing."""
