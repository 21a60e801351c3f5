"""The errors a user may see as one line; anything else is a defect of ours."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what is wrong, where, what was expected against what was found, and how to fix
    it. The command line prints it without a traceback and exits with code 2.
    """


class TrainingError(RuntimeError):
    """Training cannot go on (for example, the loss stays non-finite); the last good state is on disk."""
