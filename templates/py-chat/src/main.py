"""The agent as the host calls it: what it is, and one turn of a conversation. What it imports is what it asks for."""

import sys

import machine
import wit_world
from componentize_py_types import Err
from talk import talk
from wit_world.imports import model, output, types

REASON_MAX = 1000
"""As long as the reason of a failure may be, in characters."""


class WitWorld(wit_world.WitWorld):
    def describe(self):
        """Asked once, at upload."""
        return types.Manifest(
            name="py-chat",
            description="Talks with the model, in Python.",
            model="default",
            tools=[],
        )

    def run(self, turn):
        """One turn: what is returned is how it ended, what is raised is why it could not answer."""
        machine.begin(turn.run)
        conversation = [(_word(message.speaker), message.text) for message in turn.messages]
        try:
            reason = talk(conversation, _ask, output.text)
        except Err as refused:
            raise Err(types.Failure_Model(_told(refused.value)))
        except Exception as error:
            # No traceback: it would look for source files, and there are none.
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            raise Err(types.Failure_Agent(str(error)[:REASON_MAX]))
        return types.Outcome.MAX_TOKENS if reason == "max-tokens" else types.Outcome.END_TURN


def _ask(messages, most):
    """The pieces of the model's answer, as it comes."""
    request = model.Request(
        model=None,
        messages=[model.Message(model.Role[role.upper()], [model.Part_Text(text)]) for role, text in messages],
        tools=[],
        max_tokens=most,
    )
    with model.generate(request) as generation:
        while (chunk := generation.next()) is not None:
            if isinstance(chunk, model.Chunk_Text):
                yield "text", chunk.value
            elif isinstance(chunk, model.Chunk_Finish):
                yield "finish", _word(chunk.value.reason)


def _word(case):
    """A case of an enum as the contract writes it."""
    return case.name.lower().replace("_", "-")


def _told(error):
    """What the host refused, and why."""
    what = type(error).__name__.removeprefix("Error_")
    return f"{what}: {error.value}"[:REASON_MAX]
