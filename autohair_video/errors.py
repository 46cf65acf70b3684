"""Every error that this package raises on purpose.

::

    AutohairError                 root; its message is one line: what, where, how to mend it
    ├── OptionError               the call is wrong (exit code 2)
    └── JobError                  the job failed (exit code 1)
        ├── InputError            an input is missing, unreadable or of the wrong kind
        ├── OutputError           an output cannot be written
        ├── WeightsError          weights are missing, altered or of the wrong shape
        ├── DeviceError           the device is absent or out of memory
        └── StoppedError          the user stopped it (exit code 130)
"""


class AutohairError(Exception):
    """Root of all errors that a user can mend; ``exit_code`` is what the command line returns."""

    exit_code = 1


class OptionError(AutohairError):
    """The call itself is wrong: an unknown option value, or options that exclude each other."""

    exit_code = 2


class JobError(AutohairError):
    """The call was right, but the work could not be done."""


class InputError(JobError):
    """An input is missing, unreadable or of the wrong kind."""


class OutputError(JobError):
    """An output cannot be written, or exists already."""


class WeightsError(JobError):
    """Weights are missing, altered, or do not fit the network."""


class DeviceError(JobError):
    """The device asked for is absent, or has too little memory."""


class StoppedError(JobError):
    """The user stopped the job before its end."""

    exit_code = 130
