"""A conversation with the model, apart from the host, so that tests can be the host."""

INSTRUCTIONS = """\
You are a friendly and precise assistant.
- Say when you do not know something.
- Answer in the language of the question."""

MAX_TOKENS = 1024


class Refused(Exception):
    """The model refused to answer and said nothing."""


def talk(conversation, ask, say):
    """Asks the model with everything that was said so far, and says its text as it comes.

    `conversation` has pairs of who spoke and what; `ask` answers with pairs of what a piece is and what it says.
    The reason the model stopped for is returned.
    """
    said = False
    for kind, value in ask([("system", INSTRUCTIONS), *conversation], MAX_TOKENS):
        if kind == "text":
            say(value)
            said = True
        elif kind == "finish":
            if value == "refused" and not said:
                raise Refused("the model refused to answer")
            return value
    return "stop"
