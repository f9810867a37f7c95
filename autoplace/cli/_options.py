"""Click options made from the settings' fields; flags override environment and YAML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import yaml

from autoplace.errors import UserError
from autoplace.settings import Settings, create_settings, value_type

ENVIRONMENT = "AUTOPLACE_"


def json_option(help_text: str = "One JSON document on stdout.") -> Callable[..., Any]:
    """`--json`, which every command but `ui` takes; the command gets it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


class _Option(click.Option):
    """An option that knows the section of the help that it belongs to."""

    def __init__(self, *args: Any, heading: str, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.heading = heading


class SectionedCommand(click.Command):
    """A command with many settings: its help has a section for each group, its own one first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {Settings.heading: []}
        for parameter in self.get_params(ctx):
            heading = getattr(parameter, "heading", Settings.heading)
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def settings_options(kind: type[Settings]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a flag for every field of `kind`, and `-c`; the command gets one `settings`.

    If a flag is not given, the value comes from the environment (`AUTOPLACE_TOP_K`), else from the
    YAML file, else from the field's default.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        names = [each.name for each in fields(kind)]

        def with_settings(*args: Any, **values: Any) -> Any:
            chosen = {name: values.pop(name) for name in names}
            return command(*args, settings=create_settings(kind, chosen), **values)

        with_settings.__name__, with_settings.__doc__ = command.__name__, command.__doc__
        # Keep the command's own options and arguments, such as --json.
        with_settings.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
        wrapped: Callable[..., Any] = with_settings
        for each in reversed(fields(kind)):
            rules = each.metadata
            choices = click.Choice(rules["choices"]) if "choices" in rules else None
            flag = "--" + each.name.replace("_", "-")
            if value_type(each) is bool:
                flag += "/--no-" + each.name.replace("_", "-")
            wrapped = click.option(
                flag,
                each.name,
                cls=_Option,
                heading=kind.heading_of(each.name),
                type=choices or value_type(each),
                default=each.default,
                show_default=each.default is not None,
                envvar=ENVIRONMENT + each.name.upper(),
                help=rules["help"],
            )(wrapped)
        return click.option(
            "-c",
            "--config",
            is_eager=True,
            expose_value=False,
            callback=lambda context, _, path: _read_config(context, path, kind),
            help="YAML file of these options; flags and environment variables override it.",
        )(wrapped)

    return decorate


def _read_config(context: click.Context, path: str | None, kind: type[Settings]) -> None:
    if path is None:
        return
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise UserError(f"cannot read the config {path}: {reason}; give a YAML file") from error
    if values is not None and not isinstance(values, dict):
        raise UserError(
            f"the config {path} is not a list of options; write lines such as 'top-k: 5'"
        )
    named = {str(name): value for name, value in (values or {}).items()}
    try:
        create_settings(kind, named)  # checked here, where the message can name the file
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    context.default_map = {name.replace("-", "_"): value for name, value in named.items()}
