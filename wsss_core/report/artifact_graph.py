"""What artifacts are made from, as an inline SVG: columns from the data to the predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

NODE_WIDTH, NODE_HEIGHT = 156, 36
COLUMN, ROW = 204, 46
MARGIN = 8
SHOWN = 21
"""Characters of a name that fit into a node."""


def columns_of(upstream: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The nodes of a graph without circles, in columns: each node is to the right of all that it is made from.

    Args:
        upstream: by node, what it is made from; nodes that are not keys are left out.

    Returns:
        Nodes by column; within a column they are near what they are made from.
    """
    depth: dict[str, int] = {}

    def depth_of(node: str) -> int:
        if node not in depth:
            depth[node] = 1 + max((depth_of(other) for other in upstream[node] if other in upstream), default=-1)
        return depth[node]

    columns: list[list[str]] = []
    for node in upstream:
        while len(columns) <= depth_of(node):
            columns.append([])
        columns[depth[node]].append(node)
    row: dict[str, int] = {}
    for column in columns:
        # A node is in the row of the lowest node that it is made from; without any it stays where it is.
        wanted = {node: max((row[other] for other in upstream[node] if other in row), default=0) for node in column}
        column.sort(key=wanted.__getitem__)
        row |= {node: position for position, node in enumerate(column)}
    return columns


def without_detours(upstream: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The same graph without the edges that follow from others: no edge to what another source already needs."""
    above: dict[str, set[str]] = {}

    def all_above(node: str) -> set[str]:
        if node not in above:
            sources = upstream.get(node, ())
            above[node] = set(sources).union(*map(all_above, sources))
        return above[node]

    return {
        node: [source for source in sources if not any(source in all_above(other) for other in sources)]
        for node, sources in upstream.items()
    }


def artifact_graph(artifacts: Sequence[Mapping[str, Any]], stages: Mapping[str, Mapping[str, str]]) -> Markup:
    """Draw the artifacts of all experiments and what they are made from.

    Args:
        artifacts: each with ``stage``, ``variant``, ``directory`` and, by role, the directories ``upstream``.
        stages: by experiment and stage, the artifact's directory.

    Returns:
        An ``<svg>`` element. A node's ``data-experiments`` names, as positions in ``stages``, the experiments that
        need it.
    """
    upstream = upstream_of(artifacts)
    needed = list(needed_artifacts(upstream, stages).values())
    users = {node: [number for number, nodes in enumerate(needed) if node in nodes] for node in upstream}
    columns = columns_of(upstream)
    tallest = max(map(len, columns), default=0)
    place = {
        node: (MARGIN + COLUMN * x, MARGIN + ROW * (y + (tallest - len(column)) / 2))
        for x, column in enumerate(columns)
        for y, node in enumerate(column)
    }
    width, height = len(columns) * COLUMN + 2 * MARGIN, tallest * ROW + 2 * MARGIN
    parts = [
        f'<svg class="graph" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Which artifact is made from which; the list below says the same in words">'
    ]
    for node, sources in without_detours(upstream).items():
        for source in (source for source in sources if source in place):
            x1, y1 = place[source][0] + NODE_WIDTH, place[source][1] + NODE_HEIGHT / 2
            x2, y2 = place[node][0], place[node][1] + NODE_HEIGHT / 2
            bend = (x1 + x2) / 2
            path = f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}"
            parts.append(f'<path d="{path}" data-experiments="{_listed(users[node])}"/>')
    for artifact in artifacts:
        x, y = place[artifact["directory"]]
        name = artifact["variant"] if len(artifact["variant"]) <= SHOWN else artifact["variant"][: SHOWN - 1] + "…"
        parts.append(
            f'<g data-experiments="{_listed(users[artifact["directory"]])}"><title>{escape(artifact["directory"])}'
            f'</title><rect x="{x:g}" y="{y:g}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="5"/>'
            f'<text class="stage" x="{x + 8:g}" y="{y + 14:g}">{escape(artifact["stage"])}</text>'
            f'<text x="{x + 8:g}" y="{y + 29:g}">{escape(name)}</text></g>'
        )
    return Markup("\n".join([*parts, "</svg>"]))


def upstream_of(artifacts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """By artifact's directory, the directories that it is made from.

    Args:
        artifacts: each with its ``directory`` and, by role, the directories ``upstream``.
    """
    return {artifact["directory"]: list(dict.fromkeys(artifact["upstream"].values())) for artifact in artifacts}


def needed_artifacts(
    upstream: Mapping[str, Sequence[str]], stages: Mapping[str, Mapping[str, str]]
) -> dict[str, set[str]]:
    """By experiment, all artifacts that it needs.

    Args:
        upstream: see :func:`upstream_of`.
        stages: by experiment and stage, the artifact's directory.
    """
    needed: dict[str, set[str]] = {}
    for name, directories in stages.items():
        found: set[str] = set()
        waiting = list(directories.values())
        while waiting:
            node = waiting.pop()
            if node in upstream and node not in found:
                found.add(node)
                waiting += upstream[node]
        needed[name] = found
    return needed


def _listed(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))
