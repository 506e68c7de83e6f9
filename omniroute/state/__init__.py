"""What changes while the gateway runs and must survive a reload: health, counters, and the record of what was served.

Everything here is keyed by names of the configuration, never by positions or object ids: a reload that keeps a name
keeps its score.  `base.py` holds the contracts; `memory.py` and `sqlite.py` fulfil them.
"""
