"""Coding tools of the command line: whether they are here, and how they are pointed at the gateway."""
