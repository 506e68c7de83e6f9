"""Taking out of texts what must not go on: in whole bodies, in their JSON, and in streams across their pieces.

`expression.py` says which regular expressions there are and makes two of each: one that finds, and one that tells what
may still become a find; `patterns.py` holds those that have a name; `scrubber.py` applies them to a text that comes in
pieces, `body.py` to the strings of JSON, `events.py` to the events of an answer.
"""
