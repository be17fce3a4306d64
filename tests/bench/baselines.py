"""Parameters and MACs of the released networks, with the digits in which their MACs are known.

Key, bands, parameters (None where the released network holds more than it uses, or was not counted), and for a guide of 64 or
256 pixels a side the MACs as printed: M for millions, G for thousands of millions.
"""

from __future__ import annotations

PUBLISHED: list[tuple[str, int, int | None, dict[int, str]]] = [
    ("pnn", 8, 104_360, {64: "504.8 M", 256: "7.132 G"}),
    ("pnn", 4, 80_420, {256: "5.477 G"}),
    ("a-pnn", 8, 79_880, {64: "385.2 M", 256: "5.454 G"}),
    ("a-pnn", 4, 61_124, {}),
    ("pannet", 8, 83_024, {64: "323.1 M", 256: "5.169 G"}),
    ("pannet", 4, 77_640, {256: "5.006 G"}),
    ("drpnn", 8, 433_465, {64: "1.774 G", 256: "28.388 G"}),
    ("drpnn", 4, 418_365, {256: "27.399 G"}),
    ("msdcnn", 8, 228_556, {64: "935.0 M", 256: "14.960 G"}),
    ("msdcnn", 4, 189_852, {256: "12.424 G"}),
    ("dicnn", 8, 46_792, {64: "191.1 M", 256: "3.058 G"}),
    ("dicnn", 4, 42_180, {256: "2.756 G"}),
    ("bdpn", 8, 1_487_069, {64: "3.804 G", 256: "60.860 G"}),
    ("bdpn", 4, 1_481_273, {256: "60.636 G"}),
    ("fusionnet", 8, 78_632, {64: "320.9 M", 256: "5.134 G"}),
    ("fusionnet", 4, 76_324, {256: "4.983 G"}),
    ("gppnn", 8, 238_592, {64: "694.2 M", 256: "11.107 G"}),
    ("gppnn", 4, 119_808, {256: "5.587 G"}),
    ("srppnn", 8, 906_870, {64: "1.385 G", 256: "22.154 G"}),
    ("srppnn", 4, 897_654, {256: "21.847 G"}),
    ("mucnn", 8, 2_320_460, {64: "1.744 G", 256: "27.910 G"}),
    ("mucnn", 4, 1_362_832, {256: "20.934 G"}),
    ("lagconv", 8, 151_397, {64: "525.3 M", 256: "8.404 G"}),
    ("lagconv", 4, 148_457, {256: "8.232 G"}),
    ("tdnet", 8, 545_842, {64: "1.399 G", 256: "22.387 G"}),
    ("tdnet", 4, 486_854, {256: "19.985 G"}),
    ("spanconv", 8, 16_264, {64: "63.0 M", 256: "1.008 G"}),
    ("spanconv", 4, 15_504, {256: "0.961 G"}),
    ("mmapp", 8, 951_591, {64: "738.2 M", 256: "11.81 G"}),
    ("mmapp", 4, 840_587, {64: "612.8 M", 256: "9.8 G"}),
    ("awfln", 8, 174_383, {64: "667.3 M", 256: "10.677 G"}),
    ("awfln", 4, 162_419, {256: "10.436 G"}),
    ("tfnet", 8, 2_366_329, {64: "1.732 G", 256: "27.718 G"}),
    ("tfnet", 4, 2_362_869, {256: "27.492 G"}),
    ("hyperpnn", 8, 120_776, {64: "493.1 M", 256: "7.889 G"}),
    ("hspenet", 8, 89_224, {64: "364.4 M", 256: "5.831 G"}),
    # The released network also holds 72 fixed weights of a blur, which is computed here.
    ("hyper-dsnet", 8, 41_210 - 72, {64: "168.1 M", 256: "2.690 G"}),
    ("dhp-darn", 8, 307_868, {64: "1.249 G", 256: "19.986 G"}),
]


def printed(macs: int, like: str) -> str:
    """MACs with the unit and the decimals of a printed number."""
    number, unit = like.split()
    return f"{macs / {'M': 1e6, 'G': 1e9}[unit]:.{len(number.partition('.')[2])}f} {unit}"
