import cors from '@fastify/cors'
import t from 'tap'
import { listen, makeApp } from '../harness.js'
import { byteByByte } from './byte-by-byte.js'
import { openClients } from './clients.js'
import { comesBackToAll, serveEnding } from './coming-back.js'
import { readsBytes, readsPayloads, serveBytes, servePayloads } from './reading.js'

const app = await makeApp(t, { heartbeat: false }, { forceCloseConnections: true })
await app.register(cors, { origin: '*' })
app.get('/', (_request, reply) => { reply.type('text/html').send('<link rel="icon" href="data:,">') })
servePayloads(app)
const asked = serveEnding(app)
const port = await listen(app)
const origin = `http://127.0.0.1:${port}`
const bytesOrigin = await serveBytes(t)
const slowly = `http://127.0.0.1:${await byteByByte(t, port)}`
const { all } = await openClients(t, origin)

t.test('every client sees what a route sends, and nothing else', async (t) => {
  await Promise.all(all.map(async (client) => {
    await readsPayloads(t, client, origin, 'all', 'whole')
    await readsPayloads(t, client, origin, 'long', 'whole')
  }))
})

t.test('also where each byte comes by itself', async (t) => {
  await Promise.all(all.map(async (client) => {
    await readsPayloads(t, client, slowly, 'all', 'single')
    await readsPayloads(t, client, slowly, 'short', 'single')
  }))
})

for (const way of ['whole', 'single'] as const) {
  t.test(`bytes that no route sends, ${way}`, async (t) => {
    await Promise.all(all.map((client) => readsBytes(t, client, bytesOrigin, way)))
  })
}

t.test('every client comes back when it was told to, with the id that it was sent', async (t) => {
  await Promise.all(all.map((client) => comesBackToAll(t, client, origin, asked)))
})
