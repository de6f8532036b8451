"""Formats quantities for people to read."""


def duration(seconds: float) -> str:
    """Return a duration such as 42 s, 3 min 20 s, 2 h 15 min or 4 d 3 h."""
    whole = round(seconds)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
