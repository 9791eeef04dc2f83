import cors from '@fastify/cors'
import t from 'tap'
import { listen, makeApp } from '../helpers/app.js'
import { SERVERS } from '../helpers/redis-server.js'
import { asksByGet, followsRedirects, looksAtType, serveAnswers, staysAway, stopsAtStatus } from './answers.js'
import type { Client } from './clients.js'
import { comesBackToAll, serveEnding } from './coming-back.js'
import { leaves, serveOpen } from './leaving.js'
import { readsBytes, readsPayloads, serveBytes, servePayloads } from './reading.js'
import { cutInPieces } from './pieces.js'
import { missNothing } from './resume.js'

/** Tests what clients make of this plugin's streams. @param open the clients, those of a page on a page of `origin` */
export async function conforms (open: (origin: string) => Client[] | Promise<Client[]>): Promise<void> {
  const app = await makeApp(t, { heartbeat: false }, { forceCloseConnections: true })
  await app.register(cors, { origin: '*' })
  app.get('/', (_request, reply) => { reply.type('text/html').send('<link rel="icon" href="data:,">') })
  servePayloads(app)
  const comings = serveEnding(app)
  const visits = serveOpen(app)
  const asked = serveAnswers(app)
  const port = await listen(app)
  const origin = `http://127.0.0.1:${port}`
  const bytesOrigin = await serveBytes(t)
  const inPieces = `http://127.0.0.1:${await cutInPieces(t, port)}`
  const all = await open(origin)

  t.test('every client sees what a route sends, and nothing else', async (t) => {
    await Promise.all(all.map(async (client) => {
      await readsPayloads(t, client, origin, 'all', 'whole')
      await readsPayloads(t, client, origin, 'long', 'whole')
    }))
  })

  t.test('also where it is cut within characters and line breaks', async (t) => {
    await Promise.all(all.map(async (client) => {
      await readsPayloads(t, client, inPieces, 'all', 'pieces')
      await readsPayloads(t, client, inPieces, 'short', 'pieces')
    }))
  })

  for (const way of ['whole', 'pieces'] as const) {
    t.test(`every client sees in bytes that no route sends what the standard says, or what is stated, ${way}`, async (t) => {
      await Promise.all(all.map((client) => readsBytes(t, client, bytesOrigin, way)))
    })
  }

  t.test('every client comes back when it was told to, with the id that it was sent', async (t) => {
    await Promise.all(all.map((client) => comesBackToAll(t, client, origin, comings)))
  })

  t.test('a status but 200 ends it, in our client one that does not pass', async (t) => {
    await Promise.all(all.map((client) => stopsAtStatus(t, client, origin, asked)))
  })

  t.test('an answer of another type is no stream', async (t) => {
    await Promise.all(all.map((client) => looksAtType(t, client, origin)))
  })

  t.test('a redirection is followed, each time', async (t) => {
    await Promise.all(all.map((client) => followsRedirects(t, client, origin, asked)))
  })

  t.test('a route for another method is not for them', async (t) => {
    await Promise.all(all.map((client) => asksByGet(t, client, origin)))
  })

  t.test('a client stays away as long as it is told', (t) => staysAway(t, all, origin, asked))

  t.test('who leaves is gone at the server', async (t) => {
    await Promise.all(all.map((client) => leaves(t, client, origin, visits)))
  })

  t.test('who follows a topic misses nothing, and has nothing twice', { skip: SERVERS.length === 0 && 'there is no redis-server' }, (t) => missNothing(t, all))
}
