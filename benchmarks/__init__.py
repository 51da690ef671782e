"""Measurements that take long: what the methods are worth, on the embedded data set."""
