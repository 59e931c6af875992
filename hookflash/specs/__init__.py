"""The tables: what happens in a transfer."""
