"""The error that a user sees as a sentence, without a traceback."""


class UserError(Exception):
    """Something the user can put right: a config value, a file, an image.

    The message names the file, image id or config key, says what is wrong and what would be
    right. Jobs print the message alone; a traceback is kept for faults of the program itself.
    """
