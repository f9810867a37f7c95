"""The placement log: its columns, the checks of its rows, and its files."""

from ._card import log_card, log_stats
from ._checks import reject_rows, validate_log
from ._families import settle_families
from ._files import PlacementLog, read_log, shipped_log, write_log
from ._schema import LOG_COLUMNS, LOG_SCHEMA_VERSION, LogColumn, log_table, upgrade_log
from ._sort_out import sort_out

__all__ = [
    "LOG_COLUMNS",
    "LOG_SCHEMA_VERSION",
    "LogColumn",
    "PlacementLog",
    "log_card",
    "log_stats",
    "log_table",
    "read_log",
    "reject_rows",
    "settle_families",
    "shipped_log",
    "sort_out",
    "upgrade_log",
    "validate_log",
    "write_log",
]
