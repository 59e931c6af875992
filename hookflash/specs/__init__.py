"""The tables: what happens in a transfer, and what people write about one."""
