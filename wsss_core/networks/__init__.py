"""Networks: trunks, heads, and files of weights."""
