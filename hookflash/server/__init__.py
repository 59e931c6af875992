"""The engine as a service that other programs steer, by HTTP and by WebSocket.

`config` is what an operator writes. `desk` is everything that a program may do, in one place, with
the rights of whoever asks; `http` and `websocket` are two doors to it, `wire` the words that both
speak. `service` puts it all together.
"""
