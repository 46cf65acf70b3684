"""The command line: parse, build options, call, print.

app         the commands together, and what becomes of errors
parameters  command-line parameters made from option groups
options     options that commands share, and their texts
config      options from a TOML file
log         --verbose and --debug
console     progress, notes and tables
matte       the default command
jobs        what it says of its jobs
formats     the table of output formats
probe       what a clip holds
verify      an output compared with its input
live        a camera, matted as it runs
evaluate    errors of the mattes of a folder whose alpha is known
compare     segmenters, trimaps and engines on one sheet
bench       how fast a job or a live session is
doctor      what a bug report needs
weights     weights list, verify, add
train       train segmenter, matting, mean, pack

Nothing heavy is imported before a command runs.
"""

from autohair_video.cli.app import main, run

__all__ = ["main", "run"]
