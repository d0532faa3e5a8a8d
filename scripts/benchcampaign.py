"""Reads what `go test -bench` printed of campaigns, prints it as tables and draws how the costs grow.

usage: benchcampaign.py OUTPUT [SVG]
"""
import math
import re
import sys

ENGINES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
COLOURS = {"sqlite": "#0b7285", "postgres": "#c2410c"}
# What grows: the benchmark's unit, how it is called, and its unit for people.
COSTS = [
    ("import-µs/row", "import, a row", "µs"),
    ("due-ms", "100 due leads chosen", "ms"),
    ("decide-µs", "a call decided and written", "µs"),
    ("fresh-decide-µs", "the same right after the import", "µs"),
    ("settle-µs", "a call settled", "µs"),
    ("progress-ms", "counts read", "ms"),
]


def read(path):
    """Gives {benchmark without the number of cores: {unit: value}}."""
    found = {}
    for line in open(path, encoding="utf-8"):
        m = re.match(r"Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)", line)
        if m:
            fields = m[2].split()
            found[m[1]] = {unit: float(value) for value, unit in zip(fields[::2], fields[1::2])}
    return found


def number(v):
    """A figure with three digits, or a whole number with commas."""
    if v >= 100:
        return f"{v:,.0f}"
    return f"{v:.3g}"


def sizes(found):
    return sorted({int(name.split("/")[2]) for name in found if name.startswith("Growth/")})


def rows(found):
    """The rows of the table: figure, to reach, measured."""
    most = sizes(found)[-1]

    def both(fmt):
        return ", ".join(f"{fmt(e)} on {name}" for e, name in ENGINES.items())

    at = lambda e: found[f"Growth/{e}/{most}"]
    yield f"import of {most:,} rows", "≤ 60 s", both(lambda e: f"{number(at(e)['import-s'])} s")
    yield "the same: rows a second", "", both(lambda e: number(most / at(e)["import-s"]))
    yield "the same: most memory", "≤ 200 MB", both(lambda e: f"{number(at(e)['import-peak-MB'])} MB")
    yield "the same: longest wait of another small write", "", both(lambda e: f"{number(at(e)['import-longest-wait-ms'])} ms")
    for what, says in (("allowed", "to call"), ("refused", "not to call")):
        if f"Decisions/sqlite/{what}" in found:
            yield f"decisions {says}, 500 at once", "≥ 2,000 a second", both(lambda e: number(found[f"Decisions/{e}/{what}"]["decisions/s"]))
    yield f"choosing 100 due leads of {most:,} that wait", "≤ 5 ms", both(lambda e: f"{number(at(e)['due-ms'])} ms")
    for e, name in ENGINES.items():
        if r := found.get(f"Register/{e}"):
            yield f"do-not-call, {r['numbers']:,.0f} numbers, lists and consents on {name}: a lookup, memory", "≤ 50 µs, ≤ 100 MB", \
                f"{number(r['µs/number'])} µs, {number(r['MB'])} MB"
    if "Play" in found:
        yield "simulator", "≥ 1,000 × real time", f"{number(found['Play']['x-real-time'])} ×"


def growth(found):
    """The table of costs by size."""
    cols = [(e, n) for e in ENGINES for n in sizes(found)]
    print("\n| " + " | ".join(["cost"] + [f"{ENGINES[e]}, {n:,}" for e, n in cols]) + " |")
    print("|---" * (len(cols) + 1) + "|")
    for unit, what, human in COSTS:
        print("| " + " | ".join([what] + [f"{number(found[f'Growth/{e}/{n}'][unit])} {human}" for e, n in cols]) + " |")


def draw(found, path):
    """One panel for each cost: leads from left to right, tenfold each step, and the cost from nothing upwards."""
    w, h, gap, left, top = 250, 150, 62, 62, 64
    across = 3
    n = sizes(found)
    width = left + across * (w + gap)
    height = top + math.ceil(len(COSTS) / across) * (h + gap + 20)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{left}" y="26" font-size="16" font-weight="bold">What a campaign costs as its list grows</text>']
    for i, (e, name) in enumerate(ENGINES.items()):
        x = width - 250 + i * 100
        out.append(f'<circle cx="{x}" cy="21" r="5" fill="{COLOURS[e]}"/><text x="{x + 10}" y="25">{name}</text>')
    for i, (unit, what, human) in enumerate(COSTS):
        x0, y0 = left + i % across * (w + gap), top + i // across * (h + gap + 20)
        values = {e: [found[f"Growth/{e}/{k}"][unit] for k in n] for e in ENGINES}
        step = nice(max(max(v) for v in values.values()) / 4)
        steps = math.ceil(max(max(v) for v in values.values()) / step)
        out.append(f'<text x="{x0}" y="{y0 - 8}" font-weight="bold">{what}, {human}</text>')
        for k in range(steps + 1):
            y = y0 + h - h * k / steps
            out.append(f'<path d="M{x0} {y:.1f}h{w}" stroke="#ddd"/><text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{k * step:g}</text>')
        spot = lambda j: x0 + w * (j + 0.5) / len(n)
        for j, k in enumerate(n):
            out.append(f'<text x="{spot(j):.1f}" y="{y0 + h + 16}" text-anchor="middle" fill="#555">{k:,}</text>')
        for e, v in values.items():
            dots = [(spot(j), y0 + h - h * c / (steps * step)) for j, c in enumerate(v)]
            out.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in dots)}" fill="none" stroke="{COLOURS[e]}" stroke-width="2"/>')
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[e]}"/>' for x, y in dots]
        out.append(f'<text x="{x0 + w / 2}" y="{y0 + h + 34}" text-anchor="middle" fill="#555">leads</text>')
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n</svg>\n")


def nice(v):
    """The next of 1, 2, 5, 10, ... at or above v."""
    ten = 10 ** math.floor(math.log10(v))
    return next(k * ten for k in (1, 2, 5, 10) if k * ten >= v * 0.999)


def main():
    found = read(sys.argv[1])
    for row in rows(found):
        print("| " + " | ".join(row) + " |")
    growth(found)
    if len(sys.argv) > 2:
        draw(found, sys.argv[2])


main()
