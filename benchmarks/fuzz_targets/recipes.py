"""The reader of recipes, with all its checks; what it accepts must come back from its own YAML."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from random import Random

from i2i_forge.catalog.loading import find_plugins, read_vocabulary
from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.errors import RecipeError
from i2i_forge.recipe import check_components, check_names, check_shape, terms, yaml_source, yaml_text
from i2i_forge.recipe import reading as recipe
from i2i_forge.recipe.names import shipped_recipes
from i2i_forge_benchmarks.fuzz_targets import Target
from i2i_forge_benchmarks.fuzz_targets.mutation import changed


@cache
def vocabulary() -> Vocabulary:
    """What the built-in plugins provide."""
    return read_vocabulary(find_plugins())


def read(data: bytes) -> None:
    """Read it as a recipe's file, and what it says again."""
    with tempfile.TemporaryDirectory() as place:
        (file := Path(place, "r.yaml")).write_bytes(data)
        try:
            found = recipe.read_recipe(file, vocabulary=vocabulary())
        except RecipeError as error:  # one line for each mistake
            lines = error.message.splitlines()
            place = r".+?:[0-9]+:[0-9]+: .|\.\.\. and [0-9]+ more"
            assert len(lines) == 1 or all(re.match(place, line) for line in lines), error.message
            assert len(max(lines, key=len)) < 1000, "a line of more than 1,000 characters"
            raise RecipeError(lines[0], fix=error.fix) from None
        file.write_text(found.to_yaml(), encoding="utf-8")
        again = recipe.read_recipe(file, vocabulary=vocabulary())
        assert again.model_dump() == found.model_dump(), "it says something else when it is written again"


def seeds() -> list[bytes]:
    """Some recipes that come with i2i_forge, with and without their bases, and the traps of YAML."""
    chosen = [shipped_recipes()[name] for name in ("munit_synthetic", "munit_edge2shoes", "bicyclegan_synthetic")]
    whole = [recipe.read_recipe(file).to_yaml().encode() for file in chosen]
    traps = (
        b"", b"base: munit_synthetic\n", b"base: r.yaml\n", b"- 1\n", b"a: &a [*a]\n", b"a: 1e999\n",
        b"a: !!binary aGk=\n",
        b"base: munit_synthetic\ndata: {root: 'no', pairs: {use: x}}\n", b"a: &a {b: 1}\nc: {<<: *a}\n",
        b"a: 1\n---\nb: 2\n", "a: b\ufeff\u202e\n".encode(), b"? [a]\n: |\n  x\n  y\n", b'a: "\\UFFFFFFFF"\n',
    )  # fmt: skip
    return [*(file.read_bytes() for file in chosen), *whole, *traps]


def mutate(data: bytes, random: Random) -> bytes:
    """Change whole lines and words: what stays is still YAML, so that the checks behind the parser are reached."""
    lines = data.split(b"\n")
    for _ in range(random.randrange(1, 4)):
        at, other = random.randrange(len(lines)), random.choice(lines)
        words = lines[at].split(b" ")
        words[random.randrange(len(words))] = random.choice((*TOKENS, *other.split(b" ")))
        indented = b" " * random.randrange(9) + lines[at].lstrip()
        lines[at : at + random.randrange(2)] = [random.choice((other, indented, b" ".join(words)))]
    return changed(b"\n".join(lines), [data], TOKENS, random) if random.random() < 0.2 else b"\n".join(lines)


TOKENS = (
    b"base: munit_synthetic\n", b": ", b"- ", b"? ", b"{", b"}", b"[", b"]", b"'", b'"', b"|\n", b">-\n", b"#", b"~",
    b"&a ", b"*a", b"<<: *a\n", b"!!str ", b"---\n", b"...\n", b"%YAML 1.2\n", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf",
    b"1e999", b".nan", b"-.inf", b"0x1F", b"1_0", b"true", b"no", b"-1", b"9" * 500, b"use: l1", b"per: {a: {}}",
    b"minimize: {x: {ab: l1(source, target)}}", b"roles: [decoder]", b"step(10, 0.5) * ", b"warmup(0)", b"*" * 200,
    b"stream: main", b"reuse: {translation: generator}", "é\u00a0\u2028\u202e".encode(), b"[" * 40, b"{a: " * 40,
)  # fmt: skip
MODULES = (yaml_source, yaml_text, recipe, check_components, check_names, check_shape, terms)
TARGET = Target(read, seeds, modules=MODULES, tokens=TOKENS, mutate=mutate, megabytes=128)
