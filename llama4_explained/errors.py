"""The one exception type that means: the input was wrong, and this line says what to do."""


class UserError(ValueError):
    """A mistake a user can make and mend: bad files, bad input, bad settings.

    The message is one readable line. The command line prints it without a traceback and exits with code 2.
    """
