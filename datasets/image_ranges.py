"""Whether the images of a published file are what they are said to be: digital numbers, of one range, none of them empty."""

from __future__ import annotations

from waldbench.datasets.base import DatasetError
from waldbench.datasets.cube_statistics import detect_values
from waldbench.datasets.hdf5 import ImageFile, Range

# No published sensor has more bits.
HIGHEST = 2.0**16 - 1
# Highest value of an image that was divided by its scale; interpolation overshoots.
FRACTIONS = 1.5
# Images of one place agree in their means; conversions by mistake differ by the scale, which is far more.
APART = 10.0


def measure(file: ImageFile) -> dict[str, Range]:
    """Ranges of the arrays ms, gt, lms and pan that a file has, from its first, middle and last image.

    Raises:
        DatasetError: if one is nothing but zeros or less, or its mean is far from that of `ms`.
    """
    if file.ranges:
        return file.ranges
    count = int(file.shapes["ms"][0])
    sample = sorted({0, count // 2, count - 1})
    found: dict[str, Range] = {}
    for name in ("ms", "gt", "lms", "pan"):
        if name in file.shapes:
            images = file.read(name, sample)
            found[name] = Range(float(images.min()), float(images.max()), float(images.double().mean()))
            if found[name].highest <= 0 or found[name].mean <= 0:
                raise DatasetError(
                    f"{file.path}: '{name}' has no positive values on average (from {found[name].lowest:g} to "
                    f"{found[name].highest:g}); expected images: download the file again, and use it as it is"
                )
    for name in ("gt", "lms"):
        if name in found and not 1 / APART <= found[name].mean / found["ms"].mean <= APART:
            raise DatasetError(
                f"{file.path}: the mean of '{name}' is {found[name].mean:.4g}, that of 'ms' {found['ms'].mean:.4g}; expected "
                "about the same digital numbers: one of them was converted, or is of another place"
            )
    file.ranges = found
    return found


def expect_digital_numbers(file: ImageFile, bits: int) -> dict[str, Range]:
    """Refuse fractions, negative digital numbers and values beyond 16 bits, in the sample now and whenever images are read.

    Interpolated images may undershoot and overshoot. What exceeds the sensor's own bits is the caller's matter.

    Args:
        file: with checked shapes.
        bits: of the sensor, for the message.

    Raises:
        DatasetError: naming the array.
    """
    file.limits = {name: (-HIGHEST if name == "lms" else 0.0, 2 * HIGHEST if name == "lms" else HIGHEST) for name in file.shapes}
    found = measure(file)
    for name, values in found.items():
        if values.highest <= FRACTIONS:
            raise DatasetError(
                f"{file.path}: '{name}' reaches {values.highest:g} only; expected digital numbers of {bits} bits, 0 to "
                f"{2**bits - 1}; use the published file as it is, not divided by the scale"
            )
    return found


def expect_one_range(file: ImageFile) -> None:
    """Refuse a file of which one array has fractions and another digital numbers, or values beyond 16 bits.

    Args:
        file: with checked shapes; its values may be fractions or digital numbers.

    Raises:
        DatasetError: naming the array.
    """
    file.limits = dict.fromkeys(file.shapes, (-HIGHEST, 2 * HIGHEST))
    found = measure(file)
    expected = detect_values(found["ms"].highest).factor
    for name, values in found.items():
        if detect_values(values.highest).factor != expected:
            raise DatasetError(
                f"{file.path}: '{name}' reaches {values.highest:.4g}, 'ms' {found['ms'].highest:.4g}: fractions beside digital "
                "numbers; use the published file as it is"
            )
