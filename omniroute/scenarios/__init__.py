"""`omniroute test`: requests in given circumstances, served by the gateway's own functions without a network.

Nothing of a decision is imitated.  A scenario's request is bytes that go through the very application that serves
clients, over state that begins empty; only time (`clock.py`) and the providers (`upstream.py`) are made up, so that
fallback, retries and pauses happen as they would, and at once.
"""
