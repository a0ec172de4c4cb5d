"""forge completion"""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

VARIABLE = "_FORGE_COMPLETE"  # click's own name for it


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
