// A chat page: the page asks this server, which knows the relay's key; answers come to the page straight from the relay.
//
//   RELAY_URL=http://127.0.0.1:8080 RELAY_KEY=<a caller's key> PORT=9001 node server.mjs
//
// The relay needs tokens.secrets, and this page's origin in http.cors_origins.
import express from 'express';

const relay = process.env.RELAY_URL;
const headers = { authorization: `Bearer ${process.env.RELAY_KEY}`, 'content-type': 'application/json' };
const post = async (path, body) => {
  const answer = await fetch(relay + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return [answer, await answer.json()];
};

const app = express().use(express.json());
app.get('/', (_, page) => page.sendFile('page.html', { root: import.meta.dirname }));
app.post('/ask', async ({ body: { text, thread, user } }, page) => { // in earnest: the user of your session
  const [answer, prompt] = await post('/v1/prompts', { prompt: text, conversation: thread, user: { externalId: user } });
  if (!answer.ok) return page.status(answer.status).json(prompt);
  const [, { token }] = await post(`/v1/conversations/${prompt.conversation}/token`, {});
  const { promptId, eventsUrl } = prompt;
  page.json({ promptId, events: `${relay}${eventsUrl}?token=${token}&until=${promptId}` });
});
app.listen(process.env.PORT, '127.0.0.1');
