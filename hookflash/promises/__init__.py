"""What hookflash promises about every transfer, and the checks of it.

`names` is the list. Each promise is checked by at least one of these:

- `run`: every run of the simulator, scenarios and random programs included;
- `production`: a running service, which counts broken promises for an alarm;
- `broken_promise` in `hookflash.fsm.explore`: every step of every order of events (`make proof`).

To add a promise:

1. Add it to `names`, at the end of the list. Messages, metrics and docs/reference use that list. 2.
Check it in `run`, if one run can show it; in `production`, if the records of a service can; and in
`broken_promise`, if a single step can. 3. Break it on purpose, in `tests/test_scenarios.py` and
`tests/promises`: a check that cannot fail proves nothing. 4. Name its checks in the table of
docs/explanation/design.md, and run `make docs`.

This package imports nothing, so that every module may import `names`.
"""
