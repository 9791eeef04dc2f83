import type { FastifyInstance } from 'fastify'
import { injectSSE } from '../../lib/testing.js'
import { testRedis } from '../helpers/redis-server.js'
import { pageOf } from './document.js'
import { runApp } from './run.js'

const page = pageOf('docs/sending.md')

testRedis('a timer in one process publishes to the streams of all processes, and a new client gets nothing until the next event', async (t, server) => {
  const [code] = page.codeOf('One computation for several processes', 'ts')
  const [commands] = page.codeOf('One computation for several processes', 'sh')
  t.match(commands, /^PUBLISHER=1 PORT=\d+ node app\.js &\nPORT=\d+ node app\.js &\n$/)
  t.teardown(() => {
    delete process.env.PUBLISHER
    delete process.env.PORT
  })
  process.env.PORT = '0'
  const start = (publisher: '1' | '0'): Promise<FastifyInstance> => {
    process.env.PUBLISHER = publisher
    const short = code.replace('redis://127.0.0.1:6379', server.url).replace('{ logger: true }', '').replace('5_000', '300').replace('await app.listen', 'app.get(\'/calls\', () => calls)\n$&')
    return runApp(t, `let calls = 0\nasync function countAllOrders () { return ++calls }\n${short}`)
  }
  const other = await start('0')
  const one = await start('1')

  const streams = [await injectSSE(one, { url: '/order-count' }), await injectSSE(other, { url: '/order-count' })] as const
  const events = [await streams[0].next(), await streams[1].next()]
  t.match(events[0], { event: 'count', data: /^\d+$/ })
  t.strictSame(events[0], events[1], 'with the same id')
  const late = await injectSSE(other, { url: '/order-count' })
  const next = await streams[1].next()
  t.strictSame(await late.next(), next, 'the next event, not the one before')
  t.equal((await other.inject('/calls')).body, '0')
  for (const stream of [...streams, late]) stream.close()
})
