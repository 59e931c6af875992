"""What must survive: every step numbered, the transfers, and what was granted to programs.

One SQLite file, in WAL mode. `database` opens it and brings its tables up to date; `history` keeps
the steps and the transfers, `registry` the keys, tokens, feature codes and answers. All of these
are plain functions of a file; `journal` writes beside the engine, without ever being in its way.
"""
