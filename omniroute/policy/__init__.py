"""Rule kinds of policies: a module each, which holds a rule's parameters as YAML has them and what they do."""
