"""The command line: `cxrsweep`. Every command is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module

import click

from cxrsweep.engine.errors import CxrsweepError

CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}

_EXPORT = ("torch", "onnx", "onnxruntime", "onnxscript", "monai", "safetensors", "h5py")
EXTRAS = {**dict.fromkeys(_EXPORT, "[export]"), "matplotlib": "[plots]"}


class LazyGroup(click.Group):
    """A group that knows its commands by name, one-line help and where they live.

    Args:
        homes: command -> ("module:attribute", one line for the list of commands).
    """

    def __init__(self, *args: object, homes: dict[str, tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.homes = homes

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order they were given."""
        return list(self.homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command.

        Raises:
            click.ClickException: it needs an extra that is not installed.
        """
        if cmd_name not in self.homes:
            return None
        module, attribute = self.homes[cmd_name][0].split(":")
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("cxrsweep"):
                raise
            extra = EXTRAS.get((error.name or "").split(".")[0], "")
            raise click.ClickException(
                f"`{cmd_name}` needs the package {error.name!r}, which is not installed; in the"
                f" checkout of cxrsweep: pip install -c constraints.txt '.{extra}'"
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.homes.items()])


WORDS = "cxrsweep.words"  # of the command line, in the context's meta, for who runs it again


class RootGroup(LazyGroup):
    """The one place where an error of this project becomes a message and exit code 1."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as they were given, too."""
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for.

        Raises:
            click.ClickException: what this project reports as an error.
        """
        try:
            return super().invoke(ctx)
        except CxrsweepError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:  # a full disk, a vanished mount
            if error.filename is None:  # the output pipe; the run folder says how far it is
                raise click.ClickException(f"{error.strerror or error}") from error
            raise click.ClickException(
                f"{error.strerror}: {error.filename};"
                " what was finished is kept, mend it and start the same command again"
            ) from error


@click.group(
    cls=RootGroup,
    context_settings=CONTEXT,
    homes={
        "sweep": ("cxrsweep.engine.commands:sweep", "Score every radiograph of an archive."),
        "join": ("cxrsweep.engine.commands:join", "Write the results of a run swept in shares."),
        "inspect": ("cxrsweep.engine.commands:inspect", "Say what a bundle or a run is."),
        "report": ("cxrsweep.engine.report.commands:report", "Write one HTML page about a run."),
        "overlay": (
            "cxrsweep.engine.report.commands:overlay",
            "Draw lung boxes into radiographs of a run.",
        ),
        "evaluate": (
            "cxrsweep.engine.evaluation.commands:evaluate",
            "Compare a run's scores with labels.",
        ),
        "threshold": (
            "cxrsweep.engine.evaluation.commands:threshold",
            "Choose a decision threshold for a bundle.",
        ),
        "doctor": (
            "cxrsweep.engine.doctor.command:doctor",
            "Say what this machine can do and what is missing.",
        ),
        "demo": ("cxrsweep.bench.commands:demo", "Sweep a small synthetic archive."),
        "export": (
            "cxrsweep.export.commands:export",
            "Turn trained networks into a bundle.",
        ),
        "bench": ("cxrsweep.bench.commands:bench", "Measure the engine beside its rivals."),
    },
)
@click.version_option(package_name="cxrsweep")
def cxrsweep() -> None:
    """Sweep a chest-radiograph archive overnight and lose no row.

    For research only, never a diagnosis.

    \b
    Example:
        cxrsweep demo -o demo
        cxrsweep sweep my-radiographs -b demo/bundle -o my-run
    """


def main() -> None:
    """Run the command line."""
    cxrsweep()
