// A conversation with the model, apart from the host, so that tests can be the host.

const INSTRUCTIONS = `You are a friendly and precise assistant.
- Say when you do not know something.
- Answer in the language of the question.`;

const MAX_TOKENS = 1024;
/** As long as the reason of a failure may be, in characters. */
const REASON_MAX = 1000;

/** Asks the model with everything that was said so far, and says its text as it comes. */
export function talk(turn, { generate, say }) {
  let said = false;
  try {
    const generation = generate(request(turn));
    for (let chunk = generation.next(); chunk !== undefined; chunk = generation.next()) {
      if (chunk.tag === 'text') {
        say(chunk.val);
        said = true;
      } else if (chunk.tag === 'finish' && chunk.val.reason === 'max-tokens') {
        return 'max-tokens';
      } else if (chunk.tag === 'finish' && chunk.val.reason === 'refused' && !said) {
        throw { tag: 'agent', val: 'the model refused to answer' };
      }
    }
    return 'end-turn';
  } catch (error) {
    throw failure(error);
  }
}

function request(turn) {
  const earlier = turn.messages.map((message) => says(message.speaker, message.text));
  return {
    model: undefined,
    messages: [says('system', INSTRUCTIONS), ...earlier],
    tools: [],
    maxTokens: MAX_TOKENS,
  };
}

function says(role, text) {
  return { role, parts: [{ tag: 'text', val: text }] };
}

/** What the host refused comes as a variant under `payload`; anything else is a mistake of the agent's own. */
function failure(error) {
  const refused = error?.payload;
  if (refused?.tag !== undefined) {
    const detail = refused.val === undefined ? '' : `: ${refused.val}`;
    return { tag: 'model', val: `${refused.tag}${detail}`.slice(0, REASON_MAX) };
  }
  return error?.tag === undefined ? { tag: 'agent', val: String(error).slice(0, REASON_MAX) } : error;
}
