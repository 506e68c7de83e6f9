"""How many tokens a request has, counted here because nobody else has said.

It is an estimate for every model but OpenAI's, and it errs on the high side: a window that is full is worse than one
that has room left. What each model family costs is data (`family.py`), found by the model's name and never by the
provider, since one model is served by many.
"""

from omniroute.formats.tokens.family import family
from omniroute.formats.tokens.prompt import count, rough
from omniroute.formats.tokens.text import BYTES_PER_TOKEN, load

__all__ = ["BYTES_PER_TOKEN", "count", "family", "load", "rough"]
