import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { test, type Test } from 'tap'
import ts from 'typescript'
import { listen, open } from '../helpers/app.js'
import { typeErrors } from './compile.js'
import { pageOf, root } from './document.js'
import { buildApp } from './migration/after.js'
import { check } from './migration/checks.js'
import { betterSSE, express, fastifySSE, fastifySSEv2, replyRaw } from './migration/scenarios.js'
import { run, runApp } from './run.js'

const page = pageOf('docs/migration.md')

const LIBRARIES = ['@fastify/sse', 'fastify-sse-v2', 'better-sse', 'express']

/** Resolves the packages that only the tests have. */
const require = createRequire(join(root, 'test/package.json'))

/** Replaces the names of the libraries, because a program of the page runs in a folder that does not have them. */
function resolved (code: string): string {
  return LIBRARIES.reduce((code, name) => code.replaceAll(`'${name}'`, () => JSON.stringify(pathToFileURL(require.resolve(name)).href)), code)
}

/** Returns the names of the public members of some interfaces and classes in a file of types. */
function namesIn (file: string, owners: RegExp): Set<string> {
  const path = join(root, 'test/node_modules', file)
  const names = new Set<string>()
  ts.forEachChild(ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true), function visit (node): void {
    const isOwner = (ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node)) && node.name !== undefined && owners.test(node.name.text)
    if (!isOwner) ts.forEachChild(node, visit)
    else {
      for (const member of node.members) {
        const isPrivate = ts.canHaveModifiers(member) && ts.getModifiers(member)?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword) === true
        if (member.name !== undefined && !isPrivate && (ts.isIdentifier(member.name) || ts.isStringLiteral(member.name))) names.add(member.name.text)
      }
    }
  })
  if (names.size === 0) throw new Error(`${file} has no members`)
  return names
}

/** Runs an app of the page, and returns its URL. */
async function start (t: Test, code: string): Promise<string> {
  return `http://127.0.0.1:${await listen(await runApp(t, resolved(code)))}`
}

/** Runs an Express app of the page. Its streams end with the test. */
async function startExpress (t: Test, code: string): Promise<Server> {
  const server = createServer(await run<RequestListener>(t, resolved(code), 'app')).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return server
}

test('all TypeScript of the page compiles', (t) => {
  t.strictSame(typeErrors([...pageOf('README.md').blocks.filter(({ language }) => language === 'ts').slice(0, 1), ...page.blocks.filter(({ language }) => language === 'ts')]), [])
  t.end()
})

test('each section has all options and members of its library', (t) => {
  const missing = (section: string, names: Iterable<string>) => [...names].filter((name) => !new RegExp(`\\b${name}\\b`).test(page.sectionOf(section)))
  t.strictSame(missing('From @fastify/sse', namesIn('@fastify/sse/types/index.d.ts', /^SSE/)), [])
  t.strictSame(missing('From fastify-sse-v2', [...namesIn('fastify-sse-v2/lib/types.d.ts', /./), ...namesIn('fastify-sse-v2/lib/index.d.ts', /EventMessage/)]), [])
  t.strictSame(missing('From better-sse', namesIn('better-sse/build/index.d.mts', /^(Session|Channel|SessionOptions|ChannelOptions|BroadcastOptions|IterateOptions|SessionEvents|ChannelEvents)$/)), [])
  t.strictSame(missing('From better-sse', Object.keys(require('better-sse')).filter((name) => !['Session', 'Channel'].includes(name))), [])
  t.end()
})

test('the page names the installed versions, which are those of the benches', (t) => {
  const compared = JSON.parse(readFileSync(join(root, 'bench/package.json'), 'utf8')).dependencies
  for (const name of LIBRARIES) {
    const { version } = JSON.parse(readFileSync(join(root, 'test/node_modules', name, 'package.json'), 'utf8'))
    t.match(page.prose, `${name === 'express' ? 'Express' : name} ${version}`)
    if (name in compared) t.equal(version, compared[name])
  }
  t.end()
})

test('@fastify/sse: clients get the same events before and after the move', async (t) => {
  const [before] = page.codeOf('A program of @fastify/sse', 'js')
  const [after] = page.codeOf('A program of @fastify/sse', 'ts')
  t.strictSame(await fastifySSE(t, await start(t, before)), await fastifySSE(t, await start(t, after)))
})

test('fastify-sse-v2: clients get the same events before and after the move', async (t) => {
  const [before] = page.codeOf('A program of fastify-sse-v2', 'js')
  const [after] = page.codeOf('A program of fastify-sse-v2', 'ts')
  t.strictSame(await fastifySSEv2(t, await start(t, before)), await fastifySSEv2(t, await start(t, after)))
})

test('better-sse: clients get the same events before and after the move', async (t) => {
  const [before] = page.codeOf('A program of better-sse', 'js')
  const [after] = page.codeOf('A program of better-sse', 'ts')
  t.strictSame(await betterSSE(t, await start(t, before)), await betterSSE(t, await start(t, after)))
})

test('reply.raw: clients get the same events before and after the move', async (t) => {
  const [before] = page.codeOf('A program with reply.raw', 'js')
  const [after] = page.codeOf('A program with reply.raw', 'ts')
  t.strictSame(await replyRaw(t, await start(t, before.replaceAll('1_000', '20'))), await replyRaw(t, await start(t, after.replaceAll('1_000', '20'))))
})

test('Express: clients get the same events before and after the move', async (t) => {
  const [before] = page.codeOf('A program of Express', 'js')
  const [after] = page.codeOf('A program of Express', 'ts')
  const server = await startExpress(t, before)
  const { port } = server.address() as AddressInfo
  t.strictSame(await express(t, `http://127.0.0.1:${port}`), await express(t, await start(t, after)))

  const client = await open(t, port, '/rooms/red')
  const closed = once(server, 'close')
  server.close()
  t.equal(await Promise.race([closed, wait(500, 'open')]), 'open', 'server.close() waits for the stream')
  client.disconnect()
  server.closeIdleConnections()
})

test('an application on @fastify/sse passes the same checks before and after the move', async (t) => {
  const before: { buildApp: typeof buildApp } = await import(new URL('migration/before.ts', import.meta.url).href)
  for (const [name, build] of [['before', before.buildApp], ['after', buildApp]] as const) {
    await t.test(name, async (t) => {
      const app = await build()
      t.teardown(() => app.close())
      const port = await listen(app)
      await check(t, `http://127.0.0.1:${port}`)
      const client = await open(t, port, '/load')
      await client.until('data: ')
      await app.close()
      t.ok(await client.finished())
    })
  }
})

test('the application before the move compiles with the types of @fastify/sse', (t) => {
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config, ts.sys, root)
  const file = join(root, 'test/docs/migration/before.ts')
  // the default export of the package has its type only with the resolution of bundlers
  const program = ts.createProgram([file], { ...options, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler })
  t.strictSame(ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')), [])
  t.ok(program.getSourceFiles().some(({ fileName }) => fileName.includes('@fastify/sse')))
  t.notOk(program.getSourceFiles().some(({ fileName }) => fileName.includes('lib/app-types')))
  t.end()
})

test('@fastify/sse and fastify-sse-routes in one app: each route has the reply.sse of its plugin', async (t) => {
  const app = await runApp(t, resolved(`
    import Fastify from 'fastify'
    import fastifySSE from '@fastify/sse'
    import sse from 'fastify-sse-routes'

    const app = Fastify()
    await app.register(fastifySSE)
    await app.register(sse)
    app.get('/old', { sse: 'only' }, async (request, reply) => { await reply.sse.send({ data: 'old' }) })
    app.get('/late', { sse: 'only' }, async (request, reply) => {
      reply.sse.sendHeaders(201)
      await new Promise((resolve) => setTimeout(resolve, 300))
      await reply.sse.send({ data: 'old' })
    })
    app.get('/dual', { sse: 'dual' }, async (request, reply) => {
      if (request.headers.accept === 'text/event-stream') return reply.sse.send({ data: 'old' })
      return { of: typeof reply.sse }
    })
    app.get('/new', (request, reply) => reply.sse(['new']))
    app.sseRoute('/declared', { source: () => ['new'] })
  `))
  t.equal((await app.inject('/old')).body, 'data: "old"\n\n')
  t.equal((await app.inject({ url: '/dual', headers: { accept: 'text/event-stream' } })).body, 'data: "old"\n\n')
  t.strictSame((await app.inject({ url: '/dual', headers: { accept: 'application/json' } })).json(), { of: 'function' }, 'the reply.sse of fastify-sse-routes')
  const since = performance.now()
  t.equal((await open(t, await listen(app), '/late')).response.statusCode, 201)
  t.ok(performance.now() - since > 250, 'sendHeaders() does not send the headers')
  for (const path of ['/declared', '/new']) t.equal((await app.inject(path)).body, 'data: new\n\n')
})

test('fastify-sse-v2 and fastify-sse-routes in one app: in one instance an error, in two children of it each has its reply.sse', async (t) => {
  const code = resolved(`
    import Fastify from 'fastify'
    import { FastifySSEPlugin } from 'fastify-sse-v2'
    import sse from 'fastify-sse-routes'

    async function * empty () { yield { id: '', event: 'a', data: '' } }

    const app = Fastify()
    app.register(async (child) => {
      await child.register(FastifySSEPlugin)
      child.get('/old', (request, reply) => { reply.code(201).sse(empty()) })
    })
    app.register(async (child) => {
      await child.register(sse)
      child.get('/new', (request, reply) => reply.code(201).sse(empty()))
    })
  `)
  const app = await runApp(t, code)
  t.match(await app.inject('/old'), { statusCode: 200, body: /^retry: 3000\n\nevent: a\n\n$/ })
  t.match(await app.inject('/new'), { statusCode: 201, body: /^id: \nevent: a\ndata: \n\n$/ })
  for (const first of ['FastifySSEPlugin', 'sse']) {
    const both = code.replace(/app\.register\(async[^]*/, `await app.register(${first})\nawait app.register(${first === 'sse' ? 'FastifySSEPlugin' : 'sse'})`)
    await t.rejects(runApp(t, both), { code: 'FST_ERR_DEC_ALREADY_PRESENT' })
  }
})

test('better-sse sends text as JSON, random ids and default event names', async (t) => {
  const app = await runApp(t, resolved(`
    import Fastify from 'fastify'
    import { createSession } from 'better-sse'

    const app = Fastify()
    app.get('/', async (request, reply) => {
      reply.hijack()
      const session = await createSession(request.raw, reply.raw)
      session.push('hello')
      await session.iterate([1])
      reply.raw.end()
    })
  `))
  const response = await fetch(`http://127.0.0.1:${await listen(app)}`)
  t.match(page.sectionOf('Changes from better-sse'), `\`${response.headers.get('cache-control')}\``)
  const text = await response.text()
  t.match(text, /^retry:2000\n\nevent:message\nid:[\da-f-]{36}\ndata:"hello"\n\nevent:iteration\nid:[\da-f-]{36}\ndata:1\n\n$/)
})
