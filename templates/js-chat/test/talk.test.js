import assert from 'node:assert/strict';
import { test } from 'node:test';

import { talk } from '../src/talk.js';

const TURN = {
  messages: [
    { speaker: 'user', text: 'I am Ada.' },
    { speaker: 'assistant', text: 'Hello, Ada.' },
    { speaker: 'user', text: 'My name?' },
  ],
};

/** A host whose model answers with these chunks. */
function host(chunks) {
  const asked = [];
  const said = [];
  const generate = (request) => {
    asked.push(request);
    const left = [...chunks];
    return { next: () => left.shift() };
  };
  return { asked, said, generate, say: (text) => said.push(text) };
}

const finish = (reason) => ({ tag: 'finish', val: { reason } });
const text = (val) => ({ tag: 'text', val });

test('it says what the model says, as it comes', () => {
  const model = host([text('A'), text('da.'), finish('stop')]);
  assert.equal(talk(TURN, model), 'end-turn');
  assert.deepEqual(model.said, ['A', 'da.']);
});

test('it sends the whole conversation', () => {
  const model = host([finish('stop')]);
  talk(TURN, model);
  const messages = model.asked[0].messages.slice(1);
  assert.deepEqual(
    messages.map((message) => [message.role, message.parts[0].val]),
    [
      ['user', 'I am Ada.'],
      ['assistant', 'Hello, Ada.'],
      ['user', 'My name?'],
    ],
  );
});

test('it tells how it ended', () => {
  assert.equal(talk(TURN, host([text('A'), finish('max-tokens')])), 'max-tokens');
  assert.throws(
    () => talk(TURN, host([finish('refused')])),
    (thrown) => thrown.tag === 'agent' && thrown.val.includes('refused'),
  );
});

test('it tells why there is no answer', () => {
  const refusing = {
    say: () => {},
    generate: () => {
      throw Object.assign(new Error(), { payload: { tag: 'unknown-model', val: 'default' } });
    },
  };
  assert.throws(() => talk(TURN, refusing), { tag: 'model', val: 'unknown-model: default' });
});
