import { execFile } from 'node:child_process'
import { createServer, type LookupFunction } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import pino from 'pino'
import { createClient } from 'redis'
import { redisBackplane, type RedisBackplaneOptions } from '../../lib/redis/index.js'
import { follow, publishAtLast, saidOf, startApp, until } from './app.js'
import { openProxy } from './proxy.js'
import { testRedis } from '../helpers/redis-server.js'
import { connected, startsAndEnds } from './starting.js'

const run = promisify(execFile)

/** A timeout, ms, that is long enough for a busy machine. node-redis keeps trying after an answer that it cannot use. */
const patient = 1_200

/** Runs test/redis/process.ts until it exits. Resolves to its output. */
async function runProcess (url: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--import=./test/typescript.mjs', fileURLToPath(new URL('process.ts', import.meta.url)), url], {
    env: { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0' }, timeout: 30_000
  })
  return stdout.trim()
}

const twoAddresses: LookupFunction = (_host, _options, found) => found(null, ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 })))

testRedis('register rejects within the timeout, with the cause, if Redis cannot be used', async (t, server) => {
  await server.call('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@connection')
  await server.call('SET', '{text}:log', 'x')
  const proxy = await openProxy(t, server.port)
  proxy.refuse()
  const address = server.url.slice('redis://'.length)
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await until('a server that says nothing', () => silent.listening)
  t.teardown(() => silent.close())
  const { port } = silent.address() as { port: number }
  const timeout = 400
  const ioredis = (url: string, timeout: number): RedisBackplaneOptions => ({ client: new Redis(url, { lazyConnect: true }), timeout })
  const cases: Array<[what: string, options: RedisBackplaneOptions, message: RegExp]> = [
    ['nobody listens', { url: 'redis://127.0.0.1:1', timeout }, /no answer within 400 ms: connect ECONNREFUSED 127\.0\.0\.1:1$/],
    ['nobody listens, on no address of a name', { client: createClient({ socket: { host: 'two', port: 1, lookup: twoAddresses } }), timeout }, /no answer within 400 ms \(ECONNREFUSED\)/],
    ['nobody listens to ioredis', ioredis('redis://127.0.0.1:1', timeout), /no answer within 400 ms: connect ECONNREFUSED 127\.0\.0\.1:1$/],
    ['a wrong password', { url: `redis://reader:wrong@${address}`, timeout: patient }, /WRONGPASS/],
    ['a wrong password, from ioredis', ioredis(`redis://reader:wrong@${address}`, patient), /WRONGPASS/],
    ['a user without rights', { url: `redis://reader:secret@${address}`, timeout: patient }, /NOPERM/],
    ['a database that is not there', { url: `${server.url}/99`, timeout: patient }, /DB index is out of range/],
    ['a key of something else', { url: server.url, key: 'text', timeout: patient }, /WRONGTYPE/],
    ['another host\'s end of the connection', { url: proxy.url, timeout }, /no answer within 400 ms: .*(closed|ECONNRESET)/],
    ['somebody who says nothing', { url: `redis://127.0.0.1:${port}`, timeout }, /no answer within 400 ms/]
  ]
  for (const [what, options, message] of cases) {
    const begun = performance.now()
    const error = await startApp(t, options).then(() => new Error('it started'), (error: Error) => error)
    t.match(error, { code: 'SSE_ERR_BACKPLANE' }, what)
    t.match(`${error.message}: ${Object(error.cause).message}`, message, what)
    t.notMatch(error.message, /127\.0\.0\.1|reader/, 'a client is not shown where Redis is')
    t.ok(performance.now() - begun < 5_000, 'in time')
  }
  server.pause()
  await t.rejects(startApp(t, { url: server.url, timeout }), { code: 'SSE_ERR_BACKPLANE', message: /no answer within 400 ms/ }, 'one that stands still')
  server.resume()
  await until('nobody is connected', async () => (await connected(server)).length === 0)
})

testRedis('publish rejects before open() and after close()', async (t, { url }) => {
  const backplane = redisBackplane({ url })({ size: 10, maxAge: 0, maxBytes: 1e6 }, pino({ level: 'silent' }))
  const publication = { to: 'topic' as const, names: ['news'], except: null, limits: null, frame: 'data: x\n\n' }
  const refused = () => t.rejects(async () => backplane.publish(publication), { code: 'SSE_ERR_CLOSING' })
  await refused()
  await backplane.open({ onEvent () {}, onControl () {}, onGap () {} })
  t.match(await backplane.publish(publication), /^\d+-\d+$/)
  await backplane.close()
  await refused()
})

testRedis('register rejects without the password that Redis requires', async (t, server) => {
  await server.call('CONFIG', 'SET', 'requirepass', 'secret')
  const address = server.url.slice('redis://'.length)
  for (const options of [{ url: server.url }, { url: `redis://:wrong@${address}` }, { client: new Redis(server.url, { lazyConnect: true }) }]) {
    await t.rejects(startApp(t, { ...options, timeout: patient }), { code: 'SSE_ERR_BACKPLANE', cause: { message: /NOAUTH|WRONGPASS/ } })
  }
  const { app } = await startApp(t, { url: `redis://:secret@${address}` })
  await t.resolves(app.sse.publish('news', 'x'))
})

testRedis('a process exits after app.close(), and after register has rejected', async (t, server) => {
  const [closed, refused] = await Promise.all([runProcess(server.url), runProcess('redis://127.0.0.1:1')])
  t.equal(closed, '5 streams were open')
  t.match(refused, /^The backplane failed: Redis: no answer within 1000 ms Error: connect ECONNREFUSED/)
})

testRedis('app.close() closes all connections and leaves the given client as it was', async (t, server) => {
  const nodeRedis = createClient({ url: server.url })
  await nodeRedis.connect()
  const ioredis = new Redis(server.url)
  await ioredis.ping()
  t.teardown(() => {
    nodeRedis.destroy()
    ioredis.disconnect()
  })
  const unused = createClient({ url: server.url })
  for (const options of [{ url: server.url }, { client: nodeRedis }, { client: ioredis }, { client: unused }]) {
    const { app, lines } = await startApp(t, options)
    const stream = await follow(app, 'news')
    await app.sse.publish('news', 'x')
    await stream.next()
    t.equal((await connected(server)).length, 5, 'three of the backplane')
    await app.close()
    await until('its connections to be closed', async () => (await connected(server)).length === 2)
    t.strictSame([await nodeRedis.ping(), await ioredis.ping(), unused.isOpen], ['PONG', 'PONG', false])
    t.strictSame(lines, [], 'and nothing to complain of')
  }
})

testRedis('clients with custom settings work', async (t, server) => {
  const clients: Array<[what: string, options: RedisBackplaneOptions, key?: string]> = [
    ['node-redis with Buffers for strings', { client: createClient({ url: server.url }).withTypeMapping({ 36: Buffer }) }],
    ['node-redis that does not connect again', { client: createClient({ url: server.url, socket: { reconnectStrategy: false } }), timeout: 1_000 }],
    ['ioredis with text for numbers', { client: new Redis(server.url, { lazyConnect: true, stringNumbers: true }) }],
    ['ioredis with a prefix for keys', { client: new Redis(server.url, { lazyConnect: true, keyPrefix: 'mine:' }) }, 'mine:{log}:log'],
    ['ioredis that does not connect again', { client: new Redis(server.url, { lazyConnect: true, retryStrategy: () => null }), timeout: 1_000 }],
    ['ioredis that gives commands less time than a read waits', { client: new Redis(server.url, { lazyConnect: true, commandTimeout: 200, socketTimeout: 200 }) }],
    ['ioredis that speaks RESP2', { client: new Redis(server.url, { lazyConnect: true, protocol: 2 }) }]
  ]
  const apps = await Promise.all(clients.map(async ([what, options, stored], i) => {
    const key = stored === undefined ? `log ${i}` : 'log'
    const started = await startApp(t, { ...options, key })
    const stream = await follow(started.app, 'news')
    const id = await started.app.sse.publish('news', '1')
    t.strictSame((await stream.next())?.id, id, what)
    const log = stored ?? `{${key}}:log`
    t.equal(await server.call('EXISTS', log), 1, what)
    await server.call('DEL', log, log.replace(':log', ':marks'))
    t.strictSame((await stream.next())?.event, 'gap', what)
    t.strictSame(saidOf(started.lines), [], what)
    return { ...started, what, stream }
  }))
  await server.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await Promise.all(apps.map(async ({ app, lines, what, stream }) => {
    await publishAtLast(app, 'news', '2')
    t.strictSame((await stream.next())?.data, '2', what)
    t.notOk(lines.some(({ msg }) => msg.includes('is no event')), what)
  }))
})

startsAndEnds({ 'a url': (url) => ({ url }) })
