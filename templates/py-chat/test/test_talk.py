import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "src"))

from talk import Refused, talk

CONVERSATION = [("user", "I am Ada."), ("assistant", "Hello, Ada."), ("user", "My name?")]


class Host:
    """A host whose model answers with these pieces."""

    def __init__(self, *pieces):
        self.pieces = pieces
        self.asked = []
        self.said = []

    def ask(self, messages, most):
        self.asked.append(messages)
        return iter(self.pieces)

    def talk(self):
        return talk(CONVERSATION, self.ask, self.said.append)


class TalkTest(unittest.TestCase):
    def test_it_says_what_the_model_says_as_it_comes(self):
        host = Host(("text", "A"), ("text", "da."), ("finish", "stop"))
        self.assertEqual(host.talk(), "stop")
        self.assertEqual(host.said, ["A", "da."])

    def test_it_sends_the_whole_conversation(self):
        host = Host(("finish", "stop"))
        host.talk()
        self.assertEqual(host.asked[0][1:], CONVERSATION)

    def test_it_tells_how_it_ended(self):
        self.assertEqual(Host(("text", "A"), ("finish", "max-tokens")).talk(), "max-tokens")
        with self.assertRaises(Refused):
            Host(("finish", "refused")).talk()


if __name__ == "__main__":
    unittest.main()
