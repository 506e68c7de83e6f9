"""What the management plane does beyond reading and editing; one noun a module, no HTTP inside."""
