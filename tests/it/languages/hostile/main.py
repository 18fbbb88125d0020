"""What a guest in Python may try, by what it is asked."""

import random
import sys
import time

import machine
import wit_world
from wit_world.imports import output, types


class WitWorld(wit_world.WitWorld):
    def describe(self):
        return types.Manifest("hostile", "Tries what it is asked to.", "default", [])

    def run(self, turn):
        machine.begin(turn.run)
        asked = turn.messages[-1].text
        if asked == "spin":
            while True:
                pass
        if asked == "hoard":
            everything = []
            while True:
                everything.append(bytearray(1 << 20))
        while asked == "flood":
            output.text("a" * 65536)
        if asked == "throw":
            print("it was me", file=sys.stderr)
            raise RuntimeError("it was me")
        if asked == "dice":
            output.text(f"{random.random()} {time.time()}")
        return types.Outcome.END_TURN
