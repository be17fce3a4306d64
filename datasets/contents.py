"""What a file that cannot be read really is: a pointer, a web page, text, an archive, nothing, another format, or damaged."""

from __future__ import annotations

from pathlib import Path

AGAIN = "download it again, by hand in a browser, and compare its size with the one on the download page"
HDF5 = "an HDF5 file"
TIFF = "a TIFF file"
JPEG2000 = "a JPEG2000 file"
NUMPY = "a NumPy file"
MATLAB = "a MATLAB file"
# Signatures at the start of a file, and what such a file is called.
SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
    (b"\x00\x00\x00\x0cjP  ", JPEG2000),
    (b"\xff\x4f\xff\x51", JPEG2000),
    (b"\x93NUMPY", NUMPY),
    (b"MATLAB ", MATLAB),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
)
ARCHIVES = ((b"PK\x03\x04", "a zip archive"), (b"\x1f\x8b", "a gzip archive"), (b"7z\xbc\xaf", "a 7z archive"))
HEAD = 512


def kind(path: Path) -> str:
    """What the first bytes of a file say it is, such as "a TIFF file"; empty where they say nothing known."""
    head = _head(path)
    return next((name for signature, name in SIGNATURES if head.startswith(signature)), "")


def diagnosis(path: Path, expected: str, error: Exception | None = None) -> str:
    """Why a file cannot be read as what it should be, and what to do; one line without the path.

    Args:
        path: the file.
        expected: what it should be, such as "a TIFF file".
        error: what its reader said.
    """
    if not path.is_file():
        return f"expected {expected}, found none; check the path"
    size, head = path.stat().st_size, _head(path)
    text = head.lstrip().lower()
    if size == 0:
        return f"expected {expected}, found 0 bytes (an empty file); {AGAIN}"
    if text.startswith((b"<!doctype", b"<html")) or b"<html" in text or (text.startswith(b"<?xml") and "xml" not in expected):
        return f"expected {expected}, found a saved web page of {size} bytes (a download page, not the data); {AGAIN}"
    if head.startswith(b"version https://git-lfs"):
        return f"expected {expected}, found a Git LFS pointer of {size} bytes; fetch the file itself (git lfs pull)"
    archive = next((name for signature, name in ARCHIVES if head.startswith(signature)), "")
    if archive:
        return f"expected {expected}, found {archive} of {size} bytes; unpack it first"
    found = kind(path)
    if found and found != expected:
        return f"expected {expected}, found {found} of {size} bytes; rename it, or give the right file"
    said = " ".join(str(error).split()) if error else ""
    if found and _is_cut(said):
        return f"the file is truncated at {size} bytes (an interrupted download); {AGAIN}"
    if found:
        return f"the file is damaged ({said}); {AGAIN}"
    if _is_text(head):
        start = head.decode("utf-8", errors="replace").split("\n")[0].strip()[:30]
        return f"expected {expected}, found {size} bytes of another format (text: '{start}'); {AGAIN}"
    return f"expected {expected}, found {size} bytes of another format; {AGAIN}"


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD)


def _is_text(head: bytes) -> bool:
    try:
        return head.decode("utf-8").replace("\n", "").replace("\r", "").replace("\t", "").isprintable()
    except UnicodeDecodeError:
        return False


def _is_cut(said: str) -> bool:
    words = ("truncated", "end of file", "scanline", "encodedstrip", "encodedtile", "read error", "not enough", "beyond", "seek")
    return any(word in said.lower().replace(" ", "") or word in said.lower() for word in words)
