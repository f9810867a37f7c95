"""Cut the few pictures that tests need out of what Debian's packages install.

`python tests/pictures/make.py` writes the files beside it anew. It needs the packages named in
README.md, and fontTools, which comes with matplotlib.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from fontTools import subset
from fontTools.ttLib import TTFont

INSTALLED = Path("/usr/share")
HERE = Path(__file__).parent

GARMENTS_PER_CLASS = 6
EMOJI_PER_GROUP = 6
FLAGS = ("AT", "BA", "BE", "EE", "TT", "BB")  # of few letters
LETTERS_PER_SCRIPT = 5
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LATIN_FAMILIES = ("NotoSans", "NotoSansDisplay", "NotoSerif", "NotoSerifDisplay")
LATIN_STYLES = ("Bold", "BoldItalic", "Italic", "Regular")
SCRIPTS = {
    "Armenian": 0x0531, "Bengali": 0x0995, "Devanagari": 0x0915, "Ethiopic": 0x1200,
    "Georgian": 0x10D0, "Gujarati": 0x0A95, "Hebrew": 0x05D0, "Kannada": 0x0C95, "Khmer": 0x1780,
    "Lao": 0x0E81, "Malayalam": 0x0D15, "Myanmar": 0x1000, "Sinhala": 0x0D9A, "Tamil": 0x0B95,
    "Telugu": 0x0C15, "Thai": 0x0E01,
}  # fmt: skip


def place(name: str) -> Path:
    """Where a cut goes: the same path as the installed file, below this folder."""
    target = HERE / name
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def cut_garments() -> None:
    folder = "datasets/fashion-mnist"

    def read(name: str, skip: int) -> np.ndarray:
        content = gzip.decompress((INSTALLED / folder / name).read_bytes())
        return np.frombuffer(content, np.uint8, offset=skip)

    def write(name: str, header: list[int], values: np.ndarray) -> None:
        content = np.array(header, ">i4").tobytes() + values.tobytes()
        place(f"{folder}/{name}").write_bytes(gzip.compress(content, mtime=0))

    images = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = read("t10k-labels-idx1-ubyte.gz", 8)
    first = [np.flatnonzero(labels == label)[:GARMENTS_PER_CLASS] for label in range(10)]
    rows = np.sort(np.concatenate(first))
    write("t10k-images-idx3-ubyte.gz", [0x803, len(rows), 28, 28], images[rows])
    write("t10k-labels-idx1-ubyte.gz", [0x801, len(rows)], labels[rows])


def cut_font(name: str, characters: str, glyphs: list[str] | None = None) -> None:
    """Keep some characters of a font; of its layout rules only those between `glyphs`."""
    options = subset.Options(
        hinting=False, notdef_outline=True, layout_closure=False, recalc_timestamp=False
    )
    options.layout_features = ["*"] if glyphs else []
    options.drop_tables += [] if glyphs else ["GDEF", "GPOS", "GSUB"]
    font = TTFont(INSTALLED / name, recalcTimestamp=False)
    cutter = subset.Subsetter(options)
    cutter.populate(text=characters, glyphs=glyphs or [])
    cutter.subset(font)
    font.save(place(name))


def cut_letters() -> None:
    folder = "fonts/truetype/noto"
    for family in LATIN_FAMILIES:
        for style in LATIN_STYLES:
            cut_font(f"{folder}/{family}-{style}.ttf", LATIN)
    for script, first in SCRIPTS.items():
        known = TTFont(INSTALLED / folder / f"NotoSans{script}-Regular.ttf").getBestCmap()
        codes = [code for code in range(first, first + 30) if code in known]
        letters = "".join(map(chr, codes[:LETTERS_PER_SCRIPT]))
        for family in ("NotoSans", "NotoSerif"):
            for style in ("Bold", "Regular"):
                cut_font(f"{folder}/{family}{script}-{style}.ttf", letters)


def cut_emoji() -> None:
    list_name = "unicode/emoji/emoji-test.txt"
    header, *groups = (INSTALLED / list_name).read_text("utf-8").split("# group: ")
    flag_codes = [[f"{ord(c) - ord('A') + 0x1F1E6:X}" for c in flag] for flag in FLAGS]
    kept = [header.rstrip() + "\n# Cut down for tests: most emoji are left out."]
    characters: list[str] = []
    for group in groups:
        name, *lines = group.splitlines()
        full = [line for line in lines if "; fully-qualified" in line]
        codes_of = {line: line.split(";")[0].split() for line in full}
        single = [line for line in full if len([c for c in codes_of[line] if c != "FE0F"]) == 1]
        flags = [line for line in full if codes_of[line] in flag_codes]
        chosen = flags if name == "Flags" else single[:EMOJI_PER_GROUP]
        if not chosen:
            continue  # the components
        kept.append("\n".join([f"# group: {name}", *chosen]))
        characters += ["".join(chr(int(c, 16)) for c in codes_of[line]) for line in chosen]
    place(list_name).write_text("\n\n".join(kept) + "\n", encoding="utf-8")
    font_name = "fonts/truetype/noto/NotoColorEmoji.ttf"
    cut_font(font_name, "".join(characters), flag_glyphs(font_name))


def flag_glyphs(name: str) -> list[str]:
    """Names of the glyphs that the letters of each flag are joined to."""
    font = TTFont(INSTALLED / name)
    glyph_of = font.getBestCmap()
    pairs = [[glyph_of[ord(c) - ord("A") + 0x1F1E6] for c in flag] for flag in FLAGS]
    return [
        ligature.LigGlyph
        for lookup in font["GSUB"].table.LookupList.Lookup
        for table in lookup.SubTable
        for start, ligatures in getattr(
            getattr(table, "ExtSubTable", table), "ligatures", {}
        ).items()
        for ligature in ligatures
        if [start, *ligature.Component] in pairs
    ]


if __name__ == "__main__":
    cut_garments()
    cut_letters()
    cut_emoji()
