"""What must survive a restart: numbered steps, transfers, keys, feature codes, answers.

One SQLite file, in WAL mode. `database` opens and migrates it; `history` keeps the steps,
`transfers` the transfers, `registry` the rest. These are plain functions of a connection. `journal`
writes in the background and never blocks the engine.
"""
