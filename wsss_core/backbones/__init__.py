"""The weights of trunks."""
