"""The errors vxbench raises on purpose. Each message is one line: what is wrong, where, what to do."""


class UserError(Exception):
    """Something the user can mend: a value, a name, a missing file. Shown as one line, no traceback."""


class OutOfRange(UserError, ValueError):
    """A hyperparameter outside its range; the message names the key, the value and the range."""


class NotApplicable(Exception):
    """An explainer that has no meaning for this model; the table prints a dash and the reason."""


class ClipError(Exception):
    """One clip that cannot be used. The run records it and goes on.

    kind: one of KINDS, the word that results rows carry.
    """

    KINDS = ("missing", "undecodable", "no_annotation", "nan_map", "out_of_memory", "timeout", "error")

    def __init__(self, kind: str, message: str):
        if kind not in self.KINDS:
            raise ValueError(f"kind = {kind!r} is not one of {', '.join(self.KINDS)}")
        super().__init__(message)
        self.kind = kind
        self.message = message

    def __reduce__(self):
        return type(self), (self.kind, self.message)
