"""The HTTP API, in Kazoo's format.

`handlers` makes the handlers of the table of operations, `reading` reads their requests, `document`
describes them; `envelope` answers, `app` puts everything together.
"""
