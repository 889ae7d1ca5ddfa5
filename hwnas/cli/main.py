"""The command line: it parses, calls and prints; the work is done on the floors below."""

import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError

from hwnas.cli import (
    devices,
    evaluate,
    export,
    export_weights,
    fit,
    import_weights,
    predict,
    profile,
    report,
    score,
    search,
    spaces,
    train,
    verify,
)
from hwnas.cli.interrupt import Interrupted, keeping_nothing
from hwnas.cli.output import say
from hwnas.errors import HwnasError
from hwnas.version import __version__

app = typer.Typer(
    name="hwnas",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Start with: hwnas search --target-latency 25ms",
)
# These keep what they have done; the same command goes on from there.
_RESUMING = (train, evaluate, profile, search, export)
for command in (
    spaces,
    devices,
    train,
    import_weights,
    export_weights,
    evaluate,
    profile,
    predict,
    fit,
    score,
    search,
    export,
    verify,
    report,
):
    name = command.__name__.rsplit(".", 1)[1]
    run = getattr(command, name)
    app.command(name.replace("_", "-"), epilog=f"Example: {command.EXAMPLE}")(
        run if command in _RESUMING else keeping_nothing()(run)
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"hwnas {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and leave.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """The best network for the device in your hand: measure, search, export files that keep their promise."""


_RESUME = "when that is mended, repeat the same command, which keeps what was done"


def main() -> NoReturn:
    """Runs the command line; errors become one line and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(standalone_mode=False)
    except HwnasError as error:
        _fail(str(error), error.exit_code)
    except NoArgsIsHelpError:  # the help has been printed
        raise SystemExit(0) from None
    except ClickException as error:
        _fail(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail_interrupted()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:  # a full disk, a folder that may not be written to, a file that is gone
        _fail(_of_the_system(error), 2)
    except MemoryError:
        _fail("the memory is used up; " + _RESUME, 2)
    if code == Interrupted.exit_code:  # what typer makes of KeyboardInterrupt
        _fail_interrupted()
    raise SystemExit(code if isinstance(code, int) else 0)


def _fail_interrupted() -> NoReturn:
    # One more Ctrl-C while Python ends would end it by the signal, with another exit code.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _fail("interrupted; repeat the same command to resume", Interrupted.exit_code)


def _of_the_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; {_RESUME}"


def _fail(message: str, code: int) -> NoReturn:
    say("hwnas: " + " ".join(message.split()))
    raise SystemExit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
