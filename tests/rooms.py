"""The rooms of the house, and what each may import; ``python -m tests.rooms`` prints them with their floors.

A room is a module of the library at the root of ``riskmap/``, a folder below ``riskmap/`` or ``data_scripts/``, the
commands of ``data_scripts/``, or ``benchmarks/``. Imports inside functions count like all others.
"""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ("checks", "leep", "risk", "loss", "twins")
MOST_FLOORS = 8
MOST_FOLDERS = 10
# a room whose front hands its names on, since students type it
FRONTS = ("exercises",)

_METHOD = {"riskmap.leep", "riskmap.risk", "riskmap.loss", "riskmap.twins", "riskmap.checks"}
_BELOW_PAGES = {f"riskmap.{name}" for name in ("project", "data", "measure", "training", "figures", "experiment")}
# what a room may import; itself, and the package's front with its version and the three names, may always be
ALLOWED: dict[str, set[str]] = {
    "riskmap.checks": set(),
    "riskmap.leep": {"riskmap.checks"},
    "riskmap.loss": {"riskmap.checks"},
    "riskmap.twins": {"riskmap.checks"},
    "riskmap.risk": {"riskmap.checks", "riskmap.leep"},
    "riskmap.project": set(),
    "riskmap.data": {*_METHOD, "riskmap.project"},
    "riskmap.measure": {*_METHOD, "riskmap.project", "riskmap.data"},
    "riskmap.training": {*_METHOD, "riskmap.project", "riskmap.data", "riskmap.measure"},
    "riskmap.figures": {"riskmap.measure"},
    "riskmap.experiment": {*_METHOD, *_BELOW_PAGES},
    "riskmap.explorers": {*_METHOD, *_BELOW_PAGES},
    "riskmap.pages": {*_METHOD, *_BELOW_PAGES, "riskmap.explorers"},
    "riskmap.rerun": {*_METHOD, *_BELOW_PAGES, "riskmap.explorers", "riskmap.pages"},
    "riskmap.exercises": {*_METHOD, *_BELOW_PAGES, "riskmap.pages"},
    "riskmap.__main__": {"riskmap.project"},
    "data_scripts.simulation": {"riskmap.project"},
    "data_scripts.archives": {"riskmap.project", "riskmap.data"},
    "data_scripts": {"riskmap.project", "riskmap.data", "data_scripts.simulation", "data_scripts.archives"},
    "benchmarks": {*_METHOD, *_BELOW_PAGES, "riskmap.explorers", "data_scripts", "data_scripts.archives"},
}


def room_of(module: str) -> str:
    """Return the room of a module, such as ``riskmap.training`` of ``riskmap.training.arms``."""
    parts = module.split(".")
    if parts[0] == "riskmap":
        return ".".join(parts[:2])
    if parts[0] == "data_scripts" and len(parts) > 1 and parts[1] in ("simulation", "archives"):
        return ".".join(parts[:2])
    return parts[0]


def modules(root: Path) -> dict[str, Path]:
    """Return the modules of the house by their full names."""
    found = {}
    for folder in ("riskmap", "data_scripts", "benchmarks"):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> dict[str, set[tuple[str, str]]]:
    """Return, for each module, the (module, name) pairs that it imports of the house; name is "" for whole modules."""
    there = modules(root)
    found: dict[str, set[tuple[str, str]]] = {}
    for module, path in there.items():
        pairs = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                pairs |= {(alias.name, "") for alias in node.names if alias.name in there}
            elif isinstance(node, ast.ImportFrom) and node.module in there:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    pairs.add((whole, "") if whole in there else (node.module, alias.name))
        found[module] = pairs
    return found


def violations(root: Path = ROOT) -> list[str]:
    """Return every import that breaks a rule, in words."""
    found, arrows = [], defaultdict(set)
    for module, pairs in imports(root).items():
        here = room_of(module)
        for other, name in pairs:
            there = room_of(other)
            if name.startswith("_") and not name.startswith("__") and other != module:
                found.append(f"{module} imports the private name {name} of {other}")
            if other not in ("riskmap", module):
                arrows[module].add(other)
            # the package's front hands the three names on
            if here != "riskmap" and there not in (here, "riskmap") and there not in ALLOWED.get(here, set()):
                found.append(f"{module} imports {other}: {here} may not import {there}")
    found += [f"circle: {' -> '.join(circle)}" for circle in circles(arrows)]
    return sorted(found)


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return the import circles among modules."""
    found, done = [], set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for other in sorted(arrows.get(module, ())):
                walk(other, [*path, module])
            done.add(module)

    for module in sorted(arrows):
        walk(module, [])
    return found


def floors(root: Path = ROOT) -> dict[str, int]:
    """Return the floor of each room: one above the highest room that it imports."""
    arrows: dict[str, set[str]] = {room: set() for room in ALLOWED}
    for module, pairs in imports(root).items():
        others = {room_of(other) for other, _ in pairs} - {room_of(module), "riskmap"}
        arrows.setdefault(room_of(module), set()).update(others)
    arrows.pop("riskmap", None)

    def floor(room: str) -> int:
        return 1 + max((floor(other) for other in arrows[room]), default=0)

    return {room: floor(room) for room in arrows}


if __name__ == "__main__":
    sizes: dict[str, list[int]] = defaultdict(list)
    for name, place in modules(ROOT).items():
        sizes[room_of(name)].append(len(place.read_text(encoding="utf-8").splitlines()))
    for room, floor in sorted(floors().items(), key=lambda item: (-item[1], item[0])):
        print(f"floor {floor}  {room:24} {len(sizes[room]):3} files {sum(sizes[room]):5} lines")
    print("\n".join(violations()) or "no rule is broken")
