"""What the management plane does beyond reading and editing the configuration; one noun a module, no HTTP inside."""
