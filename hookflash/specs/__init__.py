"""The tables: what happens in a transfer.

One file a kind (`attended`, `blind`, `hold`), with the `guards` and `actions` that their rows name;
`catalog` lists the tables. `scenarios/` holds a story for each way that a transfer can take.
"""
