// Looks at a relay's /docs in Chromium: it shows every operation, asks no other host, and has nothing to complain of.
//
//   node drive_docs.mjs http://127.0.0.1:8080 /usr/bin/chromium
import { chromium } from 'playwright-core';

const [url, executablePath] = process.argv.slice(2);
const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const { paths } = await (await fetch(`${url}/openapi.json`)).json();
const operations = Object.values(paths).flatMap(Object.keys).length;
const browser = await chromium.launch({ executablePath, args, chromiumSandbox: false });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  const asked = [], complaints = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(`${url}/docs`);
  await page.locator('.opblock').nth(operations - 1).waitFor();
  await page.locator('.opblock-summary-control', { hasText: '/v1/prompts' }).first().click();
  await page.locator('.opblock-body .responses-wrapper').first().waitFor();
  const others = asked.filter((address) => !address.startsWith(`${url}/`) && !address.startsWith('data:'));
  if (others.length || complaints.length) {
    console.error('docs: other hosts:', others, 'complaints:', complaints);
    process.exitCode = 1;
  }
  console.log(`clients: the documentation page shows ${operations} operations after ${asked.length} requests, all to the relay`);
} finally {
  await browser.close();
}
