"""Files to a compiled gateway: read, check against the types, check the references, compile; and notice changes."""
