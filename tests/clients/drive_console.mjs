// An operator on a relay's console, in Chromium.
//
//   OPERATORS_KEY=… VIEWERS_KEY=… node drive_console.mjs ADMIN_URL RELAY_URL CHROMIUM FLAG SHOTS
//
// While the file FLAG exists, Omni's results fail. A picture of each page, at two widths, light and dark, goes to SHOTS.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [admin, relay, executablePath, flag, shots] = process.argv.slice(2);
const { OPERATORS_KEY, VIEWERS_KEY } = process.env;
const LETTERS = 500;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

async function call(method, path, body) {
  const headers = { authorization: `Bearer ${OPERATORS_KEY}`, 'content-type': 'application/json' };
  const answer = await fetch(relay + path, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${answer.status} of ${method} ${path}`);
  return answer.json();
}

const question = (conversation) => ({ prompt: 'Revenue by region?', conversation, user: { externalId: 'demo-dana' } });

async function until(what, ask) {
  for (const end = Date.now() + 120_000; Date.now() < end; await new Promise((done) => setTimeout(done, 200))) {
    const found = await ask();
    if (found) return found;
  }
  throw new Error(`never: ${what}`);
}

const browser = await chromium.launch({ executablePath, args, chromiumSandbox: false });
const others = [], complaints = [];

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('request', (request) => { if (!request.url().startsWith(`${admin}/`)) others.push(request.url()); });
  page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(error.message));
  return page;
}

async function signIn(page, key) {
  await page.goto(`${admin}/console/dead-letters?stage=process`);
  await page.getByLabel("A caller's key").fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const number = async (page, selector) => Number((await page.locator(selector).innerText()).replace(/\D/g, ''));

// Looks at the page as it is: names for everything, no overflow, a picture in four ways.
let pictures = 0;
async function look(page, name) {
  assert.equal(await page.locator('h1').count(), 1, `${name}: one heading`);
  for (const width of [1280, 390]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - window.innerWidth);
      assert.ok(wide <= 0, `${name} is ${wide} pixels too wide at ${width}`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' ')}`);
      assert.deepEqual(found, [], `${name} at ${width}, ${colorScheme}`);
      await page.screenshot({ path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: false });
      pictures += 1;
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

try {
  mkdirSync(shots, { recursive: true });
  // 500 questions whose results Omni does not hand out.
  const ids = [];
  for (let from = 0; from < LETTERS; from += 100) {
    const prompts = Array.from({ length: 100 }, (_, place) => question(`night-${from + place}`));
    const { items } = await call('POST', '/v1/prompts:batch', { prompts });
    ids.push(...items.map(({ prompt }) => prompt.promptId));
  }

  // Who has no key sees nothing; a wrong one is no key; the right one leads to what was wanted.
  const page = await open();
  await page.goto(`${admin}/console/settings`);
  assert.match(page.url(), /\/console\/login\?to=/);
  await look(page, 'login');
  await signIn(page, 'a-wrong-key');
  await page.getByRole('alert').getByText("no caller's key").waitFor();
  complaints.length = 0; // 401 of the wrong key
  await page.getByLabel("A caller's key").fill(OPERATORS_KEY);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${admin}/console/dead-letters?stage=process`);
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Strict', '/console']);

  await until('500 letters', async () => { await page.reload(); return await number(page, '#total') === LETTERS; });
  await look(page, 'dead-letters');
  await page.goto(`${admin}/console`);
  await page.getByText('open dead letters').first().waitFor();
  await look(page, 'overview');
  // With the keyboard alone: the first stop leads past the menu.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');

  // One letter, and its prompt's story.
  await page.getByRole('link', { name: 'Dead letters' }).click();
  await page.locator('section').filter({ hasText: 'One by one' }).locator('tbody a').first().click();
  await page.getByRole('heading', { name: 'Every attempt' }).waitFor();
  await look(page, 'dead-letter');
  await page.locator('dl a').first().click();
  await page.getByText('it becomes a dead letter').waitFor();
  await look(page, 'prompt');

  // All of one cause: tried dry, then done, stopped half-way, run again.
  await page.goto(`${admin}/console/dead-letters`);
  await page.locator('section').filter({ hasText: 'By cause' }).locator('tbody a').first().click();
  assert.match(page.url(), /fingerprint=/);
  await page.getByRole('button', { name: 'Try it without changing anything' }).click();
  await page.locator('#state').getByText('done').waitFor();
  const fitting = await number(page, '#matched');
  assert.equal(fitting, LETTERS);
  assert.equal(await number(page, '#replayed'), 0);
  await look(page, 'run-dry');
  rmSync(flag);
  await page.getByLabel('Letters a second').fill('100');
  await page.getByRole('button', { name: 'Do it' }).click();
  await until('half of them', async () => await number(page, '#replayed') >= LETTERS * 0.4);
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.locator('#state').getByText('stopped').waitFor();
  const first = await until('it stands still', async () => {
    const before = await number(page, '#replayed');
    await page.waitForTimeout(2500);
    return await number(page, '#replayed') === before && before;
  });
  assert.ok(first < LETTERS, `${first} of ${LETTERS} before the stop`);
  await look(page, 'run-stopped');
  await page.getByRole('button', { name: 'Run again' }).click();
  await page.locator('#state').getByText('done').waitFor();
  const second = await number(page, '#replayed');
  assert.equal(first + second, LETTERS, 'each letter once');
  await look(page, 'run-done');
  await page.getByRole('link', { name: 'Runs' }).click();
  await look(page, 'runs');
  for (const id of ids) {
    const { phase } = await call('GET', `/v1/prompts/${id}?wait=30`);
    assert.equal(phase, 'answered', id);
  }
  await page.goto(`${admin}/console/dead-letters`);
  assert.equal(await number(page, '#total'), 0);

  // A conversation, read as it comes.
  await call('POST', '/v1/prompts?wait=30', question('live'));
  await page.getByRole('searchbox').fill('live');
  await page.keyboard.press('Enter');
  await page.getByText('omni.answer').first().waitFor();
  const before = await page.locator('.entries > li').count();
  await page.locator('.entries details summary').first().click();
  await call('POST', '/v1/prompts?wait=30', question('live'));
  await until('the answer is there without a reload', async () => await page.locator('.entries > li').count() >= before + 2);
  assert.ok(await page.locator('.entries details[open]').count(), 'what was opened stays open');
  await look(page, 'conversation');

  // Held back, and going on.
  await page.goto(`${admin}/console`);
  await page.getByRole('combobox', { name: 'Stage' }).selectOption('submit');
  await page.getByRole('textbox', { name: 'Why' }).fill('Omni is down');
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByText('Omni is down').waitFor();
  await look(page, 'overview-paused');
  const waiting = await call('POST', '/v1/prompts', question('held'));
  await page.getByRole('button', { name: 'Resume' }).click();
  await until('it goes on', async () => (await call('GET', `/v1/prompts/${waiting.promptId}`)).phase === 'answered');

  for (const [link, name] of [['Budget', 'budget'], ['Consumers', 'consumers'], ['Audit', 'audit'], ['Settings', 'settings'], ['Doctor', 'doctor']]) {
    await page.getByRole('navigation').getByRole('link', { name: link }).click();
    await page.getByRole('heading', { level: 1, name: link }).waitFor();
    if (name === 'doctor') {
      await page.getByRole('button', { name: 'Examine' }).click();
      await page.locator('.parts li').first().waitFor();
    }
    await look(page, name);
  }
  assert.ok(!(await page.content()).includes('secret-between'), 'secrets are left out');

  // Nobody else acts in the operator's name, and who only reads changes nothing.
  const jar = `${cookie.name}=${cookie.value}`;
  const forged = await fetch(`${admin}/console/pauses`, {
    method: 'POST', redirect: 'manual', body: new URLSearchParams({ stage: 'submit' }),
    headers: { cookie: jar, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
  });
  assert.equal(forged.status, 403);
  const viewer = await open();
  await signIn(viewer, VIEWERS_KEY);
  assert.equal(await viewer.getByRole('button', { name: 'Start' }).count(), 0);
  const [seen] = await viewer.context().cookies();
  const tried = await fetch(`${admin}/console/pauses`, {
    method: 'POST', redirect: 'manual', body: new URLSearchParams({ stage: 'submit' }), headers: { cookie: `${seen.name}=${seen.value}` },
  });
  assert.equal(tried.status, 403);
  await page.goto(`${admin}/console/prompts/nothing`);
  await page.getByRole('alert').getByText('nothing is known').waitFor();
  await look(page, 'not-found');
  complaints.length = 0; // 404

  // Without JavaScript everything is there to read.
  const plain = await open({ javaScriptEnabled: false });
  await signIn(plain, OPERATORS_KEY);
  await plain.getByRole('link', { name: 'Audit' }).click();
  await plain.getByRole('cell', { name: 'console:night' }).first().waitFor();
  await page.goto(`${admin}/console`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.goto(`${admin}/console`);
  assert.match(page.url(), /\/console\/login/);

  assert.deepEqual(others, [], 'no other host');
  assert.deepEqual(complaints, [], 'nothing to complain of');
  console.log(`console: ${LETTERS} letters replayed in bulk, ${first} before the stop and ${second} when run again; ${pictures} pictures`);
} finally {
  await browser.close();
}
