import { createRequire } from 'node:module'
import { join } from 'node:path'
import { build } from 'esbuild'
import { compile } from 'svelte/compiler'
import { type Test, test } from 'tap'
import { compileScript, parse } from 'vue/compiler-sfc'
import { listen, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { pageOf, root } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/react.md')

/** The folder of node_modules that has a version of React. */
const REACT = { 18: join(root, 'node_modules'), 19: join(root, 'test/node_modules') }

/** Bundles a module for a page, with lib in place of the package. Modules that it imports are passed by name. */
async function bundle (code: string, modules: Record<string, string>, version: keyof typeof REACT = 19): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, loader: 'tsx', resolveDir: join(root, 'test') },
    alias: {
      'fastify-sse-routes/client': join(root, 'lib/client/index.ts'),
      'fastify-sse-routes/react': join(root, 'lib/client/react.ts'),
      react: join(REACT[version], 'react'),
      'react-dom': join(REACT[version], 'react-dom')
    },
    plugins: [{
      name: 'modules',
      setup (build) {
        build.onResolve({ filter: /^component$/ }, ({ path }) => ({ path, namespace: 'modules' }))
        build.onLoad({ filter: /.*/, namespace: 'modules' }, ({ path }) => ({ contents: modules[path] ?? '', loader: 'tsx', resolveDir: join(root, 'test') }))
      }
    }],
    define: { 'process.env.NODE_ENV': '"development"', __VUE_OPTIONS_API__: 'false', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
    jsx: 'automatic',
    conditions: ['browser', 'development'],
    bundle: true,
    write: false
  })
  return outputFiles[0]?.text ?? ''
}

/** Starts the app of the page with shorter intervals, and opens a page of it that runs a script. Errors in its console fail the test. */
async function open (t: Test, script: string) {
  const [route] = page.codeOf('React, Vue and Svelte', 'ts')
  const app = await runApp(t, tenLines({ after: `app.get('/page', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,"><div id="root"></div>'))\n${route.replace('1_000', '20')}` }))
  const browser = await launchChromium(t)
  const tab = await browser.newPage()
  const errors: string[] = []
  tab.on('console', (message) => { if (message.type() === 'error') errors.push(message.text()) })
  tab.on('pageerror', ({ message }) => { errors.push(message) })
  await tab.goto(`http://127.0.0.1:${await listen(app)}/page`)
  await tab.addScriptTag({ content: script })
  return { app, tab, errors, text: () => tab.innerText('#root') }
}

for (const version of [18, 19] as const) {
  test(`useSSE in React ${version}: StrictMode opens one connection, a change and an unmount close it`, async (t) => {
    const { version: loaded } = createRequire(join(REACT[version], 'x'))('react')
    t.equal(Number.parseInt(loaded), version)
    const code = `import { createElement, StrictMode } from 'react'; import { createRoot } from 'react-dom/client'; import { Price } from 'component'
      globalThis.root = createRoot(document.getElementById('root')); root.render(createElement(StrictMode, null, createElement(Price)))`
    const { app, tab, errors, text } = await open(t, await bundle(code, { component: page.codeOf('Read events in React', 'tsx')[0] }, version))
    await until('a price', async () => /^live: \d+$/.test(await text()))
    t.equal(app.sse.stats().opened, 1)
    await tab.evaluate('root.unmount()')
    await until('the disconnect', () => app.sse.streams.size === 0)
    t.strictSame(errors, [])
  })

  test(`useSSE in React ${version}: the options of the page`, async (t) => {
    const code = `import { createElement, StrictMode } from 'react'; import { createRoot } from 'react-dom/client'; import { Tape } from 'component'
      const root = createRoot(document.getElementById('root')); globalThis.show = (symbol) => root.render(createElement(StrictMode, null, createElement(Tape, { symbol })))`
    const { app, tab, errors } = await open(t, await bundle(code, { component: page.codeOf('Options of useSSE', 'tsx')[0] }, version))
    const items = () => tab.locator('li').count()
    await tab.evaluate('show(null)')
    await tab.evaluate('show("ACME")')
    await until('three prices', async () => await items() === 3)
    await tab.evaluate('show("ACME")')
    await tab.evaluate('show("OTHER")')
    await until('the second stream', () => app.sse.stats().opened === 2 && app.sse.streams.size === 1)
    await until('three prices again', async () => await items() === 3)
    await tab.click('ul')
    await until('the disconnect', () => app.sse.streams.size === 0)
    t.equal(app.sse.stats().opened, 2)
    t.strictSame(errors, [])
  })

  test(`useSSE in React ${version}: HTML of a server is hydrated without a difference`, async (t) => {
    const code = `import { createElement } from 'react'; import { hydrateRoot } from 'react-dom/client'; import { renderToString } from 'react-dom/server.browser'; import { Price } from 'component'
      const root = document.getElementById('root'); root.innerHTML = globalThis.html = renderToString(createElement(Price)); globalThis.differences = []
      hydrateRoot(root, createElement(Price), { onRecoverableError: ({ message }) => differences.push(message) })`
    const { tab, errors, text } = await open(t, await bundle(code, { component: page.codeOf('Read events in React', 'tsx')[0] }, version))
    t.match(await tab.evaluate('html'), /idle.*no price yet/)
    await until('a price', async () => /^live: \d+$/.test(await text()))
    t.strictSame(await tab.evaluate('differences'), [])
    t.strictSame(errors, [])
  })
}

test('TanStack Query reads the events as a list', async (t) => {
  const code = `import { createElement } from 'react'; import { createRoot } from 'react-dom/client'; import { QueryClient, QueryClientProvider } from '@tanstack/react-query'; import { Prices } from 'component'
    globalThis.root = createRoot(document.getElementById('root')); root.render(createElement(QueryClientProvider, { client: new QueryClient() }, createElement(Prices)))`
  const { app, tab, errors, text } = await open(t, await bundle(code, { component: page.codeOf('TanStack Query', 'tsx')[0] }))
  await until('the events', async () => /^\d+ events, \{"symbol":"ACME"/.test(await text()))
  await tab.evaluate('root.unmount()')
  await until('the disconnect', () => app.sse.streams.size === 0)
  t.strictSame(errors, [])
})

test('a component of Vue reads the events', async (t) => {
  const { descriptor } = parse(page.codeOf('Vue', 'vue')[0])
  const { content } = compileScript(descriptor, { id: 'price', inlineTemplate: true })
  const code = 'import { createApp } from \'vue\'; import Price from \'component\'; globalThis.app = createApp(Price); app.mount(\'#root\')'
  const { app, tab, errors, text } = await open(t, await bundle(code, { component: content }))
  await until('a price', async () => /^\d+$/.test(await text()))
  await tab.evaluate('app.unmount()')
  await until('the disconnect', () => app.sse.streams.size === 0)
  t.strictSame(errors, [])
})

test('a component of Svelte reads the events', async (t) => {
  const { js } = compile(page.codeOf('Svelte', 'svelte')[0], { generate: 'client', name: 'Price' })
  const code = 'import { mount, unmount } from \'svelte\'; import Price from \'component\'; const price = mount(Price, { target: document.getElementById(\'root\') }); globalThis.stop = () => unmount(price)'
  const { app, tab, errors, text } = await open(t, await bundle(code, { component: js.code }))
  await until('a price', async () => /^\d+$/.test(await text()))
  await tab.evaluate('stop()')
  await until('the disconnect', () => app.sse.streams.size === 0)
  t.strictSame(errors, [])
})
