import re


def figures(line):
    """Ratio and deviation of a benchmark's last line."""
    match = re.fullmatch(r"ratio=(\S+) deviation=(\S+)", line)
    assert match, line
    return float(match[1]), float(match[2])
