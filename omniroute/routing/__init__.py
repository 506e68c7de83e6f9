"""Compiled tables and the pure decisions over them: which route a name means, and in which order to try its targets."""
