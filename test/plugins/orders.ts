import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import sse, { type SSEPluginOptions } from '../../lib/index.js'
import { type Client, listen, open } from '../helpers/app.js'

/** The paths of one stream by `sseRoute` and one by `reply.sse()`, which stay open. */
export const PATHS = ['/route', '/hand']

export interface Beside {
  app: FastifyInstance
  port: number
}

export interface Settings {
  sse?: SSEPluginOptions
  server?: FastifyServerOptions
  /** Declares more routes, after both plugins. */
  routes?: (app: FastifyInstance) => void
}

/** Registers another plugin and the hooks that use it. */
export type Register = (app: FastifyInstance) => unknown

/** Apps that listen, one with this plugin before the other plugin and one with it after. Each has both kinds of stream. */
export async function inBothOrders (t: Test, other: Register, { sse: options = {}, server = {}, routes }: Settings = {}): Promise<[Beside, Beside]> {
  async function make (...plugins: Register[]): Promise<Beside> {
    const app = Fastify({ ...server, forceCloseConnections: true })
    t.teardown(() => app.close())
    for (const plugin of plugins) await plugin(app)
    app.sseRoute('/route', { topics: ['a'] })
    app.get('/hand', (request, reply) => { reply.sse().subscribe('a') })
    routes?.(app)
    return { app, port: await listen(app) }
  }
  const plugin: Register = (app) => app.register(sse, options)
  return [await make(plugin, other), await make(other, plugin)]
}

/** Opens each stream of each app. */
export async function openAll (t: Test, apps: Beside[], headers: Record<string, string> = {}): Promise<Client[]> {
  return Promise.all(apps.flatMap(({ port }) => PATHS.map((path) => open(t, port, path, { headers }))))
}

/** Reads a JSON response. */
export async function answerOf (client: Client): Promise<{ status: number | undefined, body: unknown }> {
  await client.finished()
  return { status: client.response.statusCode, body: JSON.parse(client.text) }
}

/** Publishes an event to the streams of all apps, and waits until their clients have it. */
export async function reach (apps: Beside[], clients: Client[], data: string): Promise<void> {
  await Promise.all(apps.map(({ app }) => app.sse.publish('a', data)))
  await Promise.all(clients.map((client) => client.until(`data: ${data}\n`)))
}
