"""The pure core: a transfer and an event give a new transfer and commands. It does no I/O.

Read it in this order:

1. `transfer`: the record of a transfer, its parties, and what it may wait for.
2. `inputs`, `arrangement`: what the rows of a table answer to, and what a state declares.
3. `hookflash.specs.attended`: a table.
4. `machine`: one step, from the event to the commands. It calls `observe`, then the table, then
   `arrange` (which calls `hearing`), then `displays`; all of them write to a `work`ing copy.

The rest is beside the way: `spec` checks tables, `policy` holds the choices of an operator, `begin`
makes records, `render` prints tables, `explore` searches them.
"""
