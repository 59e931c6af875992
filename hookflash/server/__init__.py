"""The engine as a service with HTTP and WebSocket APIs.

`config` is the operator's file. `operations` is the table of all that programs can ask, `api`
performs it with the caller's rights, and `http` and `websocket` are the two ways to ask. `service`
puts everything together.
"""
