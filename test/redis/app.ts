import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { redisBackplane, type RedisBackplaneOptions } from '../../lib/redis/index.js'
import { APPEND, MARK_LOSS, OPEN } from '../../lib/redis/scripts.js'
import { makeApp, until } from '../helpers/app.js'
import { follow, serveTopics } from '../helpers/subscriber.js'
import type { RedisServer } from '../helpers/redis-server.js'

/** One line of an app's log. */
interface Line {
  level: number
  msg: string
  err?: Error
}

export const WARN = 40
export const ERROR = 50

/** An app with a Redis backplane, like one of several processes, and the lines of its log. */
export interface RedisApp {
  app: FastifyInstance
  lines: Line[]
}

export async function startApp (t: Test, redis: RedisBackplaneOptions, options: SSEPluginOptions = {}): Promise<RedisApp> {
  const lines: Line[] = []
  const write = (text: string) => {
    const line = JSON.parse(text)
    if (line.reqId === undefined) lines.push(line)
  }
  const app = await makeApp(t, { ...options, backplane: redisBackplane(redis) }, { logger: { level: 'info', stream: { write } } })
  serveTopics(app)
  return { app, lines }
}

/** The log lines about the connection to Redis. */
export function saidOf (lines: Line[]): string[] {
  return lines.filter(({ msg }) => msg.startsWith('events are')).map(({ msg }) => msg)
}

export const OUTAGE = ['events are not received from Redis, which is tried again', 'events are received from Redis again']

/** Waits until an app has logged that Redis is down. */
export async function outage ({ lines }: RedisApp): Promise<void> {
  await until('the app to notice', () => lines.findLast(({ msg }) => msg.startsWith('events are'))?.level === ERROR)
}

/** The keys of the log of the tests in Redis. */
export const KEYS = { log: '{sse}:log', marks: '{sse}:marks', expiring: '{sse}:expiring' }

/** Appends an event as another process does, with limits of 1,000 events and an hour. Resolves to its id. */
export async function publishFromOutside (server: RedisServer, topic: string, data: string): Promise<string> {
  const keys = [KEYS.log, KEYS.marks, KEYS.expiring, `{sse}:topic:${topic}`]
  return String(await server.call('EVAL', APPEND.text, '4', ...keys, '10000', '1000', '3600000', 'to', 'topic', 'name', topic, 'text', `data: ${data}\n\n`))
}

/** Appends a loss marker to the log, as a process does that has found a loss. */
export async function loseEvents (server: RedisServer): Promise<void> {
  const [newest] = await server.call('EVAL', OPEN.text, '2', KEYS.log, KEYS.marks, '1000', '1000', '3600000') as [string]
  await server.call('EVAL', MARK_LOSS.text, '2', KEYS.log, KEYS.marks, newest)
}

/** Makes the log in Redis end with a loss marker that has an id greater than any that the clock gives, as if the clock of a new Redis was late. */
export async function moveToFuture (server: RedisServer): Promise<void> {
  await server.call('EVAL', MARK_LOSS.text, '2', KEYS.log, KEYS.marks, FUTURE)
}

/** An id greater than any that the clock gives. */
export const FUTURE = '9999999999999-5'

/** Publishes until it succeeds. Resolves to the id. */
export async function publishAtLast (app: FastifyInstance, topic: string, data: string): Promise<string> {
  let id = ''
  await until('an event to be published', async () => {
    id = await app.sse.publish(topic, data).catch(() => '')
    return id !== ''
  })
  return id
}

export { follow, until }
