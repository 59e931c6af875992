"""The WebSocket API: events and commands on one connection.

`messages` has the protocol's own messages, `reading` reads those of programs, `session` is one
connection, `listener` accepts them, `asyncapi` describes the protocol.
"""
