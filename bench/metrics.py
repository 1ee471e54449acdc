"""What a process of ours says of itself at /metrics."""

import urllib.request


def value(port: int, name: str) -> float:
    """The sample of that full name, summed over its labels; 0 when there is none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(number) for _, _, number in found)


def bundle_events(port: int) -> float:
    """Events per bundle that a receiver published so far."""
    name = "pipemirror_bundle_events"
    return value(port, f"{name}_sum") / max(1.0, value(port, f"{name}_count"))
