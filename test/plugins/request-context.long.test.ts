import { requestContext, fastifyRequestContext } from '@fastify/request-context'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { test } from 'tap'
import type { SSEStream } from '../../lib/index.js'
import { type Client, open, until } from '../helpers/app.js'
import { inBothOrders } from './orders.js'

declare module '@fastify/request-context' {
  interface RequestContextData { user?: string }
}

const NAMES = ['ann', 'bob']

/** Returns the user in the store of the running code. */
const user = () => requestContext.get('user') ?? 'none'

/** Returns the user of a request. */
const named = ({ query }: FastifyRequest) => (query as { user: string }).user

/** Returns the users whose data a client received. */
const usersIn = ({ text }: Client) => [...new Set(text.match(/(?<=data: )\w+/g))]

/** Records for each call of a callback the user of its request and the user in its store. */
class Calls {
  readonly all: string[] = []

  note (what: string, request: FastifyRequest): void {
    this.all.push(`${what} ${named(request)} ${user()}`)
  }

  /** Waits until each callback has been called for each user. */
  async until (...callbacks: string[]): Promise<void> {
    for (const what of callbacks) {
      for (const name of NAMES) await until(`${what} for ${name} in ${this.all}`, () => this.all.some((call) => call.startsWith(`${what} ${name} `)))
    }
  }

  /** Returns the callbacks that saw the store of another request. */
  get strange (): string[] {
    return this.all.filter((call) => !/ (\w+) \1$/.test(call))
  }
}

function declare (app: FastifyInstance, calls: Calls): void {
  const callbacks = (name: string) => ({
    clientId: (request: FastifyRequest) => { calls.note(`${name} clientId`, request); return `${name}-${named(request)}` },
    topics: async (request: FastifyRequest) => { calls.note(`${name} topics`, request); return [`user:${user()}`] },
    onConnect: (request: FastifyRequest, { signal }: SSEStream) => {
      calls.note(`${name} onConnect`, request)
      signal.addEventListener('abort', () => calls.note(`${name} signal`, request))
    },
    onDisconnect: (request: FastifyRequest, { closeReason }: SSEStream) => calls.note(`${name} onDisconnect ${closeReason}`, request),
    onError: ({ message }: Error, request: FastifyRequest) => calls.note(`${name} onError ${message}`, request)
  })
  app.sseRoute('/interval', { ...callbacks('interval'), interval: 10, payload: user })
  app.sseRoute('/shared', { ...callbacks('shared'), interval: 10, shared: (request) => { calls.note('shared key', request); return 'all' }, payload: user })
  app.sseRoute('/source', {
    ...callbacks('source'),
    source: async function * (request, stream) {
      try {
        yield user()
        await new Promise((resolve) => { stream.signal.addEventListener('abort', resolve) })
      } finally {
        calls.note('source finally', request)
      }
    }
  })
  app.sseRoute('/idle', { ...callbacks('idle'), idleTimeout: 50 })
  app.sseRoute('/lifetime', { ...callbacks('lifetime'), maxLifetime: 50 })
  app.sseRoute('/payload', { ...callbacks('payload'), interval: 10, payload: () => { throw new Error('payload') } })
  app.sseRoute('/failing', { ...callbacks('failing'), source: async function * () { yield user(); throw new Error('source') } })
  app.get('/by-hand', (request, reply) => {
    const { onError, onDisconnect } = callbacks('hand')
    return reply.sse(async function * ({ signal }) {
      signal.addEventListener('abort', () => calls.note('hand signal', request))
      yield user()
      await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
      calls.note('hand function', request)
      throw new Error('late')
    }, { onError, onDisconnect })
  })
}

test('@fastify/request-context', async (t) => {
  const [one, other] = [new Calls(), new Calls()]
  let next = one
  const apps = await inBothOrders(t, async (app) => {
    await app.register(fastifyRequestContext)
    app.addHook('onRequest', async (request) => { request.requestContext.set('user', named(request)) })
  }, { routes: (app) => { declare(app, next); next = other } })
  for (const [{ app, port }, calls] of [[apps[0], one], [apps[1], other]] as const) {
    const both = (path: string) => Promise.all(NAMES.map((name) => open(t, port, `${path}?user=${name}`)))
    for (const path of ['/interval', '/source', '/by-hand']) {
      const clients = await both(path)
      await Promise.all(clients.map((client) => client.until('data: ', path === '/interval' ? 4 : 1)))
      t.strictSame(clients.map(usersIn), [['ann'], ['bob']], path)
      for (const client of clients) client.disconnect()
    }
    const shared = await both('/shared')
    await Promise.all(shared.map((client) => client.until('data: ', 4)))
    t.strictSame(shared.map(usersIn), [['none'], ['none']], 'a shared payload runs in no client\'s context')
    for (const client of shared) client.disconnect()
    for (const path of ['/idle', '/lifetime', '/failing']) await Promise.all((await both(path)).map((client) => client.finished()))
    await both('/payload')
    for (const route of ['interval', 'shared', 'source', 'idle', 'lifetime', 'payload', 'failing']) {
      await calls.until(`${route} clientId`, `${route} topics`, `${route} onConnect`)
    }
    for (const route of ['interval', 'shared', 'source', 'hand']) await calls.until(`${route} signal`, `${route} onDisconnect client`)
    await calls.until('shared key', 'source finally', 'hand function', 'idle signal', 'idle onDisconnect idle', 'lifetime signal', 'lifetime onDisconnect lifetime', 'payload onError payload', 'failing onError source', 'failing onDisconnect error')
    await app.close()
    await calls.until('payload onDisconnect drain')
    t.strictSame(calls.strange, [])
  }
})
