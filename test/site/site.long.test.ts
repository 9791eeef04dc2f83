import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { until } from '../helpers/until.js'
import { visit } from '../integration/visit.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dist = `${root}site/dist/`
const BASE = '/guide/'

// fails if a link leads to no page
await promisify(execFile)('npm', ['run', 'docs'], { cwd: root, maxBuffer: 2 ** 26 })
const pages = (await readdir(dist, { recursive: true })).filter((name) => name.endsWith('.html'))
const texts = new Map(await Promise.all(pages.map(async (name) => [name, await readFile(dist + name, 'utf8')] as const)))
const server = await startDemoServer(t)
const browser = await launchChromium(t)

t.test('the site has a page for each page of the documentation, each example and each entry of the package', async (t) => {
  const names = (await readdir(`${root}docs`)).filter((name) => name.endsWith('.md') && name !== 'README.md')
  for (const name of names) t.ok(texts.has(name.replace('.md', '.html')), name)
  for (const name of await readdir(`${root}examples`)) if (name.endsWith('.ts')) t.ok(texts.has(`source/examples/${name}.html`), name)
  for (const [name, member] of [['', 'SSERouteOptions'], ['/client', 'connect'], ['/react', 'useSSE'], ['/redis', 'redisBackplane'], ['/metrics', 'sseMetrics'], ['/testing', 'injectSSE'], ['/testing/backplane', 'testBackplane']]) {
    t.ok(texts.get(`api/fastify-sse-routes${name}.html`)?.includes(String(member)), `${name}: ${member}`)
  }
})

t.test('links within the site lead to pages and headings that exist', async (t) => {
  const idsOf = (text: string) => new Set(Array.from(text.matchAll(/ id="([^"]+)"/g), ([, id]) => id))
  const broken: string[] = []
  for (const [name, text] of texts) {
    // TypeDoc makes some names of headings that it does not use
    if (name.startsWith('api/')) continue
    for (const [, href = ''] of text.matchAll(/<a [^>]*?href="([^"]+)"/g)) {
      if (/^(https?|mailto):/.test(href)) continue
      const [path = '', anchor] = href.split('#')
      const target = path === '' ? name : posix.join(path.startsWith('/') ? '' : posix.dirname(name), path.replace(BASE, './'))
      const page = texts.get(target) ?? texts.get(posix.join(target, 'index.html')) ?? texts.get(`${target}.html`)
      if (page === undefined || (anchor && !idsOf(page).has(decodeURIComponent(anchor)))) broken.push(`${name}: ${href}`)
    }
  }
  t.strictSame([...new Set(broken)], [])
})

t.test('pages ask no other server for anything, and fit small and large screens', async (t) => {
  for (const name of ['', 'getting-started.html', 'options.html', 'api/fastify-sse-routes.html', 'overview.html', 'architecture.html']) {
    const { page, faults } = await visit(browser, 'about:blank')
    const others: string[] = []
    page.on('request', (request) => { if (!request.url().startsWith(server.url) && !request.url().startsWith('data:')) others.push(request.url()) })
    await page.goto(`${server.url}${BASE}${name}`, { waitUntil: 'load' })
    if (texts.get(name)?.includes('flowchart')) await page.locator('.diagram svg').waitFor()
    for (const width of [375, 1440]) {
      await page.setViewportSize({ width, height: 900 })
      t.equal(await page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth'), 0, `${name} fits ${width} px`)
    }
    t.strictSame([others, faults], [[], []], name)
    await page.context().close()
  }
})

t.test('labels of diagrams are shown whole, in light and dark', async (t) => {
  const { page } = await visit(browser, `${server.url}${BASE}overview.html`)
  const cut = '[...document.querySelectorAll(\'.diagram foreignObject\')].filter(({ height, firstElementChild }) => firstElementChild.scrollHeight > height.baseVal.value + 1).length'
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.locator(`.diagram svg[id$="${colorScheme === 'dark'}"]`).getByText('encoded once').waitFor()
    t.equal(await page.evaluate<number>(cut), 0, colorScheme)
  }
})

t.test('the landing page shows prices of the demo, and the search finds an option', async (t) => {
  const { page } = await visit(browser, `${server.url}${BASE}`)
  const counted = () => page.locator('.live small').textContent()
  t.match(await page.locator('.vp-doc').textContent(), /sseRoute/, 'and a route')
  await until('two events', async () => Number.parseInt(await counted() ?? '') >= 2)
  await page.getByRole('button', { name: 'Search' }).first().click()
  await page.locator('#localsearch-input').fill('heartbeat')
  await until('a result', async () => (await page.locator('#localsearch-list').textContent() ?? '').includes('heartbeat'))
})
