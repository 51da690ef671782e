"""Images through a network, one after another."""
