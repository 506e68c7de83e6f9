"""Wire formats: bytes to meaning and back. `codecs.py` lists them all; who needs one module of this package loads no other."""
