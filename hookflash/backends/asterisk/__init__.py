"""The Asterisk backend: the manager interface (AMI), read and written."""
