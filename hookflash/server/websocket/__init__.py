"""The WebSocket API: events and commands on one connection.

`messages` has the messages of the connection itself and `reading` reads the program's, `session` is
one connection, `listener` accepts them, `asyncapi` describes the protocol.
"""
