"""Recipes with a mistake in them, drawn from a seed."""

import re

CHARACTERS = "abc:{}[],#'\"&*!%@`|>?-~<=\t é\u00a0\u200b\u202e\ufeff\0\U0001f600"
PIECES = ("[1, 2]", "{a: b}", "true", "~", "-1", "0", "1e999", ".nan", "'", "*x", "&x 1", "!!binary aGk=", "<<: *x",
          "- x", "---", "? a", "|", "9" * 500, "none", "../x")  # fmt: skip


def mutated(text, draw):
    """A recipe's text with a mistake, and whether the mistake is one that must be refused."""
    lines = text.splitlines()
    while True:
        change = draw.choice(CHANGES)
        places = [i for i, line in enumerate(lines) if re.search(change.__doc__, line) and not line.startswith("#")]
        if places:
            at = draw.choice(places)
            changed = change(lines, at, draw)
            return "\n".join(changed) + "\n", change in HARMFUL


def _with(lines, at, line):
    return [*lines[:at], line, *lines[at + 1 :]]


def drop_line(lines, at, draw):
    r"."
    return [*lines[:at], *lines[at + 1 :]]


def repeat_key(lines, at, draw):
    r"^ *\w+: *[^ #]"
    return [*lines[:at], lines[at], *lines[at:]]


def rename_setting(lines, at, draw):
    r"^(trainer|seed|steps|precision|data|networks|optimizers|phases|run|base|  (?!def)\w+: \{use|    (trains|every)):?"
    return _with(lines, at, re.sub(r"(\w+):", r"\1x:", lines[at], count=1))


def wrong_type(lines, at, draw):
    r"^(seed|steps|precision|data|networks|phases): *"
    key, _, _ = lines[at].partition(":")
    return _with([line for line in lines if not line.startswith(" ") or lines.index(line) < at], at,
                 f"{key}: {draw.choice(['[1, 2]', 'no', '1.5', '-1', 'true'])}")  # fmt: skip


def out_of_range(lines, at, draw):
    r"\b(lr|batch|every|steps): *[0-9.e-]+"
    key = draw.choice(re.findall(r"\b(lr|batch|every|steps): *[0-9.e-]+", lines[at]))
    value = draw.choice(["-3", "1e999", ".nan", "-.inf", "1e-400x"])
    return _with(lines, at, re.sub(rf"\b{key}: *[0-9.e-]+", f"{key}: {value}", lines[at], count=1))


def unknown_component(lines, at, draw):
    r"\buse: *\w+"
    return _with(lines, at, re.sub(r"use: *(\w+)", lambda m: f"use: {m[1][:-1]}_x", lines[at], count=1))


def unknown_loss(lines, at, draw):
    r"\w+\(\w+(, \w+)*\)"
    return _with(lines, at, re.sub(r"(\w+)\(", r"\1_(", lines[at], count=1))


def unknown_tensor(lines, at, draw):
    r"\w+\(\w+(, \w+)*\)"
    return _with(lines, at, re.sub(r"\((\w+)", r"(\1_", lines[at], count=1))


def broken_term(lines, at, draw):
    r"\w+\(\w+(, \w+)*\)"
    old, new = draw.choice([("(", "(("), (")", ""), ("(", "["), (", ", " ** "), ("(", "(lambda: ")])
    return _with(lines, at, lines[at].replace(old, new, 1))


def move(lines, at, draw):
    r"^ +\w"
    return _with(lines, at, draw.choice([lines[at][1:], " " + lines[at], "\t" + lines[at], lines[at].lstrip()]))


def swap_lines(lines, at, draw):
    r"."
    other = draw.randrange(len(lines))
    changed = list(lines)
    changed[at], changed[other] = changed[other], changed[at]
    return changed


def insert_character(lines, at, draw):
    r"."
    place = draw.randrange(len(lines[at]) + 1)
    return _with(lines, at, lines[at][:place] + draw.choice(CHARACTERS) + lines[at][place:])


def replace_word(lines, at, draw):
    r"."
    words = lines[at].split(" ")
    words[draw.randrange(len(words))] = draw.choice(PIECES)
    return _with(lines, at, " ".join(words))


def cut_off(lines, at, draw):
    r"."
    return [*lines[:at], lines[at][: draw.randrange(len(lines[at]) + 1)]]


HARMFUL = (repeat_key, rename_setting, wrong_type, out_of_range, unknown_component, unknown_loss, unknown_tensor,
           broken_term)  # fmt: skip
CHANGES = (*HARMFUL, drop_line, move, swap_lines, insert_character, replace_word, cut_off)
