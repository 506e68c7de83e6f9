"""OmniRoute: the AI gateway that platform engineers keep in git."""

__version__ = "0.1.0"
