"""Any text as LaTeX that pdflatex compiles."""

from __future__ import annotations

import re
import unicodedata

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"}
SPECIAL |= {
    "°": r"$^\circ$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "·": r"$\cdot$",
}
SPECIAL |= {"≤": r"$\leq$", "≥": r"$\geq$", "→": r"$\rightarrow$", "∞": r"$\infty$", "²": "$^2$", "³": "$^3$", "µ": r"$\mu$"}
SPECIAL |= {"–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\dots{}", "√": r"$\surd$", "∈": r"$\in$"}
GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi o pi rho "
GREEK += "varsigma sigma tau upsilon phi chi psi omega"
SPECIAL |= {chr(0x3B1 + number): "o" if name == "o" else f"$\\{name}$" for number, name in enumerate(GREEK.split())}
CAPITALS = {"Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi"}
SPECIAL |= {letter: f"$\\{name}$" for letter, name in (CAPITALS | {"Ω": "Omega"}).items()}
# Latin letters that LaTeX's default font encoding cannot compose.
UNPRINTABLE = frozenset("ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")


def symbol(title: str) -> str:
    """A title whose first underscore starts a subscript, in LaTeX: D_λ,K becomes a D with the index λ,K."""
    base, underscore, index = title.partition("_")
    return f"{escape(base)}$_{{\\mathrm{{{_plain(index)}}}}}$" if underscore and index else escape(title)


def _plain(text: str) -> str:
    """Text inside math mode."""
    return escape(text).replace("$", "")


def escape(text: str) -> str:
    """Any text as LaTeX that pdflatex compiles; characters it cannot print become "?"."""
    return "".join(SPECIAL.get(character) or _printable(character) for character in text)


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    if character.isascii() or (character.isalpha() and character < "\u0180" and character not in UNPRINTABLE):
        return character if character.isprintable() else "?"
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(SPECIAL.get(letter, letter) for letter in plain) if plain.isprintable() and plain else "?"


def sentence(text: str) -> str:
    """A sentence of a note: as `escape`, with powers set as such."""
    return re.sub(r"\\textasciicircum\{\}(-?\w+)", r"$^{\\mathrm{\1}}$", escape(text))
