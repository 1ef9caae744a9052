"""``./phones completion``: the script that completes commands and options in a shell."""

from typing import ClassVar

import click
from click.shell_completion import BashComplete, ShellComplete, ZshComplete

COMPLETE_VARIABLE = "_PHONES_COMPLETE"


class PathZshComplete(ZshComplete):
    """Click's script, for a program that is called by its path and need not be on the PATH."""

    source_template: ClassVar[str] = ZshComplete.source_template.replace(
        "(( ! $+commands[%(prog_name)s] )) && return 1", ""
    ).replace("zsh_complete %(prog_name)s", "zsh_complete ${words[1]}")


SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": PathZshComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what completes ./phones in a shell.

    Put the line of the example, with bash or zsh, into the start file of your shell.

    \b
    Example:
      eval "$(./phones completion bash)"
    """
    script = SHELLS[shell](context.find_root().command, {}, "phones", COMPLETE_VARIABLE)
    click.echo(script.source())
