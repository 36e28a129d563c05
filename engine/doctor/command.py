"""The command `cxrsweep doctor`."""

from __future__ import annotations

import click

from cxrsweep.engine.doctor.diagnosis import diagnose
from cxrsweep.engine.doctor.report import json_of, text_of


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def doctor(as_json: bool) -> None:
    """Say what this machine can do, what is missing, and the command that mends it.

    Decodes a small file of every format, runs a tiny network, and on a GPU a tiny plan too.
    A machine without a GPU is fine: those lines say "absent".

    Exit codes: 0 it can sweep, on the CPU at least, 1 it cannot, 2 usage.

    \b
    Example:
        cxrsweep doctor
        cxrsweep doctor --json
    """
    diagnosis = diagnose()
    click.echo(json_of(diagnosis) if as_json else text_of(diagnosis))
    raise click.exceptions.Exit(0 if diagnosis.can_sweep_on_cpu else 1)
