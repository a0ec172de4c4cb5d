"""forge completion, and what the shell can complete. Nothing here imports torch or runs a plugin's code."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from i2i_forge.catalog.loading import find_plugins, read_vocabulary
from i2i_forge.catalog.signatures import module_file
from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.errors import ForgeError
from i2i_forge.recipe.json_schema.values import type_schema
from i2i_forge.recipe.names import named_recipes
from i2i_forge.recipe.reading import Recipe, read_recipe
from i2i_forge.recipe.schema import RULES, flattened

VARIABLE = "_FORGE_COMPLETE"  # click's own name for it

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def _completer(words: Callable[[click.Context, str], Iterable[str]]) -> Completer:
    """Those of the words that begin as the user did; none when they cannot be found out."""

    @wraps(words)
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        try:
            found = [word for word in dict.fromkeys(words(ctx, incomplete)) if word.startswith(incomplete)]
        except (ForgeError, OSError, SyntaxError):
            return []
        return [CompletionItem(word) for word in found]

    return complete


def recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Installed recipes by name, and the recipes in this folder; files, as soon as it looks like a path."""
    if "/" in incomplete or incomplete.startswith((".", "~")):
        return [CompletionItem(incomplete, type="file")]
    found = [*named_recipes(), *(file.name for file in sorted(Path().glob("*.yaml")))]
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


@_completer
def terms(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """PHASE.TERM of the recipe on the line."""
    for name, phase in _recipe(ctx).phases.items():
        yield from (f"{name}.{term}" for term in phase.minimize)


@_completer
def changes(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """KEY= of the recipe on the line, one level at a time, then its value where the values are names."""
    recipe, vocabulary = _recipe(ctx), _vocabulary(ctx)
    values = dict(_keys(recipe, vocabulary))
    key, equals, _ = incomplete.partition("=")
    if equals:
        return [f"{key}={value}" for value in values.get(key, ())]
    depth = incomplete.count(".") + 1
    cut = (".".join(known.split(".")[:depth]) for known in values)
    return [f"{known}=" if known in values else f"{known}." for known in cut]


@_completer
def metrics(ctx: click.Context, incomplete: str) -> list[str]:
    """The metrics by name."""
    return _vocabulary(ctx).names("metrics")


@_completer
def protocols(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """The protocols of the metrics on the line, or METRIC=NAME."""
    asked = ctx.params.get("metrics") or ()
    for metric in (c for c in _vocabulary(ctx).components if c.kind == "metrics"):
        if "=" in incomplete or not asked or metric.name in asked:
            names = _protocols(metric.origin.rpartition(".")[0])
            yield from (f"{metric.name}={name}" if "=" in incomplete else name for name in names)
    if "=" not in incomplete:
        yield from (f"{name}=" for name in _vocabulary(ctx).names("metrics"))


def _recipe(ctx: click.Context) -> Recipe:
    given = {key: ctx.params.get(key) or () for key in ("changes", "drop")}
    name = ctx.params.get("recipe") or next(iter(ctx.args), "")  # click stops at an option without its value
    return read_recipe(name, set=given["changes"], drop=given["drop"])


def _vocabulary(ctx: click.Context) -> Vocabulary:
    return read_vocabulary(find_plugins(ctx.find_root().params.get("folders") or ()))


def _keys(recipe: Recipe, vocabulary: Vocabulary) -> Iterator[tuple[str, list[str]]]:
    """Every key of the recipe and of its components, with the values it may have where they are names."""
    trainer = vocabulary.one("trainers", recipe.trainer)
    roles = (trainer.roles if trainer else None) or {}
    used = {f"networks.{role}": (roles.get(role, "encoders"), spec.use) for role, spec in recipe.networks.items()}
    streams = recipe.data.streams.items()
    used |= {"data" if name == "main" else f"data.{name}": ("datasets", spec.use) for name, spec in streams}
    yield from ((key, []) for key, _ in flattened(recipe.model_dump()))
    yield "trainer", vocabulary.names("trainers")
    yield "precision", ["fp32", "bf16"]
    yield "noise", ["generator", "counter"]
    for at, (kind, use) in used.items():
        yield f"{at}.use", vocabulary.names(kind)
        for component in vocabulary.find(kind, use)[:1]:
            yield from ((f"{at}.{option.name}", _choices(option.annotation)) for option in component.options or ())
    yield from ((f"optimizers.{name}.use", list(RULES)) for name in recipe.optimizers)


def _choices(annotation: str | None) -> list[str]:
    schema = type_schema(annotation)
    return ["true", "false"] if schema.get("type") == "boolean" else [str(value) for value in schema.get("enum", ())]


def _protocols(module: str) -> list[str]:
    """The `Protocol("name", ...)`s written in a metric's module and in those that it imports from its own package."""
    file, package = module_file(module), module.partition(".")[0]
    tree = ast.parse(file.read_bytes()) if file else ast.Module([], [])
    imported = [n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.module]
    files = [module_file(name) for name in imported if name.startswith(package)]
    trees = [tree, *(ast.parse(other.read_bytes()) for other in files if other)]
    return [
        str(call.args[0].value)
        for call in (node for each in trees for node in ast.walk(each) if isinstance(node, ast.Call))
        if ast.unparse(call.func) == "Protocol" and call.args and isinstance(call.args[0], ast.Constant)
    ]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes SHELL complete `forge` lines: commands, options, recipes, --set keys and values, --drop terms.

    \b
    bash, in ~/.bashrc:                     eval "$(forge completion bash)"
    zsh, in ~/.zshrc after compinit:        eval "$(forge completion zsh)"
    fish, in ~/.config/fish/config.fish:    forge completion fish | source

    Then `forge train munit_synthetic --set data.<TAB>` shows the keys there are. RECIPE has to come before --set.
    """
    found = get_completion_class(shell)
    assert found
    click.echo(found(click.get_current_context().find_root().command, {}, "forge", VARIABLE).source(), nl=False)


class WholeWordBash(BashComplete):
    """Bash cuts `--set data.use=x` at the `=`; this sees the line as it is written, and answers for the cut word.

    There is no space behind what goes on: a key that needs its value, a section that needs its key.
    """

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete $1 2>/dev/null)
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        else
            COMPREPLY+=("$value")
            [[ $value != *[=.] ]] || compopt -o nospace
        fi
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being written, and that one."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)[1:]
        self.incomplete = words.pop() if words and not line[-1].isspace() else ""
        return words, self.incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        """`type,value`, the value without what stands before the last place where bash cuts."""
        breaks = set("=:") & set(os.environ.get("COMP_WORDBREAKS", "=:"))
        cut = 1 + max((self.incomplete.rfind(character) for character in breaks), default=-1)
        return f"{item.type},{item.value[cut:]}"


add_completion_class(WholeWordBash)
