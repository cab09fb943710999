// A worker that reads what omni-relay publishes, with ioredis.
//
// Without --conversation it works off {namespace}:answers as one of a group: every terminal entry goes to one worker,
// and entries of a worker that died are taken over. With --conversation it follows that conversation from its beginning.
//
//   node worker.mjs redis://127.0.0.1:6379 relay 2 --group billing
//   node worker.mjs redis://127.0.0.1:6379 relay 3 --conversation thread-1

import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';

const TAKE_OVER_AFTER_MS = 30_000;
const REMEMBER_S = 7 * 24 * 3600;

// The work itself. It may run twice for one entry when a worker dies between this and the acknowledgement.
function handle(entry) {
  const data = JSON.parse(entry.data);
  const text = data.message ?? data.error?.message ?? data.reason ?? '';
  const [firstLine] = text.trim().split('\n');
  console.log([entry.type, entry.subject, firstLine].join('\t'));
}

async function work(client, namespace, group, count, deadline) {
  const stream = `{${namespace}}:answers`;
  const consumer = randomUUID();
  let handled = 0;
  while (handled < count && Date.now() < deadline) {
    let entries;
    try {
      [, entries] = await client.xautoclaim(stream, group, consumer, TAKE_OVER_AFTER_MS, '0', 'COUNT', 10);
      if (entries.length === 0) {
        // A handful at a time: what is read is kept from the other workers.
        const wanted = ['COUNT', count - handled, 'BLOCK', 1000, 'STREAMS', stream, '>'];
        const fresh = await client.xreadgroup('GROUP', group, consumer, ...wanted);
        entries = fresh?.flatMap(([, part]) => part) ?? [];
      }
    } catch (error) {
      if (!error.message.startsWith('NOGROUP')) throw error;
      // The first start, or Redis lost the group: from the beginning, never from "$", which would skip entries.
      await createGroup(client, stream, group);
      continue;
    }
    for (const [streamId, fields] of entries) {
      if (await settleOnce(client, stream, group, streamId, entryOf(fields))) handled += 1;
    }
  }
  return handled;
}

// An entry may be delivered again under another stream id: what stays the same is its `id`.
async function settleOnce(client, stream, group, streamId, entry) {
  const done = `${stream}:${group}:done:${entry.id}`;
  const firstTime = !(await client.exists(done));
  if (firstTime) handle(entry);
  const replies = await client.multi().set(done, 1, 'EX', REMEMBER_S).xack(stream, group, streamId).exec();
  for (const [error] of replies) if (error) throw error;
  return firstTime;
}

async function createGroup(client, stream, group) {
  try {
    await client.xgroup('CREATE', stream, group, '0', 'MKSTREAM');
  } catch (error) {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  }
}

async function follow(client, namespace, conversation, count, deadline) {
  const stream = `${namespace}:conversation:{${conversation}}`;
  const seen = new Set();
  let last = '0';
  while (seen.size < count && Date.now() < deadline) {
    const parts = await client.xread('COUNT', count, 'BLOCK', 1000, 'STREAMS', stream, last);
    for (const [streamId, fields] of parts?.flatMap(([, part]) => part) ?? []) {
      last = streamId;
      const entry = entryOf(fields);
      if (seen.size < count && !seen.has(entry.id)) {
        seen.add(entry.id);
        handle(entry);
      }
    }
  }
  return seen.size;
}

function entryOf(fields) {
  const entry = {};
  for (let i = 0; i < fields.length; i += 2) entry[fields[i]] = fields[i + 1];
  return entry;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    group: { type: 'string', default: 'node-workers' },
    conversation: { type: 'string' },
    timeout: { type: 'string', default: '60' },
  },
});
const [url, namespace, countText] = positionals;
const count = Number(countText);
if (positionals.length !== 3 || !Number.isInteger(count)) {
  console.error('usage: worker.mjs REDIS_URL NAMESPACE COUNT [--group NAME | --conversation KEY] [--timeout SECONDS]');
  process.exit(2);
}

const client = new Redis(url);
client.on('error', (error) => console.error(error.message));
const deadline = Date.now() + Number(values.timeout) * 1000;
const handled = values.conversation
  ? await follow(client, namespace, values.conversation, count, deadline)
  : await work(client, namespace, values.group, count, deadline);
client.disconnect();
if (handled < count) {
  console.error(`${handled} of ${count} entries came in ${values.timeout} s`);
  process.exitCode = 1;
}
