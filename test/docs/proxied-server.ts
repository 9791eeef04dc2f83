// Started by proxies.long.test.ts in a separate process, so that the test can kill it.
import { setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import sse from '../../lib/index.js'

const app = Fastify()
await app.register(sse)
app.sseRoute('/', { source: async function * () { yield 'one'; await wait(60_000) } })
console.log(await app.listen({ host: '127.0.0.1', port: 0 }))
