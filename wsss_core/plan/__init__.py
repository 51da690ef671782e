"""From a configuration to artifacts: what the workflow makes, and what it checks before it runs."""
