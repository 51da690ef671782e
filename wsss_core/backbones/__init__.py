"""Where trunks get their weights from."""
