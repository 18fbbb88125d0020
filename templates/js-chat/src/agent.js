// The agent as the host calls it: what it is, and one turn of a conversation. What it imports is what it asks for.
import { generate } from 'bulkhead:agent/model@0.1.1';
import { text } from 'bulkhead:agent/output@0.1.1';

import { talk } from './talk.js';

/** Asked once, at upload. */
export function describe() {
  return {
    name: 'js-chat',
    description: 'Talks with the model, in JavaScript.',
    model: 'default',
    tools: [],
  };
}

/** One turn: what is returned is how it ended, what is thrown is why it could not answer. */
export function run(turn) {
  return talk(turn, { generate, say: text });
}
