import { createServer, type Socket } from 'node:net'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { compareEventIds } from '../../lib/event/id.js'
import { Connection } from '../../lib/redis/connection.js'
import type { RedisBackplaneOptions } from '../../lib/redis/index.js'
import { listen, open } from '../helpers/app.js'
import { eventsOf, take, takeData } from '../helpers/subscriber.js'
import { follow, OUTAGE, outage, publishAtLast, publishFromOutside, saidOf, startApp, until } from './app.js'
import { openProxy } from './proxy.js'
import { type RedisServer, testRedis } from '../helpers/redis-server.js'

const CLIENTS: Record<string, (server: RedisServer) => RedisBackplaneOptions> = {
  'a url': ({ url }) => ({ url }),
  'a client of node-redis': ({ url }) => ({ client: createClient({ url }) }),
  'a client of ioredis': ({ url }) => ({ client: new Redis(url, { lazyConnect: true }) })
}

for (const [what, client] of Object.entries(CLIENTS)) {
  testRedis(`events continue after Redis is killed and restarts with its data, by ${what}`, async (t, server) => {
    const impatient = await startApp(t, { ...client(server), timeout: 1_200 }, { heartbeat: 20 })
    const patient = await startApp(t, client(server), { heartbeat: 20 })
    const port = await listen(impatient.app)
    const [a, b] = [await open(t, port, '/on/news'), await follow(patient.app, 'news')]
    const [first] = [await impatient.app.sse.publish('news', '1'), await patient.app.sse.publish('news', '2')]
    await a.until('data: 2')
    for (const round of [1, 2]) {
      await server.kill()
      // a pending publish rejects, or its event is stored
      const [onTheWay] = await Promise.allSettled([impatient.app.sse.publish('news', `on the way ${round}`)])
      await Promise.all([outage(impatient), outage(patient)])
      const begun = performance.now()
      await t.rejects(impatient.app.sse.publish('news', 'rejected'), { code: 'SSE_ERR_BACKPLANE', message: 'The backplane failed: Redis: no answer within 1200 ms', cause: { message: /ECONNREFUSED/ } })
      t.ok(performance.now() - begun >= 1_190, 'it waited')
      const beats = a.text.length
      await until('heartbeats', () => a.text.length > beats + 20)
      const waiting = patient.app.sse.publish('news', `waited ${round}`)
      await server.start()
      await publishFromOutside(server, 'news', `from outside ${round}`)
      const id = await waiting
      await a.until(`id: ${id}\n`)
      const last = await publishAtLast(impatient.app, 'news', `after ${round}`)
      await a.until(`id: ${last}\n`)
      await until('the end of the outage', () => [impatient, patient].every(({ lines }) => saidOf(lines).length === 2 * round))
      t.equal(onTheWay.status === 'fulfilled' || onTheWay.reason.code === 'SSE_ERR_BACKPLANE', true)
    }
    const log = await server.call('XRANGE', '{sse}:log', '-', '+') as Array<[id: string, fields: string[]]>
    const published = log.filter(([, fields]) => fields.includes('news')).map(([id, fields]) => ({ id, event: 'message', data: fields.at(-1)?.slice('data: '.length, -2) }))
    t.strictSame(eventsOf(a.text), published, 'each once, in order')
    t.strictSame(await take(b, published.length), published)
    t.strictSame(await take(await follow(patient.app, 'news', first), published.length - 1), published.slice(1))
    t.ok(published.length >= 8)
    t.notOk(published.some(({ data }) => data === 'rejected'), 'what was rejected is not stored later')
    for (const { app, lines } of [impatient, patient]) {
      t.strictSame(saidOf(lines), [...OUTAGE, ...OUTAGE], 'one line per outage, one when it is over')
      t.equal(lines.length, 4 + Number(app === impatient.app), 'and no other, but where it listens')
      t.equal(app.sse.stats().gaps, 0)
    }
  })
}

testRedis('publishing waits while Redis loads its data', async (t, server) => {
  const options = { history: { maxAge: 600_000 } }
  const hasty = await startApp(t, { url: server.url, timeout: 900 }, options)
  const patient = await startApp(t, { url: server.url }, options)
  const stream = await follow(patient.app, 'news')
  await server.kill()
  await Promise.all([outage(hasty), outage(patient)])

  // answers like Redis while it loads, and afterwards
  const sockets = new Set<Socket>()
  const commands: string[] = []
  let loading = true
  const standIn = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('data', (data) => {
      for (const command of String(data).split(/^\*(?=\d)/m).slice(1)) {
        const [, name = ''] = /\$\d+\r\n(\w+)/.exec(command) ?? []
        commands.push(command)
        if (name === 'CLIENT' || name === 'HELLO') socket.write('+OK\r\n')
        else if (loading) socket.write('-LOADING Redis is loading the dataset in memory\r\n')
        else if (name === 'EVALSHA') socket.write('-NOSCRIPT No matching script\r\n')
        else if (name === 'EVAL' && command.includes('data: ')) socket.write('+9-9\r\n')
      }
    })
  }).listen(server.port, '127.0.0.1')
  const waiting = patient.app.sse.publish('news', '1')
  const tries = (text = '') => commands.filter((command) => command.includes('EVAL') && command.includes('data: ') && command.includes(text)).length
  await until('it to be refused, and tried again', () => tries() > 2)
  // three times, because the timeout may pass while an answer is pending, or before there is a connection
  for (let givenUp = 0; givenUp < 3;) {
    const tried = tries('too late')
    await t.rejects(hasty.app.sse.publish('news', 'too late'), { code: 'SSE_ERR_BACKPLANE', message: /no answer within 900 ms/ })
    if (tries('too late') > tried + 1) givenUp++
  }
  const [before, late] = [tries('data: 1'), tries('too late')]
  await until('the other to be tried on', () => tries('data: 1') > before + 3)
  t.ok(tries('too late') <= late + 1, 'it is over, but for what was on its way')
  loading = false
  t.equal(await waiting, '9-9')
  const tried = tries()
  await wait(100)
  t.equal(tries(), tried, 'no more than once, and not what is too late')
  for (const socket of sockets) socket.destroy()
  standIn.close()

  await server.start()
  await publishAtLast(hasty.app, 'news', '2')
  t.strictSame(await takeData(stream, 1), ['2'])
})

testRedis('publishing rejects after the timeout while Redis is suspended, and events continue afterwards', async (t, server) => {
  const hasty = await startApp(t, { url: server.url, timeout: 1_500 })
  const { app } = await startApp(t, { url: server.url })
  const [a, b] = [await follow(hasty.app, 'news'), await follow(app, 'news')]
  await hasty.app.sse.publish('news', '1')
  server.pause()
  const begun = performance.now()
  await t.rejects(hasty.app.sse.publish('news', 'unsure'), { code: 'SSE_ERR_BACKPLANE', message: /no answer within 1500 ms/ })
  await t.rejects(hasty.app.sse.publish('news', 'too late'), { code: 'SSE_ERR_BACKPLANE', message: /no answer within 1500 ms/ })
  t.ok(performance.now() - begun < 4_500)
  await outage(hasty)
  const waiting = app.sse.publish('news', '2')
  server.resume()
  await waiting
  await publishAtLast(hasty.app, 'news', 'end')
  const events: string[] = []
  for (let data = ''; data !== 'end'; events.push(data)) [data = ''] = await takeData(b, 1)
  t.strictSame(await takeData(a, events.length), events, 'the same to all')
  t.equal(new Set(events).size, events.length, 'nothing twice')
  t.ok(events.includes('2'))
  t.notOk(events.includes('too late'), 'what never began is not stored')
  t.strictSame([hasty.app.sse.stats().gaps, app.sse.stats().gaps], [0, 0])
  await until('the end of the outage', () => saidOf(hasty.lines).length === 2)
})

testRedis('apps close while Redis is suspended', async (t, server) => {
  for (const [what, client] of Object.entries(CLIENTS)) {
    const { app } = await startApp(t, client(server))
    await follow(app, 'news')
    server.pause()
    const published = app.sse.publish('news', 'x')
    const begun = performance.now()
    await Promise.all([app.close(), t.rejects(published, { code: 'SSE_ERR_CLOSING' })])
    t.ok(performance.now() - begun < 2_000, what)
    server.resume()
  }
})

testRedis('apps close while Redis is down', async (t, server) => {
  const apps = await Promise.all(Object.values(CLIENTS).map((client) => startApp(t, client(server))))
  await server.kill()
  await Promise.all(apps.map(outage))
  const begun = performance.now()
  await Promise.all(apps.map(async ({ app }) => {
    const waiting = app.sse.publish('news', 'x')
    await Promise.all([app.close(), t.rejects(waiting, { code: 'SSE_ERR_CLOSING' })])
  }))
  t.ok(performance.now() - begun < 2_000)
  await server.start()
  await wait(300)
  t.equal(String(await server.call('CLIENT', 'LIST')).trim().split('\n').length, 1, 'none connects again')
})

testRedis('a connection that is dead, but not closed, is replaced', async (t, server) => {
  const proxy = await openProxy(t, server.port)
  const app = await startApp(t, { url: proxy.url, timeout: 1_000 })
  const stream = await follow(app.app, 'news')
  await app.app.sse.publish('news', '1')
  t.strictSame(await takeData(stream, 1), ['1'])
  proxy.stall()
  await t.rejects(app.app.sse.publish('news', 'lost'), { code: 'SSE_ERR_BACKPLANE' })
  await t.resolves(app.app.sse.publish('news', '2'), 'the next goes another way')
  await publishFromOutside(server, 'news', '3')
  t.strictSame(await takeData(stream, 2), ['2', '3'])
  await until('the end of the outage', () => saidOf(app.lines).length === 2)
  t.strictSame(saidOf(app.lines), OUTAGE)
  t.equal(app.app.sse.stats().gaps, 0)
})

testRedis('many commands may take longer than the timeout together, as long as Redis answers', async (t, server) => {
  const connection = new Connection(createClient({ url: server.url }))
  t.teardown(() => connection.close())
  await connection.run({ timeout: 5_000 }, async () => {})
  const begun = performance.now()
  await Promise.all(Array.from({ length: 6 }, () => connection.run({ timeout: 600 }, () => connection.send('BLPOP', 'nothing', '0.25'))))
  t.ok(performance.now() - begun > 1_200)
  await t.rejects(connection.run({ timeout: 300 }, () => connection.send('BLPOP', 'nothing', '5')), /no answer within 300 ms/)
})

for (const [what, client] of Object.entries(CLIENTS)) {
  testRedis(`Redis stores events in the order of the calls of publish, also after it has lost its scripts, by ${what}`, async (t, server) => {
    for (let apps = 0; apps < 5; apps++) {
      await server.call('SCRIPT', 'FLUSH')
      const { app } = await startApp(t, client(server))
      const published: Array<Promise<string>> = []
      for (let i = 0; i < 20; i++) {
        // a large event arrives in several parts, so that Redis answers the earlier ones first
        published.push(app.sse.publish('news', 'x'.repeat(i % 3 === 1 ? 300_000 : 10)))
        await turn()
      }
      const ids = await Promise.all(published)
      t.strictSame(ids, ids.toSorted(compareEventIds))
      await app.close()
    }
  })
}
