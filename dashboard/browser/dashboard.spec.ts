// The page in a real browser in front of the real program.

import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Page } from '@playwright/test';
import type { Cluster, Gang } from '../src/api';
import { demo, nodes, type Program } from './program';

const MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
const VIEWS = [
  { width: 1600, height: 1000, theme: 'light' },
  { width: 1600, height: 1000, theme: 'dark' },
  { width: 390, height: 844, theme: 'light' },
  { width: 390, height: 844, theme: 'dark' },
] as const;

let program: Program;
test.beforeAll(async () => {
  program = await demo();
});
test.afterAll(() => program.stop());

/** What must not happen on any page: errors, refused scripts or styles, requests to elsewhere. */
function watch(page: Page): { faults: string[]; requests: string[] } {
  const seen: { faults: string[]; requests: string[] } = { faults: [], requests: [] };
  page.on('pageerror', (error) => seen.faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && seen.faults.push(message.text()));
  page.on('request', (request) => seen.requests.push(request.url()));
  return seen;
}

async function open(page: Page): Promise<void> {
  await page.goto(program.url);
  await expect(page.locator('[data-link="live"]')).toBeVisible();
  await expect(page.locator('[data-gang]').first()).toBeVisible();
  await expect(page.locator('.canvases')).toBeVisible();
  // Groups stand in their order once all of the 14 nodes with GPUs have reported.
  await expect(page.locator('[data-figure="reporting"]')).toHaveText(/^1[45]$/);
}

/** What the API says, as soon as the page says the same: both change all the time. */
async function agree(page: Page, read: (cluster: Cluster) => Record<string, number>): Promise<void> {
  await expect(async () => {
    const cluster = (await (await fetch(`${program.url}api/v1/cluster`)).json()) as Cluster;
    for (const [figure, value] of Object.entries(read(cluster))) {
      const said = await page.locator(`[data-figure="${figure}"]`).textContent();
      expect(said?.trim(), figure).toBe(value.toLocaleString('en'));
    }
  }).toPass();
}

const figures = ({ gpus, waiting_gangs, nodes_reporting }: Cluster): Record<string, number> => ({
  free: gpus.free,
  claimed: gpus.claimed,
  unhealthy: gpus.unhealthy,
  waiting: waiting_gangs,
  reporting: nodes_reporting,
});

test('headline, map and gangs say what the API says', async ({ page }) => {
  const seen = watch(page);
  await open(page);
  await agree(page, figures);
  await expect(async () => {
    const gangs = (await (await fetch(`${program.url}api/v1/gangs`)).json()) as Gang[];
    expect(await page.locator('[data-gang]').count()).toBe(gangs.length);
  }).toPass();
  await page.getByText('The map as a table').click();
  const table = page.getByRole('region', { name: 'Nodes as a table' });
  await expect(table.getByRole('row')).toHaveCount(14 + 1);
  await expect(table.getByRole('row', { name: /h100-0/ })).toContainText('H100 80GB HBM3');
  // The map is drawn: its canvas is not empty.
  const drawn = await page.locator('.canvases canvas').first().evaluate((canvas: HTMLCanvasElement) => {
    const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    return new Set(Array.from(pixels).filter((_, at) => at % 4 === 0)).size;
  });
  expect(drawn).toBeGreaterThan(5);
  expect(seen.faults).toEqual([]);
  expect(seen.requests.filter((url) => !url.startsWith(program.url))).toEqual([]);
});

test('it follows the cluster without being loaded again', async ({ page }) => {
  await open(page);
  await page.evaluate(() => (document.title = 'the same page'));
  const placed = page.locator('[data-figure="waiting"] + .more');
  const before = await page.locator('main').innerText();
  await expect.poll(() => page.locator('main').innerText()).not.toBe(before);
  await expect(placed).toContainText('placed');
  await agree(page, figures);
  expect(await page.title()).toBe('the same page');
});

/** A gang of several pods in a phase, by the API. The cluster lives: what is done with it may have to be done again. */
async function gangIn(phase: string): Promise<Gang> {
  const gangs = (await (await fetch(`${program.url}api/v1/gangs`)).json()) as Gang[];
  const found = gangs.find((gang) => gang.phase === phase && gang.members.length > 1);
  if (!found) throw new Error(`no gang is ${phase} now`);
  return found;
}

test('a gang shows its members and why it waits', async ({ page }) => {
  await open(page);
  await expect(async () => {
    const gang = await gangIn('waiting');
    const row = page.locator(`[data-gang="${gang.name}"]`);
    await expect(row.locator('.why')).toContainText(/needs \d+/, { timeout: 1_000 });
    const toggle = row.getByRole('button', { name: `Members of ${gang.name}` });
    if ((await toggle.getAttribute('aria-expanded')) === 'false') await toggle.click();
    const details = page.locator(`[data-gang="${gang.name}"] + .details`);
    await expect(details.locator('.explain ol li')).toHaveCount(5, { timeout: 1_000 });
    await expect(details.locator('tbody tr')).toHaveCount(gang.members.length, { timeout: 1_000 });
    await expect(details.getByRole('row', { name: gang.members[0]?.name ?? '' })).toContainText('none yet');
  }).toPass();
});

test('a click on a gang shows its GPUs, a filter finds what it names', async ({ page }) => {
  await open(page);
  const veiled = (): Promise<boolean> =>
    page.locator('.canvases canvas').last().evaluate((canvas: HTMLCanvasElement) => {
      const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
      return pixels.some((value) => value !== 0);
    });
  await expect(async () => {
    const gang = await gangIn('placed');
    const name = page.locator(`[data-gang="${gang.name}"] .name`);
    await name.click({ timeout: 1_000 });
    await expect(name).toHaveAttribute('aria-pressed', 'true', { timeout: 1_000 });
    expect(await veiled()).toBe(true);
    await page.keyboard.press('Escape');
    await expect(name).toHaveAttribute('aria-pressed', 'false', { timeout: 1_000 });
    expect(await veiled()).toBe(false);
  }).toPass();
  await page.getByRole('searchbox').fill('no such gang');
  await expect(page.getByText('No gang matches')).toBeVisible();
  expect(await veiled()).toBe(true);
});

test('the pointer and the keyboard reach every GPU', async ({ page }) => {
  await open(page);
  const map = page.locator('.canvases');
  await map.hover({ position: { x: 10, y: 56 } });
  await expect(page.getByTestId('card')).toContainText('h100-0 GPU 1 of 8');
  await expect(page.getByTestId('card')).toContainText('GPU-');
  await page.mouse.move(0, 0);
  await expect(page.getByTestId('card')).toHaveCount(0);
  // From the switch above the map one tab leads to it.
  await page.getByRole('radio', { name: 'Utilisation' }).focus();
  await page.keyboard.press('Tab');
  await expect(map).toBeFocused();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('spoken')).toContainText('h100-0, GPU 2 of 8');
  await page.keyboard.press('ArrowDown');
  await expect(page.getByTestId('spoken')).toContainText('h100-0, GPU 6 of 8');
  await page.keyboard.press('Home');
  await expect(page.getByTestId('card')).toContainText('GPU 1 of 8');
  await expect(async () => {
    await page.keyboard.press('Escape');
    for (const key of ['ArrowRight', 'Enter']) await page.keyboard.press(key);
    await expect(page.locator('[data-gang] .name[aria-pressed="true"]')).toHaveCount(1, { timeout: 500 });
  }).toPass();
});

test('the theme is remembered', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await open(page);
  const root = page.locator('html');
  await expect(root).toHaveAttribute('data-theme', 'light');
  const button = page.getByRole('button', { name: /Theme/ });
  await button.click();
  await button.click();
  await expect(root).toHaveAttribute('data-theme', 'dark');
  await page.reload();
  await expect(root).toHaveAttribute('data-theme', 'dark');
});

test('text from the cluster is text', async ({ page }) => {
  const seen = watch(page);
  const gpu = (uuid: string, health: object): object => ({
    uuid,
    model: MARKUP,
    memory_mib: 1,
    pci_address: '0',
    health,
    utilisation_percent: 1,
    memory_used_mib: 1,
    temperature_c: 1,
    power_mw: 1,
  });
  const gpus = [gpu('GPU-1', { state: 'unhealthy', reason: MARKUP }), gpu(`GPU-2${MARKUP}`, { state: 'healthy' })];
  const report = { version: 1, node: 'cpu-0', boot_id: 'b', epoch: 1, sequence: Date.now(), gpus, link_gbps: [] };
  const sent = await fetch(`${program.url}v1/reports`, { method: 'POST', body: JSON.stringify(report) });
  expect(sent.ok, await sent.text()).toBe(true);
  await open(page);
  await page.getByText('The map as a table').click();
  await expect(page.getByRole('row', { name: /cpu-0/ })).toContainText(MARKUP);
  await page.locator('.canvases').focus();
  await page.keyboard.press('End');
  const card = page.getByTestId('card');
  await expect(async () => {
    await page.keyboard.press('ArrowLeft');
    await expect(card).toContainText('cpu-0 GPU 1 of 2', { timeout: 100 });
  }).toPass();
  // Its model, and why it is sick.
  await expect(card.getByText(MARKUP)).toHaveCount(2);
  expect(await page.locator('main img, main script').count()).toBe(0);
  expect(await page.title()).toBe('Muster');
  expect(seen.faults).toEqual([]);
  // And if it were markup, it could do nothing.
  await page.evaluate((markup) => document.body.insertAdjacentHTML('beforeend', markup), MARKUP);
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'document.title = "ran"';
    document.body.append(script);
  });
  await expect.poll(() => seen.faults.join(' ')).toMatch(/Content Security Policy/);
  expect(await page.title()).toBe('Muster');
});

test('an empty cluster is said in words', async ({ page }) => {
  const seen = watch(page);
  const empty = await nodes(0, 'debug');
  await page.goto(empty.url);
  await expect(page.getByText('No gangs yet.')).toBeVisible();
  await expect(page.getByText('No node has GPUs yet.')).toBeVisible();
  await expect(page.locator('[data-figure="fit"]')).toHaveText('none');
  expect(seen.faults).toEqual([]);
  await empty.stop();
});

test('the page is small, compressed and not sent twice', async () => {
  const page = await fetch(program.url);
  const assets = [...(await page.text()).matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map(([, path]) => path);
  expect(assets.length).toBeGreaterThanOrEqual(3);
  let bytes = 0;
  for (const path of ['', ...assets]) {
    const answer = await fetch(program.url + path);
    expect(answer.headers.get('content-encoding'), path).toBe('gzip');
    bytes += Number(answer.headers.get('content-length'));
    const tag = answer.headers.get('etag') ?? '';
    const again = await fetch(program.url + path, { headers: { 'if-none-match': tag } });
    expect(again.status, path).toBe(304);
  }
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThanOrEqual(150 * 1024);
});

test('a server that goes is said, and the page recovers when it comes back', async ({ page }) => {
  const own = await demo();
  await page.goto(own.url);
  await expect(page.locator('[data-link="live"]')).toBeVisible();
  await expect(page.locator('[data-gang]').first()).toBeVisible();
  await own.stop();
  await expect(page.locator('[data-link="lost"]')).toContainText('Connection lost');
  await expect(page.locator('header .age')).toContainText(/This picture is \d+ s old/);
  await expect(page.getByTestId('alerts')).toContainText('lost');
  await expect(page.locator('[data-gang]').first()).toBeVisible();
  const again = await demo(own.port);
  await expect(page.locator('[data-link="live"]')).toBeVisible();
  await expect(page.getByTestId('alerts')).not.toContainText('lost');
  await again.stop();
});

test('a page that nobody sees gives its connection back', async ({ page }) => {
  await open(page);
  const streams: string[] = [];
  page.on('request', (request) => request.url().endsWith('/stream') && streams.push('open'));
  page.on('requestfailed', (request) => request.url().endsWith('/stream') && streams.push('closed'));
  const hide = (hidden: boolean): Promise<void> =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await hide(true);
  await expect.poll(() => streams).toEqual(['closed']);
  await hide(false);
  await expect.poll(() => streams).toEqual(['closed', 'open']);
  await agree(page, figures);
});

test('a page whose server never answered says so', async ({ page }) => {
  await page.route('**/api/v1/stream', (route) => route.abort());
  await page.goto(program.url);
  await expect(page.getByRole('alert')).toContainText('Muster does not answer');
});

test('it works below a path of a proxy', async ({ page }) => {
  const asked: string[] = [];
  await page.route('http://proxy.test/gpu/**', async (route) => {
    const path = route.request().url().replace('http://proxy.test/gpu/', '');
    asked.push(path);
    if (path === 'api/v1/stream') return route.abort();
    const answer = await fetch(program.url + path);
    await route.fulfill({
      status: answer.status,
      headers: { 'content-type': answer.headers.get('content-type') ?? '' },
      body: Buffer.from(await answer.arrayBuffer()),
    });
  });
  await page.goto('http://proxy.test/gpu/');
  await expect(page.getByRole('heading', { name: 'Muster' })).toBeVisible();
  expect(asked).toContain('api/v1/stream');
});

for (const { width, height, theme } of VIEWS) {
  test(`no barrier at ${width} px, ${theme}`, async ({ page }) => {
    const seen = watch(page);
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    await open(page);
    await page.locator('[data-gang] .toggle button').first().click();
    await expect(page.locator('.details')).toBeVisible();
    await page.getByText('The map as a table').click();
    await page.locator('[data-gang] .name').last().click();
    const result = await new AxeBuilder({ page }).analyze();
    const grave = result.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    expect(grave.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join('\n')}`)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: `pictures/${width}-${theme}.png`, fullPage: true });
    expect(seen.faults).toEqual([]);
  });
}
