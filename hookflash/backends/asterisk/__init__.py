"""Asterisk as a backend: by its REST interface (ARI), its manager interface (AMI) and a dialplan.

`client` is the backend; what it says to the switch is made by `procedures`, of `primitives`.
"""
