"""Count modules, imports and circles of a tree, and list its rooms, for architecture.md.

python docs/structure.py [TREE]     # this repository, or another checkout of it
"""

import ast
import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import grimp

PACKAGES = ("activations", "bench", "studies", "reports")
Graph = dict[str, set[str]]  # module: what it imports


def imports(tree: Path) -> Graph:
    """Who imports whom among the four packages of a checkout, function-level imports included."""
    sys.path.insert(0, str(tree))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Sets of modules that import each other in the end, and rooms that do, at every level.

    A room is a package with all that is in it; two rooms with one parent are compared.
    """
    found = list(_circles(graph))
    for parent in {name.rpartition(".")[0] for name in graph} - {""}:
        rooms: Graph = {}
        for module, others in graph.items():
            if room := _child(parent, module):
                targets = {child for other in others if (child := _child(parent, other))}
                rooms.setdefault(room, set()).update(targets - {room})
        found += [circle for circle in _circles(rooms) if circle not in found]
    return found


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The longest row of modules each of which imports the next; a circle counts as one module."""
    circle_of = {name: " + ".join(sorted(circle)) for circle in _circles(graph) for name in circle}
    names = {name: circle_of.get(name, name) for name in graph}
    joined: Graph = {name: set() for name in names.values()}
    for name, others in graph.items():
        joined[names[name]] |= {names[other] for other in others & graph.keys()}
    chains: dict[str, list[str]] = {}

    def chain(module: str) -> list[str]:
        if module not in chains:
            following = sorted(joined[module] - {module})
            chains[module] = [module, *max(map(chain, following), key=len, default=[])]
        return chains[module]

    return max((chain(module) for module in sorted(joined)), key=len)


def structure(graph: Graph) -> list[tuple[str, int, int, int]]:
    """(package, modules, imports among them, imports of packages below), package by package."""
    rows = []
    for package in PACKAGES:
        own = {name: others for name, others in graph.items() if _inside(package, name)}
        inner = sum(_inside(package, other) for others in own.values() for other in others)
        rows.append((package, len(own), inner, sum(map(len, own.values())) - inner))
    return rows


def rooms(tree: Path) -> list[tuple[str, str]]:
    """(path, first line of its docstring) of every package."""
    found = []
    for package in PACKAGES:
        for file in sorted((tree / package).rglob("__init__.py")):
            says = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").splitlines()
            found.append((f"{file.parent.relative_to(tree).as_posix()}/", says[0] if says else ""))
    return found


def rooms_table(tree: Path) -> str:
    """The rooms as architecture.md has them."""
    lines = [f"| `{path}` | {says.replace('``', '`')} |" for path, says in rooms(tree)]
    return "\n".join(["| room | what it is |", "|---|---|", *lines])


def _inside(package: str, module: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _child(parent: str, module: str) -> str:
    """The child of `parent` that a module lies in, or is."""
    if not module.startswith(f"{parent}."):
        return ""
    return f"{parent}.{module.removeprefix(parent + '.').partition('.')[0]}"


def _circles(graph: Mapping[str, set[str]]) -> Iterator[set[str]]:
    """Strongly connected components of more than one node (Tarjan, 1972)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    count = itertools.count()

    def visit(node: str) -> Iterator[set[str]]:
        numbers[node] = lowest[node] = next(count)
        stack.append(node)
        for other in graph[node] & graph.keys():
            if other not in numbers:
                yield from visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], numbers[other])
        if lowest[node] == numbers[node]:
            place = stack.index(node)
            circle = set(stack[place:])
            del stack[place:]
            if len(circle) > 1:
                yield circle

    for node in sorted(graph):
        if node not in numbers:
            yield from visit(node)


def main() -> None:
    """Print the figures."""
    tree = Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    tree = tree if tree.is_dir() else tree.parent.parent
    graph = imports(tree)
    print("| package | modules | imports inside | imports of packages below |\n|---|--:|--:|--:|")
    for package, *counts in structure(graph):
        print(f"| `{package}` | {' | '.join(map(str, counts))} |")
    found = circles(graph)
    print(f"\ncircles: {len(found)}")
    for circle in found:
        print(f"  {', '.join(sorted(circle))}")
    chain = longest_chain(graph)
    print(f"longest chain: {len(chain)} modules\n  {' > '.join(chain)}")


if __name__ == "__main__":
    main()
