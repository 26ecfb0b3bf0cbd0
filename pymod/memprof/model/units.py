"""Numbers as people read them."""

MIB = 2**20

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(value: float, sign: bool = False) -> str:
    """Bytes with a unit, in tracemalloc's format: ``512 B``, ``4.0 KiB``, ``4855 KiB``.

    With ``sign`` a plus is shown too.
    """
    for unit in _UNITS:
        if abs(value) < 100 and unit != "B":
            return f"{value:+.1f} {unit}" if sign else f"{value:.1f} {unit}"
        if abs(value) < 10 * 1024 or unit == _UNITS[-1]:
            return f"{value:+.0f} {unit}" if sign else f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError("not reached")


def parse_size(text: str) -> int:
    """Bytes of ``"24 MB"``, ``"1.5GiB"``, ``"4096"``; ValueError for anything else.

    KB, MB and GB are powers of 1024 here, as memory is counted.
    """
    stripped = text.strip()
    number = stripped.rstrip("BbIiKkMmGgTt ")
    unit = stripped[len(number) :].strip().upper().removesuffix("B").removesuffix("I")
    powers = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
    try:
        if unit not in powers:
            raise ValueError
        value = float(number) * 1024 ** powers[unit]
    except ValueError:
        raise ValueError(f"not a size: '{text}' (try 24MB, 1.5GiB or 4096)") from None
    if not 0 <= value < 2**63:
        raise ValueError(f"size out of range: '{text}'")
    return int(value)


def count(value: int) -> str:
    """``1,234,567``"""
    return f"{value:,}"


def blocks(value: int) -> str:
    """``1 block``, ``1,204 blocks``"""
    return f"{value:,} block" if value == 1 else f"{value:,} blocks"


def seconds(value: float) -> str:
    """``0.052 s``, ``12.3 s``, ``4 min 05 s``, ``2 h 10 min``"""
    if value < 1:
        return f"{value:.3f} s"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
