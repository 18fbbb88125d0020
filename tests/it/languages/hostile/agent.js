// What a guest in JavaScript may try, by what it is asked.
import { text } from 'bulkhead:agent/output@0.1.1';

export function describe() {
  return { name: 'hostile', description: 'Tries what it is asked to.', model: 'default', tools: [] };
}

export function run(turn) {
  const asked = turn.messages.at(-1).text;
  const all = [];
  switch (asked) {
    case 'spin':
      for (;;) {}
    case 'hoard':
      for (;;) all.push(new Uint8Array(1 << 20).fill(1));
    case 'flood':
      for (;;) text('a'.repeat(65536));
    case 'throw':
      throw new Error('it was me');
    case 'dice':
      text(`${Math.random()} ${Date.now()}`);
      return 'end-turn';
    case 'reach':
      text(`${typeof fetch} ${typeof process} ${typeof require}`);
      return 'end-turn';
  }
}
