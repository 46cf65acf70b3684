"""The command line: parse, build options, call, print.

    app        the commands together, and what becomes of errors
    matte      the bare call
    jobs       runs what it asks for, and says what became of it
    formats    the table of outputs
    probe      what a clip holds
    verify     an output compared with its input
    live       a camera as it runs
    measure    evaluate, compare, bench
    weights    weights list, verify, add
    train      train segmenter, matter
    choices    options that commands share
    console    what is said while a job runs

Nothing heavy is imported before a command runs.
"""

from autohair_video.cli.app import main, run

__all__ = ["main", "run"]
