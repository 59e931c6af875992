"""Event control by WebSocket: follow what happens, and steer it, on one connection.

`messages` is the protocol (its AsyncAPI document is made from it), `session` one connection,
`listener` where programs knock.
"""
