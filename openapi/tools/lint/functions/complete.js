// Every operation shows what to send and what comes back, and says all that can go wrong.

const ALWAYS = ['400', '429', '500', '503'];
const WITH_CREDENTIALS = ['401', '403'];
const WITH_BODY = ['408', '413', '415'];
/** Answered by the HTTP server below before there is a request to speak of, without a body. */
const WITHOUT_PROBLEM = ['414'];

export default function complete(operation, _options, { path }) {
  const findings = [];
  const report = (message, ...at) => findings.push({ message, path: [...path, ...at] });
  const parameters = operation.parameters ?? [];

  parameters.forEach((parameter, index) => {
    if (parameter.required && !shown(parameter)) {
      report(`The required parameter ${parameter.name} has no example`, 'parameters', index);
    }
  });
  for (const [type, content] of Object.entries(operation.requestBody?.content ?? {})) {
    if (!shown(content)) report('The body has no example', 'requestBody', 'content', type);
  }

  const expected = [...ALWAYS];
  if (!isPublic(operation)) expected.push(...WITH_CREDENTIALS);
  if (operation.requestBody) expected.push(...WITH_BODY);
  if (parameters.some((parameter) => parameter.in === 'path')) expected.push('404');
  const responses = operation.responses ?? {};
  for (const status of expected) {
    if (!responses[status]) report(`It does not say what ${status} means`, 'responses');
  }

  const statuses = Object.keys(responses);
  if (!statuses.some((status) => /^[23]/.test(status))) report('Nothing can go well', 'responses');
  const successes = statuses.filter((status) => status.startsWith('2'));
  const shapes = new Set(successes.map((status) => JSON.stringify(schemasOf(responses[status]))));
  if (shapes.size > 1) report('Successes of different types: clients know one', 'responses');
  for (const status of statuses) {
    const contents = responses[status].content ?? {};
    const bodiless = WITHOUT_PROBLEM.includes(status);
    if (/^[45]/.test(status) && !bodiless && !contents['application/problem+json']) {
      report('An error is no problem of RFC 9457', 'responses', status);
    }
    for (const [type, content] of Object.entries(contents)) {
      if (!shown(content)) report('The answer has no example', 'responses', status, 'content', type);
    }
  }
  return findings;
}

/** Whether it has an example, or its schema does. */
function shown(it) {
  if (it.example !== undefined || it.examples !== undefined) return true;
  const { schema } = it;
  if (schema === undefined) return false;
  return shown(schema) || (schema.oneOf ?? []).some(shown);
}

function schemasOf({ content = {} }) {
  return Object.entries(content).map(([type, { schema }]) => [type, schema]);
}

/** Whether it takes no credential at all. The document's own security is to send one. */
function isPublic({ security }) {
  return security !== undefined && security.every((way) => Object.keys(way).length === 0);
}
