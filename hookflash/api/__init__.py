"""What programs and the service say to each other, in both APIs: values, and no behaviour.

`requests` holds what a program may ask, `answers` what it gets. The service (`hookflash.server`)
and the Python client (`hookflash.client`) share these, so that they can't drift apart.
"""
