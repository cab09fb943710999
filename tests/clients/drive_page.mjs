// Types into examples/chat-page in Chromium, and prints the answers that the page shows.
//
//   node drive_page.mjs http://127.0.0.1:9001 /usr/bin/chromium
import { chromium } from 'playwright-core';

const [url, executablePath] = process.argv.slice(2);
const args = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath, args, chromiumSandbox: false });
try {
  for (const user of ['emea-anna', 'apac-kenji']) {
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(`${url}/?user=${user}`);
    for (const [number, question] of ['Revenue by region?', 'And in March?'].entries()) {
      await page.fill('input', question);
      await page.click('button');
      const answer = page.locator('#log > pre').nth(number);
      await answer.waitFor();
      console.log(`## ${user}: ${question}\n\n${await answer.textContent()}\n`);
    }
    await page.close();
  }
} finally {
  await browser.close();
}
