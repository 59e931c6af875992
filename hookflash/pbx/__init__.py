"""An Asterisk for tests and demonstrations: obtained, configured, started, and stopped.

* `obtain` unpacks Asterisk into a cache directory. Nothing is installed, and no root is needed.
* `switch` and `telephones` describe two instances: a switch, and the phones that call through it.
* `instance` runs an instance in a directory of its own, on loopback addresses and free ports.
* `phones` places calls from the phones, presses keys, hangs up, and reads the displays.
"""
