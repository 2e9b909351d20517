"""`manage.py bench`: run the measurements of `benchmarks/` and hold them against their bars."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def main(root: Path, arguments: list[str]) -> int:
    """List the benchmarks, or run one; 1 when a bar falls short."""
    parser = argparse.ArgumentParser(prog="manage.py bench", description=__doc__, add_help=False)
    parser.add_argument("name", nargs="?", help="the benchmark to run; without it, list them")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options, rest = parser.parse_known_args(arguments)
    found = benchmarks(root)
    if options.name is None:
        _list(found, as_json=options.json)
        return 0
    if options.name not in found:
        parser.error(f"there is no benchmark '{options.name}'; choose from {', '.join(found)}")
    result = found[options.name].run(**_options(options.name, found[options.name], rest))
    bars = {name: vars(bar) for name, bar in result.bars.items()}
    if options.json:
        print(json.dumps({"name": options.name, "figures": result.figures, "bars": bars}))
    else:
        _print(options.name, result.figures, bars)
    return 0 if all(bar["ok"] for bar in bars.values()) else 1


def _options(name: str, module: ModuleType, arguments: list[str]) -> dict[str, Any]:
    """What a benchmark's own command line says; `add_options` of its module describes it."""
    parser = argparse.ArgumentParser(
        prog=f"manage.py bench {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if hasattr(module, "add_options"):
        module.add_options(parser)
    return vars(parser.parse_args(arguments))


def benchmarks(root: Path) -> dict[str, ModuleType]:
    """The modules of `benchmarks/` by name; a trailing underscore only avoids a keyword."""
    names = [path.stem for path in sorted((root / "benchmarks").glob("*.py"))]
    return {
        name.rstrip("_"): importlib.import_module(f"benchmarks.{name}")
        for name in names
        if not name.startswith("_")
    }


def _list(found: dict[str, ModuleType], *, as_json: bool) -> None:
    about = {name: (module.__doc__ or "").split("\n")[0] for name, module in found.items()}
    if as_json:
        print(json.dumps(about))
        return
    for name, text in about.items():
        print(f"{name:20} {text}")


def _print(name: str, figures: dict[str, object], bars: dict[str, dict[str, object]]) -> None:
    print(name)
    for figure, value in figures.items():
        bar = bars.get(figure)
        verdict = f"  {'ok' if bar['ok'] else 'FALLS SHORT'}, limit {bar['limit']}" if bar else ""
        print(f"  {figure:32} {value}{verdict}")
    sys.stdout.flush()
