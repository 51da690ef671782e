"""The networks: trunks, heads, and their weights on disk."""
