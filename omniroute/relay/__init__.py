"""The hot path: from a client's request to its answer, plain ASGI all the way."""
