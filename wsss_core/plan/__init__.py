"""From a configuration to artifacts: what the workflow makes, and what is checked before it runs."""
