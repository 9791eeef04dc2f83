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

/** Tests that clients read the streams of this plugin. @param open starts the clients, those of a page on a page of `origin` */
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

  t.test('every client reads exactly the events that a route sends', async (t) => {
    await Promise.all(all.map(async (client) => {
      await readsPayloads(t, client, origin, 'all', 'whole')
      await readsPayloads(t, client, origin, 'long', 'whole')
    }))
  })

  t.test('every client reads events that are cut within characters and line breaks', async (t) => {
    await Promise.all(all.map(async (client) => {
      await readsPayloads(t, client, inPieces, 'all', 'pieces')
      await readsPayloads(t, client, inPieces, 'short', 'pieces')
    }))
  })

  for (const way of ['whole', 'pieces'] as const) {
    t.test(`every client reads bytes that no route sends as the standard says, or as documented, ${way}`, async (t) => {
      await Promise.all(all.map((client) => readsBytes(t, client, bytesOrigin, way)))
    })
  }

  t.test('every client reconnects after the delay of `retry:`, with the last event id', async (t) => {
    await Promise.all(all.map((client) => comesBackToAll(t, client, origin, comings)))
  })

  t.test('a status other than 200 ends the stream; in our client only a permanent one', async (t) => {
    await Promise.all(all.map((client) => stopsAtStatus(t, client, origin, asked)))
  })

  t.test('a response of another content type is not a stream', async (t) => {
    await Promise.all(all.map((client) => looksAtType(t, client, origin)))
  })

  t.test('a redirect is followed at each attempt', async (t) => {
    await Promise.all(all.map((client) => followsRedirects(t, client, origin, asked)))
  })

  t.test('a route for another method refuses the client', async (t) => {
    await Promise.all(all.map((client) => asksByGet(t, client, origin)))
  })

  t.test('a client waits for the reconnect delay that the server sends', (t) => staysAway(t, all, origin, asked))

  t.test('a client that disconnects is removed at the server', async (t) => {
    await Promise.all(all.map((client) => leaves(t, client, origin, visits)))
  })

  t.test('a subscriber of a topic loses and repeats no event', { skip: SERVERS.length === 0 && 'there is no redis-server' }, (t) => missNothing(t, all))
}
